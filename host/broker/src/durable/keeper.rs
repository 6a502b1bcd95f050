//! What happens by itself: retries and scheduled publishes when they are due, floors, retention, and what ended
//! subscriptions left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use hostel_event::port::Admitted;
use hostel_log::batch::{Batch, Precondition};
use hostel_log::record::{Millis, Offset, Scheduled, SubscriptionNumber};
use hostel_log::settings::Sync;

use super::lane::Lane;
use super::{Shared, ending, record, replay, retention};
use crate::chain::chain;
use crate::telemetry;

/// When something that failed is tried again. Arbitrary: long enough that a full disk is not asked all the time.
const LATER: Duration = Duration::from_secs(1);
/// Scheduled publishes in one go.
const SCHEDULED: usize = 256;
/// Floors of all lanes are raised every so many ticks, so that a restart does not read what an idle one never got.
const ALL_FLOORS: u64 = 60;
/// Of so many lanes in one batch.
const FLOORS: usize = 1024;

/// One that sleeps.
type Sleeper = (SubscriptionNumber, Offset);

/// What the task is to look after.
pub(crate) struct Keeper {
    sleepers: Mutex<BinaryHeap<Reverse<(Millis, Sleeper)>>>,
    /// When the next scheduled publish is due, or earlier; `u64::MAX` if there is none.
    next_scheduled: AtomicU64,
    /// All subscriptions are there, so that scheduled publishes find them.
    has_begun: AtomicBool,
    /// Lanes whose floor may be raised.
    dirty: Mutex<Vec<Arc<Lane>>>,
    /// Ended lanes that have something to hand over.
    left: Mutex<Vec<Arc<Lane>>>,
    wake: Notify,
}

impl Keeper {
    /// With what sleeps, and when the first scheduled publish is due.
    pub(crate) fn new(sleepers: Vec<(Millis, Sleeper)>, next_scheduled: Option<Millis>) -> Self {
        Self {
            sleepers: Mutex::new(sleepers.into_iter().map(Reverse).collect()),
            next_scheduled: AtomicU64::new(next_scheduled.map_or(u64::MAX, |due| due.0)),
            has_begun: AtomicBool::new(false),
            dirty: Mutex::default(),
            left: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Wakes one that sleeps when its time has come.
    pub(crate) fn wake_at(&self, due: Millis, sleeper: Sleeper) {
        let mut sleepers = self.sleepers.lock();
        let is_first = sleepers.peek().is_none_or(|Reverse((first, _))| due < *first);
        sleepers.push(Reverse((due, sleeper)));
        drop(sleepers);
        if is_first {
            self.wake.notify_one();
        }
    }

    /// Wakes one that sleeps after a while.
    pub(crate) fn wake_later(&self, shared: &Shared, sleeper: Sleeper) {
        let later = u64::try_from(LATER.as_millis()).unwrap_or(u64::MAX);
        self.wake_at(Millis(shared.now().0.saturating_add(later)), sleeper);
    }

    /// Something was scheduled.
    pub(crate) fn scheduled(&self, due: Millis) {
        if self.next_scheduled.fetch_min(due.0, Ordering::AcqRel) > due.0 {
            self.wake.notify_one();
        }
    }

    /// All subscriptions are there.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Something was settled in this lane, for the first time since its floor was raised.
    pub(crate) fn soiled(&self, lane: &Arc<Lane>) {
        self.dirty.lock().push(Arc::clone(lane));
    }

    /// A replay has delivered nearly all that it has read.
    pub(crate) fn replay_is_low(&self) {
        self.wake.notify_one();
    }

    /// An ended lane has something that nobody works on, or nothing any more.
    pub(crate) fn left(&self, lane: &Arc<Lane>) {
        self.left.lock().push(Arc::clone(lane));
        self.wake.notify_one();
    }

    /// How long there is nothing to do.
    fn idle(&self, now: Millis) -> Duration {
        let sleeper = self.sleepers.lock().peek().map(|Reverse((due, _))| due.0);
        let scheduled = self.has_begun.load(Ordering::Acquire).then(|| self.next_scheduled.load(Ordering::Acquire));
        let due = sleeper.into_iter().chain(scheduled).min().unwrap_or(u64::MAX);
        Duration::from_millis(due.saturating_sub(now.0))
    }
}

/// The task. Ends when it is told to stop; what it does meanwhile is done to its end.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = 0_u64;
    let mut tick = tokio::time::interval(shared.settings.tick);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let retain_every = ticks_of(shared.settings.retain_every, shared.settings.tick);
    while !stop.is_cancelled() {
        wake_sleepers(&shared);
        publish_scheduled(&shared).await;
        replay::carry_on(&shared).await;
        let left = std::mem::take(&mut *shared.keeper.left.lock());
        for lane in left {
            ending::carry_on(&shared, &lane).await;
        }
        tokio::select! {
            () = tokio::time::sleep(shared.keeper.idle(shared.now())) => {}
            () = shared.keeper.wake.notified() => {}
            () = stop.cancelled() => {}
            _ = tick.tick() => {
                ticks += 1;
                if ticks.is_multiple_of(ALL_FLOORS) {
                    raise_floors(&shared, shared.lanes()).await;
                } else {
                    let dirty = std::mem::take(&mut *shared.keeper.dirty.lock());
                    raise_floors(&shared, dirty).await;
                }
                if ticks.is_multiple_of(retain_every) {
                    retention::apply(&shared).await;
                }
            }
        }
    }
    raise_floors(&shared, shared.lanes()).await;
}

fn ticks_of(time: Duration, tick: Duration) -> u64 {
    u64::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX).max(1)
}

