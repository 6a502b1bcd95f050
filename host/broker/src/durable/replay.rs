//! Replays: a subscription gets again what its pattern hears and the log still has.
//!
//! A replay is a lane of its own, with a number of its own, that delivers to the subscription's sink. It reads ahead a few
//! thousand places at a time, in the order of the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::port::{Replay, ReplayError, Replaying, Span, Start};
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Moment;
use hostel_log::error::{CommitError, ReadError};
use hostel_log::record::{Cursor, Millis, Offset, SubscriptionNumber, Topic};
use hostel_log::snapshot::Snapshot;

use super::lane::{Lane, Seat};
use super::queue::{Place, Queue};
use super::record::{self, Known, KnownReplay};
use super::{Shared, ending, feeder};
use crate::telemetry;

/// With fewer waiting, it reads on. Arbitrary, as is the next: enough that a fast handler does not wait.
pub(crate) const LOW: usize = 4096;
/// Offsets that are looked at in one go.
const STRIDE: u64 = 16_384;

/// How far a replay is.
#[derive(Debug)]
pub(crate) struct Progress {
    known: KnownReplay,
    /// Everything before this was read.
    next: AtomicU64,
    /// What was settled, or failed, before a restart.
    before: Cursor,
    asleep: HashMap<Offset, Millis>,
    /// Up to when the rate was used.
    filled: Mutex<Option<Moment>>,
}

impl Progress {
    /// One that goes on where its cursor is.
    pub(crate) fn resume(known: KnownReplay, before: Cursor, asleep: HashMap<Offset, Millis>) -> Self {
        Self { known, next: AtomicU64::new(before.floor.0), before, asleep, filled: Mutex::new(None) }
    }

    pub(crate) fn next(&self) -> Offset {
        Offset(self.next.load(Ordering::Acquire))
    }

    /// How many events it may read now; notes that they are read.
    fn allowance(&self, now: Moment) -> usize {
        if self.known.rate == 0 {
            return usize::MAX;
        }
        let mut filled = self.filled.lock();
        let since = filled.get_or_insert(now);
        let rate = u128::from(self.known.rate);
        let events = now.since(*since).as_millis() * rate / 1000;
        if events > 0 {
            *since = now;
        }
        usize::try_from(events).unwrap_or(usize::MAX)
    }
}

/// Goes on with every replay that is low. Called by the keeper.
pub(crate) async fn carry_on(shared: &Arc<Shared>) {
    let replays: Vec<Arc<Lane>> = shared.table.read().replays.values().cloned().collect();
    for lane in replays {
        let Some(progress) = &lane.progress else { continue };
        if progress.next() >= progress.known.end {
            if lane.unsettled() == 0 {
                // A failure leaves it for the next time.
                let _ = ending::forget(shared, &lane).await;
            }
            continue;
        }
        // One that is not seated is an orphan's.
        if lane.sink().is_none() || lane.waiting() >= LOW {
            continue;
        }
        let allowance = progress.allowance(shared.clock.now());
        if allowance > 0 {
            fill(shared, &lane, allowance).await;
        }
    }
}

async fn fill(shared: &Arc<Shared>, lane: &Arc<Lane>, allowance: usize) {
    let Some(progress) = &lane.progress else { return };
    let (reader, read) = (Arc::clone(shared), Arc::clone(lane));
    let (next, end) = (progress.next(), progress.known.end);
    let found = tokio::task::spawn_blocking(move || read_on(&reader, &read.known, (next, end), allowance)).await;
    let (places, next) = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return telemetry::cannot_replay(lane.id(), &feeder::describe(&error)),
        Err(_) => return,
    };
    let (mut waiting, mut asleep) = (Vec::new(), Vec::new());
    for place in places {
        if progress.before.is_settled(place.offset) {
            continue;
        }
        match progress.asleep.get(&place.offset) {
            None => waiting.push(place),
            Some(due) => {
                asleep.push(place);
                shared.keeper.wake_at(*due, (lane.number(), place.offset));
            }
        }
    }
    if lane.fill(waiting, asleep) {
        shared.feeding.feed(lane);
    }
    // Only now: whoever looks between sees the lower of both.
    progress.next.store(next.0, Ordering::Release);
    shared.keeper.replay_is_low();
}

/// The next places of a replay in order, and up to where that is all.
fn read_on(
    shared: &Shared,
    known: &Known,
    (mut from, end): (Offset, Offset),
    allowance: usize,
) -> Result<(Vec<Place>, Offset), ReadError> {
    let snapshot = shared.log.snapshot();
    let topics = topics(&snapshot, known)?;
    let mut places = Vec::new();
    while places.is_empty() && from < end {
        let to = Offset(from.0.saturating_add(STRIDE)).min(end);
        for topic in &topics {
            let Ok((tenant, name)) = record::names(&topic.tenant, &topic.name) else { continue };
            let limit = usize::try_from(to.0 - from.0).unwrap_or(usize::MAX);
            for offset in snapshot.offsets(topic, from, to, limit)? {
                places.push(Place { offset, topic: shared.topics.key(&tenant, &name) });
            }
        }
        from = to;
    }
    places.sort_unstable_by_key(|place| place.offset);
    if let Some(first_left) = places.get(allowance) {
        from = first_left.offset;
        places.truncate(allowance);
    }
    Ok((places, from))
}

