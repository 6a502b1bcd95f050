//! Ten thousand messages as fast as they go: what go-micro's publisher loses, and that a host's loses none, even when
//! its subscriber is away in the middle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hostel_api::client::{Client, ClientError, Publication};
use hostel_tests::each_go_micro;
use hostel_tests::gomicro::{Driver, Message, Publish, Version, until};
use hostel_tests::host::publication;
use hostel_tests::namespace::state;
use tokio::task::JoinSet;

use crate::alone::subscribers;
use crate::{deploy_hello, numbers, start, subscription, until_host_knows};

each_go_micro!(
    every_message_of_a_burst_that_go_micro_posts_is_handled,
    a_subscriber_that_is_stopped_for_a_second_misses_nothing,
    a_queue_whose_member_is_killed_and_started_again_misses_nothing,
);

const TOPIC: &str = "orders.created";
const COUNT: u64 = 10_000;
const BODY: [u8; 1024] = [b'x'; 1024];
/// go-micro's publisher sleeps 100 ms between two messages of a goroutine's eight, so the last of a burst comes within
/// a second; this is twice that.
const QUIET: Duration = Duration::from_secs(2);
/// Publishers at the same time: a burst of one would wait for each answer.
const PUBLISHERS: u64 = 8;

/// go-micro's publisher keeps 64 messages and drops what comes on top, silently; nothing in it counts what it posted.
/// What can be checked is that whatever reached the host was handled, once, and how many that were is stated beside
/// what go-micro's own subscriber got of the same burst.
async fn every_message_of_a_burst_that_go_micro_posts_is_handled(version: Version) {
    let [mut subscriber] = subscribers(version, "orders.alone", [None]).await;
    let host = start().await;
    deploy_hello(&host, "hello", TOPIC, None).await;
    subscriber.until_listeners(TOPIC, 1).await;
    subscriber.until_listeners("orders.alone", 1).await;
    let burst = |topic| Publish { topic, body: &BODY, count: COUNT, ..Publish::default() };

    // Both stay until the end: what they post, they post after they have said that they published it.
    let (mut alone, mut publisher) = (Driver::start(version).await, Driver::start(version).await);
    assert_eq!(alone.publish(&burst("orders.alone")).await.failed, 0);
    let (heard, twice) = numbers(&subscriber.messages_until_quiet(QUIET).await);
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(publisher.publish(&burst(TOPIC)).await.failed, 0);
    let handled = until_quiet(async || subscription(&host, "hello").await.acked).await;
    let view = subscription(&host, "hello").await;
    state(&format!(
        "of a burst of {COUNT}, go-micro's publisher brought {} to go-micro and {handled} to the host",
        heard.len()
    ));
    assert!(handled > 0 && handled <= COUNT, "{handled}");
    assert_eq!((view.delivered, view.retried, view.dead_lettered), (handled, 0, 0));
}

/// Waits until a count stays as it is.
async fn until_quiet(count: impl AsyncFn() -> u64) -> u64 {
    let (mut last, mut since) = (count().await, Instant::now());
    until("a count comes to rest", async || {
        let now = count().await;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= QUIET
    })
    .await;
    last
}

async fn a_subscriber_that_is_stopped_for_a_second_misses_nothing(version: Version) {
    let [mut subscriber] = subscribers(version, TOPIC, [None]).await;
    let host = start().await;
    until_host_knows(&host, version.broker(), TOPIC, 1).await;
    let burst = Burst::start(&host.client);
    burst.until_published(COUNT / 3).await;
    subscriber.signal("STOP");
    tokio::time::sleep(Duration::from_secs(1)).await;
    subscriber.signal("CONT");
    let took = burst.end().await;

    let messages = messages(&mut subscriber, BTreeSet::new()).await;
    report("stopped for a second", took, &messages);
    let (heard, twice) = numbers(&messages);
    assert!(heard == (0..COUNT).collect(), "{} of {COUNT} arrived", heard.len());
    // It was away for less time than a peer has for its answer, so nothing had to be sent again.
    assert!(twice.is_empty(), "{twice:?}");
}

/// The member that comes back is another node to the registry, in the same queue. What the one that was killed had in
/// its hands and had not answered is sent again: that may be seen twice, but no more than was under way.
async fn a_queue_whose_member_is_killed_and_started_again_misses_nothing(version: Version) {
    let [member] = subscribers(version, TOPIC, [Some("q")]).await;
    let host = start().await;
    until_host_knows(&host, version.broker(), TOPIC, 1).await;
    let burst = Burst::start(&host.client);
    burst.until_published(COUNT / 3).await;
    let mut messages = member.kill().await;
    let [mut again] = subscribers(version, TOPIC, [Some("q")]).await;
    let took = burst.end().await;

    let before = numbers(&messages).0;
    let after = self::messages(&mut again, before).await;
    messages.extend(after);
    report("killed and started again", took, &messages);
    let (heard, twice) = numbers(&messages);
    assert!(heard == (0..COUNT).collect(), "{} of {COUNT} arrived", heard.len());
    assert!(twice.len() <= 64, "{} arrived twice", twice.len());
}

/// What a subscriber gets until it and those before it have all, or nothing comes for as long as a host may rest
/// between two attempts.
async fn messages(subscriber: &mut Driver, mut seen: BTreeSet<u64>) -> Vec<Message> {
    const REST: Duration = Duration::from_secs(30);
    let mut messages = Vec::new();
    while seen.len() < usize::try_from(COUNT).expect("a small number") {
        let Some(message) = subscriber.message_within(REST).await else { break };
        seen.insert(message.number());
        messages.push(message);
    }
    // Whatever comes on top is a duplicate, and is to be seen.
    messages.extend(subscriber.messages_until_quiet(QUIET).await);
    messages
}

fn report(what: &str, took: Duration, messages: &[Message]) {
    let (heard, twice) = numbers(messages);
    let late = messages.windows(2).filter(|pair| matches!(pair, [one, next] if next.number() < one.number())).count();
    state(&format!(
        "a subscriber that is {what}: the host took {COUNT} messages in {took:?}, {} arrived, {} of them more than \
         once, {late} after a later one",
        heard.len(),
        twice.len()
    ));
}

/// The host is told to publish, as fast as it takes.
struct Burst {
    published: Arc<AtomicU64>,
    publishers: JoinSet<()>,
    began: Instant,
}

impl Burst {
    fn start(client: &Client) -> Self {
        let published = Arc::new(AtomicU64::new(0));
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let (client, published) = (client.clone(), Arc::clone(&published));
            publishers.spawn(async move {
                for number in (publisher..COUNT).step_by(usize::try_from(PUBLISHERS).expect("a small number")) {
                    publish(&client, number).await;
                    published.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { published, publishers, began: Instant::now() }
    }

    async fn until_published(&self, count: u64) {
        until("a part is published", async || self.published.load(Ordering::Relaxed) >= count).await;
    }

    async fn end(mut self) -> Duration {
        while let Some(ended) = self.publishers.join_next().await {
            ended.expect("published its share");
        }
        assert_eq!(self.published.load(Ordering::Relaxed), COUNT);
        self.began.elapsed()
    }
}

/// Publishes until the host takes it, at the pace that the host asks for.
async fn publish(client: &Client, number: u64) {
    let headers = vec![("Number".to_owned(), number.to_string())];
    let numbered = Publication { headers, ..publication(TOPIC, BODY) };
    loop {
        match client.publish(&numbered).await {
            Ok(_) => return,
            Err(ClientError::Problem { problem, retry_after: Some(pause) }) if problem.status == 429 => {
                tokio::time::sleep(pause).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
