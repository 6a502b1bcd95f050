//! Warm instances: those that have served an event and wait for another of the same version of the same handler.
//!
//! Each guest has a [`Pool`] of its own, and no other guest ever sees what is in it. What all pools together hold is
//! bounded here, so that instances which wait cannot keep those from running that have work. Which instance may wait at
//! all is decided in [`sandbox`](crate::sandbox).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sandbox::Sandbox;
use crate::settings::Settings;

/// How long an instance waits for an event before it is given back. Arbitrary: long enough for a handler with an event
/// every few seconds, short enough that a burst of yesterday holds no memory today.
const PATIENCE: Duration = Duration::from_secs(30);

/// All warm instances of the host, as numbers, and where they are.
pub(crate) struct Warm {
    /// Sandboxes that the host has, those at work included.
    sandboxes: usize,
    /// The most that wait, and the most bytes that they hold.
    most: usize,
    most_bytes: usize,
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    /// Every pool in which something waits, and some in which nothing does any more.
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// The warm instances of one version of a handler.
pub(crate) struct Pool {
    warm: Arc<Warm>,
    /// More of its instances never wait.
    most: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that waits longest in front.
    waiting: VecDeque<Waiting>,
    /// Whether the pool stands in [`Warm::pools`].
    is_listed: bool,
}

struct Waiting {
    sandbox: Sandbox,
    since: Instant,
    bytes: usize,
}

impl Warm {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            sandboxes: settings.invocations,
            most: settings.warm,
            most_bytes: settings.warm_memory,
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            pools: Mutex::default(),
        }
    }

    /// Instances that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Gives back instances that wait, longest first, until there is a sandbox for each of those `at_work`.
    ///
    /// One that begins or ends its wait is counted on both sides for a moment, and never on none.
    pub(crate) fn make_room(&self, at_work: impl Fn() -> usize) {
        // Where nobody asked for reuse, this is all: a number that never changes.
        while self.waiting() > 0 && at_work() + self.waiting() > self.sandboxes && self.drop_oldest(None) {}
    }

    /// Gives back one instance that has waited too long. Returns whether there was one.
    pub(crate) fn trim(&self, now: Instant) -> bool {
        now.checked_sub(PATIENCE).is_some_and(|latest| self.drop_oldest(Some(latest)))
    }

    /// Gives back the instance that has waited longest, if it has waited since `latest` or before.
    fn drop_oldest(&self, latest: Option<Instant>) -> bool {
        loop {
            let Some((since, pool)) = self.oldest() else { return false };
            if latest.is_some_and(|latest| since > latest) {
                return false;
            }
            let oldest = pool.idle.lock().waiting.pop_front_if(|oldest| oldest.since == since);
            // Otherwise an event was faster, and it is another's turn.
            if oldest.is_some() {
                self.give_back(oldest);
                return true;
            }
        }
    }

    /// Where an instance has waited longest, and since when. Forgets pools in which nothing waits.
    fn oldest(&self) -> Option<(Instant, Arc<Pool>)> {
        let mut oldest: Option<(Instant, Arc<Pool>)> = None;
        self.pools.lock().retain(|pool| {
            let Some(pool) = pool.upgrade() else { return false };
            let mut idle = pool.idle.lock();
            let since = idle.waiting.front().map(|waiting| waiting.since);
            idle.is_listed = since.is_some();
            drop(idle);
            if let Some(since) = since
                && oldest.as_ref().is_none_or(|(least, _)| since < *least)
            {
                oldest = Some((since, pool));
            }
            since.is_some()
        });
        oldest
    }

    /// Drops what waited, and only then tells that there is room.
    fn give_back(&self, waited: impl IntoIterator<Item = Waiting>) {
        for Waiting { sandbox, bytes, .. } in waited {
            drop(sandbox);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Pool {
    pub(crate) fn new(warm: Arc<Warm>, most: usize) -> Self {
        Self { warm, most, idle: Mutex::default() }
    }

    /// The instance that was put here last, whose memory is most likely still in the caches. Others get the chance to
    /// be trimmed.
    pub(crate) fn take(&self) -> Option<Sandbox> {
        let Waiting { sandbox, bytes, .. } = self.idle.lock().waiting.pop_back()?;
        self.warm.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.warm.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(sandbox)
    }

    /// Keeps an instance for another event. Where there is no room, those that have waited longest are given back, of
    /// this pool or of any.
    pub(crate) fn put(self: &Arc<Self>, sandbox: Sandbox) {
        let bytes = sandbox.memory();
        if self.most == 0 || self.warm.most == 0 || bytes > self.warm.most_bytes {
            return;
        }
        self.warm.waiting.fetch_add(1, Ordering::SeqCst);
        self.warm.bytes.fetch_add(bytes, Ordering::Relaxed);
        let (too_many, is_new) = {
            let mut idle = self.idle.lock();
            idle.waiting.push_back(Waiting { sandbox, since: Instant::now(), bytes });
            let too_many = if idle.waiting.len() > self.most { idle.waiting.pop_front() } else { None };
            (too_many, !std::mem::replace(&mut idle.is_listed, true))
        };
        if is_new {
            self.warm.pools.lock().push(Arc::downgrade(self));
        }
        self.warm.give_back(too_many);
        let is_full =
            || self.warm.waiting() > self.warm.most || self.warm.bytes.load(Ordering::Relaxed) > self.warm.most_bytes;
        while is_full() && self.warm.drop_oldest(None) {}
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.idle.lock().waiting.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waited = std::mem::take(&mut self.idle.get_mut().waiting);
        self.warm.give_back(waited);
    }
}
