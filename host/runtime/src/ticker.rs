//! The ticker: moves the engine's epoch on while guests run, so that none keeps a worker to itself.
//!
//! At each tick every running guest gives its worker back once and looks at its deadline. When nothing runs the thread
//! sleeps and costs nothing. Now and then it gives back instances that have waited too long for an event, which no event
//! should have to do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use wasmtime::Engine;

use crate::telemetry;
use crate::warm::Warm;

/// Between ticks. A guest in a loop delays others on its worker by at most this; a shorter tick costs a wake-up of this
/// thread more often.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without any guest before the thread parks. Events that come one after the other then need no wake-up each.
const LINGER: u32 = 20;
/// Between looks for instances that have waited too long. A fraction of how long they may.
const TRIM: Duration = Duration::from_secs(1);

/// Owns the thread; dropping it ends and joins the thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// A second engine to tick for, once there is one.
    also: OnceLock<Engine>,
    warm: Arc<Warm>,
    active: AtomicUsize,
    /// Set, under the lock, before the thread looks at `active` a last time and parks. Whoever raises `active` looks at
    /// it afterwards. In sequentially consistent order one of the two sees the other, so no wake-up is lost.
    parked: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

/// Keeps the ticks coming while it lives.
pub(crate) struct Active<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn start(engine: Engine, warm: Arc<Warm>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            also: OnceLock::new(),
            warm,
            active: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hostel-ticker".to_owned()).spawn(move || own.run(&engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Begins to tick, if it does not yet, until the returned guard is dropped.
    pub(crate) fn activate(&self) -> Active<'_> {
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst) {
            // Taking the lock waits until the thread truly waits.
            drop(self.shared.stopped.lock());
            self.shared.wake.notify_one();
        }
        Active(&self.shared)
    }

    /// Ticks for a second engine as well from now on. There is one at most: any further is ignored.
    pub(crate) fn also(&self, engine: Engine) {
        let _ = self.shared.also.set(engine);
    }

    /// How many guards there are.
    pub(crate) fn active(&self) -> usize {
        self.shared.active.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(crate) fn is_parked(&self) -> bool {
        self.shared.parked.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.stopped.lock() = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            telemetry::ticker_panicked();
        }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, engine: &Engine) {
        let mut stopped = self.stopped.lock();
        let (mut idle, mut next_trim) = (0, Instant::now() + TRIM);
        while !*stopped {
            idle = if self.active.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle < LINGER {
                self.wake.wait_for(&mut stopped, TICK);
                engine.increment_epoch();
                if let Some(also) = self.also.get() {
                    also.increment_epoch();
                }
            } else if self.park(&mut stopped, next_trim) {
                idle = 0;
            }
            if self.warm.waiting() > 0 && Instant::now() >= next_trim {
                // One at a time: the next tick must not wait for long.
                let is_more = MutexGuard::unlocked(&mut stopped, || self.warm.trim(Instant::now()));
                next_trim = Instant::now() + if is_more { TICK } else { TRIM };
            }
        }
    }

    /// Sleeps until a guest runs, and if instances wait for an event not beyond `next_trim`. Returns whether a guest
    /// runs.
    fn park(&self, stopped: &mut MutexGuard<'_, bool>, next_trim: Instant) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        let was_woken = self.active.load(Ordering::SeqCst) > 0 || {
            // Whoever puts an instance there is active until after that, so that it is seen here.
            if self.warm.waiting() == 0 {
                self.wake.wait(stopped);
                true
            } else {
                !self.wake.wait_until(stopped, next_trim).timed_out()
            }
        };
        self.parked.store(false, Ordering::SeqCst);
        was_woken
    }
}
