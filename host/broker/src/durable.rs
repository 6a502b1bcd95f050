//! The broker that keeps everything in the [log](hostel_log): what it has taken survives any crash until it is settled.
//!
//! An event is written once, with the numbers of the subscriptions that it is for, chosen when it is published. What is
//! unsettled is known in memory as places in the log, a few bytes each. An event goes to a sink straight from its
//! publisher if nothing stands before it and there is room; else it waits in the log until there is, however many wait:
//! a publish is not refused because a subscription is slow.
//!
//! Three tasks belong to it: the [line] hands over what was kept, in order; the [feeder] reads what waits; the [keeper]
//! does what happens by itself. Events and settlements are decided by the log's batches, never by memory alone: what is
//! here can be thrown away at any moment and is then [rebuilt](rebuild). The bytes are described in
//! `docs/wire/durable.md`.

mod budget;
mod dead_letters;
mod ending;
mod feeder;
mod history;
mod joining;
mod keeper;
mod lane;
mod line;
mod queue;
mod rebuild;
mod record;
mod replay;
mod retention;
pub mod settings;
mod table;
mod token;
mod topics;
mod values;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use hostel_event::id::Ids;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::port::{
    Admitted, Broker, Clock, DeadLetters, Guarantees, KeyValue, Pause, PublishError, Receipt, Replay, Sink,
    SubscribeError, Unsubscribed,
};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_log::batch::{self, Batch, Once, Published, Schedule, ScheduledOutcome};
use hostel_log::error::{CommitError, ReadError};
use hostel_log::log::{Health, Log};
use hostel_log::record::{Millis, Offset, SeenKey, SubscriptionNumber};
use hostel_log::settings::Sync;

use crate::choice::Chooser;
use budget::Budget;
use feeder::Feeding;
use joining::subscribe_error;
use keeper::Keeper;
use lane::{Finished, Lane};
use line::{Answer, Line, Publication};
use queue::Load;
use settings::Settings;
use table::Table;
use topics::Topics;

/// When a publisher that found the log busy should come again. Arbitrary: the log's queue is seconds long at most.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The document that has the number of the next subscription.
const NEXT_NUMBER: &str = "next-subscription-number";

/// The durable broker. Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub struct Durable {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

/// Why the broker could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What the log keeps could not be read.
    #[error("cannot read what the broker kept")]
    Read(#[from] ReadError),
    /// The thread that read it ended.
    #[error("the thread that read what the broker kept ended")]
    Ended,
}

/// A subscription with something unsettled that did not come back since the host was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its id.
    pub subscription: SubscriptionId,
    /// How many events wait for it.
    pub unsettled: usize,
}

/// What was settled without a handler, since the broker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries whose event had expired when their turn came.
    pub expired: u64,
    /// Deliveries whose event retention had dropped.
    pub gone: u64,
}

struct Tasks {
    stop: CancellationToken,
    handles: Mutex<Vec<JoinHandle<()>>>,
    line: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    log: Arc<Log>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Ids,
    chooser: Chooser,
    table: RwLock<Table>,
    topics: Topics,
    budget: Budget,
    line: Line,
    feeding: Feeding,
    keeper: Keeper,
    counts: Counters,
    /// Held while subscriptions change; has the number that the next one gets.
    changing: tokio::sync::Mutex<u32>,
}

/// A delivery that is settled without a handler.
struct Quiet {
    lane: Arc<Lane>,
    load: Load,
    why: Unwanted,
}

/// Why no handler gets an event.
enum Unwanted {
    /// It expired.
    Expired(Arc<Event>),
    /// Retention dropped it.
    Gone,
}

/// A batch in line.
struct Queued {
    answer: Answer,
    /// Who gets its publishes.
    subscriptions: Vec<SubscriptionId>,
}

#[derive(Default)]
struct Counters {
    expired: AtomicU64,
    gone: AtomicU64,
}

