//! What every broker must do, as plain async functions that each adapter's tests call.
//!
//! A check that depends on a guarantee asks for it first, and states what must happen where it is not given. Checks
//! panic when the broker fails them.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "these are assertions, run by tests only"
)]

pub mod ownership;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use hostel_event::dead_letter::Filter;
use hostel_event::delivery::{Delivery, SettleError, Settlement};
use hostel_event::id::EventId;
use hostel_event::key_value::{Bucket, Effects, Expected, Key, Revision, Write};
use hostel_event::message::{Event, Message};
use hostel_event::name::{BucketName, HandlerName, QueueGroup, Tenant, Version};
use hostel_event::outcome::{Attempt, Log, Outcome, Report, Usage};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Admitted, Broker, KeyValueError, PublishError, Sink, SubscribeError};
use hostel_event::subscription::{Audience, Place, Subscription, SubscriptionId};
use hostel_event::time::Timestamp;
use hostel_event::topic::Topic;

/// A sink that collects.
#[derive(Default)]
pub struct Collector {
    deliveries: Mutex<Vec<Delivery>>,
    expired: Mutex<Vec<EventId>>,
}

impl Collector {
    /// What was delivered and not taken yet.
    pub fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries.lock())
    }

    /// The events of which it was told that they expired.
    pub fn expired(&self) -> Vec<EventId> {
        self.expired.lock().clone()
    }

    /// Lets taken deliveries wait again.
    pub fn put_back(&self, deliveries: Vec<Delivery>) {
        self.deliveries.lock().extend(deliveries);
    }

    /// Waits until `count` deliveries are there and takes them.
    pub async fn expect(&self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for turn in 0..TURNS {
            taken.append(&mut self.take());
            if taken.len() >= count {
                break;
            }
            let_it_run(turn).await;
        }
        assert_eq!(taken.len(), count, "deliveries");
        taken
    }
}

impl Sink for Collector {
    fn deliver(&self, delivery: Delivery) {
        self.deliveries.lock().push(delivery);
    }

    fn forget(&self, subscription: &SubscriptionId) -> usize {
        let mut deliveries = self.deliveries.lock();
        let before = deliveries.len();
        deliveries.retain(|delivery| delivery.subscription != *subscription);
        before - deliveries.len()
    }

    fn expired(&self, _: &SubscriptionId, event: &Arc<Event>) {
        self.expired.lock().push(event.id.clone());
    }
}

/// How often one looks whether something has come.
const TURNS: usize = 20_000;

/// Lets an adapter run that delivers from a task of its own: at first for a turn, then, since it may wait for a disk, for
/// a millisecond. That adds up to some 20 s, far beyond need.
async fn let_it_run(turn: usize) {
    if turn < 1000 {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A tenant for the checks.
#[must_use]
pub fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("a good name")
}

/// A subscription of tenant `acme`.
#[must_use]
pub fn subscription(handler: &str, pattern: &str) -> Subscription {
    let handler = HandlerName::new(handler).expect("a good name");
    Subscription::new(&tenant("acme"), &handler, Pattern::new(pattern).expect("a good pattern"))
}

/// A subscription of tenant `acme` in a queue group.
#[must_use]
pub fn member(handler: &str, pattern: &str, queue: &str) -> Subscription {
    let queue = Some(QueueGroup::new(queue).expect("a good name"));
    Subscription { queue, ..subscription(handler, pattern) }
}

/// An event of tenant `acme`.
#[must_use]
pub fn event(id: &str, topic: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(id).expect("a good id"),
        tenant: tenant("acme"),
        topic: Topic::new(topic).expect("a good topic"),
        published_at: Timestamp::from_millis(1),
        expires_at: None,
        message: Message::default(),
    })
}

fn failed_attempt() -> Attempt {
    let outcome = Outcome::Reject { reason: "no".to_owned() };
    let report = Report { outcome, log: Log::default(), usage: Usage::default() };
    Attempt { number: 1, began: Timestamp::from_millis(2), version: Version::new("1").expect("a good version"), report }
}

/// An ack of an attempt that did nothing else.
#[must_use]
pub fn ack() -> Settlement {
    Settlement::Ack(Effects::default())
}

