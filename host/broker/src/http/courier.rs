//! What carries the events of one remote subscription to its nodes, and settles them by what the nodes answer.
//!
//! The board decides under the courier's one lock; it is never held across an await. Workers, tasks that exist only
//! while something waits, do what it says: one for a broadcast node, so that order is kept, and as many as there are
//! nodes for a queue group. The broker's window bounds what waits.
//!
//! A node that cannot be reached is not the event's fault: the event waits for the node or goes to another. One that was
//! reached and gave no answer may have died of the event, so that is tried only so often. One that answers with a
//! failure gets the event again as the retry policy says.

mod attempt;
mod backlog;
mod board;
mod route;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use hostel_event::delivery::{Delivery, Settlement};
use hostel_event::key_value::Effects;
use hostel_event::message::Event;
use hostel_event::port::{Clock, Observe, Settled, Sink};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::time::Moment;

use super::circuit;
use super::client::{Address, Client, Endpoint, PostError};
use super::peers::{News, telemetry};
use super::wire::{Generation, encode};

use attempt::{attempt, post};
use backlog::{Order, Parcel};
use board::{Board, Fate, Job, Kick, Step};

pub use settings::Settings;

/// A node to which events are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id in the registry.
    pub id: Arc<str>,
    /// What it speaks.
    pub generation: Generation,
    /// Whether it takes TLS only.
    pub secure: bool,
    /// Where it listens; the first is tried first.
    pub addresses: Vec<Address>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that were given up.
    pub dead_lettered: u64,
}

/// How a courier stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) waiting: usize,
    pub(crate) in_flight: usize,
    pub(crate) counts: Counts,
    pub(crate) ended: bool,
}

/// How a node stands.
#[derive(Debug, Clone)]
pub(crate) struct PeerState {
    pub(crate) target: Arc<Target>,
    pub(crate) circuit: circuit::State,
    pub(crate) reachable: bool,
    pub(crate) counts: Counts,
    pub(crate) last_error: Option<String>,
}

/// What all couriers share.
pub(crate) struct Depot {
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observe: Arc<dyn Observe>,
    pub(crate) settings: Settings,
    /// What this host adds to an event's route.
    pub(crate) host: String,
    /// Bytes of all that waits.
    pub(crate) scale: Arc<AtomicUsize>,
    /// Where nodes are reported that are not reached, or are again.
    pub(crate) news: News,
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
    pub(crate) cancel: CancellationToken,
    /// Something left.
    pub(crate) left: Notify,
}

impl Depot {
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(future, &self.runtime);
    }
}

/// The sink of one remote subscription.
pub(crate) struct Courier {
    depot: Arc<Depot>,
    subscription: RwLock<Arc<Subscription>>,
    board: Mutex<Board>,
    wake: Notify,
    /// A task finds out whether nodes are back.
    probing: AtomicBool,
    /// Nobody will use it any more.
    retired: AtomicBool,
}

impl Courier {
    /// A courier of a subscription to these nodes. In a queue group they share the events; otherwise there is one.
    pub(crate) fn new(
        depot: &Arc<Depot>,
        subscription: Arc<Subscription>,
        targets: Vec<Target>,
        seed: u64,
    ) -> Arc<Self> {
        let order = if subscription.queue.is_some() { Order::Free } else { Order::Kept };
        let board = Mutex::new(Board::new(order, targets, &depot.settings, (seed, depot.clock.now())));
        let subscription = RwLock::new(subscription);
        Arc::new(Self {
            depot: Arc::clone(depot),
            subscription,
            board,
            wake: Notify::new(),
            probing: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        })
    }

    pub(crate) fn subscription(&self) -> Arc<Subscription> {
        Arc::clone(&self.subscription.read())
    }

    /// Goes on with these nodes and rules.
    pub(crate) fn change(self: &Arc<Self>, subscription: Arc<Subscription>, targets: Vec<Target>) {
        *self.subscription.write() = subscription;
        {
            let mut board = self.board.lock();
            board.set_targets(targets, &self.depot.settings, self.depot.clock.now());
            board.backlog.release();
        }
        self.kick();
    }