impl Durable {
    /// Starts on a log: reads back what is unsettled, and begins its tasks on the runtime that it is called in.
    ///
    /// Subscriptions that were there before get what waited for them once they [subscribe](Broker::subscribe) again.
    /// When all are there, call [`begin`](Self::begin). Call [`close`](Self::close) in the end, then close the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn open(log: Arc<Log>, settings: Settings, clock: Arc<dyn Clock>, ids: Ids) -> Result<Self, OpenError> {
        let topics = Topics::default();
        let reader = Arc::clone(&log);
        let read = tokio::task::spawn_blocking(move || {
            let rebuilt = rebuild::rebuild(&reader, &topics);
            rebuilt.map(|rebuilt| (rebuilt, topics))
        });
        let (rebuilt, topics) = read.await.map_err(|_| OpenError::Ended)??;
        let (line, steps) = Line::new(Offset(rebuilt.next_offset.0.saturating_sub(1)));
        let is_replay = |lane: &&Arc<Lane>| lane.progress.is_some() && !lane.has_ended();
        let replays =
            rebuilt.lanes.iter().filter(is_replay).map(|lane| (lane.id().clone(), Arc::clone(lane))).collect();
        let is_live = |lane: &&Arc<Lane>| lane.progress.is_none() && !lane.has_ended();
        let absent = rebuilt.lanes.iter().filter(is_live).map(|lane| (lane.id().clone(), Arc::clone(lane))).collect();
        let lanes = rebuilt.lanes.into_iter().map(|lane| (lane.number(), lane)).collect();
        let shared = Arc::new(Shared {
            chooser: Chooser::new(settings.choice, settings.seed),
            table: RwLock::new(Table { lanes, replays, absent, ..Table::default() }),
            topics,
            budget: Budget::new(settings.memory),
            line,
            feeding: Feeding::default(),
            keeper: Keeper::new(rebuilt.sleepers, rebuilt.next_scheduled),
            counts: Counters::default(),
            changing: tokio::sync::Mutex::new(rebuilt.next_number),
            log,
            settings,
            clock,
            ids,
        });
        let stop = CancellationToken::new();
        let handles = vec![
            tokio::spawn(feeder::run(Arc::clone(&shared), stop.clone())),
            tokio::spawn(keeper::run(Arc::clone(&shared), stop.clone())),
        ];
        let line = tokio::spawn(line::run(Arc::clone(&shared), steps));
        let tasks = Tasks { stop, handles: Mutex::new(handles), line: Mutex::new(Some(line)) };
        Ok(Self { shared, tasks: Arc::new(tasks) })
    }

    /// Says that all subscriptions are there: from now on scheduled publishes that are due are published, and what
    /// subscriptions that were ended before a crash had left is given to others. Before, these would find nobody.
    pub fn begin(&self) {
        let ended: Vec<Arc<Lane>> =
            self.shared.table.read().lanes.values().filter(|lane| lane.has_ended()).cloned().collect();
        for lane in &ended {
            self.shared.keeper.left(lane);
        }
        self.shared.keeper.begin();
    }

    /// Ends: takes no more publishes, answers those that wait, and ends its tasks. Deliveries that are out may still be
    /// settled until the log is closed. Safe to call again.
    pub async fn close(&self) {
        self.shared.line.close();
        let line = self.tasks.line.lock().take();
        if let Some(line) = line {
            let _ = line.await;
        }
        self.tasks.stop.cancel();
        let handles = std::mem::take(&mut *self.tasks.handles.lock());
        for handle in handles {
            let _ = handle.await;
        }
    }

    /// How well the log is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.log.health()
    }

    /// Bytes of all events that are out.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.budget.used()
    }

    /// What was settled without a handler.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters { expired, gone } = &self.shared.counts;
        Counts { expired: expired.load(Ordering::Relaxed), gone: gone.load(Ordering::Relaxed) }
    }

    /// How many events a subscription has not settled, whether it is there or not; `None` if it is unknown.
    #[must_use]
    pub fn unsettled(&self, id: &SubscriptionId) -> Option<usize> {
        self.shared.table.read().lane_of(id).map(|lane| lane.unsettled())
    }

    /// The subscriptions that did not come back since the host was started. What waits for them is kept, and nothing is
    /// added to it.
    #[must_use]
    pub fn orphans(&self) -> Vec<Orphan> {
        let table = self.shared.table.read();
        let orphan = |lane: &Arc<Lane>| Orphan { subscription: lane.id().clone(), unsettled: lane.unsettled() };
        let mut orphans: Vec<Orphan> = table.absent.values().map(orphan).collect();
        orphans.sort_by(|a, b| a.subscription.cmp(&b.subscription));
        orphans
    }

    /// Forgets an orphan with all that waits for it; says how much that was.
    ///
    /// # Errors
    /// [`SubscribeError::Unknown`] when there is no orphan of this id, [`SubscribeError::Broker`] when the log failed.
    pub async fn drop_orphan(&self, id: &SubscriptionId) -> Result<usize, SubscribeError> {
        let _changing = self.shared.changing.lock().await;
        let lane = self.shared.table.read().absent.get(id).cloned();
        let lane = lane.ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
        let unsettled = lane.unsettled();
        ending::forget(&self.shared, &lane).await.map_err(|error| subscribe_error(&error))?;
        let replay = self.shared.table.write().replays.remove(id);
        if let Some(replay) = replay {
            replay.end(None);
            self.shared.keeper.left(&replay);
        }
        Ok(unsettled)
    }
}

impl Shared {
    fn now(&self) -> Millis {
        Millis(self.clock.wall().as_millis())
    }

