//! The driver on a paused clock, with handlers that end as they are told.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;

use hostel_event::delivery::{Settle, SettleError, Settlement};
use hostel_event::id::EventId;
use hostel_event::key_value::Effects;
use hostel_event::message::{Event, Message};
use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::outcome::{Attempt, Fault, FaultKind, Log, Outcome, Report, Usage};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Call, Guarantees, Pause, PausedBy, Publication, Publish};
use hostel_event::subscription::{Audience, Order, Quarantine, RetryPolicy};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;

use crate::fake::{self, Fake, MEMORY};

use super::*;

/// Tokio's clock, which tests pause.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Moment {
        Moment::new(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// Remembers what it hears.
#[derive(Default)]
struct Witness {
    settled: Mutex<Vec<(String, Settled)>>,
    published: AtomicUsize,
    attempts: AtomicUsize,
    gates: Mutex<Vec<Option<Pause>>>,
}

impl Observe for Witness {
    fn published(&self, _: &Arc<Event>) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, _: &Tenant) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    fn settled(&self, event: &Arc<Event>, _: &SubscriptionId, settled: &Settled) {
        self.settled.lock().push((event.id.to_string(), settled.clone()));
    }

    fn paused(&self, _: &SubscriptionId, pause: &Pause) {
        self.gates.lock().push(Some(pause.clone()));
    }

    fn resumed(&self, _: &SubscriptionId) {
        self.gates.lock().push(None);
    }
}

/// A handler that ends as it is told, each attempt after one permit of its gate.
struct Scripted {
    version: Version,
    outcomes: Mutex<VecDeque<Outcome>>,
    gate: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
    early_ack: bool,
    pause_after_ack: bool,
    /// It publishes an event and writes a key, before and after its early ack.
    has_effects: bool,
    errors: Mutex<Vec<Option<String>>>,
}

impl Scripted {
    fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Arc<Self> {
        Arc::new(Self {
            version: Version::new("1").unwrap(),
            outcomes: Mutex::new(outcomes.into_iter().collect()),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            early_ack: false,
            pause_after_ack: false,
            has_effects: false,
            errors: Mutex::default(),
        })
    }

    fn gated() -> Arc<Self> {
        let mut scripted = Self::new([]);
        Arc::get_mut(&mut scripted).unwrap().gate = Semaphore::new(0);
        scripted
    }

    async fn until_running(&self, count: usize) {
        while self.running.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Invoke for Scripted {
    fn version(&self) -> &Version {
        &self.version
    }

    fn memory(&self) -> usize {
        1024
    }

    fn invoke(&self, call: Call) -> BoxFuture<'_, Report> {
        Box::pin(async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            if self.has_effects {
                do_something(&call).await;
            }
            self.errors.lock().push(call.last_error.clone());
            self.gate.acquire().await.unwrap().forget();
            if self.early_ack {
                assert_eq!(call.early_ack.ack().await, Ok(()));
                assert_eq!(call.early_ack.ack().await, Err(SettleError::AlreadySettled));
            }
            if self.has_effects && self.early_ack {
                do_something(&call).await;
            }
            if self.pause_after_ack {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            let outcome = self.outcomes.lock().pop_front().unwrap_or(Outcome::Ack);
            assert_ne!(outcome, reject("panic"), "asked to");
            Report { outcome, log: Log::default(), usage: Usage::default() }
        })
    }
}

/// Publishes an event and writes a key.
async fn do_something(call: &Call) {
    let tenant = call.event.tenant.clone();
    let (topic, message) = (Topic::new("b").unwrap(), Message::default());
    let publication = Publication { tenant, topic, id: None, audience: Audience::Everyone, message };
    call.publish.publish(publication).await.unwrap();
    call.key_value.write(vec![fake::write("k", Some("v"))]).await.unwrap();
}

/// A token whose broker finds that another wrote the key of the first ack, and then takes what comes.
struct Contested {
    told: Arc<Mutex<Vec<Settlement>>>,
    dispatcher: Dispatcher,
    subscription: SubscriptionId,
    event: Arc<Event>,
}

impl Settle for Contested {
    fn settle(self: Box<Self>, _: Settlement) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            // A broker that waits for its disk: nothing runs meanwhile.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Self { told, dispatcher, subscription, event } = *self;
            let settle = Box::new(Told(told));
            dispatcher.deliver(Delivery { subscription, event, history: Vec::new(), settle });
            Err(SettleError::Conflict(fake::key("k")))
        })
    }
}

