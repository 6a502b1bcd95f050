//! Aside: threads for guests that compute for long, apart from those that serve sockets, timers and short events.
//!
//! Most guests end within some microseconds and never come here. One that keeps its thread for longer goes on here, in the
//! middle of what it does; and while a guest's events do that often, those that follow begin here ([`Habit`]). These
//! threads give way to all others: when a socket or a short event has something to do, the system runs that at once, even
//! where a guest is in a call that no tick interrupts, such as filling megabytes of memory. In what order guests compute
//! here, [`turns`](crate::turns) says.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task;

use crate::deadline::nanos;
use crate::telemetry;

/// How much nicer these threads are. The system then gives one of the others some three times as much of a core as one of
/// these, and lets it begin at once. With 10 it was nine times, which other tenants felt no less of, and deadlines held later
/// on a busy machine.
const NICER: i32 = 5;
/// What an event that computes for long keeps a thread for until it goes aside: two ticks.
const LONG: Duration = Duration::from_millis(2);
/// Memory that a guest may take anew without more ado.
const GROWTH_FREE: usize = 2 * 1024 * 1024;
/// What filling a mebibyte that was never touched takes, and giving it back: 256 faults of some 2 µs.
const PER_MEBIBYTE: Duration = Duration::from_micros(500);
const MEBIBYTE: usize = 1024 * 1024;
/// For each moment in which a guest's events kept a thread that serves others, they begin aside for so many. So those of
/// one guest keep such a thread for a fiftieth of the time, however short and long ones follow each other.
const FOR_EACH: u32 = 50;
/// The most that is held against a guest at any time. Arbitrary.
const LIMIT: Duration = Duration::from_secs(10);

/// Owns the threads. Dropping it ends and joins them.
pub(crate) struct Aside {
    handle: Handle,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// What a guest's last events were like.
pub(crate) struct Habit {
    began: Instant,
    /// Its events begin aside until then, in nanoseconds after `began`; 0 while none ever was long.
    until: AtomicU64,
}

/// What an event was like for the thread that ran it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Burden {
    /// A tick found it computing, and so did the next.
    pub(crate) is_long: bool,
    /// Memory that it took anew, in bytes.
    pub(crate) growth: usize,
}

impl Aside {
    /// As many threads as the machine has cores.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(cores).thread_name("hostel-aside").on_thread_start(give_way).enable_all();
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        // It may be dropped where nobody may wait for threads to end, so that a thread does.
        let thread = std::thread::Builder::new().name("hostel-aside".to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Does some work here. Dropped before it is done, it ends the work where it stands. A panic of the work goes on in
    /// whoever waits.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut working = Working(self.handle.spawn(work));
        match poll_fn(|context| Pin::new(&mut working.0).poll(context)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The threads have ended, and with them whoever could wait for this.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A guest that was dropped where it stood may be the last that held it: then this is one of the threads.
        let is_within = Handle::try_current().is_ok_and(|current| current.id() == self.handle.id());
        if let Some(thread) = self.thread.take()
            && !is_within
            && thread.join().is_err()
        {
            telemetry::aside_panicked();
        }
    }
}

/// Ends a task when it is dropped.
struct Working<T>(task::JoinHandle<T>);

impl<T> Drop for Working<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes this thread give way to others. Where the system refuses, guests are no worse off than those others.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICER) {
        telemetry::cannot_give_way(&error);
    }
}

impl Habit {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), until: AtomicU64::new(0) }
    }

    /// Whether its next event is to begin aside.
    pub(crate) fn is_bad(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        // Most guests have no burdensome event ever, and need no clock.
        until > 0 && nanos(self.began.elapsed()) < until
    }

    /// Takes in what an event was like.
    pub(crate) fn learn(&self, burden: Burden) {
        let kept = burden.time();
        if !kept.is_zero() {
            let now = nanos(self.began.elapsed());
            let until = self.until.load(Ordering::Relaxed);
            // Of two that write at the same time one is lost, which does no harm.
            self.until.store(moved(until, now, kept), Ordering::Relaxed);
        }
    }
}

impl Burden {
    /// The time for which it keeps a thread that nobody can interrupt, unless it begins aside.
    fn time(self) -> Duration {
        let computing = if self.is_long { LONG } else { Duration::ZERO };
        let mebibytes = u32::try_from(self.growth / MEBIBYTE).unwrap_or(u32::MAX);
        let growing = if self.growth > GROWTH_FREE { PER_MEBIBYTE.saturating_mul(mebibytes) } else { Duration::ZERO };
        computing + growing
    }
}

/// Until when events begin aside, after one that kept a thread for so long.
fn moved(until: u64, now: u64, kept: Duration) -> u64 {
    let until = until.max(now).saturating_add(nanos(kept.saturating_mul(FOR_EACH)));
    until.min(now.saturating_add(nanos(LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Burden = Burden { is_long: false, growth: 0 };

    #[test]
    fn a_burden_is_held_against_a_guest_for_a_while() {
        let second = nanos(Duration::from_secs(1));
        let fifty = nanos(Duration::from_millis(50));
        assert_eq!(moved(0, second, Duration::from_millis(1)), second + fifty);
        assert_eq!(moved(second + fifty, second, Duration::from_millis(1)), second + 2 * fifty);
        assert_eq!(moved(u64::MAX, second, Duration::from_millis(1)), 11 * second);
        assert_eq!(moved(0, second, Duration::MAX), 11 * second);
    }

    #[test]
    fn only_what_kept_a_thread_for_long_is_a_burden() {
        assert_eq!(NOTHING.time(), Duration::ZERO);
        assert_eq!(Burden { growth: GROWTH_FREE, ..NOTHING }.time(), Duration::ZERO);
        assert_eq!(Burden { is_long: true, ..NOTHING }.time(), LONG);
        assert_eq!(Burden { growth: 32 * MEBIBYTE, ..NOTHING }.time(), Duration::from_millis(16));
    }

    #[test]
    fn a_guest_is_trusted_until_it_was_a_burden() {
        let habit = Habit::new();
        habit.learn(NOTHING);
        assert!(!habit.is_bad());
        habit.learn(Burden { is_long: false, growth: 1024 * MEBIBYTE });
        assert!(habit.is_bad());
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_whoever_waits() {
        let aside = Aside::start().unwrap();
        assert_eq!(aside.run(async { 7 }).await, 7);
        let work = std::panic::AssertUnwindSafe(aside.run(async { std::panic::panic_any("no") }));
        let ended: Result<(), _> = futures_util::FutureExt::catch_unwind(work).await;
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"no"));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_dropped() {
        let aside = Aside::start().unwrap();
        let (held, dropped) = oneshot::channel::<Infallible>();
        let (begun, begins) = oneshot::channel();
        let work = aside.run(async move {
            let _held = held;
            let _ = begun.send(());
            std::future::pending::<()>().await;
        });
        tokio::select! {
            () = work => unreachable!("it never ends"),
            begun = begins => begun.unwrap(),
        }
        assert!(dropped.await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_give_way_to_others() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let aside = Aside::start().unwrap();
        let theirs = aside.run(async { rustix::process::getpriority_process(None).unwrap() }).await;
        assert_eq!(theirs, (own + NICER).min(19));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }
}
