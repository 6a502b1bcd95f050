//! What the memory broker does beyond what every broker must.

use super::*;

use hostel_event::delivery::Settlement;
use hostel_event::key_value::{Bucket, Expected, Write};
use hostel_event::name::BucketName;
use hostel_event::port::KeyValueError;
use hostel_event::subscription::Place;
use hostel_event::time::{Moment, Timestamp};

use crate::conformance::{self, Collector, event, subscription, tenant};

struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}

fn counted() -> [u8; 10] {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    entropy
}

fn memory(settings: Settings) -> Memory {
    let clock: Arc<dyn Clock> = Arc::new(Frozen);
    Memory::new(settings, Arc::clone(&clock), Ids::new(clock, counted))
}

const AMPLE: Settings = Settings {
    bytes: 1 << 20,
    dead_letters: 100,
    dead_letter_bytes: 1 << 20,
    key_value_bytes: 1 << 20,
    choice: Choice::LeastLoaded,
    seed: 7,
};

#[tokio::test]
async fn it_conforms() {
    conformance::all(async || memory(AMPLE)).await;
}

#[tokio::test]
async fn each_choice_shares_by_nodes() {
    for (choice, tolerance) in [(Choice::Random, 150), (Choice::RoundRobin, 0)] {
        let broker = memory(Settings { choice, ..AMPLE });
        let sinks = [Arc::new(Collector::default()), Arc::new(Collector::default())];
        let places = [Place::Local, Place::Remote { nodes: 3 }];
        for ((sink, place), name) in sinks.iter().zip(places).zip(["a", "b"]) {
            let sink: Arc<dyn Sink> = Arc::<Collector>::clone(sink);
            let member = Subscription { place, ..conformance::member(name, "a", "q") };
            broker.subscribe(Arc::new(member), sink).await.unwrap();
        }
        for id in 0..4_000 {
            broker.publish(event(&id.to_string(), "a").into()).await.unwrap();
        }
        let shares = sinks.map(|sink| sink.take().len());
        assert_eq!(shares.iter().sum::<usize>(), 4_000);
        assert!(shares[0].abs_diff(1_000) <= tolerance, "{choice:?}: {shares:?}");
    }
}

#[tokio::test]
async fn bytes_are_bounded_and_given_back() {
    let size = event("1", "a").bytes();
    let broker = memory(Settings { bytes: 2 * size, ..AMPLE });
    let sink = Arc::new(Collector::default());
    for name in ["a", "b"] {
        let sink: Arc<dyn Sink> = Arc::<Collector>::clone(&sink);
        broker.subscribe(Arc::new(subscription(name, "a")), sink).await.unwrap();
    }
    broker.publish(event("1", "a").into()).await.unwrap();
    assert_eq!(broker.bytes(), size, "two subscriptions share one copy");
    broker.publish(event("2", "a").into()).await.unwrap();
    let refusal = broker.publish(event("3", "a").into()).await.unwrap_err();
    assert_eq!(refusal.to_string(), "the memory broker is full");
    for delivery in sink.take() {
        delivery.settle.settle(Settlement::Ack(Effects::default())).await.unwrap();
    }
    assert_eq!(broker.bytes(), 0);
    broker.publish(event("3", "a").into()).await.unwrap();
}

#[tokio::test]
async fn the_oldest_dead_letters_make_room_for_the_newest() {
    let broker = memory(Settings { dead_letters: 2, ..AMPLE });
    let sink = Arc::new(Collector::default());
    let shared: Arc<dyn Sink> = Arc::<Collector>::clone(&sink);
    broker.subscribe(Arc::new(subscription("a", "a")), shared).await.unwrap();
    for id in ["1", "2", "3"] {
        broker.publish(event(id, "a").into()).await.unwrap();
        let delivery = sink.take().remove(0);
        let settlement = Settlement::DeadLetter { reason: id.to_owned(), history: vec![] };
        delivery.settle.settle(settlement).await.unwrap();
    }
    let reasons: Vec<String> =
        broker.list(&tenant("acme"), None, 10).iter().map(|letter| letter.reason.clone()).collect();
    assert_eq!(reasons, ["3", "2"]);
}

