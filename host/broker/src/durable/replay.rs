//! Replays: a subscription gets again what its pattern hears and the log still has.
//!
//! A replay is a lane of its own, with a number of its own, that delivers to the subscription's sink. It reads ahead a few
//! thousand places at a time, in the order of the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::id::EventId;
use hostel_event::port::{Replay, ReplayError, Replaying, Span, Start};
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Moment;
use hostel_log::error::{CommitError, ReadError};
use hostel_log::record::{Cursor, Millis, Offset, SeenKey, SubscriptionNumber, Topic};
use hostel_log::snapshot::Snapshot;

use super::lane::{Lane, Seat};
use super::queue::{Place, Queue};
use super::record::{self, Known, KnownReplay};
use super::{Shared, ending};
use crate::chain::chain;
use crate::telemetry;

/// With fewer waiting, it reads on. Arbitrary, as is the next: enough that a fast handler does not wait.
pub(crate) const LOW: usize = 4096;
/// Offsets that are looked at in one go.
const STRIDE: u64 = 16_384;

/// Events looked at for one whose place is asked for: at a time, and in all. Arbitrary: a second's reading at most, of
/// what was kept since the event got its id.
const PAGE: usize = 64;
const LOOKED_AT: usize = 100_000;

/// The replay of what a new subscription gets first, until it is known where what it gets by itself begins. It is kept
/// with the subscription: a host that dies in between finds it when the subscription comes back.
pub(crate) const OPEN: KnownReplay = KnownReplay { end: Offset(u64::MAX), rate: 0 };

/// How far a replay is.
#[derive(Debug)]
pub(crate) struct Progress {
    rate: u32,
    /// The first offset that is no part of it.
    end: AtomicU64,
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
        let KnownReplay { end, rate } = known;
        Self {
            rate,
            end: AtomicU64::new(end.0),
            next: AtomicU64::new(before.floor.0),
            before,
            asleep,
            filled: Mutex::new(None),
        }
    }

    pub(crate) fn next(&self) -> Offset {
        Offset(self.next.load(Ordering::Acquire))
    }

    fn end(&self) -> Offset {
        Offset(self.end.load(Ordering::Acquire))
    }

    /// How many events it may read now; notes that they are read.
    fn allowance(&self, now: Moment) -> usize {
        if self.rate == 0 {
            return usize::MAX;
        }
        let mut filled = self.filled.lock();
        let since = filled.get_or_insert(now);
        let rate = u128::from(self.rate);
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
        if progress.next() >= progress.end() {
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
    let (next, end) = (progress.next(), progress.end());
    let found = tokio::task::spawn_blocking(move || read_on(&reader, &read.known, (next, end), allowance)).await;
    let (places, next) = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return telemetry::cannot_replay(lane.id(), &chain(&error)),
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
    let mut topics = snapshot.topics(Some(known.source.as_str()))?;
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

/// The lane of a replay that begins.
pub(crate) fn lane(known: Known, replay: KnownReplay, from: Offset) -> Lane {
    let cursor = Cursor { floor: from, settled: Vec::new() };
    Lane::new(known, Queue::new(), Some(Progress::resume(replay, cursor, HashMap::new())))
}

/// Where an event stands that a subscription hears.
fn find(snapshot: &Snapshot, known: &Known, id: &EventId) -> Result<Option<Offset>, ReadError> {
    let topics = topics(snapshot, known)?;
    for topic in &topics {
        let key = SeenKey { tenant: topic.tenant.clone(), scope: topic.name.clone(), id: id.as_str().to_owned() };
        if let Some(offset) = snapshot.seen(&key)?.and_then(|seen| seen.offset)
            && snapshot.event(topic, offset)?.is_some()
        {
            return Ok(Some(offset));
        }
    }
    let Some(time) = id.time() else { return Ok(None) };
    let mut left = LOOKED_AT;
    for topic in &topics {
        // It was kept after it had got its id.
        let Some(mut from) = snapshot.offset_at(topic, Millis(time.as_millis()))? else { continue };
        let Ok((tenant, name)) = record::names(&topic.tenant, &topic.name) else { continue };
        while left > 0 {
            let page = snapshot.events(topic, from, PAGE.min(left))?;
            let Some(last) = page.last() else { break };
            (from, left) = (last.offset.next(), left.saturating_sub(page.len()));
            let is_meant = |bytes| record::read_event(bytes, &tenant, &name).is_ok_and(|event| event.id == *id);
            if let Some(found) = page.into_iter().find_map(|event| is_meant(event.bytes).then_some(event.offset)) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

impl Shared {
    /// The offset of a place in what is kept; text says why it cannot be told.
    pub(crate) async fn place(&self, known: &Known, start: Start, end: Offset) -> Result<Offset, String> {
        let (log, known) = (Arc::clone(&self.log), known.clone());
        let read = tokio::task::spawn_blocking(move || resolve(&log.snapshot(), &known, start, end));
        let read = read.await.map_err(|_| "the reader ended".to_owned())?;
        read.map_err(|error| chain(&error))
    }

    /// Sets the end of a replay that was open; leaves one that has its end.
    pub(crate) async fn set_end(&self, lane: &Lane, end: Offset) {
        let Some(progress) = lane.progress.as_ref().filter(|progress| progress.end() == OPEN.end) else { return };
        let end = end.max(progress.next());
        progress.end.store(end.0, Ordering::Release);
        let known = Known { replay: Some(KnownReplay { end, ..OPEN }), ..lane.known.clone() };
        let mut batch = hostel_log::batch::Batch::new();
        let key = super::joining::document_key(known.number);
        batch.put_document(hostel_log::record::Kind::Subscription, key, record::known(&known));
        // If it cannot be kept now, the next start sets it anew, further on: what came meanwhile then comes twice.
        if let Err(error) = self.log.commit(batch, hostel_log::settings::Sync::Always).await {
            telemetry::cannot_replay(lane.id(), &error.to_string());
        }
    }

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
        let from = self.place(&entry.lane.known, span.from, end).await.map_err(ReplayError::Broker)?;
        let to = self.place(&entry.lane.known, span.to, end).await.map_err(ReplayError::Broker)?;
        let replay = KnownReplay { end: to.max(from), rate: span.rate.map_or(0, std::num::NonZeroU32::get) };
        let number = SubscriptionNumber(*next_number);
        let known = Known { number, replay: Some(replay), pause: None, ..entry.lane.known.clone() };
        let news = [(&known, from)].into_iter();
        self.introduce(news, &mut next_number).await.map_err(|error| failed(&error))?;
        let lane = Arc::new(lane(known, replay, from));
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
    fn find(&self, subscription: &SubscriptionId, id: &EventId) -> BoxFuture<'_, Result<Option<u64>, ReplayError>> {
        let (subscription, id) = (subscription.clone(), id.clone());
        Box::pin(async move {
            let known = self.table.read().entries.get(&subscription).map(|entry| entry.lane.known.clone());
            let known = known.ok_or(ReplayError::Unknown(subscription))?;
            let log = Arc::clone(&self.log);
            let found = tokio::task::spawn_blocking(move || find(&log.snapshot(), &known, &id)).await;
            let found = found.map_err(|_| ReplayError::Broker("the reader ended".to_owned()))?;
            let found = found.map_err(|error| ReplayError::Broker(chain(&error)))?;
            Ok(found.map(|offset| offset.0))
        })
    }

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
                // Of one whose end is not known yet, up to now.
                let (next, end) = (progress.next().0, progress.end().min(self.line.end()).0);
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