fn wake_sleepers(shared: &Arc<Shared>) {
    let now = shared.now();
    loop {
        let mut sleepers = shared.keeper.sleepers.lock();
        let Some(due) = sleepers.peek_mut().filter(|first| first.0.0 <= now) else { return };
        let Reverse((_, (number, offset))) = std::collections::binary_heap::PeekMut::pop(due);
        drop(sleepers);
        if let Some(lane) = shared.lane(number)
            && lane.wake(offset)
        {
            shared.feeding.feed(&lane);
        }
    }
}

/// Publishes what is due. Each is taken off the schedule and published in one batch, so that a crash does neither or
/// both.
async fn publish_scheduled(shared: &Arc<Shared>) {
    let keeper = &shared.keeper;
    let now = shared.now();
    if !keeper.has_begun.load(Ordering::Acquire) || keeper.next_scheduled.load(Ordering::Acquire) > now.0 {
        return;
    }
    // What is scheduled from here on is noted again.
    keeper.next_scheduled.store(u64::MAX, Ordering::Release);
    let log = Arc::clone(&shared.log);
    let read = tokio::task::spawn_blocking(move || {
        let snapshot = log.snapshot();
        Ok((snapshot.scheduled(now, SCHEDULED)?, snapshot.next_scheduled()?))
    });
    let (due, mut next) = match read.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let error: hostel_log::error::ReadError = error;
            telemetry::cannot_publish_scheduled(&chain(&error));
            (Vec::new(), Some(now))
        }
        Err(_) => (Vec::new(), Some(now)),
    };
    let is_stuck = due.is_empty() && next.is_some_and(|next| next <= now);
    let mut answers = Vec::with_capacity(due.len());
    for scheduled in due {
        answers.push(publish_one(shared, scheduled));
    }
    let mut has_failed = is_stuck;
    for answer in answers {
        if let Err(reason) = answer.await {
            telemetry::cannot_publish_scheduled(&reason);
            has_failed = true;
        }
    }
    if has_failed {
        let later = u64::try_from(LATER.as_millis()).unwrap_or(u64::MAX);
        next = Some(Millis(shared.now().0.saturating_add(later)));
    }
    if let Some(next) = next {
        keeper.next_scheduled.fetch_min(next.0, Ordering::AcqRel);
    }
}

fn publish_one(shared: &Arc<Shared>, scheduled: Scheduled) -> impl Future<Output = Result<(), String>> + use<> {
    let Scheduled { id, tenant, topic, bytes } = scheduled;
    let mut batch = Batch::new();
    batch.require(Precondition::Scheduled(id)).unschedule(id);
    let shared = Arc::clone(shared);
    let queued = record::read_scheduled(bytes, &tenant, &topic).map_err(|error| error.to_string()).map(|found| {
        let (event, audience) = found;
        let sync = shared.settings.policy(&event.topic).sync;
        let admitted = Admitted { audience, ..Arc::new(event).into() };
        shared.enqueue(batch, sync, vec![admitted])
    });
    async move {
        let answer = queued?.map_err(|error| error.to_string())?;
        match answer.answer.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the broker is closed".to_owned()),
        }
    }
}

/// Raises the floors of these lanes to what is settled.
pub(crate) async fn raise_floors(shared: &Arc<Shared>, lanes: Vec<Arc<Lane>>) {
    for lanes in lanes.chunks(FLOORS) {
        let end = shared.line.end();
        let mut batch = Batch::new();
        for lane in lanes.iter().filter(|lane| !lane.has_ended()) {
            batch.advance(lane.number(), lane.clean(end));
        }
        // A floor that is not raised now is raised later; nobody waits for it.
        let _ = shared.log.commit(batch, Sync::Never).await;
    }
}