#[tokio::test]
async fn a_redrive_without_room_keeps_the_dead_letter() {
    let broker = memory(AMPLE);
    let sink = Arc::new(Collector::default());
    let shared: Arc<dyn Sink> = Arc::<Collector>::clone(&sink);
    let narrow = Subscription { window: 1, ..subscription("a", "a") };
    broker.subscribe(Arc::new(narrow), shared).await.unwrap();
    broker.publish(event("1", "a").into()).await.unwrap();
    let settlement = Settlement::DeadLetter { reason: "no".to_owned(), history: vec![] };
    sink.take().remove(0).settle.settle(settlement).await.unwrap();
    broker.publish(event("2", "a").into()).await.unwrap();

    let acme = tenant("acme");
    let id = broker.list(&acme, None, 1)[0].id.clone();
    let refusal = broker.redrive(&acme, &id).await.unwrap_err();
    assert_eq!(refusal.to_string(), "subscription `acme/a:a` is full");
    assert!(broker.dead_letters().get(&acme, &id).is_some());

    broker.unsubscribe(&subscription("a", "a").id).await.unwrap();
    let refusal = broker.redrive(&acme, &id).await.unwrap_err();
    assert_eq!(refusal.to_string(), "its subscription `acme/a:a` does not exist any more");
}

#[tokio::test]
async fn values_are_bounded_and_given_back() {
    let write = |key: &str, value: Option<usize>| Write {
        bucket: Bucket { tenant: tenant("acme"), name: BucketName::new("b").unwrap() },
        key: Key::new(key).unwrap(),
        value: value.map(|length| vec![0; length].into()),
        expected: Expected::Anything,
    };
    let broker = memory(Settings { key_value_bytes: 1000, ..AMPLE });
    let store = broker.key_value();
    store.write(vec![write("a", Some(700))]).await.unwrap();
    let full = KeyValueError::Full("the memory broker's key-value store".to_owned());
    assert_eq!(store.write(vec![write("b", Some(700))]).await, Err(full.clone()));
    assert_eq!(store.room_for(&write("b", Some(700))), Err(full));
    store.write(vec![write("a", Some(800))]).await.expect("it replaces the first");
    store.write(vec![write("a", None), write("b", Some(800))]).await.expect("the first makes room");
    store.write(vec![write("b", None)]).await.unwrap();
    store.write(vec![write("c", Some(870))]).await.expect("all was given back");
}

#[tokio::test]
async fn a_conflict_of_an_ended_member_goes_to_its_queue_group() {
    let broker = memory(AMPLE);
    let sink = Arc::new(Collector::default());
    let heir = Arc::new(Collector::default());
    let shared: Arc<dyn Sink> = Arc::<Collector>::clone(&sink);
    broker.subscribe(Arc::new(conformance::member("a", "a", "q")), shared).await.unwrap();
    broker.publish(event("1", "a").into()).await.unwrap();
    let delivery = sink.take().remove(0);
    let shared: Arc<dyn Sink> = Arc::<Collector>::clone(&heir);
    broker.subscribe(Arc::new(conformance::member("b", "a", "q")), shared).await.unwrap();
    broker.unsubscribe(&conformance::member("a", "a", "q").id).await.unwrap();
    let write = Write {
        bucket: Bucket { tenant: tenant("acme"), name: BucketName::new("b").unwrap() },
        key: Key::new("k").unwrap(),
        value: None,
        expected: Expected::Revision(hostel_event::key_value::Revision(7)),
    };
    let effects = Effects { publications: vec![], writes: vec![write] };
    delivery.settle.settle(Settlement::Ack(effects)).await.unwrap_err();
    assert!(sink.take().is_empty());
    assert_eq!(heir.take().len(), 1);
}