/// A token that puts the settlement where the test looks for it.
struct Told(Arc<Mutex<Vec<Settlement>>>);

impl Settle for Told {
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), SettleError>> {
        self.0.lock().push(settlement);
        Box::pin(async { Ok(()) })
    }
}

struct Rig {
    dispatcher: Dispatcher,
    witness: Arc<Witness>,
    broker: Arc<Fake>,
    settlements: Arc<Mutex<Vec<Settlement>>>,
}

impl Rig {
    fn new(guarantees: Guarantees) -> Self {
        let witness = Arc::new(Witness::default());
        let clock: Arc<dyn Clock> = Arc::new(Paused(tokio::time::Instant::now()));
        let broker = Fake::new(guarantees);
        let observe: Arc<dyn Observe> = Arc::<Witness>::clone(&witness);
        let dispatcher = Dispatcher::new(Parts {
            clock: Arc::clone(&clock),
            observe: Arc::clone(&observe),
            admission: fake::admission(&broker, clock, observe),
            capacity: 100,
            seed: 7,
        });
        Self { dispatcher, witness, broker, settlements: Arc::default() }
    }

    fn quotas(&self) -> &Quotas {
        self.dispatcher.shared.quotas()
    }

    fn attach(&self, subscription: &Subscription, handler: &Arc<Scripted>) {
        self.dispatcher.attach(vec![(Arc::new(subscription.clone()), Arc::<Scripted>::clone(handler))]);
    }

    fn deliver(&self, subscription: &Subscription, id: &str) {
        self.deliver_with(subscription, id, Box::new(Told(Arc::clone(&self.settlements))));
    }

    fn deliver_with(&self, subscription: &Subscription, id: &str, settle: Box<dyn Settle>) {
        let (subscription, event, history) = (subscription.id.clone(), event(subscription, id), Vec::new());
        self.dispatcher.deliver(Delivery { subscription, event, history, settle });
    }

    /// Lets everything end, however long that takes on the paused clock.
    async fn drain(&self) -> usize {
        self.dispatcher.drain(Duration::from_secs(3600), std::future::pending()).await
    }
}

fn subscription() -> Subscription {
    let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new("h").unwrap());
    let retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    Subscription { concurrency: 2, retry, ..Subscription::new(&tenant, &handler, Pattern::new("a").unwrap()) }
}

fn event(subscription: &Subscription, id: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(id).unwrap(),
        tenant: subscription.tenant.clone(),
        topic: Topic::new("a").unwrap(),
        published_at: Timestamp::default(),
        expires_at: None,
        message: Message::default(),
    })
}

fn retry(reason: &str) -> Outcome {
    Outcome::Retry { reason: reason.to_owned(), after: None }
}

