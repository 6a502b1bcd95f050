//! What the memory broker does beyond what every broker must.

use super::*;

use hostel_event::delivery::Settlement;
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

const AMPLE: Settings =
    Settings { bytes: 1 << 20, dead_letters: 100, dead_letter_bytes: 1 << 20, choice: Choice::LeastLoaded, seed: 7 };

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
        delivery.settle.settle(Settlement::Ack).await.unwrap();
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
    assert!(broker.get(&acme, &id).is_some());

    broker.unsubscribe(&subscription("a", "a").id).await.unwrap();
    let refusal = broker.redrive(&acme, &id).await.unwrap_err();
    assert_eq!(refusal.to_string(), "its subscription `acme/a:a` does not exist any more");
}