fn bucket(of: &str, name: &str) -> Bucket {
    Bucket { tenant: tenant(of), name: BucketName::new(name).expect("a good name") }
}

fn key(text: &str) -> Key {
    Key::new(text).expect("a good key")
}

/// A write to bucket `b` of tenant `acme`; no value deletes.
fn write(name: &str, value: Option<&'static str>, expected: Expected) -> Write {
    Write { bucket: bucket("acme", "b"), key: key(name), value: value.map(Into::into), expected }
}

/// What a key of that bucket holds.
async fn held(broker: &dyn Broker, name: &str) -> Option<String> {
    let entry = broker.key_value().get(&bucket("acme", "b"), &key(name)).await.expect("it can be read");
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).expect("text"))
}

/// The revision of a key of that bucket.
async fn revision(broker: &dyn Broker, name: &str) -> Revision {
    let entry = broker.key_value().get(&bucket("acme", "b"), &key(name)).await.expect("it can be read");
    entry.expect("it is there").revision
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.event.id.as_str()).collect()
}

async fn subscribed(broker: &dyn Broker, subscription: Subscription) -> Arc<Collector> {
    let collector = Arc::new(Collector::default());
    let sink: Arc<dyn Sink> = Arc::<Collector>::clone(&collector);
    broker.subscribe(Arc::new(subscription), sink).await.expect("a new subscription");
    collector
}

async fn settle(delivery: Delivery, settlement: Settlement) {
    delivery.settle.settle(settlement).await.expect("a settlement");
}

/// Runs every check, each on a broker of its own. `make` returns an empty broker.
pub async fn all<B, F>(make: impl Fn() -> F)
where
    B: Broker,
    F: Future<Output = B>,
{
    everyone_who_matches_gets_each_event(&make().await).await;
    nobody_gets_what_was_published_before(&make().await).await;
    a_queue_group_gets_each_event_once(&make().await).await;
    tenants_do_not_hear_one_another(&make().await).await;
    ownership::an_importer_hears_what_another_tenant_publishes(&make().await).await;
    ownership::what_an_importer_gives_up_is_its_own(&make().await).await;
    ownership::queue_groups_of_two_owners_are_two_groups(&make().await).await;
    ownership::a_pause_is_remembered_as_long_as_the_subscription(&make().await).await;
    a_full_window_refuses_the_event_for_everyone(&make().await).await;
    settling_makes_room(&make().await).await;
    order_is_kept_where_it_is_promised(&make().await).await;
    a_message_for_a_node_reaches_what_the_node_stands_for(&make().await).await;
    an_ended_subscription_hears_nothing(&make().await).await;
    an_ended_member_leaves_what_it_had_to_its_queue_group(&make().await).await;
    a_changed_subscription_keeps_what_waits(&make().await).await;
    a_dead_letter_is_kept_and_can_be_redriven(&make().await).await;
    dead_letters_are_listed_newest_first_by_page(&make().await).await;
    dead_letters_are_filtered_edited_and_discarded(&make().await).await;
    a_delay_is_kept_where_it_is_promised(&make().await).await;
    a_value_is_kept_by_tenant_bucket_and_key(&make().await).await;
    keys_are_listed_in_order_by_page(&make().await).await;
    writes_are_all_done_or_none(&make().await).await;
    a_revision_is_never_used_twice(&make().await).await;
    effects_come_with_the_ack_where_it_is_promised(&make().await).await;
    an_ack_whose_writes_conflict_does_nothing_and_redelivers(&make().await).await;
    effects_of_one_ack_are_seen_together(&make().await).await;
    room_for_effects_is_told_beforehand(&make().await).await;
}

/// Broadcast reaches each subscription whose pattern matches, exactly once.
pub async fn everyone_who_matches_gets_each_event(broker: &dyn Broker) {
    let exact = subscribed(broker, subscription("a", "orders.created")).await;
    let wild = subscribed(broker, subscription("b", "orders.*")).await;
    let other = subscribed(broker, subscription("c", "bills.>")).await;

    let receipt = broker.publish(event("1", "orders.created").into()).await.expect("room");
    let mut reached = receipt.subscriptions.clone();
    reached.sort();
    assert_eq!(
        reached.iter().map(SubscriptionId::as_str).collect::<Vec<_>>(),
        ["acme/a:orders.created", "acme/b:orders.*"]
    );
    assert_eq!(receipt.id.as_str(), "1");
    assert_eq!(ids(&exact.expect(1).await), ["1"]);
    assert_eq!(ids(&wild.expect(1).await), ["1"]);
    assert!(other.take().is_empty());
}

