//! The registry that a host offers, used by the adapter for such a one: the suite that every registry runs, and the
//! heartbeat.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostel_api::client::ClientError;
use hostel_api::registry::VersionsView;
use hostel_event::port::{ChangeKind, Clock, Registry};
use hostel_event::time::{Moment, Timestamp};
use hostel_registry::conformance::{self, Stage, has, service};
use hostel_registry::heartbeat::{self, Heartbeat};
use hostel_registry::http::Http;
use hostel_registry::view;
use hostel_tests::cli::run;
use hostel_tests::host::{Host, PATIENCE};

fn registry(host: &Host) -> Arc<dyn Registry> {
    Arc::new(Http::new(&host.admin.to_string()).expect("a good address"))
}

struct Clocks(tokio::time::Instant);

impl Clock for Clocks {
    fn now(&self) -> Moment {
        Moment::new(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::default()
    }
}

#[tokio::test]
async fn the_registry_of_a_host_conforms_over_http() {
    let hosts = Mutex::new(Vec::new());
    conformance::all(async || {
        let host = Host::start().await;
        let stage = Stage { here: registry(&host), there: registry(&host) };
        hosts.lock().expect("not poisoned").push(host);
        stage
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_keeps_nodes_with_another_host_and_takes_them_out_at_the_end() {
    let host = Host::start().await;
    let registry = registry(&host);
    let mut watch = registry.watch(Some("svc.kept")).await.expect("watches");
    let settings = heartbeat::Settings { interval: Duration::from_millis(400), ttl: Duration::from_secs(3) };
    let clock = Arc::new(Clocks(tokio::time::Instant::now()));
    let heartbeat = Heartbeat::start(Arc::clone(&registry), settings, clock, Arc::new(|| Ok(())));
    heartbeat.set(vec![service("svc.kept", "1", "a"), service("svc.kept", "", "b")]);
    has(&*registry, "svc.kept", &[("", "b"), ("1", "a")]).await;
    // What is not kept goes after the same TTL, and tells when that was.
    let brief = service("svc.kept", "2", "brief");
    registry.register(brief.clone(), settings.ttl * 2).await.expect("registers");
    loop {
        let change = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time").expect("goes on");
        if change.kind == ChangeKind::Delete {
            assert_eq!(change.service, brief, "the kept ones never went");
            break;
        }
    }
    heartbeat.close().await;
    has(&*registry, "svc.kept", &[]).await;
}

#[tokio::test]
async fn a_host_that_uses_anothers_registry_goes_on_with_what_it_knew_and_says_so() {
    let keeper = Host::start().await;
    let config = format!("[registry]\nuse = \"http\"\naddress = \"http://{}\"\n", keeper.admin);
    let user = Host::start_with(&config).await;
    let one = service("svc.far", "1", "a");
    let mut watch = registry(&user).watch(Some("svc.far")).await.expect("watches");
    registry(&user).register(one.clone(), PATIENCE).await.expect("registers");
    assert_eq!(registry(&keeper).get("svc.far").await, Ok(vec![one.clone()]));
    let change = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time").expect("goes on");
    assert_eq!((change.kind, &change.service), (ChangeKind::Create, &one));
    let known = VersionsView { items: vec![view::write(one)], stale: None };
    assert_eq!(user.client.service("svc.far").await.expect("is found"), known);

    keeper.stop().await;
    let stale = async {
        loop {
            let answer = user.client.service("svc.far").await.expect("is still known");
            assert_eq!(answer.items, known.items);
            if let Some(stale) = answer.stale {
                return stale;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stale = tokio::time::timeout(PATIENCE, stale).await.expect("the host notices in time");
    assert!(stale.reason.starts_with("cannot reach the registry: no host answers at http://"), "{stale:?}");
    let ran = run(&user, &["services", "svc.far"]).await;
    let said = "this may be out of date: the host asked its registry at ";
    assert!(ran.code == Some(0) && ran.stderr.starts_with(said) && ran.stdout.contains("svc.far"), "{ran:?}");
    match user.client.services().await {
        Err(ClientError::Problem { problem, .. }) => assert_eq!(problem.code, "E0025", "{problem:?}"),
        other => unreachable!("a list needs the registry: {other:?}"),
    }
}