    /// Takes deliveries again after it was forgotten.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.board.lock().begin();
        self.kick();
    }

    /// A node was heard of.
    pub(crate) fn hasten(self: &Arc<Self>, id: &str) {
        self.board.lock().hasten(id, self.now());
        self.kick();
    }

    pub(crate) fn is_away(&self) -> bool {
        self.board.lock().is_away()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.board.lock().is_broken()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.board.lock().is_idle()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.board.lock().tally()
    }

    pub(crate) fn peers(&self) -> Vec<PeerState> {
        self.board.lock().peers().collect()
    }

    /// Lets go of everything that waits without settling it, as at the end of the host. Says how much that was.
    pub(crate) fn let_go(&self) -> usize {
        let (count, waiting) = {
            let mut board = self.board.lock();
            (board.unsettled(), board.end())
        };
        drop(waiting);
        count
    }

    /// Gives up everything that waits, as dead letters.
    pub(crate) async fn bury_all(&self, reason: &str) -> usize {
        let waiting = self.board.lock().backlog.drain();
        let count = waiting.len();
        for parcel in waiting {
            self.bury(parcel, reason.to_owned()).await;
        }
        count
    }

    /// Has a task find out when nodes that did not answer are there again, and report it. It ends when one is, when the
    /// subscription has begun again, and when everything ends; it carries nothing.
    pub(crate) fn probe(self: &Arc<Self>) {
        if !self.probing.swap(true, Ordering::AcqRel) {
            let courier = Arc::clone(self);
            self.depot.spawn(async move {
                let back = courier.depot.cancel.run_until_cancelled(courier.until_back()).await;
                courier.probing.store(false, Ordering::Release);
                if back == Some(true) {
                    courier.depot.news.tell(courier.subscription().id.clone(), true);
                }
            });
        }
    }

    /// Nobody will use it any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    async fn until_back(&self) -> bool {
        loop {
            {
                let board = self.board.lock();
                if self.retired.load(Ordering::Acquire) || !board.is_ended() {
                    return false;
                }
                if !board.is_broken() {
                    return true;
                }
            }
            let mut back = false;
            let due = self.board.lock().probes(self.now());
            for target in due {
                // One that is back is enough; the others are not asked.
                let result = if back { Ok(()) } else { self.reach(&target).await };
                back |= result.is_ok();
                self.board.lock().probed(self.now(), &target.id, &result);
            }
            if back {
                return true;
            }
            let next = self.board.lock().next_probe(self.now());
            let next = next.map_or(self.depot.settings.circuit.pause, |next| next.since(self.now()));
            // Over early when something changes; in vain otherwise, which is when to look again.
            let _ = tokio::time::timeout(next, self.wake.notified()).await;
        }
    }

    async fn reach(&self, target: &Target) -> Result<(), PostError> {
        let mut last = PostError::Unreachable("it has no address".to_owned());
        for address in &target.addresses {
            let endpoint = Endpoint { address: address.clone(), secure: target.secure };
            match self.depot.client.reach(&endpoint).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn now(&self) -> Moment {
        self.depot.clock.now()
    }

    fn kick(self: &Arc<Self>) {
        let kick = self.board.lock().kick(self.now(), &self.depot.settings);
        match kick {
            Kick::Nothing => {}
            Kick::Wake => self.wake.notify_one(),
            Kick::Spawn => self.depot.spawn(Arc::clone(self).work()),
        }
    }

    /// Carries what waits until nothing does.
    async fn work(self: Arc<Self>) {
        loop {
            let step = self.board.lock().next(self.now(), &self.depot.settings);
            match step {
                Step::Go(job) => {
                    self.kick();
                    self.carry(*job).await;
                }
                Step::Bury(parcel, reason) => self.bury(*parcel, reason).await,
                Step::Wait(until) => {
                    let slept = async {
                        match until {
                            Some(until) => tokio::time::sleep(until.since(self.now())).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.depot.cancel.cancelled() => return,
                        () = self.wake.notified() => {}
                        () = slept => {}
                    }
                }
                Step::Done => break,
            }
            if self.depot.cancel.is_cancelled() {
                return;
            }
        }
        self.depot.left.notify_waiters();
    }

    /// Carries one parcel to one node and does what follows.
    async fn carry(self: &Arc<Self>, mut job: Job) {
        let expires = job.parcel.delivery.event.expires_at;
        if expires.is_some_and(|expires| expires <= self.depot.clock.wall()) {
            self.board.lock().abandoned(self.now(), &job.target.id);
            return self.bury(job.parcel, "it expired before a node took it".to_owned()).await;
        }
        let event = match route::leave(&job.parcel.delivery.event, &self.depot.host, self.depot.settings.hops) {
            Ok(event) => event,
            Err(error) => {
                self.board.lock().abandoned(self.now(), &job.target.id);
                return self.bury(job.parcel, error.to_string()).await;
            }
        };
        let (began, start) = (self.depot.clock.wall(), self.now());
        let path = encode::target(job.target.generation, &job.target.id);
        let body = encode::body(&event, job.target.generation);
        drop(event);
        let result = tokio::select! {
            // Dropped unsettled: whoever closes counts it.
            () = self.depot.cancel.cancelled() => return,
            result = post(&self.depot.client, &job.target, &path, body) => result,
        };
        if !matches!(result, Err(PostError::Unreachable(_))) {
            let attempt = attempt(&job, began, self.now().since(start), &result);
            let delivery = &mut job.parcel.delivery;
            telemetry::attempted(&delivery.event.id, &delivery.subscription, &job.target.id, &attempt);
            self.depot.observe.attempted(&delivery.event, &delivery.subscription, &attempt);
            delivery.history.push(attempt);
        }
        let target = Arc::clone(&job.target);
        let (fate, surplus, changed) = {
            let mut board = self.board.lock();
            let before = board.signs(&target.id);
            let fate = board.finished(self.now(), &self.depot.settings, job, &result);
            let changed = before != board.signs(&target.id);
            (fate, board.overflow(self.subscription().window, self.excess()), changed)
        };
        if let Err(error) = &result {
            telemetry::node_failed(&self.subscription().id, &target.id, error);
        }
        if changed {
            self.depot.news.tell(self.subscription().id.clone(), result.is_ok());
        }
        match fate {
            Fate::Ack(parcel) => self.settle(*parcel, Settlement::Ack(Effects::default()), Settled::Ack).await,
            Fate::Bury(parcel, reason) => self.bury(*parcel, reason).await,
            Fate::Again => {}
            Fate::Dropped(parcel) => self.discard(*parcel),
        }
        self.bury_surplus(surplus).await;
        self.depot.left.notify_waiters();
    }

    async fn bury_surplus(&self, surplus: Vec<Parcel>) {
        for parcel in surplus {
            let reason = "its node is away, and newer events needed the room in which it waited";
            self.bury(parcel, reason.to_owned()).await;
        }
    }

    async fn bury(&self, mut parcel: Parcel, reason: String) {
        self.board.lock().dead_lettered();
        let history = std::mem::take(&mut parcel.delivery.history);
        let settlement = Settlement::DeadLetter { reason: reason.clone(), history };
        self.settle(parcel, settlement, Settled::DeadLetter { reason }).await;
    }

    async fn settle(&self, parcel: Parcel, settlement: Settlement, settled: Settled) {
        let Delivery { subscription, event, settle, .. } = parcel.delivery;
        match settle.settle(settlement).await {
            Ok(()) => {
                telemetry::settled(&event.id, &subscription, &settled);
                self.depot.observe.settled(&event, &subscription, &settled);
            }
            Err(error) => telemetry::settle_failed(&event.id, &subscription, &error),
        }
    }

    /// Drops the token of a subscription that has ended: another member of its queue group gets the event, and of a
    /// broadcast node it is lost.
    fn discard(&self, parcel: Parcel) {
        let Delivery { subscription, event, settle, .. } = parcel.delivery;
        drop(settle);
        if self.subscription().queue.is_none() {
            self.depot.observe.settled(&event, &subscription, &Settled::Discarded);
        }
    }

    /// How many bytes more than they may wait for all remote subscriptions.
    fn excess(&self) -> usize {
        self.depot.scale.load(Ordering::Acquire).saturating_sub(self.depot.settings.backlog_bytes)
    }
}

/// Called with the broker's locks held: nothing is settled or dropped here.
impl Sink for Shared {
    fn deliver(&self, delivery: Delivery) {
        let courier = &self.0;
        let parcel = Parcel::new(delivery, courier.now(), &courier.depot.scale);
        let surplus = {
            let mut board = courier.board.lock();
            board.backlog.push(parcel);
            board.overflow(courier.subscription().window, courier.excess())
        };
        if !surplus.is_empty() {
            let courier = Arc::clone(courier);
            self.0.depot.spawn(async move { courier.bury_surplus(surplus).await });
        }
        courier.kick();
    }

    fn forget(&self, _: &SubscriptionId) -> usize {
        let courier = &self.0;
        let waiting = courier.board.lock().end();
        courier.wake.notify_one();
        let count = waiting.len();
        waiting.into_iter().for_each(|parcel| courier.discard(parcel));
        courier.depot.left.notify_waiters();
        count
    }

    fn expired(&self, subscription: &SubscriptionId, event: &Arc<Event>) {
        self.0.depot.observe.settled(event, subscription, &Settled::Expired);
    }
}

/// A courier as the broker holds it.
pub(crate) struct Shared(pub(crate) Arc<Courier>);
