//! Queue groups and broadcast across go-micro's programs and handlers.

use std::collections::BTreeSet;
use std::time::Duration;

use hostel_api::client::{LogQuery, Publication};
use hostel_tests::each_go_micro;
use hostel_tests::gomicro::{Driver, Publish, Version, until};
use hostel_tests::host::{Host, publication};

use crate::alone::subscribers;
use crate::{deploy_hello, header, next, numbers, start, subscription, until_handled, until_host_knows};

each_go_micro!(
    a_shared_queue_gets_each_message_of_go_micro_once,
    a_shared_queue_gets_each_message_of_the_host_once,
    a_broadcast_of_go_micro_reaches_everyone_once,
    a_broadcast_of_the_host_reaches_everyone_once,
);

const TOPIC: &str = "orders.created";
/// Enough that each of three members gets some: that one gets none has a chance of 3 × (2/3)³⁰⁰.
const COUNT: u64 = 300;
/// go-micro's publisher loses messages that come faster than it posts them. At this pace none was ever seen to be lost.
const PACE: Duration = Duration::from_millis(4);
/// Longer than what is under way can take, so that a second delivery of a message is seen, and than a host leaves a new
/// peer alone.
const QUIET: Duration = Duration::from_secs(6);

fn paced() -> Publish<'static> {
    Publish { topic: TOPIC, body: b"{}", count: COUNT, every: PACE, ..Publish::default() }
}

async fn publish_numbered(host: &Host) {
    for number in 0..COUNT {
        let numbered = Publication {
            id: Some(format!("n-{number}")),
            headers: vec![("Number".to_owned(), number.to_string())],
            ..publication(TOPIC, "{}")
        };
        host.client.publish(&numbered).await.expect("published");
    }
}

/// What both members together saw.
async fn seen(members: [&mut Driver; 2]) -> BTreeSet<u64> {
    let mut all = Vec::new();
    for member in members {
        let own = member.messages_until_quiet(QUIET).await;
        assert!(!own.is_empty(), "each member gets some");
        all.extend(own);
    }
    let (numbers, twice) = numbers(&all);
    assert!(twice.is_empty(), "{twice:?}");
    numbers
}

fn assert_partition(theirs: &BTreeSet<u64>, ours: &BTreeSet<u64>) {
    assert!(!ours.is_empty(), "the host's member gets some");
    let both: Vec<_> = theirs.intersection(ours).collect();
    assert!(both.is_empty(), "handled by two members: {both:?}");
    let missing: Vec<_> = (0..COUNT).filter(|number| !theirs.contains(number) && !ours.contains(number)).collect();
    assert!(missing.is_empty(), "handled by none: {missing:?}");
}

async fn a_shared_queue_gets_each_message_of_go_micro_once(version: Version) {
    let [mut one, mut other] = subscribers(version, TOPIC, [Some("q"), Some("q")]).await;
    let host = start().await;
    deploy_hello(&host, "hello", TOPIC, Some("q")).await;
    until_host_knows(&host, version.broker(), TOPIC, 2).await;
    let mut tail = host.client.tail(TOPIC).await.expect("tailed");
    one.until_listeners(TOPIC, 3).await;
    let mut publisher = Driver::start(version).await;
    assert_eq!(publisher.publish(&paced()).await.failed, 0);

    let theirs = seen([&mut one, &mut other]).await;
    let share = COUNT - u64::try_from(theirs.len()).expect("a small number");
    until_handled(&host, "hello", share).await;
    let mut ours = BTreeSet::new();
    for _ in 0..share {
        let event = next(&mut tail).await;
        ours.insert(header(&event, "Number").expect("as it was published").parse().expect("a number"));
    }
    assert_partition(&theirs, &ours);
}

async fn a_shared_queue_gets_each_message_of_the_host_once(version: Version) {
    let [mut one, mut other] = subscribers(version, TOPIC, [Some("q"), Some("q")]).await;
    let host = start().await;
    deploy_hello(&host, "hello", TOPIC, Some("q")).await;
    until_host_knows(&host, version.broker(), TOPIC, 2).await;
    publish_numbered(&host).await;

    let theirs = seen([&mut one, &mut other]).await;
    let share = COUNT - u64::try_from(theirs.len()).expect("a small number");
    until("the host's share is handled", async || subscription(&host, "hello").await.acked >= share).await;
    let query = LogQuery { handler: Some("hello".to_owned()), limit: Some(1_000) };
    let lines = host.client.logs(&query).await.expect("listed");
    let number = |id: &str| id.strip_prefix("n-").and_then(|number| number.parse().ok()).expect("as it was given");
    let ours: BTreeSet<u64> = lines.iter().map(|line| number(&line.event)).collect();
    assert_eq!(ours.len(), lines.len(), "the host's member handled one twice");
    assert_partition(&theirs, &ours);
}

async fn a_broadcast_of_go_micro_reaches_everyone_once(version: Version) {
    let [mut one, mut other] = subscribers(version, TOPIC, [None, None]).await;
    let host = start().await;
    deploy_hello(&host, "hello", TOPIC, None).await;
    deploy_hello(&host, "hello-again", TOPIC, None).await;
    // Two subscriptions of one host stand for two nodes, or share one: either is go-micro's way.
    until("the host is found", async || one.listeners(TOPIC).await.len() > 2).await;
    let mut publisher = Driver::start(version).await;
    assert_eq!(publisher.publish(&paced()).await.failed, 0);
    for driver in [&mut one, &mut other] {
        assert_eq!(numbers(&driver.messages_until_quiet(QUIET).await), ((0..COUNT).collect(), [].into()));
    }
    for handler in ["hello", "hello-again"] {
        until_handled(&host, handler, COUNT).await;
    }
}

async fn a_broadcast_of_the_host_reaches_everyone_once(version: Version) {
    let [mut one, mut other] = subscribers(version, TOPIC, [None, None]).await;
    let host = start().await;
    deploy_hello(&host, "hello", TOPIC, None).await;
    deploy_hello(&host, "hello-again", TOPIC, None).await;
    until_host_knows(&host, version.broker(), TOPIC, 2).await;
    publish_numbered(&host).await;
    for driver in [&mut one, &mut other] {
        assert_eq!(numbers(&driver.messages_until_quiet(QUIET).await), ((0..COUNT).collect(), [].into()));
    }
    for handler in ["hello", "hello-again"] {
        until_handled(&host, handler, COUNT).await;
    }
}
