//! What is held back, seen and taken.

use hostel_event::message::Message;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Clock, Guarantees, Observe, Settled};
use hostel_event::subscription::{Audience, SubscriptionId};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;

use crate::fake::{self, Fake, MEMORY, MESSAGE_BYTES, bucket, key, write};

use super::*;

const ATOMIC: Guarantees = Guarantees { atomic_effects: true, ..MEMORY };

struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::default()
    }
}

struct Nobody;

impl Observe for Nobody {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self, _: &hostel_event::name::Tenant) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {}

    fn settled(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Settled) {}
}

fn stage(guarantees: Guarantees) -> (Arc<Fake>, Stage) {
    let broker = Fake::new(guarantees);
    let stage = Stage::new(fake::admission(&broker, Arc::new(Frozen), Arc::new(Nobody)));
    (broker, stage)
}

fn publication(bytes: usize) -> Publication {
    let message = Message { body: vec![0; bytes].into(), ..Message::default() };
    let topic = Topic::new("b").unwrap();
    Publication { tenant: bucket().tenant, topic, id: None, audience: Audience::Everyone, message }
}

async fn text(stage: &Stage, name: &str) -> Option<String> {
    let entry = stage.get(&bucket(), &key(name)).await.unwrap();
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

#[tokio::test]
async fn nothing_is_done_before_it_is_taken() {
    let (broker, stage) = stage(ATOMIC);
    broker.put("there", Some("1")).await;
    stage.publish(publication(3)).await.unwrap();
    stage.write(vec![write("new", Some("a")), write("there", None)]).await.unwrap();
    stage.write(vec![write("new", Some("b"))]).await.unwrap();
    assert!(broker.published.lock().is_empty());
    assert!(broker.held("new").is_none());

    let effects = stage.take();
    assert_eq!(effects.publications.len(), 1);
    let there = Expected::Revision(broker.held("there").unwrap().revision);
    let expected = [
        Write { expected: Expected::Absent, ..write("new", Some("b")) },
        Write { expected: there, ..write("there", None) },
    ];
    assert_eq!(effects.writes, expected, "each key once, expecting what was found");
    assert!(stage.take().is_empty(), "once");
}

#[tokio::test]
async fn without_atomic_effects_everything_is_done_at_once() {
    let (broker, stage) = stage(MEMORY);
    stage.publish(publication(3)).await.unwrap();
    stage.write(vec![write("k", Some("v"))]).await.unwrap();
    assert_eq!(broker.published.lock().len(), 1);
    assert_eq!(text(&stage, "k").await.as_deref(), Some("v"));
    assert!(stage.take().is_empty());
    stage.publish(publication(3)).await.expect("it goes on as before");
}

#[tokio::test]
async fn an_attempt_sees_its_own_writes() {
    let (broker, stage) = stage(ATOMIC);
    broker.put("old", Some("1")).await;
    stage.write(vec![write("new", Some("2")), write("old", None)]).await.unwrap();
    assert_eq!(text(&stage, "new").await.as_deref(), Some("2"));
    assert_eq!(text(&stage, "old").await, None);
    stage.write(vec![write("old", Some(""))]).await.unwrap();
    assert_eq!(text(&stage, "old").await.as_deref(), Some(""));
}

#[tokio::test]
async fn a_write_expects_what_was_seen_first() {
    let (broker, stage) = stage(ATOMIC);
    broker.put("k", Some("1")).await;
    let first = broker.held("k").unwrap().revision;
    assert_eq!(text(&stage, "k").await.as_deref(), Some("1"));
    assert_eq!(text(&stage, "gone").await, None);
    broker.put("k", Some("2")).await;
    broker.put("gone", Some("2")).await;
    assert_eq!(text(&stage, "k").await.as_deref(), Some("2"), "what was only read may change");
    stage.write(vec![write("k", Some("own")), write("gone", Some("own"))]).await.unwrap();
    let expected: Vec<Expected> = stage.take().writes.iter().map(|write| write.expected).collect();
    assert_eq!(expected, [Expected::Absent, Expected::Revision(first)]);
}

#[tokio::test]
async fn a_blind_write_conflicts_with_one_that_comes_between() {
    let (broker, stage) = stage(ATOMIC);
    stage.write(vec![write("k", Some("own"))]).await.unwrap();
    broker.put("k", Some("other")).await;
    assert_eq!(broker.write(stage.take().writes).await, Err(KeyValueError::Conflict(key("k"))));
}

#[tokio::test]
async fn keys_are_those_of_the_store_and_the_attempts_own() {
    let (broker, stage) = stage(ATOMIC);
    for name in ["a", "c", "e", "g", "i"] {
        broker.put(name, Some("1")).await;
    }
    let own = [write("b", Some("1")), write("c", None), write("g", None), write("h", Some("1")), write("z", Some("1"))];
    stage.write(own.to_vec()).await.unwrap();
    let all = ["a", "b", "e", "h", "i", "z"].map(key).to_vec();
    assert_eq!(stage.keys(&bucket(), None, 100).await, Ok(all.clone()));
    for limit in 1..=7 {
        let mut paged: Vec<Key> = Vec::new();
        loop {
            let page = stage.keys(&bucket(), paged.last(), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "pages of {limit}");
    }
}

#[tokio::test]
async fn what_an_attempt_may_hold_back_is_bounded() {
    let (_, stage) = stage(ATOMIC);
    let refusal =
        "one attempt may publish and write at most 1000 events and keys of together 16777216 bytes before its ack";
    for number in 0..999 {
        stage.write(vec![write(&number.to_string(), Some("v"))]).await.unwrap();
    }
    stage.publish(publication(1)).await.unwrap();
    let too_much = KeyValueError::TooMuch(refusal.to_owned());
    assert_eq!(stage.write(vec![write("one more", Some("v"))]).await, Err(too_much.clone()));
    assert_eq!(stage.publish(publication(1)).await, Err(PublishError::TooMuch(refusal.to_owned())));
    stage.write(vec![write("7", Some("again"))]).await.expect("the key counts already");

    let (_, stage) = self::stage(ATOMIC);
    let large = "v".repeat(MESSAGE_BYTES);
    for _ in 0..40 {
        stage.write(vec![write("k", Some(&large))]).await.expect("what is replaced is given back");
    }
    for number in 0..14 {
        stage.write(vec![write(&number.to_string(), Some(&large))]).await.unwrap();
    }
    assert_eq!(stage.write(vec![write("l", Some(&large))]).await, Err(too_much));
    assert_eq!(text(&stage, "l").await, None);
}

#[tokio::test]
async fn keys_that_are_remembered_are_bounded() {
    let (_, stage) = stage(ATOMIC);
    for number in 0..SEEN_LIMIT {
        assert_eq!(text(&stage, &number.to_string()).await, None);
    }
    let refusal = stage.get(&bucket(), &key("one more")).await.unwrap_err();
    assert_eq!(refusal.to_string(), "one attempt may read at most 10000 keys before its ack");
    assert_eq!(text(&stage, "7").await, None, "what was read can be read again");
}

#[tokio::test]
async fn a_value_is_no_larger_than_a_message() {
    for guarantees in [ATOMIC, MEMORY] {
        let (_, stage) = stage(guarantees);
        let refusal = stage.write(vec![write("k", Some(&"v".repeat(MESSAGE_BYTES + 1)))]).await.unwrap_err();
        assert_eq!(refusal.to_string(), "the value has 1048577 bytes, more than 1048576");
    }
}

#[tokio::test]
async fn a_full_broker_is_told_when_it_is_asked() {
    let (broker, stage) = stage(ATOMIC);
    broker.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(stage.publish(publication(1)).await, Err(PublishError::Overloaded { .. })));
    assert!(matches!(stage.write(vec![write("k", Some("v"))]).await, Err(KeyValueError::Full(_))));
    assert!(stage.take().is_empty());
}

#[tokio::test]
async fn a_message_is_checked_when_it_is_published() {
    let (_, stage) = stage(ATOMIC);
    let refusal = stage.publish(publication(MESSAGE_BYTES + 1)).await.unwrap_err();
    assert_eq!(refusal, PublishError::TooLarge { bytes: MESSAGE_BYTES + 1, limit: MESSAGE_BYTES });
}

#[tokio::test]
async fn after_an_early_ack_effects_are_done_at_once_if_it_took_and_else_not_at_all() {
    let (broker, stage) = stage(ATOMIC);
    stage.publish(publication(1)).await.unwrap();
    stage.take();
    let refusal = stage.publish(publication(1)).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the broker failed: the early ack did not take, so the event comes again and this attempt has no effects"
    );
    assert!(stage.write(vec![write("k", Some("v"))]).await.is_err());
    assert!(broker.published.lock().is_empty());
    stage.pass();
    stage.publish(publication(1)).await.unwrap();
    stage.write(vec![write("k", Some("v"))]).await.unwrap();
    assert_eq!(broker.published.lock().len(), 1);
    assert!(broker.held("k").is_some());
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn subscription() -> SubscriptionId {
    let handler = hostel_event::name::HandlerName::new("h").unwrap();
    let pattern = hostel_event::pattern::Pattern::new("a").unwrap();
    SubscriptionId::new(&bucket().tenant, &handler, &pattern)
}

fn cause(headers: &[(&str, &str)]) -> Event {
    let mut message = Message::default();
    headers.iter().for_each(|(name, value)| message.headers.append(name, value).unwrap());
    Event {
        id: hostel_event::id::EventId::new("cause").unwrap(),
        tenant: bucket().tenant,
        topic: Topic::new("a").unwrap(),
        published_at: Timestamp::default(),
        expires_at: None,
        message,
    }
}

/// The headers of what an attempt publishes that was caused by an event with these headers.
async fn published(headers: &[(&str, &str)], own: &[(&str, &str)]) -> Vec<(String, String)> {
    let (_, stage) = stage(ATOMIC);
    let stage = stage.caused_by(&cause(headers), &subscription(), 1);
    let mut publication = publication(0);
    own.iter().for_each(|(name, value)| publication.message.headers.append(name, value).unwrap());
    stage.publish(publication).await.unwrap();
    let effects = stage.take();
    let headers = &effects.publications[0].event.message.headers;
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn what_an_attempt_publishes_goes_on_with_the_trace_of_its_event() {
    let event = cause(&[]);
    let trace = PARENT.parse::<Context>().unwrap();
    let span = SpanId::attempt(trace.trace, &event, &subscription(), 1);
    let parent = trace.below(span).to_string();
    let given = [("traceparent", PARENT), ("tracestate", "a=b")];
    let expected = [("traceparent", parent.as_str()), ("tracestate", "a=b")];
    assert_eq!(published(&given, &[]).await, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_trace_that_is_not_there_or_is_none_is_not_gone_on_with_and_ones_own_wins() {
    assert_eq!(published(&[], &[]).await, []);
    assert_eq!(published(&[("traceparent", "nonsense")], &[]).await, []);
    let own = [("Traceparent", "own")];
    assert_eq!(published(&[("traceparent", PARENT)], &own).await, [("Traceparent".to_owned(), "own".to_owned())]);
}
