//! The ticker: moves the engine's epoch on while guests run, so that none keeps a worker to itself.
//!
//! At each tick every running guest gives its worker back once and looks at its deadline. When nothing runs the thread
//! sleeps and costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use crate::telemetry;

/// Between ticks. A guest in a loop delays others on its worker by at most this; a shorter tick costs a wake-up of this
/// thread more often.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without any guest before the thread parks. Events that come one after the other then need no wake-up each.
const LINGER: u32 = 20;

/// Owns the thread; dropping it ends and joins the thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
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
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
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
        let mut idle = 0;
        while !*stopped {
            idle = if self.active.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle < LINGER {
                self.wake.wait_for(&mut stopped, TICK);
                engine.increment_epoch();
                continue;
            }
            self.parked.store(true, Ordering::SeqCst);
            if self.active.load(Ordering::SeqCst) == 0 {
                self.wake.wait(&mut stopped);
            }
            self.parked.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}