fn reject(reason: &str) -> Outcome {
    Outcome::Reject { reason: reason.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_handled_event_is_acknowledged() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(*rig.settlements.lock(), [Settlement::Ack(Effects::default())]);
    assert_eq!(*rig.witness.settled.lock(), [("1".to_owned(), Settled::Ack)]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_tried_again_and_then_dead_lettered_with_its_history() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new(["one", "two", "three"].map(retry)));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    let settlements = rig.settlements.lock();
    let [Settlement::DeadLetter { reason, history }] = &settlements[..] else { panic!("{settlements:?}") };
    assert_eq!(reason, "gave up after 3 attempts: three");
    assert_eq!(history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(history.windows(2).all(|pair| pair[0].began <= pair[1].began));
    assert_eq!(*handler.errors.lock(), [None, Some("one".to_owned()), Some("two".to_owned())]);
    let counts = rig.dispatcher.states()[0].counts;
    assert_eq!(counts, Counts { started: 3, retried: 2, dead_lettered: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_is_dead_lettered_at_once() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([reject("bad")]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    rig.drain().await;
    assert_eq!(*rig.witness.settled.lock(), [("1".to_owned(), Settled::DeadLetter { reason: "bad".to_owned() })]);
}

#[tokio::test(start_paused = true)]
async fn no_more_run_than_the_subscription_allows() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    rig.attach(&subscription(), &handler);
    (0..20).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    handler.until_running(2).await;
    handler.gate.add_permits(20);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(handler.most.load(Ordering::SeqCst), 2);
    assert_eq!(rig.settlements.lock().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_delays_gets_its_retries_with_their_history() {
    let (rig, handler) = (Rig::new(Guarantees { delays: true, ..MEMORY }), Scripted::new([retry("one")]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    rig.drain().await;
    let settlements = rig.settlements.lock();
    let [Settlement::Retry { history, .. }] = &settlements[..] else { panic!("{settlements:?}") };
    assert_eq!(history.len(), 1);
    assert!(rig.witness.settled.lock().is_empty(), "the event is not settled for good");
}

#[tokio::test(start_paused = true)]
async fn an_early_ack_stands_whatever_follows() {
    let (rig, mut handler) = (Rig::new(MEMORY), Scripted::new([retry("late")]));
    Arc::get_mut(&mut handler).unwrap().early_ack = true;
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(*rig.settlements.lock(), [Settlement::Ack(Effects::default())]);
    assert_eq!(rig.witness.attempts.load(Ordering::Relaxed), 1);
    assert_eq!(rig.dispatcher.shared.board.lock().unsettled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_a_handler_finish_that_acknowledged_early() {
    let (rig, mut handler) = (Rig::new(MEMORY), Scripted::gated());
    let scripted = Arc::get_mut(&mut handler).unwrap();
    scripted.early_ack = true;
    scripted.pause_after_ack = true;
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    handler.gate.add_permits(1);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.witness.attempts.load(Ordering::Relaxed), 1, "it ran to its end");
}

#[tokio::test(start_paused = true)]
async fn a_switched_handler_gets_what_waits_and_the_old_one_finishes_what_runs() {
    let rig = Rig::new(MEMORY);
    let (old, new) = (Scripted::gated(), Scripted::new([]));
    rig.attach(&subscription(), &old);
    (0..5).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    old.until_running(2).await;
    rig.attach(&subscription(), &new);
    old.gate.add_permits(5);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(old.errors.lock().len(), 2);
    assert_eq!(new.errors.lock().len(), 3);
    assert_eq!(rig.dispatcher.states()[0].counts.acked, 5, "one subscription, one count");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_subscription_discards_what_waits() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    rig.attach(&subscription(), &handler);
    (0..5).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    assert_eq!(rig.dispatcher.forget(&subscription().id), 3);
    rig.deliver(&subscription(), "late");
    handler.gate.add_permits(5);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.settlements.lock().len(), 2);
    let discarded = rig.witness.settled.lock().iter().filter(|(_, settled)| *settled == Settled::Discarded).count();
    assert_eq!(discarded, 4);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_host_costs_an_attempt_and_nothing_else() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([reject("panic")]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(*rig.settlements.lock(), [Settlement::Ack(Effects::default())], "the second attempt went well");
    assert_eq!(*handler.errors.lock(), [None, Some("the host panicked while it ran the handler".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_will_not_end_and_counts_it() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    rig.attach(&subscription(), &handler);
    (0..5).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    let left = rig.dispatcher.drain(Duration::from_secs(1), std::future::pending()).await;
    assert_eq!(left, 5);
    assert!(rig.settlements.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hurried_drain_does_not_wait() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    let began = tokio::time::Instant::now();
    assert_eq!(rig.dispatcher.drain(Duration::from_secs(60), async {}).await, 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_durable_broker_keeps_what_waits_so_a_drain_does_not() {
    let (rig, handler) = (Rig::new(Guarantees { durable: true, ..MEMORY }), Scripted::gated());
    rig.attach(&subscription(), &handler);
    (0..5).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    // One for each, so that all that starts ends; two start before.
    handler.gate.add_permits(5);
    let began = tokio::time::Instant::now();
    assert_eq!(rig.drain().await, 3);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

fn expiring(subscription: &Subscription, id: &str, millis: u64) -> Arc<Event> {
    let expires_at = Some(Timestamp::from_millis(millis));
    Arc::new(Event { expires_at, ..Event::clone(&event(subscription, id)) })
}

#[tokio::test(start_paused = true)]
async fn an_event_that_expired_while_it_waited_is_settled_without_a_call() {
    let (rig, handler) = (Rig::new(ATOMIC), Scripted::gated());
    let one = Subscription { concurrency: 1, ..subscription() };
    rig.attach(&one, &handler);
    for (id, expires) in [("1", 60_000), ("2", 1_000), ("3", 60_000)] {
        let (event, settle) = (expiring(&one, id, expires), Box::new(Told(Arc::clone(&rig.settlements))));
        rig.dispatcher.deliver(Delivery { subscription: one.id.clone(), event, history: Vec::new(), settle });
    }
    handler.until_running(1).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    handler.gate.add_permits(3);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(handler.errors.lock().len(), 2);
    assert_eq!(*rig.settlements.lock(), vec![Settlement::Ack(Effects::default()); 3]);
    let expired = ("2".to_owned(), Settled::Expired);
    assert!(rig.witness.settled.lock().contains(&expired), "{:?}", rig.witness.settled.lock());
    let counts = rig.dispatcher.states()[0].counts;
    assert_eq!(counts, Counts { started: 2, acked: 2, expired: 1, ..Counts::default() });
}

fn ordered() -> Subscription {
    Subscription { concurrency: 10, order: Order::Header("Customer".into()), ..subscription() }
}

fn of_customer(customer: Option<&str>, id: &str) -> Arc<Event> {
    let mut whole = Event::clone(&event(&ordered(), id));
    if let Some(customer) = customer {
        whole.message.headers.append("customer", customer).unwrap();
    }
    Arc::new(whole)
}

#[tokio::test(start_paused = true)]
async fn events_of_one_header_value_go_one_after_another_and_others_beside_them() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    rig.attach(&ordered(), &handler);
    let customers = [Some("a"), Some("a"), Some("b"), None, None, Some("a"), Some("b")];
    for (number, customer) in customers.into_iter().enumerate() {
        let (event, settle) =
            (of_customer(customer, &number.to_string()), Box::new(Told(Arc::clone(&rig.settlements))));
        rig.dispatcher.deliver(Delivery { subscription: ordered().id, event, history: Vec::new(), settle });
    }
    handler.until_running(3).await;
    assert_eq!(rig.dispatcher.states()[0].load, Load { waiting: 4, running: 3, sleeping: 0 });
    handler.gate.add_permits(customers.len());
    assert_eq!(rig.drain().await, 0);
    assert_eq!(handler.most.load(Ordering::SeqCst), 3, "a, b and those without the header");
    let settled = rig.witness.settled.lock();
    let of = |ids: &[&str]| -> Vec<String> {
        settled.iter().map(|(id, _)| id.clone()).filter(|id| ids.contains(&id.as_str())).collect()
    };
    assert_eq!(of(&["0", "1", "5"]), ["0", "1", "5"]);
    assert_eq!(of(&["2", "6"]), ["2", "6"]);
    assert_eq!(of(&["3", "4"]), ["3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn what_conflicts_in_an_ordered_subscription_keeps_its_place() {
    let (rig, handler) = (Rig::new(ATOMIC), with_effects([]));
    rig.attach(&ordered(), &handler);
    let contested = Contested {
        told: Arc::clone(&rig.settlements),
        dispatcher: rig.dispatcher.clone(),
        subscription: ordered().id,
        event: event(&ordered(), "1"),
    };
    rig.deliver_with(&ordered(), "1", Box::new(contested));
    rig.deliver(&ordered(), "2");
    assert_eq!(rig.drain().await, 0);
    let acked = |id: &str| (id.to_owned(), Settled::Ack);
    assert_eq!(*rig.witness.settled.lock(), [acked("1"), acked("2")]);
    assert!(rig.dispatcher.shared.board.lock().is_at_rest());
}

fn trap() -> Outcome {
    let message = "unreachable\nexecuted".to_owned();
    Outcome::Fault(Fault { kind: FaultKind::Trap, message, stack: None })
}

fn guarded() -> Subscription {
    let quarantine = Quarantine { faults: 2, window: Duration::from_secs(60) };
    let retry = RetryPolicy { attempts: 9, ..RetryPolicy::default() };
    Subscription { quarantine, retry, ..subscription() }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_keeps_trapping_is_quarantined_until_another_version_comes() {
    let rig = Rig::new(MEMORY);
    let (bad, good) = (Scripted::new([trap(), trap(), trap()]), Scripted::new([]));
    rig.attach(&guarded(), &bad);
    rig.deliver(&guarded(), "1");
    while rig.witness.gates.lock().is_empty() {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    rig.deliver(&guarded(), "2");
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::task::yield_now().await;
    let state = rig.dispatcher.states().remove(0);
    assert_eq!(state.load, Load { waiting: 2, running: 0, sleeping: 0 });
    let pause = state.pause.unwrap();
    assert_eq!(pause.by, PausedBy::Quarantine);
    assert_eq!(pause.reason, "2 faults within 1m and no ack between them, the last a trap: unreachable");
    assert_eq!(*rig.witness.gates.lock(), [Some(pause)]);

    rig.attach(&guarded(), &good);
    assert_eq!(rig.witness.gates.lock().last(), Some(&None));
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.settlements.lock().len(), 2);
    assert_eq!((bad.errors.lock().len(), good.errors.lock().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_was_paused_before_a_restart_is_paused_until_it_is_resumed_or_for_a_quarantine_deployed_anew() {
    for by in [PausedBy::Operator, PausedBy::Quarantine] {
        let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
        let pause = Pause { by, since: Timestamp::from_millis(7), reason: "before".to_owned() };
        rig.broker.pauses.lock().insert(subscription().id, Some(pause.clone()));
        rig.attach(&subscription(), &handler);
        rig.deliver(&subscription(), "1");
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::task::yield_now().await;
        assert_eq!(rig.dispatcher.states().remove(0).pause, Some(pause.clone()));
        assert_eq!(*rig.witness.gates.lock(), [Some(pause.clone())]);
        rig.attach(&subscription(), &handler);
        let stays = (by == PausedBy::Operator).then_some(pause);
        assert_eq!(rig.dispatcher.states().remove(0).pause, stays);
        if stays.is_some() {
            assert!(rig.dispatcher.resume(&subscription().id));
        }
        assert_eq!(rig.drain().await, 0);
        assert_eq!(rig.settlements.lock().len(), 1);
        assert_eq!(rig.broker.pauses.lock().get(&subscription().id), Some(&None), "the broker was told");
    }
}

#[tokio::test(start_paused = true)]
async fn what_expired_at_the_broker_is_told_and_counted() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    rig.attach(&subscription(), &handler);
    rig.dispatcher.expired(&subscription().id, &event(&subscription(), "1"));
    assert_eq!(rig.dispatcher.states().remove(0).counts, Counts { expired: 1, ..Counts::default() });
    assert_eq!(*rig.witness.settled.lock(), [("1".to_owned(), Settled::Expired)]);
    assert_eq!(rig.drain().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_pauses_and_resumes_a_subscription() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    rig.attach(&subscription(), &handler);
    assert!(rig.dispatcher.pause(&subscription().id, "a repair".to_owned()));
    rig.deliver(&subscription(), "1");
    rig.attach(&subscription(), &handler);
    let pause = rig.dispatcher.states().remove(0).pause.unwrap();
    assert_eq!((pause.by, pause.reason.as_str()), (PausedBy::Operator, "a repair"));
    assert!(rig.dispatcher.resume(&subscription().id));
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.settlements.lock().len(), 1);
    let unknown =
        Subscription::new(&subscription().tenant, &HandlerName::new("x").unwrap(), Pattern::new("a").unwrap());
    assert!(!rig.dispatcher.pause(&unknown.id, String::new()) && !rig.dispatcher.resume(&unknown.id));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_what_is_paused() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    rig.attach(&subscription(), &handler);
    assert!(rig.dispatcher.pause(&subscription().id, String::new()));
    rig.deliver(&subscription(), "1");
    let began = tokio::time::Instant::now();
    assert_eq!(rig.drain().await, 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

const ATOMIC: Guarantees = Guarantees { atomic_effects: true, ..MEMORY };

fn with_effects(outcomes: impl IntoIterator<Item = Outcome>) -> Arc<Scripted> {
    let mut handler = Scripted::new(outcomes);
    Arc::get_mut(&mut handler).unwrap().has_effects = true;
    handler
}

/// How many events and writes each ack carried.
fn carried(settlements: &[Settlement]) -> Vec<(usize, usize)> {
    let sizes = |settlement: &Settlement| match settlement {
        Settlement::Ack(effects) => (effects.publications.len(), effects.writes.len()),
        other => panic!("{other:?}"),
    };
    settlements.iter().map(sizes).collect()
}

#[tokio::test(start_paused = true)]
async fn effects_come_with_the_ack_and_those_of_a_failed_attempt_never() {
    let (rig, handler) = (Rig::new(ATOMIC), with_effects([retry("one"), retry("two")]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(carried(&rig.settlements.lock()), [(1, 1)], "those of the third attempt");
    assert_eq!(rig.witness.published.load(Ordering::Relaxed), 1);
    assert!(rig.broker.published.lock().is_empty(), "the token's broker does it");
    assert!(rig.broker.held("k").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_atomic_effects_a_failed_attempt_keeps_its_own() {
    let (rig, handler) = (Rig::new(MEMORY), with_effects([retry("one"), retry("two")]));
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(carried(&rig.settlements.lock()), [(0, 0)]);
    assert_eq!(rig.broker.published.lock().len(), 3);
    assert!(rig.broker.held("k").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_early_ack_carries_what_was_done_so_far_and_the_rest_is_done_at_once() {
    let (rig, mut handler) = (Rig::new(ATOMIC), with_effects([retry("late")]));
    Arc::get_mut(&mut handler).unwrap().early_ack = true;
    rig.attach(&subscription(), &handler);
    rig.deliver(&subscription(), "1");
    assert_eq!(rig.drain().await, 0);
    assert_eq!(carried(&rig.settlements.lock()), [(1, 1)]);
    assert_eq!(rig.broker.published.lock().len(), 1);
    assert_eq!(rig.witness.published.load(Ordering::Relaxed), 2);
    assert!(rig.broker.held("k").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_counted_and_no_failed_attempt_and_a_drain_waits_for_what_it_brings() {
    let (rig, handler) = (Rig::new(ATOMIC), with_effects([]));
    rig.attach(&subscription(), &handler);
    let contested = Contested {
        told: Arc::clone(&rig.settlements),
        dispatcher: rig.dispatcher.clone(),
        subscription: subscription().id,
        event: event(&subscription(), "1"),
    };
    rig.deliver_with(&subscription(), "1", Box::new(contested));
    assert_eq!(rig.drain().await, 0);
    assert_eq!(carried(&rig.settlements.lock()), [(1, 1)]);
    assert_eq!(*rig.witness.settled.lock(), [("1".to_owned(), Settled::Ack)]);
    assert_eq!(rig.witness.published.load(Ordering::Relaxed), 1, "what conflicted was not published");
    assert_eq!(*handler.errors.lock(), [None, None]);
    let counts = rig.dispatcher.states()[0].counts;
    assert_eq!(counts, Counts { started: 2, acked: 1, conflicts: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn an_early_ack_that_was_cancelled_does_not_hold_up_a_drain() {
    struct Never;
    impl Settle for Never {
        fn settle(self: Box<Self>, _: Settlement) -> BoxFuture<'static, Result<(), SettleError>> {
            Box::pin(std::future::pending())
        }
    }
    /// Gives up waiting for its early ack, as the runtime does at the deadline.
    struct Impatient(Version);
    impl Invoke for Impatient {
        fn version(&self) -> &Version {
            &self.0
        }

        fn memory(&self) -> usize {
            0
        }

        fn invoke(&self, call: Call) -> BoxFuture<'_, Report> {
            Box::pin(async move {
                let waited = tokio::time::timeout(Duration::from_secs(1), call.early_ack.ack()).await;
                assert!(waited.is_err());
                Report { outcome: retry("late"), log: Log::default(), usage: Usage::default() }
            })
        }
    }
    let rig = Rig::new(ATOMIC);
    let handler: Arc<dyn Invoke> = Arc::new(Impatient(Version::new("1").unwrap()));
    rig.dispatcher.attach(vec![(Arc::new(subscription()), handler)]);
    rig.deliver_with(&subscription(), "1", Box::new(Never));
    let began = tokio::time::Instant::now();
    assert_eq!(rig.drain().await, 0);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_quota_holds_as_soon_as_it_is_set_and_deliveries_wait_for_it() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    let tenant = subscription().tenant;
    rig.attach(&subscription(), &handler);
    let quota = Quota { deliveries: NonZeroU32::new(2), ..Quota::UNLIMITED };
    rig.quotas().set(&tenant, quota);
    // Lets the task that watches take notice.
    tokio::task::yield_now().await;
    (0..5).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    tokio::time::sleep(Duration::from_millis(1600)).await;
    let expected = TenantState { quota, waiting: 0, running: 0, throttled_since: None, ..TenantState::new(&tenant) };
    assert_eq!(handler.errors.lock().len(), 5);
    assert_eq!(rig.dispatcher.tenants(), [expected]);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.settlements.lock().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_operator_sees_what_each_tenant_holds_and_what_its_quota_holds_back() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::gated());
    let (acme, rival) = (subscription().tenant, Tenant::new("rival").unwrap());
    // Before the tenant has anything here, and for one that never has.
    let quota = Quota { invocations: NonZeroUsize::new(1), ..Quota::UNLIMITED };
    rig.quotas().set(&acme, quota);
    rig.quotas().set(&rival, Quota { events: NonZeroU32::new(1), ..Quota::UNLIMITED });
    rig.attach(&subscription(), &handler);
    tokio::time::advance(Duration::from_secs(7)).await;
    (0..3).for_each(|number| rig.deliver(&subscription(), &number.to_string()));
    handler.until_running(1).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let publish = || Publication {
        tenant: rival.clone(),
        topic: Topic::new("b").unwrap(),
        id: None,
        audience: Audience::Everyone,
        message: Message::default(),
    };
    let admission = &rig.dispatcher.shared.parts.admission;
    assert!(admission.publish(publish()).await.is_ok());
    assert!(admission.publish(publish()).await.is_err());
    let [one, other] = &rig.dispatcher.tenants()[..] else { panic!("two") };
    let since = Some(Timestamp::from_millis(7000));
    let state =
        TenantState { quota, running: 1, waiting: 2, memory: 1024, throttled_since: since, ..TenantState::new(&acme) };
    assert_eq!(*one, state);
    assert_eq!((&other.tenant, other.refused, other.quota.events.is_some()), (&rival, 1, true));
    handler.gate.add_permits(3);
    assert_eq!(rig.drain().await, 0);
    assert_eq!(rig.dispatcher.tenants()[0], TenantState { quota, ..TenantState::new(&acme) });
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_gone_is_forgotten() {
    let (rig, handler) = (Rig::new(MEMORY), Scripted::new([]));
    rig.attach(&subscription(), &handler);
    assert_eq!(rig.dispatcher.tenants().len(), 1);
    rig.dispatcher.forget(&subscription().id);
    rig.dispatcher.attach(Vec::new());
    assert_eq!(rig.dispatcher.tenants(), []);
    assert_eq!(rig.drain().await, 0);
}
