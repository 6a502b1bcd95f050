//! The driver: the tokio side of the plan. It runs what the plan starts, settles what the plan settles, and wakes it
//! when it wants to be woken. It decides nothing.
//!
//! The [`board`] is everything under the one lock; it is held for bookkeeping and never across an await. Each running
//! delivery is a task of its own ([`run`]), all of them owned by the dispatcher's tracker and joined by
//! [`Dispatcher::drain`].

mod board;
mod run;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use hostel_event::delivery::Delivery;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::port::{Clock, Invoke, Observe, Pause, Settled, Sink};
use hostel_event::quota::Quota;
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::time::Timestamp;

use crate::admit::Admission;
use crate::plan::{Input, Load, Settings};
use crate::quota::Quotas;
use crate::telemetry;

use board::{Board, Time, Todo};

/// What the dispatcher needs.
#[derive(Clone)]
pub struct Parts {
    /// Tells the time. Must agree with tokio's about how long a second is.
    pub clock: Arc<dyn Clock>,
    /// Hears how attempts and deliveries end.
    pub observe: Arc<dyn Observe>,
    /// How handlers publish. What its broker promises decides who keeps delays, what a drain waits for, and when effects
    /// are done. Its quotas are those of deliveries too.
    pub admission: Arc<Admission>,
    /// How many deliveries run at the same time.
    pub capacity: usize,
    /// Where the random numbers of the backoff begin.
    pub seed: u64,
}

/// Runs handlers for the deliveries that a broker hands it. Cheap to clone; all clones are the same dispatcher.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    board: Mutex<Board>,
    tasks: TaskTracker,
    /// The plan wants to be woken earlier than before.
    sooner: Notify,
    /// An attempt ended or a delivery was settled, and somebody wants to know.
    left: Notify,
    /// Somebody wants to know. Until then nothing is told, which would take a lock that all cores share.
    is_draining: AtomicBool,
    /// Everything ends now.
    cancel: CancellationToken,
    /// The same, for who only looks: to ask the token takes a lock that all cores share.
    is_over: AtomicBool,
    /// Held while the broker is told of a pause, so that what it is told last is what is true.
    keeping: tokio::sync::Mutex<()>,
}

/// How many deliveries of a subscription ended how, since it was attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts begun.
    pub started: u64,
    /// Deliveries acknowledged.
    pub acked: u64,
    /// Attempts begun that were not the first of their delivery.
    pub retried: u64,
    /// Deliveries that became dead letters.
    pub dead_lettered: u64,
    /// Deliveries that expired before their turn came.
    pub expired: u64,
    /// Acks that did not take, because another wrote a key meanwhile; each made its event come again.
    pub conflicts: u64,
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct State {
    /// Which.
    pub subscription: Arc<Subscription>,
    /// What it is doing now.
    pub load: Load,
    /// What it did so far.
    pub counts: Counts,
    /// Why nothing of it starts, if it is paused.
    pub pause: Option<Pause>,
}

/// A tenant as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantState {
    /// Which.
    pub tenant: Tenant,
    /// What it may use.
    pub quota: Quota,
    /// Deliveries that run.
    pub running: usize,
    /// Deliveries that wait for their turn.
    pub waiting: usize,
    /// Deliveries that wait for their next attempt's time.
    pub sleeping: usize,
    /// Bytes of linear memory that what runs may reach.
    pub memory: u64,
    /// Since when its quota holds back some of its deliveries; `None` while it does not.
    pub throttled_since: Option<Timestamp>,
    /// Messages that were refused because its quota was used up, since it has one.
    pub refused: u64,
}

impl TenantState {
    /// That of a tenant which has nothing here.
    fn new(tenant: &Tenant) -> Self {
        Self {
            tenant: tenant.clone(),
            quota: Quota::UNLIMITED,
            running: 0,
            waiting: 0,
            sleeping: 0,
            memory: 0,
            throttled_since: None,
            refused: 0,
        }
    }
}