/// A subscription begins with what is published after it.
pub async fn nobody_gets_what_was_published_before(broker: &dyn Broker) {
    let receipt = broker.publish(event("1", "a").into()).await.expect("room");
    assert!(receipt.subscriptions.is_empty());
    let late = subscribed(broker, subscription("a", "a")).await;
    broker.publish(event("2", "a").into()).await.expect("room");
    assert_eq!(ids(&late.expect(1).await), ["2"]);
}

/// A subscription of `handler` of tenant `rival` to what tenant `acme` exports.
#[must_use]
pub fn imported(handler: &str, pattern: &str) -> Subscription {
    let handler = HandlerName::new(handler).expect("a good name");
    Subscription::imported(&tenant("rival"), &handler, &tenant("acme"), Pattern::new(pattern).expect("a good pattern"))
}

/// Of a queue group one member gets an event, and nobody in it is left idle.
pub async fn a_queue_group_gets_each_event_once(broker: &dyn Broker) {
    let first = subscribed(broker, member("a", "jobs", "q")).await;
    let second = subscribed(broker, member("b", "jobs", "q")).await;
    let wild = subscribed(broker, member("c", "*", "q")).await;
    let rival = subscribed(broker, member("d", "jobs", "other")).await;
    let broadcast = subscribed(broker, subscription("e", "jobs")).await;
    for number in 0..30 {
        let receipt = broker.publish(event(&number.to_string(), "jobs").into()).await.expect("room");
        assert_eq!(receipt.subscriptions.len(), 3);
    }
    assert_eq!(rival.expect(30).await.len(), 30);
    assert_eq!(broadcast.expect(30).await.len(), 30);
    let shares = [first.take(), second.take(), wild.take()];
    let mut together: Vec<String> = shares.iter().flatten().map(|delivery| delivery.event.id.to_string()).collect();
    together.sort();
    let mut expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    expected.sort();
    assert_eq!(together, expected, "each exactly once");
    assert!(shares.iter().all(|share| share.len() >= 5), "the work is shared");
}

/// What a peer addressed to one node of ours is for nobody else.
pub async fn a_message_for_a_node_reaches_what_the_node_stands_for(broker: &dyn Broker) {
    let remote = Subscription { place: Place::Remote { nodes: 1 }, ..subscription("remote", "jobs") };
    let names = ["broadcast", "wild", "first", "second", "rival", "remote"];
    let subscriptions = [
        subscription("broadcast", "jobs"),
        subscription("wild", "*"),
        member("first", "jobs", "q"),
        member("second", "jobs", "q"),
        member("rival", "jobs", "other"),
        remote,
    ];
    for one in subscriptions {
        subscribed(broker, one).await;
    }
    let reached = async |id: &str, queue: Option<&str>| {
        let queue = queue.map(|queue| QueueGroup::new(queue).expect("a good name"));
        let receipt = broker
            .publish(Admitted { audience: Audience::Node { queue }, ..event(id, "jobs").into() })
            .await
            .expect("room");
        let handlers: Vec<String> = receipt.subscriptions.iter().map(|id| id.handler().to_owned()).collect();
        assert!(handlers.iter().all(|handler| names.contains(&handler.as_str())));
        handlers
    };
    assert_eq!(reached("1", None).await, ["broadcast"]);
    assert_eq!(reached("2", Some("other")).await, ["rival"]);
    let of_the_group = reached("3", Some("q")).await;
    assert!(of_the_group == ["first"] || of_the_group == ["second"], "{of_the_group:?}");
    assert!(reached("4", Some("nobody")).await.is_empty());
}

/// A topic of one tenant is not the topic of another.
pub async fn tenants_do_not_hear_one_another(broker: &dyn Broker) {
    let own = subscribed(broker, subscription("a", ">")).await;
    let foreign = Event { tenant: tenant("rival"), ..Event::clone(&event("1", "a")) };
    assert!(broker.publish(Arc::new(foreign).into()).await.expect("room").subscriptions.is_empty());
    assert!(own.take().is_empty());
}