fn topics(snapshot: &Snapshot, known: &Known) -> Result<Vec<Topic>, ReadError> {
    let mut topics = snapshot.topics(Some(known.tenant.as_str()))?;
    topics
        .retain(|topic| record::names(&topic.tenant, &topic.name).is_ok_and(|(_, name)| known.pattern.matches(&name)));
    Ok(topics)
}

/// The offset of a place in what is kept.
fn resolve(snapshot: &Snapshot, known: &Known, start: Start, end: Offset) -> Result<Offset, ReadError> {
    Ok(match start {
        Start::Earliest => Offset(0),
        Start::Latest => end,
        Start::Offset(offset) => Offset(offset).min(end),
        Start::Time(time) => {
            let mut first = end;
            for topic in topics(snapshot, known)? {
                if let Some(offset) = snapshot.offset_at(&topic, Millis(time.as_millis()))? {
                    first = first.min(offset);
                }
            }
            first
        }
    })
}

impl Shared {
    async fn begin_replay(&self, id: &SubscriptionId, span: Span) -> Result<Replaying, ReplayError> {
        let mut next_number = self.changing.lock().await;
        let unknown = || ReplayError::Unknown(id.clone());
        let entry = {
            let table = self.table.read();
            if table.replays.contains_key(id) {
                return Err(ReplayError::UnderWay(id.clone()));
            }
            table.entries.get(id).cloned().ok_or_else(unknown)?
        };
        let sink = entry.lane.sink().ok_or_else(unknown)?;
        let end = self.line.end();
        let (log, known) = (Arc::clone(&self.log), entry.lane.known.clone());
        let resolved = tokio::task::spawn_blocking(move || {
            let snapshot = log.snapshot();
            Ok((resolve(&snapshot, &known, span.from, end)?, resolve(&snapshot, &known, span.to, end)?))
        });
        let resolved: Result<_, ReadError> =
            resolved.await.map_err(|_| ReplayError::Broker("the reader ended".to_owned()))?;
        let (from, to) = resolved.map_err(|error| ReplayError::Broker(feeder::describe(&error)))?;
        let replay = KnownReplay { end: to.max(from), rate: span.rate.map_or(0, std::num::NonZeroU32::get) };
        let number = SubscriptionNumber(*next_number);
        let known = Known { number, replay: Some(replay), ..entry.lane.known.clone() };
        self.introduce(&known, from, &mut next_number).await.map_err(|error| failed(&error))?;
        let cursor = Cursor { floor: from, settled: Vec::new() };
        let progress = Progress::resume(replay, cursor, HashMap::new());
        let lane = Arc::new(Lane::new(known, Queue::new(), Some(progress)));
        {
            let mut table = self.table.write();
            table.lanes.insert(number, Arc::clone(&lane));
            table.replays.insert(id.clone(), Arc::clone(&lane));
        }
        lane.seat(Seat { window: 0, sink });
        self.share_window(&entry);
        self.keeper.replay_is_low();
        Ok(Replaying { subscription: id.clone(), next: from.0, end: replay.end.0, unsettled: 0 })
    }

    async fn end_early(&self, id: &SubscriptionId) -> Result<(), ReplayError> {
        let _changing = self.changing.lock().await;
        let lane = self.table.read().replays.get(id).cloned();
        let lane = lane.ok_or_else(|| ReplayError::Unknown(id.clone()))?;
        let known = Known { ended: true, ..lane.known.clone() };
        let mut batch = hostel_log::batch::Batch::new();
        let key = super::joining::document_key(known.number);
        batch.put_document(hostel_log::record::Kind::Subscription, key, record::known(&known));
        let outcome = self.log.commit(batch, hostel_log::settings::Sync::Always).await;
        outcome.map_err(|error| failed(&error))?;
        lane.end(None);
        let entry = {
            let mut table = self.table.write();
            table.replays.remove(id);
            table.entries.get(id).cloned()
        };
        if let Some(entry) = entry {
            self.share_window(&entry);
        }
        self.keeper.left(&lane);
        Ok(())
    }
}

fn failed(error: &CommitError) -> ReplayError {
    ReplayError::Broker(error.to_string())
}

impl Replay for Shared {
    fn replay(&self, subscription: &SubscriptionId, span: Span) -> BoxFuture<'_, Result<Replaying, ReplayError>> {
        let id = subscription.clone();
        Box::pin(async move { self.begin_replay(&id, span).await })
    }

    fn replays(&self) -> Vec<Replaying> {
        let table = self.table.read();
        let mut replays: Vec<Replaying> = table
            .replays
            .values()
            .filter_map(|lane| {
                let progress = lane.progress.as_ref()?;
                let (next, end) = (progress.next().0, progress.known.end.0);
                Some(Replaying { subscription: lane.id().clone(), next, end, unsettled: lane.unsettled() })
            })
            .collect();
        replays.sort_by(|a, b| a.subscription.cmp(&b.subscription));
        replays
    }

    fn end_replay(&self, subscription: &SubscriptionId) -> BoxFuture<'_, Result<(), ReplayError>> {
        let id = subscription.clone();
        Box::pin(async move { self.end_early(&id).await })
    }
}