impl Dispatcher {
    /// A dispatcher without subscriptions. Must be called within a tokio runtime: it spawns the task that watches the
    /// time.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let broker_delays = parts.admission.broker().guarantees().delays;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let settings = Settings { capacity: parts.capacity, cores, broker_delays, seed: parts.seed };
        let shared = Arc::new(Shared {
            parts,
            board: Mutex::new(Board::new(settings)),
            tasks: TaskTracker::new(),
            sooner: Notify::new(),
            left: Notify::new(),
            is_draining: AtomicBool::new(false),
            cancel: CancellationToken::new(),
            is_over: AtomicBool::new(false),
            keeping: tokio::sync::Mutex::default(),
        });
        shared.tasks.spawn(run::watch_time(Arc::clone(&shared)));
        Self { shared }
    }

    /// Gives each subscription its handler, all in one step: deliveries that start from now on run the given version,
    /// and those that run finish on theirs. A subscription that is new is attached, one that is known is switched; that
    /// ends its quarantine, and no operator's pause. One that is new is paused if the broker remembers that it was.
    pub fn attach(&self, handlers: Vec<(Arc<Subscription>, Arc<dyn Invoke>)>) {
        let time = self.shared.time();
        let broker = self.shared.parts.admission.broker();
        // Asked before the board is locked: the broker delivers with locks of its own held.
        let kept = handlers.iter().filter_map(|(one, _)| Some((one.id.clone(), broker.kept_pause(&one.id)?))).collect();
        let todo = self.shared.board.lock().attach(time, handlers, kept, self.shared.quotas());
        self.shared.act(todo);
    }

    /// Starts nothing of a subscription any more until it is [resumed](Self::resume); what runs goes on to its end. Takes
    /// the place of a quarantine. Says whether there is such a subscription.
    #[must_use]
    pub fn pause(&self, subscription: &SubscriptionId, reason: String) -> bool {
        let time = self.shared.time();
        let todo = self.shared.board.lock().pause(time, subscription, reason);
        todo.map(|todo| self.shared.act(todo)).is_some()
    }

    /// Lets a subscription go on, whoever paused it. Says whether there is such a subscription.
    #[must_use]
    pub fn resume(&self, subscription: &SubscriptionId) -> bool {
        let time = self.shared.time();
        let todo = self.shared.board.lock().resume(time, subscription);
        todo.map(|todo| self.shared.act(todo)).is_some()
    }

    /// Every subscription as it stands, ordered by id.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        self.shared.board.lock().states()
    }

    /// Every tenant that has subscriptions here or a quota, as it stands, ordered by name. Looks at each subscription.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantState> {
        let time = self.shared.time();
        let mut tenants = self.shared.board.lock().tenants(time);
        let quotas = self.shared.quotas();
        for (tenant, refused) in quotas.refused() {
            let state = tenants.entry(tenant).or_insert_with_key(TenantState::new);
            (state.quota, state.refused) = (quotas.of(&state.tenant), refused);
        }
        let mut tenants: Vec<TenantState> = tenants.into_values().collect();
        tenants.sort_unstable_by(|one, other| one.tenant.cmp(&other.tenant));
        tenants
    }

    /// Waits until everything is done, or `patience` is over, or the returned future's `hurry` resolves; then ends
    /// what still runs. Says how many deliveries were left unsettled.
    ///
    /// With a durable broker only what runs is waited for, and nothing else starts, since what waits is kept; otherwise
    /// also what waits and sleeps, since nobody else has it, unless it is paused. Nothing may be delivered after this.
    /// Not safe to cancel.
    pub async fn drain(&self, patience: Duration, hurry: impl Future<Output = ()>) -> usize {
        let durable = self.shared.parts.admission.broker().guarantees().durable;
        if durable {
            let todo = self.shared.step(Input::Halt);
            self.shared.act(todo);
        }
        tokio::select! {
            () = self.shared.done(durable) => {}
            () = tokio::time::sleep(patience) => {}
            () = hurry => {}
        }
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.cancel.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        // Counted at the very end: what was being settled may have come again.
        self.shared.board.lock().unsettled()
    }
}

impl Sink for Dispatcher {
    fn deliver(&self, delivery: Delivery) {
        let time = self.shared.time();
        let todo = self.shared.board.lock().arrive(time, delivery);
        self.shared.act(todo);
    }

    fn forget(&self, subscription: &SubscriptionId) -> usize {
        let forgotten = self.shared.board.lock().detach(self.shared.time(), subscription);
        for held in &forgotten {
            self.shared.parts.observe.settled(held.event(), subscription, &Settled::Discarded);
        }
        self.shared.tell_leaving();
        forgotten.len()
    }

    fn expired(&self, subscription: &SubscriptionId, event: &Arc<Event>) {
        self.shared.board.lock().expired(subscription);
        self.shared.parts.observe.settled(event, subscription, &Settled::Expired);
    }
}

impl Shared {
    /// Tells the plan something and returns what is to do about it.
    fn step(&self, input: Input) -> Todo {
        let time = self.time();
        self.board.lock().step(time, input)
    }

    fn quotas(&self) -> &Quotas {
        self.parts.admission.quotas()
    }

    fn time(&self) -> Time {
        Time { now: self.parts.clock.now(), wall: self.parts.clock.wall() }
    }

    /// Does what the plan wants, in tasks of their own.
    fn act(self: &Arc<Self>, todo: Todo) {
        if todo.sooner {
            self.sooner.notify_one();
        }
        for (subscription, pause) in todo.gated {
            match pause {
                Some(pause) => {
                    telemetry::paused(&subscription, &pause);
                    self.parts.observe.paused(&subscription, &pause);
                }
                None => {
                    telemetry::resumed(&subscription);
                    self.parts.observe.resumed(&subscription);
                }
            }
            self.tasks.spawn(Arc::clone(self).keep_pause(subscription));
            // What is paused is not waited for.
            self.tell_leaving();
        }
        for job in todo.jobs {
            self.tasks.spawn(run::run(Arc::clone(self), job));
        }
        if !todo.endings.is_empty() {
            self.tasks.spawn(run::settle_all(Arc::clone(self), todo.endings));
        }
    }

    /// Tells whoever drains that something left. To be called after the board was changed.
    fn tell_leaving(&self) {
        // Who drains says so before it locks the board to look. So either it saw the change, or this sees that it drains.
        if self.is_draining.load(Ordering::Acquire) {
            self.left.notify_waiters();
        }
    }

    /// Has the broker remember whether a subscription is paused.
    async fn keep_pause(self: Arc<Self>, subscription: SubscriptionId) {
        let _keeping = self.keeping.lock().await;
        // As it stands now: what came after this was asked for counts.
        let Some(pause) = self.board.lock().pause_of(&subscription) else { return };
        if let Err(error) = self.parts.admission.broker().keep_pause(&subscription, pause).await {
            telemetry::cannot_keep_pause(&subscription, &error);
        }
    }

    /// Waits until nothing runs or is being settled, and unless the broker is durable until nothing waits or sleeps that
    /// is not paused.
    async fn done(&self, durable: bool) {
        self.is_draining.store(true, Ordering::Release);
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // Enabled before the look, so that what leaves between the look and the wait is noticed.
            left.as_mut().enable();
            let done = {
                let board = self.board.lock();
                !board.is_settling() && if durable { board.running() == 0 } else { board.is_at_rest() }
            };
            if done {
                return;
            }
            left.await;
        }
    }
}

#[cfg(test)]
mod tests;