/// One subscription without room refuses the publish whole, so that the publisher's second try doubles nothing.
pub async fn a_full_window_refuses_the_event_for_everyone(broker: &dyn Broker) {
    let narrow = subscribed(broker, Subscription { window: 2, ..subscription("narrow", "a") }).await;
    let wide = subscribed(broker, subscription("wide", "a")).await;
    for id in ["1", "2"] {
        broker.publish(event(id, "a").into()).await.expect("room");
    }
    if broker.guarantees().durable {
        // What does not fit the window waits in the log.
        broker.publish(event("3", "a").into()).await.expect("a durable broker has room beyond the window");
        assert_eq!(narrow.expect(2).await.len(), 2);
        return;
    }
    let refusal = broker.publish(event("3", "a").into()).await.expect_err("no room");
    let PublishError::Overloaded { what, retry_after } = refusal else { panic!("{refusal}") };
    assert_eq!(what, "subscription `acme/narrow:a`");
    assert!(retry_after > Duration::ZERO);
    assert_eq!(narrow.expect(2).await.len(), 2);
    assert_eq!(wide.expect(2).await.len(), 2);
}

/// A settled delivery gives its place to another, in whichever way it was settled.
pub async fn settling_makes_room(broker: &dyn Broker) {
    let sink = subscribed(broker, Subscription { window: 1, ..subscription("a", "a") }).await;
    let settlements =
        [ack(), Settlement::DeadLetter { reason: "no".to_owned(), history: vec![failed_attempt()] }, ack()];
    for (number, settlement) in settlements.into_iter().enumerate() {
        broker.publish(event(&number.to_string(), "a").into()).await.expect("room");
        let delivery = sink.expect(1).await.remove(0);
        settle(delivery, settlement).await;
    }
}

/// Where order is promised, events come in the order in which their publishes returned.
pub async fn order_is_kept_where_it_is_promised(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a")).await;
    let published: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for id in &published {
        broker.publish(event(id, "a").into()).await.expect("room");
    }
    let deliveries = sink.expect(100).await;
    let mut delivered = ids(&deliveries);
    if !broker.guarantees().orders {
        delivered.sort_by_key(|id| id.parse::<u32>().expect("a number"));
    }
    assert_eq!(delivered, published);
}

/// After its end a subscription gets nothing, and what waited for it is counted.
pub async fn an_ended_subscription_hears_nothing(broker: &dyn Broker) {
    let ending = subscription("a", "a");
    let id = ending.id.clone();
    let sink = subscribed(broker, ending.clone()).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let running = sink.expect(1).await.remove(0);
    broker.publish(event("2", "a").into()).await.expect("room");
    assert_eq!(broker.unsubscribe(&id).await.expect("it is there").discarded, 1);
    assert!(broker.publish(event("3", "a").into()).await.expect("room").subscriptions.is_empty());
    assert!(sink.take().is_empty());
    settle(running, ack()).await;

    assert_eq!(broker.unsubscribe(&id).await, Err(SubscribeError::Unknown(id.clone())));
    let again = subscribed(broker, ending.clone()).await;
    broker.publish(event("4", "a").into()).await.expect("room");
    assert_eq!(ids(&again.expect(1).await), ["4"]);
    let sink: Arc<dyn Sink> = Arc::new(Collector::default());
    assert_eq!(broker.subscribe(Arc::new(ending), sink).await, Err(SubscribeError::Exists(id)));
}

/// What waited for a member that ends, and what it ran and did not settle, goes to the others; nothing is lost or doubled.
pub async fn an_ended_member_leaves_what_it_had_to_its_queue_group(broker: &dyn Broker) {
    let ending = member("a", "jobs", "q");
    let sink = subscribed(broker, ending.clone()).await;
    for id in ["1", "2", "3", "4"] {
        broker.publish(event(id, "jobs").into()).await.expect("room");
    }
    let mut running = sink.expect(4).await;
    let heir = subscribed(broker, Subscription { window: 1, ..member("b", "jobs", "q") }).await;
    sink.put_back(running.split_off(2));
    let ended = broker.unsubscribe(&ending.id).await.expect("it is there");
    assert_eq!((ended.discarded, ended.handed_over), (0, 2));
    settle(running.remove(0), ack()).await;
    drop(running);
    let mut heirs = Vec::new();
    for turn in 0..TURNS {
        for delivery in heir.take() {
            heirs.push(delivery.event.id.to_string());
            settle(delivery, ack()).await;
        }
        if heirs.len() >= 3 {
            break;
        }
        let_it_run(turn).await;
    }
    heirs.sort();
    assert_eq!(heirs, ["2", "3", "4"], "what was acknowledged does not come again");
}

