//! Many events from many publishers: each is handled exactly once by each broadcast subscription and by exactly one of
//! a queue group, and the host's memory stays what it was.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "figures and progress are shown")]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hostel_api::client::{Client, ClientError, Publication, Target};
use hostel_api::manifest::Manifest;
use hostel_api::view::{SettledView, SettlementOutcome, SettlementView, SubscriptionView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{sample, times};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const MIB: u64 = 1024 * 1024;

/// What publishers do together.
#[derive(Debug, Clone, Copy)]
struct Load {
    events: u64,
    publishers: u64,
}

/// What became of it.
#[derive(Default)]
struct Published {
    ids: HashSet<String>,
    /// How often each handler handled an event.
    by_handler: BTreeMap<String, u64>,
    /// Resident memory in bytes after each thousandth event.
    resident: Vec<u64>,
}

/// What a host's memory was while it handled a load, in bytes.
struct Resident {
    cold: u64,
    /// Once every book of the host is as full as it gets.
    warm: u64,
    /// The most after that, in each half.
    halves: [u64; 2],
    samples: Vec<u64>,
}

/// Ten thousand lines of the log book, and as many sandboxes as run at once. Before bodies were copied out of their
/// connection's read buffer, each line kept 8 KiB.
const BOOKS: u64 = 32 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_from_64_publishers_are_handled_exactly_once() {
    /// What the durable log may hold before it is in tables: four times 64 MiB. In 400,000 events a host was seen to
    /// grow by 100 MB and then no more.
    const LOG: u64 = 256 * MIB;

    let Resident { cold, halves, samples, .. } = handled_exactly_once("").await;
    assert!(halves.iter().all(|most| *most <= cold + BOOKS + LOG), "{samples:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_leave_nothing_behind_in_memory() {
    /// What the allocator's arenas may still grow by once it is warm.
    const MARGIN: u64 = 8 * MIB;
    /// What memory may grow by over the second half. A hundred bytes left behind by each of a hundred
    /// thousand events would be 4.8 MiB.
    const LATE_MARGIN: u64 = 4 * MIB;

    let Resident { cold, warm, halves: [first, second], samples } = handled_exactly_once("broker.use = 'memory'").await;
    assert!(warm <= cold + BOOKS, "{cold} bytes and then {warm}");
    assert!(first.max(second) <= warm + MARGIN, "{samples:?}");
    assert!(second <= first + LATE_MARGIN, "{samples:?}");
}

async fn handled_exactly_once(config: &str) -> Resident {
    /// Thousands of events until every book of the host is as full as it gets.
    const WARM_UP: usize = 10;

    let load = Load { events: times(100_000, 1_000_000), publishers: 64 };
    let host = Arc::new(Host::start_with(config).await);
    host.deploy(&sample("rust/hello"), |_| ()).await;

    let (cold, began) = (host.resident(), Instant::now());
    let published = publish(&host, load, 1).await;
    let took = began.elapsed();

    let (first, second) = published.resident.split_at(published.resident.len() / 2);
    let most = |samples: &[u64]| samples.iter().max().copied().expect("samples");
    let (warm, first, second) = (first[WARM_UP - 1], most(&first[WARM_UP - 1..]), most(second));
    let kib = [cold, warm, first, second].map(|bytes| bytes / 1024);
    let rate = u128::from(load.events) * 1000 / took.as_millis();
    eprintln!("{took:?}, {rate} events a second; resident KiB when cold, when warm, at most in each half: {kib:?}");
    assert_eq!(published.ids.len() as u64, load.events, "each event has an id of its own");
    assert_eq!(published.by_handler["hello"], load.events);
    let [hello] = &quiet(&host).await[..] else { panic!("one subscription") };
    assert_counts(hello, load.events);
    Resident { cold, warm, halves: [first, second], samples: published.resident }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_host_refuses_is_handled_once_when_it_is_published_again() {
    const PUBLISHERS: u64 = 24;

    let host = Arc::new(Host::start_with("broker.use = 'memory'").await);
    let narrow = |manifest: &mut Manifest| {
        manifest.subscriptions[0].concurrency = std::num::NonZeroU32::new(2);
        manifest.subscriptions[0].window = std::num::NonZeroU32::new(8);
    };
    host.deploy(&sample("rust/hostile"), narrow).await;

    let refused = Arc::new(AtomicU64::new(0));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (client, refused) = (client(&host), Arc::clone(&refused));
        let slow = publication("hostile.do", "sleep:200");
        publishers.spawn(async move { publish_one(&client, &slow, &refused).await });
    }
    let mut ids = HashSet::new();
    while let Some(settled) = publishers.join_next().await {
        let settled = settled.expect("published");
        let [only] = &settled.subscriptions[..] else { panic!("{settled:?}") };
        assert_eq!((only.outcome, only.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
        assert!(ids.insert(settled.id));
    }
    let refused = refused.load(Ordering::Relaxed);
    eprintln!("{refused} refused and published again");
    assert!(refused > 0, "two at a time cannot keep up with {PUBLISHERS} publishers");
    let [hostile] = &quiet(&host).await[..] else { panic!("one subscription") };
    assert_counts(hostile, PUBLISHERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broadcast_gets_all_and_a_queue_group_shares() {
    const LOAD: Load = Load { events: 5_000, publishers: 16 };
    const BROADCAST: [&str; 2] = ["left", "right"];
    const GROUP: [&str; 3] = ["first", "second", "third"];

    let host = Arc::new(Host::start().await);
    let deploy = async |name: &str, queue: Option<&str>| {
        let (name, queue) = (name.to_owned(), queue.map(str::to_owned));
        let change = |manifest: &mut Manifest| (manifest.name, manifest.subscriptions[0].queue) = (name, queue);
        host.deploy(&sample("rust/hello"), change).await;
    };
    for name in BROADCAST {
        deploy(name, None).await;
    }
    for name in GROUP {
        deploy(name, Some("workers")).await;
    }

    let published = publish(&host, LOAD, BROADCAST.len() + 1).await;
    let shares = GROUP.map(|name| published.by_handler.get(name).copied().unwrap_or_default());
    eprintln!("the group's shares: {shares:?}");
    assert_eq!(published.ids.len() as u64, LOAD.events);
    assert_eq!(BROADCAST.map(|name| published.by_handler[name]), [LOAD.events; 2]);
    assert_eq!(shares.iter().sum::<u64>(), LOAD.events);
    // An event goes to the member with the least to do, and `hello` is quick: the last may have little.
    assert!(shares.iter().filter(|share| **share > 0).count() > 1, "the work is shared");
    for subscription in quiet(&host).await {
        assert_counts(&subscription, published.by_handler[&subscription.handler]);
    }
}

/// Log lines once kept the whole event that they came from, so that ten thousand lines could hold as many bodies.
#[tokio::test]
async fn a_handled_events_body_is_not_kept_for_its_log_lines() {
    const EVENTS: u64 = 200;
    const BODY: usize = 900 * 1024;
    /// A third of what all bodies together have.
    const MARGIN: u64 = 60 * MIB;

    // What the durable log keeps in memory before it is in tables has a bound of its own.
    let host = Host::start_with("broker.use = 'memory'").await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    host.publish_and_wait("greetings.large", vec![b'x'; BODY]).await;
    let before = host.resident();
    for _ in 0..EVENTS {
        host.publish_and_wait("greetings.large", vec![b'x'; BODY]).await;
    }
    let after = host.resident();
    eprintln!("{} KiB resident before, {} KiB after", before / 1024, after / 1024);
    assert!(after <= before + MARGIN, "{before} bytes and then {after}");
}

/// Publishes, waits for each event to be settled, and checks that it was acknowledged at its first attempt by so many
/// handlers, each of which logged it once.
async fn publish(host: &Arc<Host>, load: Load, handlers: usize) -> Published {
    // Bounded, so that publishers go no faster than they are checked.
    let (sender, mut settled) = mpsc::channel(1024);
    let refused = Arc::new(AtomicU64::new(0));
    let mut publishers = JoinSet::new();
    for number in 0..load.publishers {
        let (host, sender, refused) = (Arc::clone(host), sender.clone(), Arc::clone(&refused));
        let share = load.events / load.publishers + u64::from(number < load.events % load.publishers);
        publishers.spawn(async move {
            // A client of its own has a connection of its own, which it keeps.
            let client = client(&host);
            let publication = publication(&format!("greetings.from-{number}"), "hello");
            for _ in 0..share {
                let settled = publish_one(&client, &publication, &refused).await;
                sender.send(settled).await.expect("somebody listens");
            }
        });
    }
    drop(sender);

    let mut published = Published::default();
    while let Some(settled) = settled.recv().await {
        assert!(settled.settled, "{settled:?}");
        assert_eq!(settled.subscriptions.len(), handlers, "{settled:?}");
        for one in &settled.subscriptions {
            check(&settled, one);
            *published.by_handler.entry(one.handler.clone()).or_default() += 1;
        }
        assert!(published.ids.insert(settled.id.clone()), "twice: {settled:?}");
        if published.ids.len().is_multiple_of(1000) {
            published.resident.push(host.resident());
        }
        if published.ids.len().is_multiple_of(10_000) {
            eprintln!("{} events, {} KiB resident", published.ids.len(), host.resident() / 1024);
        }
    }
    while let Some(ended) = publishers.join_next().await {
        ended.expect("published its share");
    }
    published
}

fn check(settled: &SettledView, one: &SettlementView) {
    assert_eq!((one.outcome, one.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
    let [line] = &one.log[..] else { panic!("one line: {settled:?}") };
    let expected = format!("hello, event {} on {}, attempt 1, with 5 bytes", settled.id, settled.topic);
    assert_eq!((line.text.as_str(), line.event.as_str()), (expected.as_str(), settled.id.as_str()));
}

/// Publishes until the host takes it, at the pace that the host asks for.
async fn publish_one(client: &Client, publication: &Publication, refused: &AtomicU64) -> SettledView {
    loop {
        let error = match client.publish_and_wait(publication, PATIENCE).await {
            Ok(settled) => return settled,
            Err(error) => error,
        };
        match error {
            ClientError::Problem { problem, retry_after: Some(pause) } if problem.status == 429 => {
                assert_eq!(problem.code, "E0018");
                assert!(pause <= Duration::from_secs(5), "{pause:?}");
                refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn client(host: &Host) -> Client {
    let target = Target {
        admin: format!("http://{}", host.admin),
        ingress: format!("http://{}", host.ingress),
        tenant: "default".to_owned(),
    };
    Client::new(&target).expect("good addresses")
}

/// All subscriptions, once none has anything to do: an answer may come before its delivery is counted out.
async fn quiet(host: &Host) -> Vec<SubscriptionView> {
    let quiet = async {
        loop {
            let all = host.client.subscriptions().await.expect("listed");
            if all.iter().all(|one| one.waiting + one.running + one.sleeping == 0) {
                return all;
            }
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.expect("quiet in time")
}

fn assert_counts(subscription: &SubscriptionView, expected: u64) {
    let counts = (subscription.delivered, subscription.acked, subscription.retried, subscription.dead_lettered);
    assert_eq!(counts, (expected, expected, 0, 0), "{subscription:?}");
}
