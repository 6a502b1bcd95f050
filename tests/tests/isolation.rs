//! A tenant beside a hostile one: whatever the neighbour's handlers do, all of it at once and as far as its quota goes,
//! every event of the other is handled, at its first attempt and before long; and each neighbour stays within its quota.
//!
//! How little it is felt is measured by `cargo xtask bench --only 'hostile tenant'`. Here the bound is loose: it holds on
//! a machine that does other things beside.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hostel_api::client::{Client, ClientError, Owner};
use hostel_api::manifest::Manifest;
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_api::view::{SettlementOutcome, SubscriptionView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{sample, times};
use tokio::task::JoinSet;

/// What the hostile tenant may use. No bound for the cores: all of them, if nobody else wants them.
const QUOTA: &str = "[quota]\nevents = 500\ndeliveries = 500\ninvocations = 32\nmemory = '1GiB'\n";
const INVOCATIONS: u64 = 32;
/// How often each behaviour is under way at once: together more than the quota lets run.
const ABREAST: usize = 2;
/// How long one that was told to come later waits. Paces the publishers; nothing depends on it.
const LATER: Duration = Duration::from_millis(20);
/// How long the calm tenant may wait for one event. A hundredth of it is usual.
const SERVED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_loses_nothing_beside_one_that_does_everything_it_must_not() {
    let mut host = Host::start_with("[access]\nrequire = 'token'\n").await;
    let calm = newcomer(&mut host, "calm", "").await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let hostile = newcomer(&mut host, "hostile", QUOTA).await;
    host.deploy(&sample("rust/hostile"), misbehave).await;

    let storm = Storm::begin(&hostile);
    until(&hostile, |own| own.running >= INVOCATIONS / 2).await;
    let (mut slowest, mut published) = (Duration::ZERO, HashSet::new());
    for number in 0..times(200, 5_000_u32) {
        let began = Instant::now();
        let event = publication("greetings.meanwhile", number.to_string());
        let settled = calm.publish_and_wait(&event, PATIENCE).await.expect("published");
        slowest = slowest.max(began.elapsed());
        let [own] = &settled.subscriptions[..] else { panic!("its own handler hears it: {settled:?}") };
        assert_eq!((own.outcome, own.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
        published.insert(settled.id);
    }
    // A burst, which nobody waits for one by one.
    for number in 0..500 {
        let event = publication("greetings.meanwhile", number.to_string());
        published.insert(calm.publish(&event).await.expect("published").id);
    }
    let own = until(&calm, |own| own.acked + own.dead_lettered >= published.len() as u64).await;
    let (tried, refused) = storm.end().await;
    eprintln!("slowest {slowest:?} beside {tried} events of the neighbour, {refused} of which were refused");
    assert_eq!((own.acked, own.retried, own.dead_lettered), (published.len() as u64, 0, 0), "{own:?}");
    assert!(slowest < SERVED, "{slowest:?}");

    // The neighbour was really there, and it too lost nothing of what was taken of it.
    assert!(tried > 100, "{tried}");
    let own = until(&hostile, |own| own.waiting + own.running + own.sleeping == 0).await;
    assert_eq!(own.acked + own.dead_lettered, tried - refused, "{own:?}");
    assert!(own.acked > 0 && own.dead_lettered > 0 && own.retried > 0, "{own:?}");
    assert!(calm.dead_letters(10, None).await.expect("listed").items.is_empty());
}

/// A new tenant, with a client that holds its admin's token; `host` deploys for it from then on.
async fn newcomer(host: &mut Host, name: &str, quota: &str) -> Client {
    let operator = host.client_with(name, &host.operator_token());
    let document = TenantDocument::from_toml(quota, "tenant.toml").expect("a good document");
    operator.put_tenant(name, &document).await.expect("created");
    let request =
        TokenRequest { name: "admin".to_owned(), scopes: vec!["admin".to_owned()], ..TokenRequest::default() };
    let token = operator.create_token(Owner::Tenant, &request).await.expect("made").secret;
    host.client = host.client_with(name, &token);
    host.client.clone()
}

/// The fixture with a short deadline, and with places for more than its tenant's quota lets run.
fn misbehave(manifest: &mut Manifest) {
    manifest.limits.deadline = Some("250ms".parse().expect("a duration"));
    manifest.subscriptions[0].concurrency = std::num::NonZeroU32::new(256);
}

/// Every behaviour of the fixture, by the rows of the table in its source; what floods does it with less, so that all of
/// them come round.
fn behaviours() -> Vec<String> {
    let source = sample("rust/hostile").with_file_name("src").join("lib.rs");
    let source = std::fs::read_to_string(source).expect("the fixture's source");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'));
    let names: Vec<String> = rows
        .map(|(name, _)| match name {
            "flood:n" | "flood-then-reject:n" | "print:n" => name.replace(":n", ":10000"),
            _ => name.trim_end_matches(":n").to_owned(),
        })
        .collect();
    assert!(names.len() > 30, "{names:?}");
    names
}

/// Publishers that have the fixture do everything, over and over.
struct Storm {
    stop: Arc<AtomicBool>,
    tried: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    publishers: JoinSet<()>,
}

impl Storm {
    fn begin(client: &Client) -> Self {
        let mut storm =
            Self { stop: Arc::default(), tried: Arc::default(), refused: Arc::default(), publishers: JoinSet::new() };
        let behaviours = behaviours();
        for behaviour in behaviours.iter().cycle().take(behaviours.len() * ABREAST) {
            let (client, event) = (client.clone(), publication("hostile.do", behaviour.as_bytes()));
            let (stop, tried, refused) =
                (Arc::clone(&storm.stop), Arc::clone(&storm.tried), Arc::clone(&storm.refused));
            storm.publishers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    tried.fetch_add(1, Ordering::Relaxed);
                    match client.publish_and_wait(&event, PATIENCE).await {
                        Ok(settled) => assert!(settled.settled, "{settled:?}"),
                        Err(ClientError::Problem { problem, .. }) if problem.status == 429 => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(LATER).await;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        storm
    }

    /// How many events were tried, and how many of them were refused.
    async fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.publishers.join_next().await {
            ended.expect("nothing but its quota stopped it");
        }
        (self.tried.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

/// Looks at a tenant's only subscription until it is as wanted. At no time does more run than its quota lets.
async fn until(client: &Client, wanted: impl Fn(&SubscriptionView) -> bool) -> SubscriptionView {
    let looking = async {
        loop {
            let subscriptions = client.subscriptions().await.expect("listed");
            let [only] = &subscriptions[..] else { panic!("{subscriptions:?}") };
            assert!(only.handler != "hostile" || only.running <= INVOCATIONS, "{only:?}");
            if wanted(only) {
                return only.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes to that")
}