/// New rules apply to what comes; what is out stays out and counts.
pub async fn a_changed_subscription_keeps_what_waits(broker: &dyn Broker) {
    let narrow = Subscription { window: 1, ..subscription("a", "a") };
    let sink = subscribed(broker, narrow.clone()).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    broker.resubscribe(Arc::new(Subscription { window: 2, ..narrow })).await.expect("it is there");
    broker.publish(event("2", "a").into()).await.expect("room for one more");
    if !broker.guarantees().durable {
        assert!(broker.publish(event("3", "a").into()).await.is_err(), "the first still counts");
    }
    assert_eq!(ids(&sink.expect(2).await), ["1", "2"]);
    let unknown = subscription("nobody", "a");
    assert_eq!(broker.resubscribe(Arc::new(unknown.clone())).await, Err(SubscribeError::Unknown(unknown.id)),);
}

/// A dead letter keeps its event, reason and attempts, is seen by its own tenant only, and is gone once redriven.
pub async fn a_dead_letter_is_kept_and_can_be_redriven(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a")).await;
    let bystander = subscribed(broker, subscription("b", "a")).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let history = vec![failed_attempt()];
    let delivery = sink.expect(1).await.remove(0);
    settle(delivery, Settlement::DeadLetter { reason: "no".to_owned(), history: history.clone() }).await;
    // Held, since a broker that redelivers would bring it again.
    let _held = bystander.expect(1).await;

    let (acme, rival) = (tenant("acme"), tenant("rival"));
    let letters = broker.dead_letters().list(&acme, None, 10);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.reason, "no");
    assert_eq!(letter.history, history);
    assert_eq!(letter.event.id.as_str(), "1");
    assert_eq!(letter.subscription.as_str(), "acme/a:a");
    assert_eq!(broker.dead_letters().get(&acme, &letter.id).as_ref(), Some(letter));
    assert!(broker.dead_letters().list(&rival, None, 10).is_empty());
    assert!(broker.dead_letters().get(&rival, &letter.id).is_none());
    assert!(broker.dead_letters().redrive(&rival, &letter.id).await.is_err());

    broker.dead_letters().redrive(&acme, &letter.id).await.expect("it is there");
    let again = sink.expect(1).await;
    assert_eq!(ids(&again), ["1"]);
    assert!(again[0].history.is_empty(), "attempts are counted anew");
    assert!(bystander.take().is_empty(), "only who gave it up gets it again");
    assert!(broker.dead_letters().redrive(&acme, &letter.id).await.is_err(), "once");
    assert!(broker.dead_letters().list(&acme, None, 10).is_empty());
}

/// Pages follow one another without gap or overlap.
pub async fn dead_letters_are_listed_newest_first_by_page(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a")).await;
    for number in 0..5 {
        broker.publish(event(&number.to_string(), "a").into()).await.expect("room");
        let delivery = sink.expect(1).await.remove(0);
        settle(delivery, Settlement::DeadLetter { reason: "no".to_owned(), history: vec![] }).await;
    }
    let acme = tenant("acme");
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = broker.dead_letters().list(&acme, before.as_ref(), 2);
        let Some(last) = page.last() else { break };
        before = Some(last.id.clone());
        seen.extend(page.iter().map(|letter| letter.event.id.to_string()));
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
}