    fn is_expired(&self, event: &Event) -> bool {
        event.expires_at.is_some_and(|expires_at| expires_at <= self.clock.wall())
    }

    fn lane(&self, number: SubscriptionNumber) -> Option<Arc<Lane>> {
        self.table.read().lanes.get(&number).cloned()
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.table.read().lanes.values().cloned().collect()
    }

    /// An event as the log keeps it.
    fn kept_as(&self, event: &Event, targets: &[Arc<Lane>], once: Option<Once>) -> batch::Publish {
        batch::Publish {
            tenant: event.tenant.as_str().to_owned(),
            topic: event.topic.as_str().to_owned(),
            at: self.now(),
            bytes: record::event(event, targets.iter().map(|lane| lane.number())),
            once,
        }
    }

    /// Makes an id that was given known: within its topic and audience, as a peer's message to a node is not the same as
    /// one for everyone.
    fn once(&self, admitted: &Admitted) -> Option<Once> {
        use hostel_event::subscription::Audience;

        if !admitted.given_id {
            return None;
        }
        let event = &admitted.event;
        let topic = event.topic.as_str();
        // No topic has a blank in its name.
        let scope = match &admitted.audience {
            Audience::Everyone => topic.to_owned(),
            Audience::Node { queue: None } => format!("{topic} node"),
            Audience::Node { queue: Some(queue) } => format!("{topic} node {queue}"),
        };
        let window = u64::try_from(self.settings.dedupe.as_millis()).unwrap_or(u64::MAX);
        let key = SeenKey { tenant: event.tenant.as_str().to_owned(), scope, id: event.id.as_str().to_owned() };
        Some(Once { key, since: Millis(self.now().0.saturating_sub(window)) })
    }

    /// Adds publishes to a batch and puts it in line.
    fn enqueue(&self, mut batch: Batch, sync: Sync, admitted: Vec<Admitted>) -> Result<Queued, CommitError> {
        // Held until the batch is in line: who subscribes or ends afterwards comes after it.
        let table = self.table.read();
        let now = self.now();
        let (mut publications, mut subscriptions) = (Vec::with_capacity(admitted.len()), Vec::new());
        for admitted in admitted {
            let once = self.once(&admitted);
            let Admitted { event, audience, not_before, .. } = admitted;
            let not_before = not_before.map(|at| Millis(at.as_millis())).filter(|at| *at > now);
            if let Some(due) = not_before {
                let (tenant, topic) = (event.tenant.as_str().to_owned(), event.topic.as_str().to_owned());
                let bytes = record::scheduled(&event, &audience);
                batch.schedule(Schedule { due, at: now, tenant, topic, bytes, once });
                continue;
            }
            let chosen = match table.routes.get(&event.tenant) {
                Some(routes) => self.chooser.choose(routes, &event.topic, &audience),
                None => Vec::new(),
            };
            let targets: Vec<Arc<Lane>> = chosen.into_iter().map(|entry| Arc::clone(&entry.lane)).collect();
            subscriptions.extend(targets.iter().map(|lane| lane.id().clone()));
            batch.publish(self.kept_as(&event, &targets, once));
            let topic = self.topics.key(&event.tenant, &event.topic);
            publications.push(Publication { event, topic, targets });
        }
        let answer = self.line.commit(&self.log, (batch, sync), publications)?;
        Ok(Queued { answer, subscriptions })
    }

    /// Adds publishes to a batch, puts it in line, and waits for its turn. Says also who gets them.
    async fn commit(
        &self,
        batch: Batch,
        sync: Sync,
        admitted: Vec<Admitted>,
    ) -> Result<(batch::Receipt, Vec<SubscriptionId>), CommitError> {
        let Queued { answer, subscriptions } = self.enqueue(batch, sync, admitted)?;
        // The task that answers ends only when the broker is closed.
        let receipt = answer.await.unwrap_or(Err(CommitError::Closed))?;
        for outcome in &receipt.scheduled {
            if let ScheduledOutcome::Kept(id) = outcome {
                self.keeper.scheduled(id.due);
            }
        }
        Ok((receipt, subscriptions))
    }

    async fn publish(&self, admitted: Admitted) -> Result<Receipt, PublishError> {
        let id = admitted.event.id.clone();
        let sync = self.settings.policy(&admitted.event.topic).sync;
        let (receipt, mut subscriptions) =
            self.commit(Batch::new(), sync, vec![admitted]).await.map_err(publish_error)?;
        if !matches!(receipt.published.first(), Some(Published::Kept(_))) {
            // Seen before, or later.
            subscriptions.clear();
        }
        Ok(Receipt { id, subscriptions })
    }

