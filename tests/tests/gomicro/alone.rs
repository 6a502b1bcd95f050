//! go-micro with itself: what the drivers do is what go-micro does, before a host is there.

use std::time::Duration;

use hostel_tests::each_go_micro;
use hostel_tests::gomicro::{Driver, Message, Publish, Subscriber, Version};

use crate::{change, numbers};

each_go_micro!(
    programs_hear_one_another,
    typed_events_are_decoded,
    registries_see_brokers_come_and_go,
    a_message_at_a_time_is_acknowledged,
    a_handler_that_fails_is_not_called_again,
);

async fn programs_hear_one_another(version: Version) {
    let [mut all, mut one, mut other] = subscribers(version, "orders.created", [None, Some("q"), Some("q")]).await;
    one.until_listeners("orders.created", 3).await;
    let mut publisher = Driver::start(version).await;
    let body = b"{\"n\":1}\n";
    let publish = Publish {
        topic: "orders.created",
        header: &[("X-Quote", "a\"<b>&\u{e9}")],
        body,
        count: 40,
        ..Publish::default()
    };
    assert_eq!(publisher.publish(&publish).await.failed, 0);

    let quiet = Duration::from_secs(2);
    let heard = all.messages_until_quiet(quiet).await;
    assert!(heard.iter().all(|message| message.body == body && message.header("X-Quote") == Some("a\"<b>&\u{e9}")));
    assert_eq!(numbers(&heard), ((0..40).collect(), [].into()));
    let mut shared = one.messages_until_quiet(quiet).await;
    shared.extend(other.messages_until_quiet(quiet).await);
    assert_eq!(numbers(&shared), ((0..40).collect(), [].into()));
    for driver in [all, one, other, publisher] {
        assert!(driver.quit().await.success());
    }
}

async fn typed_events_are_decoded(version: Version) {
    let mut service = Driver::start(version).await;
    service
        .serve(&[
            Subscriber { topic: "typed.json", queue: None, kind: "json" },
            Subscriber { topic: "typed.protobuf", queue: Some("q"), kind: "protobuf" },
        ])
        .await;
    service.until_listeners("typed.json", 1).await;
    service.until_listeners("typed.protobuf", 1).await;
    let mut client = Driver::start(version).await;
    for (kind, number) in [("json", 7), ("protobuf", 0)] {
        client.client_publish(&format!("typed.{kind}"), kind, "h\u{e9}llo").await;
        let decoded = service.decoded().await;
        assert_eq!((decoded.kind.as_str(), decoded.greeting.text.as_str()), (kind, "h\u{e9}llo"));
        assert_eq!(decoded.greeting.number, number);
    }
}

async fn registries_see_brokers_come_and_go(version: Version) {
    let mut watcher = Driver::start(version).await;
    watcher.watch().await;
    let mut subscriber = Driver::start(version).await;
    subscriber.subscribe("orders.created", Some("q")).await;
    let created = change(&mut watcher, "create", "orders.created").await;
    assert_eq!(created.version, "q");
    assert_eq!(watcher.listeners("orders.created").await.len(), 1);
    assert!(subscriber.quit().await.success());
    let deleted = change(&mut watcher, "delete", "orders.created").await;
    assert_eq!(deleted.version, "q");
    assert!(watcher.listeners("orders.created").await.is_empty());
}

async fn a_message_at_a_time_is_acknowledged(version: Version) {
    let [mut subscriber] = subscribers(version, "orders.created", [None]).await;
    subscriber.until_listeners("orders.created", 1).await;
    let mut publisher = Driver::start(version).await;
    let body = &[b'x'; 1024];
    let publish = Publish { topic: "orders.created", body, count: 2_000, window: 1, ..Publish::default() };
    let published = publisher.publish(&publish).await;
    assert!(published.p50_ns > 0 && published.p50_ns <= published.p99_ns, "{published:?}");
    let heard: Vec<_> = subscriber.messages_until_quiet(Duration::from_millis(500)).await;
    let expected: Vec<u64> = (0..2_000).collect();
    assert_eq!(heard.iter().map(Message::number).collect::<Vec<_>>(), expected, "in order");
}

/// To a go-micro publisher an error of the subscriber's handler is a message delivered. What Hostel does better, it does
/// for its own handlers.
async fn a_handler_that_fails_is_not_called_again(version: Version) {
    let [mut subscriber] = subscribers(version, "orders.created", [None]).await;
    subscriber.fail(true).await;
    subscriber.slow(Duration::from_millis(5)).await;
    subscriber.until_listeners("orders.created", 1).await;
    let mut publisher = Driver::start(version).await;
    let publish = Publish { topic: "orders.created", body: b"{}", count: 3, window: 1, ..Publish::default() };
    let published = publisher.publish(&publish).await;
    assert_eq!(published.failed, 0);
    assert!(published.p50_ns >= 5_000_000, "{published:?}");
    assert_eq!(subscriber.messages_until_quiet(Duration::from_secs(1)).await.len(), 3);
    assert_eq!(subscriber.received().await, 3);
}

/// Drivers that hear a topic, each with its queue.
pub(crate) async fn subscribers<const N: usize>(
    version: Version,
    topic: &str,
    queues: [Option<&str>; N],
) -> [Driver; N] {
    let mut drivers = Vec::new();
    for queue in queues {
        let mut driver = Driver::start(version).await;
        driver.subscribe(topic, queue).await;
        drivers.push(driver);
    }
    drivers.try_into().ok().expect("one for each queue")
}