/// Each part of a filter limits; one letter is delivered with another message, one is forgotten for good.
pub async fn dead_letters_are_filtered_edited_and_discarded(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a.>")).await;
    for (id, topic, reason) in [("1", "a.b", "No"), ("2", "a.c", "no way"), ("3", "a.c", "never")] {
        broker.publish(event(id, topic).into()).await.expect("room");
        let delivery = sink.expect(1).await.remove(0);
        settle(delivery, Settlement::DeadLetter { reason: reason.to_owned(), history: vec![] }).await;
    }
    let (acme, letters) = (tenant("acme"), broker.dead_letters());
    let found = |filter: Filter| {
        let found = letters.search(&acme, &filter, None, 10);
        found.iter().map(|letter| letter.event.id.to_string()).collect::<Vec<_>>()
    };
    let all = letters.list(&acme, None, 10);
    let died_at = all[0].died_at;
    let later = Timestamp::from_millis(died_at.as_millis() + 60_000);
    assert_eq!(found(Filter { reason: Some("NO".to_owned()), ..Filter::default() }), ["2", "1"]);
    assert_eq!(found(Filter { topic: Some(Pattern::new("*.c").expect("good")), ..Filter::default() }), ["3", "2"]);
    assert!(found(Filter { subscription: Some(subscription("b", "a").id), ..Filter::default() }).is_empty());
    assert_eq!(found(Filter { subscription: Some(subscription("a", "a.>").id), ..Filter::default() }).len(), 3);
    assert!(found(Filter { since: Some(later), ..Filter::default() }).is_empty());
    assert_eq!(found(Filter { until: Some(later), ..Filter::default() }).len(), 3);
    let older = letters.search(&acme, &Filter { until: Some(later), ..Filter::default() }, Some(&all[1].id), 10);
    assert_eq!(older.len(), 1);

    let edited = Message { body: "better".into(), ..Message::default() };
    letters.redrive_as(&acme, &all[0].id, edited.clone()).await.expect("it is there");
    let again = sink.expect(1).await.remove(0);
    assert_eq!((again.event.id.as_str(), &again.event.message), ("3", &edited));
    assert!(letters.discard(&tenant("rival"), &all[1].id).await.is_err());
    assert_eq!(letters.discard(&acme, &all[1].id).await.expect("it is there").event.id.as_str(), "2");
    assert!(letters.discard(&acme, &all[1].id).await.is_err(), "once");
    assert_eq!(found(Filter::default()), ["1"]);
}

/// A broker that delays takes a retry; one that does not says so instead of forgetting it.
pub async fn a_delay_is_kept_where_it_is_promised(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a")).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let delivery = sink.expect(1).await.remove(0);
    let retry = Settlement::Retry { after: Duration::ZERO, history: vec![failed_attempt()] };
    let settled = delivery.settle.settle(retry).await;
    if broker.guarantees().delays {
        settled.expect("a promised delay");
        assert_eq!(sink.expect(1).await[0].history, [failed_attempt()]);
    } else {
        settled.expect_err("an honest refusal");
    }
}

/// A value is found where it was written and nowhere else.
pub async fn a_value_is_kept_by_tenant_bucket_and_key(broker: &dyn Broker) {
    let store = broker.key_value();
    assert_eq!(held(broker, "k").await, None);
    store.write(vec![write("k", Some("v"), Expected::Anything)]).await.expect("room");
    assert_eq!(held(broker, "k").await.as_deref(), Some("v"));
    for (elsewhere, name) in [(bucket("acme", "c"), "k"), (bucket("rival", "b"), "k"), (bucket("acme", "b"), "K")] {
        assert_eq!(store.get(&elsewhere, &key(name)).await, Ok(None), "{elsewhere:?} {name}");
    }
    assert_eq!(store.keys(&bucket("rival", "b"), None, 9).await, Ok(vec![]));
    store.write(vec![write("k", Some(""), Expected::Anything)]).await.expect("room");
    assert_eq!(held(broker, "k").await.as_deref(), Some(""), "an empty value is a value");
    store.write(vec![write("k", None, Expected::Anything)]).await.expect("room");
    assert_eq!(held(broker, "k").await, None);
    store.write(vec![write("k", None, Expected::Anything)]).await.expect("what is not there can be deleted");
}