    /// Notes that one is settled.
    fn finish(&self, lane: &Arc<Lane>, offset: Offset) {
        let Finished { is_first, is_to_be_fed, has_ended } = lane.finish(offset);
        if is_to_be_fed {
            self.feeding.feed(lane);
        }
        if has_ended {
            self.keeper.left(lane);
        } else if is_first {
            self.keeper.soiled(lane);
        }
        if lane.progress.is_some() && lane.waiting() < replay::LOW {
            self.keeper.replay_is_low();
        }
    }

    /// Settles what no handler gets.
    async fn settle_quietly(&self, settlements: Vec<Quiet>) {
        let commit = |quiet: Quiet| {
            let (number, offset) = (quiet.lane.number(), quiet.load.place.offset);
            let mut batch = Batch::new();
            batch.settle(number, offset);
            if quiet.load.has_history {
                batch.remove_delivery(number, offset);
            }
            (self.log.commit(batch, token::ACK), quiet)
        };
        let queued: Vec<_> = settlements.into_iter().map(commit).collect();
        for (commit, Quiet { lane, load, why }) in queued {
            match commit.await {
                Ok(_) => {
                    self.finish(&lane, load.place.offset);
                    self.tell(&lane, &why);
                }
                Err(CommitError::Conflict(_)) => self.finish(&lane, load.place.offset),
                Err(_) => {
                    lane.sleep(load.place.offset, queue::Attempts::AsBefore);
                    self.keeper.wake_later(self, (lane.number(), load.place.offset));
                }
            }
        }
    }

    /// Counts what was settled without a handler, and tells who would have got it.
    fn tell(&self, lane: &Lane, why: &Unwanted) {
        match why {
            Unwanted::Expired(event) => {
                self.counts.expired.fetch_add(1, Ordering::Relaxed);
                if let Some(sink) = lane.sink() {
                    sink.expired(lane.id(), event);
                }
            }
            Unwanted::Gone => {
                self.counts.gone.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn publish_error(error: CommitError) -> PublishError {
    match error {
        CommitError::Busy => PublishError::Overloaded { what: "the log's queue".to_owned(), retry_after: RETRY_AFTER },
        CommitError::Full { .. } => PublishError::Full(error.to_string()),
        CommitError::Poisoned { reason } => PublishError::Unavailable(reason),
        CommitError::Closed => PublishError::Closed,
        error => PublishError::Broker(error.to_string()),
    }
}

impl Broker for Durable {
    fn guarantees(&self) -> Guarantees {
        Guarantees { durable: true, acks: true, redelivers: true, delays: true, orders: true, atomic_effects: true }
    }

    fn publish(&self, admitted: Admitted) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(self.shared.publish(admitted))
    }

    fn room_for(&self, _: &Admitted) -> Result<(), PublishError> {
        let health = self.shared.log.health();
        match health.poisoned {
            Some(reason) => Err(PublishError::Unavailable(reason)),
            None if health.is_full => Err(PublishError::Full("the disk is full".to_owned())),
            None => Ok(()),
        }
    }

    fn subscribe(
        &self,
        subscription: Arc<Subscription>,
        sink: Arc<dyn Sink>,
    ) -> BoxFuture<'_, Result<(), SubscribeError>> {
        Box::pin(self.shared.subscribe(subscription, sink))
    }

    fn resubscribe(&self, subscription: Arc<Subscription>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        Box::pin(self.shared.resubscribe(subscription))
    }

    fn unsubscribe(&self, id: &SubscriptionId) -> BoxFuture<'_, Result<Unsubscribed, SubscribeError>> {
        let id = id.clone();
        Box::pin(async move { ending::unsubscribe(&self.shared, &id).await })
    }

    fn stored(&self, tenant: &Tenant) -> Option<u64> {
        retention::stored(&self.shared, tenant).ok()
    }

    fn absent(&self) -> Vec<Arc<Subscription>> {
        let table = self.shared.table.read();
        let mut absent: Vec<_> = table.absent.values().map(|lane| Arc::new(lane.document().outline())).collect();
        absent.sort_by(|one, other| one.id.cmp(&other.id));
        absent
    }

    fn keep_pause(&self, id: &SubscriptionId, pause: Option<Pause>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        let id = id.clone();
        Box::pin(async move { self.shared.keep_pause(&id, pause).await })
    }

    fn kept_pause(&self, id: &SubscriptionId) -> Option<Pause> {
        self.shared.table.read().lane_of(id).and_then(|lane| lane.remembered().pause)
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        &*self.shared
    }

    fn key_value(&self) -> &dyn KeyValue {
        &*self.shared
    }

    fn replay(&self) -> Option<&dyn Replay> {
        Some(&*self.shared)
    }
}

#[cfg(test)]
mod tests;
