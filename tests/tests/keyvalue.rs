//! Buckets of keys and values, and what takes effect with an acknowledgement, in a whole host.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hostel_api::client::Item;
use hostel_api::manifest::Manifest;
use hostel_api::view::{SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{sample, times};
use tokio::task::JoinSet;

/// A host with the handler that does what an event's lines say.
async fn scribe() -> Host {
    scribe_with("", |_| ()).await
}

async fn scribe_with(config: &str, change: impl FnOnce(&mut Manifest)) -> Host {
    let host = Host::start_with(config).await;
    host.deploy(&sample("rust/scribe"), change).await;
    host
}

/// Has the scribe do these lines; says how it ended and what it logged.
async fn run(host: &Host, lines: &[&str]) -> (SettlementView, Vec<String>) {
    let settled = host.publish_and_wait("scribe.do", lines.join("\n")).await;
    let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
    let told = only.log.iter().map(|line| line.text.clone()).collect();
    (only.clone(), told)
}

/// The same for lines that end well.
async fn told(host: &Host, lines: &[&str]) -> Vec<String> {
    let (ended, told) = run(host, lines).await;
    assert_eq!(ended.outcome, SettlementOutcome::Ack, "{ended:?}");
    told
}

/// The text of the next event that a tail shows.
macro_rules! next {
    ($tail:expr) => {
        match tokio::time::timeout(PATIENCE, $tail.next()).await.expect("in time") {
            Some(Ok(Item::Seen(event))) => event.body.expect("text"),
            other => panic!("{other:?}"),
        }
    };
}

#[tokio::test]
async fn an_attempt_sees_its_own_writes_and_the_next_event_sees_them_too() {
    let host = scribe().await;
    let lines = ["get notes k", "set notes k one two", "get notes k", "exists notes k", "get other k", "keys notes"];
    let answers = ["none", "done", "one two", "true", "none", r#"1 keys, Some("k") to Some("k")"#];
    assert_eq!(told(&host, &lines).await, answers);
    let lines = ["get notes k", "delete notes k", "get notes k", "exists notes k", "keys notes"];
    assert_eq!(told(&host, &lines).await, ["one two", "done", "none", "false", "0 keys, None to None"]);
    assert_eq!(told(&host, &["get notes k"]).await, ["none"]);
}

#[tokio::test]
async fn a_failed_attempt_leaves_no_trace() {
    let host = scribe().await;
    let mut tail = host.client.tail("scribe.out").await.expect("tailed");
    for ending in ["retry", "reject", "trap"] {
        run(&host, &["set notes k lost", "publish lost", ending]).await;
    }
    let lines = ["first set notes k lost", "first publish lost", "first retry", "get notes k", "publish kept"];
    assert_eq!(told(&host, &lines).await, ["done", "published", "none", "published"]);
    assert_eq!(next!(tail), "kept", "had another been published, it would come before this one");
}

#[tokio::test]
async fn an_early_ack_keeps_what_was_done_so_far_and_the_rest_is_done_at_once() {
    let host = scribe().await;
    let mut tail = host.client.tail("scribe.out").await.expect("tailed");
    let lines = ["set notes early 1", "publish early", "ack", "set notes late 1", "publish late", "trap"];
    run(&host, &lines).await;
    assert_eq!([next!(tail), next!(tail)], ["early", "late"]);
    assert_eq!(told(&host, &["get notes early", "get notes late"]).await, ["1", "1"]);
}

#[tokio::test]
async fn a_bucket_that_the_manifest_does_not_name_is_denied_with_the_line_to_add() {
    let host = scribe_with("", |manifest| manifest.keyvalue = vec!["notes".to_owned()]).await;
    let line = "add `keyvalue = [\"other\"]` to handler.toml";
    let expected = [
        format!("handler `scribe` may not open bucket `other`; {line}"),
        format!("bucket `other` was denied: {line}"),
        "none".to_owned(),
    ];
    assert_eq!(told(&host, &["get other k", "get notes k"]).await, expected);

    let none = scribe_with("", |manifest| manifest.keyvalue.clear()).await;
    assert_eq!(told(&none, &["get notes k"]).await.len(), 2, "nothing is granted that was not asked for");
}

#[tokio::test]
async fn no_name_leads_out_of_the_tenant() {
    let host = scribe().await;
    for name in ["default/notes", "../notes", "", "notes/", "nötes"] {
        let answers = told(&host, &[&format!("get {name} k")]).await;
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert!(answer.starts_with("the key-value store refused: bucket "), "{name}: {answer}");
    }
}

#[tokio::test]
async fn keys_are_listed_over_many_pages() {
    let host = scribe().await;
    for lines in ["seed notes 0 900", "seed notes 900 900", "seed notes 1800 699"] {
        assert_eq!(told(&host, &[lines]).await, ["done"]);
    }
    let lines = ["set notes 2499 last", "keys notes"];
    assert_eq!(told(&host, &lines).await, ["done", r#"2500 keys, Some("0000") to Some("2499")"#]);
    let lines = ["delete notes 0000", "set notes 1000x y", "delete notes 2499", "keys notes"];
    assert_eq!(told(&host, &lines).await[3], r#"2499 keys, Some("0001") to Some("2498")"#);
}

#[tokio::test]
async fn what_one_ack_may_carry_and_a_store_may_hold_is_bounded() {
    let host = scribe_with("[broker]\nuse = 'memory'\nkey_value_memory = '100KiB'", |_| ()).await;
    let refused = async |line: &str, expected: &str| {
        let answers = told(&host, &[line]).await;
        assert_eq!(answers, [format!("the key-value store refused: {expected}")], "{line}");
    };
    let too_much = "one attempt may publish and write at most 1000 events and keys of together 16777216 bytes before \
                    its ack";
    refused("seed notes 0 1001", too_much).await;
    refused("fill notes k 1048577", "the value has 1048577 bytes, more than 1048576").await;
    refused("fill notes k 102400", "the memory broker's key-value store is full").await;
    refused("set notes \u{0} v", "key has a NUL at byte 0").await;
    let long = "k".repeat(1025);
    refused(&format!("get notes {long}"), "key has 1025 bytes, more than 1024").await;
    refused(
        "increment notes 0000 1",
        "the value of key `0000` is not a number in decimal digits up to \
                                       18446744073709551615",
    )
    .await;
}

/// Publishes each of these at once and waits until all are handled; says how many attempts that took.
async fn all_at_once(host: &Host, topic: &str, bodies: Vec<String>) -> u64 {
    const PUBLISHERS: usize = 32;
    let attempts = Arc::new(AtomicU64::new(0));
    let bodies = Arc::new(tokio::sync::Mutex::new(bodies));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (client, topic) = (host.client.clone(), topic.to_owned());
        let (attempts, bodies) = (Arc::clone(&attempts), Arc::clone(&bodies));
        publishers.spawn(async move {
            loop {
                let Some(body) = bodies.lock().await.pop() else { return };
                let settled = client.publish_and_wait(&publication(&topic, body), PATIENCE).await.expect("published");
                for one in settled.subscriptions {
                    assert_eq!(one.outcome, SettlementOutcome::Ack, "{one:?}");
                    attempts.fetch_add(u64::from(one.attempts), Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended.expect("published");
    }
    attempts.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_of_16_deliveries_at_a_time_add_up_exactly() {
    let events: u64 = times(300, 5_000);
    let host = scribe_with("", |manifest| {
        manifest.subscriptions[0].concurrency = std::num::NonZeroU32::new(16);
    })
    .await;
    let lines = "increment notes n 1\nsleep 1\nincrement notes by-two 2";
    let attempts = all_at_once(&host, "scribe.do", vec![lines.to_owned(); usize::try_from(events).expect("few")]).await;
    eprintln!("{events} events took {attempts} attempts");
    assert!(attempts > events, "deliveries that wrote the same key at the same time conflict");
    let expected = [events.to_string(), (2 * events).to_string()];
    assert_eq!(told(&host, &["get notes n", "get notes by-two"]).await, expected);
    let counts = host.client.subscriptions().await.expect("listed");
    let [scribe] = &counts[..] else { panic!("one subscription: {counts:?}") };
    assert_eq!((scribe.acked, scribe.dead_lettered), (events + 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_and_what_is_published_of_them_agree() {
    let host = Host::start().await;
    host.deploy(&sample("rust/order-totals"), |_| ()).await;
    let mut tail = host.client.tail("totals.changed").await.expect("tailed");
    let mut orders = Vec::new();
    for (customer, count) in [("ada", 120_u64), ("grace", 30)] {
        orders.extend((0..count).map(|_| format!(r#"{{"customer":"{customer}","cents":5}}"#)));
    }
    let mut published = Vec::new();
    let count = orders.len();
    all_at_once(&host, "orders.created", orders).await;
    for _ in 0..count {
        published.push(next!(tail));
    }
    published.sort();
    let mut expected: Vec<String> = Vec::new();
    for (customer, count) in [("ada", 120_u64), ("grace", 30)] {
        let line = |orders: u64| format!(r#"{{"customer":"{customer}","orders":{orders},"cents":{}}}"#, orders * 5);
        expected.extend((1..=count).map(line));
    }
    expected.sort();
    assert_eq!(published, expected, "every total was published once");
}