/// Keys come in the order of their bytes, page after page, without gap or overlap.
pub async fn keys_are_listed_in_order_by_page(broker: &dyn Broker) {
    let (store, bucket) = (broker.key_value(), bucket("acme", "b"));
    let names = ["b", "a/1", "a", "ü", "a-1", "Z", "a.1"];
    let writes = names.map(|name| write(name, Some("v"), Expected::Absent));
    store.write(writes.to_vec()).await.expect("room");
    let mut sorted = names.map(key).to_vec();
    sorted.sort();
    assert_eq!(store.keys(&bucket, None, 100).await, Ok(sorted.clone()));
    let mut paged: Vec<Key> = Vec::new();
    loop {
        let page = store.keys(&bucket, paged.last(), 2).await.expect("it can be read");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(paged, sorted);
    assert_eq!(store.keys(&bucket, Some(&key("a0")), 1).await, Ok(vec![key("b")]), "after a key that is not there");
}

/// One write that does not find what it expects keeps the others from being done.
pub async fn writes_are_all_done_or_none(broker: &dyn Broker) {
    let store = broker.key_value();
    store.write(vec![write("there", Some("1"), Expected::Absent)]).await.expect("room");
    let first = revision(broker, "there").await;
    let refused = [
        vec![write("new", Some("x"), Expected::Absent), write("there", Some("2"), Expected::Absent)],
        vec![write("there", Some("2"), Expected::Revision(first)), write("new", Some("x"), Expected::Revision(first))],
        vec![write("there", None, Expected::Revision(first)), write("other", None, Expected::Revision(first))],
    ];
    for (writes, culprit) in refused.into_iter().zip(["there", "new", "other"]) {
        assert_eq!(store.write(writes).await, Err(KeyValueError::Conflict(key(culprit))));
        assert_eq!((held(broker, "there").await.as_deref(), held(broker, "new").await), (Some("1"), None));
    }
    let taken = vec![write("there", Some("2"), Expected::Revision(first)), write("new", Some("x"), Expected::Absent)];
    store.write(taken).await.expect("everything is as expected");
    assert_eq!(held(broker, "there").await.as_deref(), Some("2"));
    assert_eq!(held(broker, "new").await.as_deref(), Some("x"));
}

/// A key that was deleted and written again is not taken for what it was.
pub async fn a_revision_is_never_used_twice(broker: &dyn Broker) {
    let store = broker.key_value();
    let mut seen = Vec::new();
    for _ in 0..3 {
        store.write(vec![write("k", Some("same"), Expected::Anything)]).await.expect("room");
        seen.push(revision(broker, "k").await);
        store.write(vec![write("k", None, Expected::Anything)]).await.expect("room");
    }
    store.write(vec![write("k", Some("same"), Expected::Absent)]).await.expect("room");
    for old in &seen {
        let stale = store.write(vec![write("k", Some("x"), Expected::Revision(*old))]).await;
        assert_eq!(stale, Err(KeyValueError::Conflict(key("k"))));
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "revisions grow");
}

fn effects(published: &[Arc<Event>], writes: Vec<Write>) -> Settlement {
    Settlement::Ack(Effects { publications: published.iter().cloned().map(Admitted::from).collect(), writes })
}

/// Where effects are atomic they appear with the ack and not before; where not, an ack that has any is refused, since
/// nobody may give one.
pub async fn effects_come_with_the_ack_where_it_is_promised(broker: &dyn Broker) {
    let sink = subscribed(broker, subscription("a", "a")).await;
    let hearer = subscribed(broker, subscription("b", "b")).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let delivery = sink.expect(1).await.remove(0);
    let ack = effects(&[event("2", "b"), event("3", "b")], vec![write("k", Some("v"), Expected::Absent)]);
    let settled = delivery.settle.settle(ack).await;
    if !broker.guarantees().atomic_effects {
        assert!(matches!(settled, Err(SettleError::Failed(_))), "{settled:?}");
        assert!(hearer.take().is_empty());
        assert_eq!(held(broker, "k").await, None);
        return;
    }
    settled.expect("nothing conflicts");
    assert_eq!(held(broker, "k").await.as_deref(), Some("v"));
    let mut heard = hearer.expect(2).await;
    heard.sort_by(|one, other| one.event.id.cmp(&other.event.id));
    assert_eq!(ids(&heard), ["2", "3"]);
    assert!(sink.take().is_empty(), "what was acknowledged does not come again");
}

/// Where another wrote a key meanwhile nothing takes effect, and the event comes again at once.
pub async fn an_ack_whose_writes_conflict_does_nothing_and_redelivers(broker: &dyn Broker) {
    if !broker.guarantees().atomic_effects {
        return;
    }
    let narrow = Subscription { window: 1, ..subscription("a", "a") };
    let sink = subscribed(broker, narrow).await;
    let hearer = subscribed(broker, subscription("b", "b")).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let delivery = sink.expect(1).await.remove(0);
    broker.key_value().write(vec![write("k", Some("other"), Expected::Absent)]).await.expect("room");
    let writes = vec![write("new", Some("x"), Expected::Absent), write("k", Some("own"), Expected::Absent)];
    let settled = delivery.settle.settle(effects(&[event("2", "b")], writes)).await;
    assert_eq!(settled, Err(SettleError::Conflict(key("k"))));
    assert_eq!(held(broker, "k").await.as_deref(), Some("other"));
    assert_eq!(held(broker, "new").await, None);
    assert!(hearer.take().is_empty());

    let again = sink.expect(1).await.remove(0);
    assert_eq!((again.event.id.as_str(), again.history.len()), ("1", 0), "a conflict is no failed attempt");
    let current = Expected::Revision(revision(broker, "k").await);
    let writes = vec![write("k", Some("own"), current)];
    again.settle.settle(effects(&[event("2", "b")], writes)).await.expect("nothing conflicts any more");
    assert_eq!(held(broker, "k").await.as_deref(), Some("own"));
    assert_eq!(ids(&hearer.expect(1).await), ["2"]);
    // Its place is free again, once.
    broker.publish(event("3", "a").into()).await.expect("room");
    assert_eq!(ids(&sink.expect(1).await), ["3"]);
}

/// Of two acks that write the same keys one is whole and the other nothing.
pub async fn effects_of_one_ack_are_seen_together(broker: &dyn Broker) {
    if !broker.guarantees().atomic_effects {
        return;
    }
    let sink = subscribed(broker, subscription("a", "a")).await;
    for id in ["1", "2"] {
        broker.publish(event(id, "a").into()).await.expect("room");
    }
    let both = |value| vec![write("x", Some(value), Expected::Absent), write("y", Some(value), Expected::Absent)];
    let mut deliveries = sink.expect(2).await;
    let (second, first) = (deliveries.remove(1), deliveries.remove(0));
    second.settle.settle(effects(&[], both("second"))).await.expect("nothing was there");
    let conflict = first.settle.settle(effects(&[], both("first"))).await.expect_err("both are there");
    assert!(matches!(conflict, SettleError::Conflict(_)), "{conflict}");
    assert_eq!(held(broker, "x").await.as_deref(), Some("second"));
    assert_eq!(held(broker, "y").await.as_deref(), Some("second"));
    assert_eq!(ids(&sink.expect(1).await), ["1"]);
}

/// What finds no room is refused when it is asked for; what was asked for in time is kept with the ack.
pub async fn room_for_effects_is_told_beforehand(broker: &dyn Broker) {
    let guarantees = broker.guarantees();
    if !guarantees.atomic_effects {
        return;
    }
    let sink = subscribed(broker, subscription("a", "a")).await;
    let narrow = subscribed(broker, Subscription { window: 1, ..subscription("b", "b") }).await;
    broker.publish(event("1", "a").into()).await.expect("room");
    let delivery = sink.expect(1).await.remove(0);
    broker.room_for(&event("2", "b").into()).expect("there is room");
    broker.publish(event("3", "b").into()).await.expect("room");
    if !guarantees.durable {
        let refusal = broker.room_for(&event("4", "b").into()).expect_err("its window is full");
        assert_eq!(refusal.to_string(), "subscription `acme/b:b` is full");
    }
    delivery.settle.settle(effects(&[event("2", "b")], vec![])).await.expect("there was room when it was asked for");
    let mut heard = Vec::new();
    for turn in 0..TURNS {
        for delivery in narrow.take() {
            heard.push(delivery.event.id.to_string());
            settle(delivery, ack()).await;
        }
        if heard.len() == 2 {
            break;
        }
        let_it_run(turn).await;
    }
    heard.sort();
    assert_eq!(heard, ["2", "3"]);
}
