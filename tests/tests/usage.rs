//! What handlers used: summed by hour, kept over restarts and crashes, told over the API and by `hostel usage`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use hostel_api::client::{ClientError, Owner, UsageQuery};
use hostel_api::tenant::TenantDocument;
use hostel_api::usage::UsageView;
use hostel_tests::cli::run;
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::sample;

fn by(group_by: &str) -> UsageQuery {
    UsageQuery { group_by: Some(group_by.to_owned()), ..UsageQuery::default() }
}

/// All that a handler used, once the host has kept as many attempts, and as many events that ended.
async fn used(host: &Host, attempts: u64, ended: u64) -> UsageView {
    let looking = async {
        loop {
            let page = host.client.usage(Owner::Tenant, &by("handler"), None).await.expect("read");
            match &page.items[..] {
                [] => {}
                [only] if only.attempts < attempts || only.events + only.dead_lettered < ended => {}
                [only] => return only.clone(),
                more => panic!("{more:?}"),
            }
            // What a reader sees may be a second old.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("kept in time")
}

#[tokio::test]
async fn what_handlers_used_outlives_restarts_and_a_crash() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    for body in ["publish abc", "reject", "trap", "retry"] {
        host.publish_and_wait("scribe.do", body).await;
    }
    let first = used(&host, 6, 4).await;
    assert_eq!((first.handler.as_deref(), &first.tenant, &first.time), (Some("scribe"), &None, &None));
    assert_eq!((first.events, first.dead_lettered, first.attempts), (1, 3, 6));
    assert_eq!((first.retries, first.rejects, first.faults), (2, 1, 2));
    assert!(first.wall_us >= first.cpu_us && first.cpu_us > 0, "{first:?}");
    assert!(first.peak_memory_bytes >= 65_536 && first.bytes_in > 0 && first.bytes_out >= 3, "{first:?}");

    let (_, data) = host.stop().await;
    let host = Host::start_in(data, "").await;
    assert_eq!(used(&host, 6, 4).await, first, "a restart changes nothing");
    host.publish_and_wait("scribe.do", "get notes a").await;
    let second = used(&host, 7, 5).await;
    assert_eq!((second.events, second.attempts), (2, 7));

    // What somebody was told is not taken back, whatever a crash loses.
    host.publish_and_wait("scribe.do", "get notes a").await;
    let told = used(&host, 7, 5).await;
    let host = Host::start_in(host.kill().await, "").await;
    let after = used(&host, told.attempts, told.events + told.dead_lettered).await;
    assert!(after.attempts >= told.attempts && after.cpu_us >= told.cpu_us, "{told:?} {after:?}");
}

#[tokio::test]
async fn it_is_told_as_pages_as_csv_and_on_the_command_line() {
    let host = Host::start().await;
    let handlers = ["one", "two", "three"];
    for handler in handlers {
        let pattern = format!("scribe.{handler}");
        host.deploy(&sample("rust/scribe"), |manifest| {
            handler.clone_into(&mut manifest.name);
            for subscription in &mut manifest.subscriptions {
                subscription.pattern.clone_from(&pattern);
            }
        })
        .await;
        host.publish_and_wait(&pattern, "get notes a").await;
    }
    let kept = async {
        loop {
            let page = host.client.usage(Owner::Tenant, &by("total"), None).await.expect("read");
            if page.items.first().is_some_and(|all| all.events == 3) {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let total = tokio::time::timeout(PATIENCE, kept).await.expect("kept in time");
    assert_eq!((total.items.len(), &total.next), (1, &None));

    let ran = run(&host, &["usage", "--csv", "--from", "2h", "--group-by", "handler"]).await;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, lines.len()), (Some(0), 4), "{ran:?}");
    assert!(lines[0].starts_with("time,tenant,handler,events,"), "{ran:?}");
    // By name, as handlers are listed.
    let names: Vec<&str> = lines[1..].iter().filter_map(|line| line.split(',').nth(2)).collect();
    assert_eq!(names, ["one", "three", "two"]);
    let ran = run(&host, &["usage", "--json", "--handler", "two", "--all"]).await;
    let rows: Vec<UsageView> = serde_json::from_str(&ran.stdout).expect("JSON");
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.tenant.as_deref(), row.handler.as_deref(), row.events), (Some("default"), Some("two"), 1));
    let ran = run(&host, &["usage"]).await;
    assert!(ran.stdout.starts_with("TIME  TENANT  HANDLER  EVENTS"), "{ran:?}");

    let raw = |path: &'static str| hostel_tests::raw::request("GET", path, &[], b"");
    let ask = async |path| hostel_tests::raw::exchange(host.admin, &raw(path)).await.expect("answered");
    let csv = ask("/v1/usage?format=csv&group_by=day,tenant").await;
    assert!(csv.status == 200 && csv.head.contains("content-type: text/csv"), "{csv:?}");
    assert_eq!(csv.body.lines().count(), 2);
    for wrong in ["group_by=week", "from=soon", "before=x", "format=xml", "form=1h"] {
        let path: &'static str = Box::leak(format!("/v1/tenants/default/usage?{wrong}").into_boxed_str());
        let answer = ask(path).await;
        assert!(answer.status == 400 && answer.body.contains("E0022"), "{wrong}: {answer:?}");
    }
    let mut seen = Vec::new();
    let mut next = Some("/v1/tenants/default/usage?limit=2&group_by=handler".to_owned());
    while let Some(path) = next {
        let answer = ask(Box::leak(path.into_boxed_str())).await;
        let page: hostel_api::usage::UsagePage = serde_json::from_str(&answer.body).expect("a page");
        seen.extend(page.items.into_iter().filter_map(|row| row.handler));
        next = page.next.map(|next| {
            let next = next.replace('/', "%2F");
            format!("/v1/tenants/default/usage?limit=2&group_by=handler&before={next}")
        });
    }
    assert_eq!(seen, ["one", "three", "two"]);
}

#[tokio::test]
async fn with_the_memory_broker_it_lives_as_long_as_the_process_and_tenants_see_their_own() {
    let mut host = Host::start_with("[broker]\nuse = 'memory'\n").await;
    let default = host.client.clone();
    let acme = host.client_of("acme");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    host.publish_and_wait("scribe.do", "get notes a").await;
    assert_eq!(used(&host, 1, 1).await.events, 1);
    host.client = acme;
    let page = host.client.usage(Owner::Tenant, &by("handler"), None).await.expect("read");
    assert_eq!(page.items, []);
    let error = default.usage(Owner::Tenant, &by("nothing"), None).await;
    assert!(matches!(error, Err(ClientError::Problem { .. })), "{error:?}");
}
