//! What one invocation may use of time, and what it has used of anything: its deadline, its processor time, its traffic.
//!
//! Memory is counted where it is allocated, in [`limiter`](crate::limiter).

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostel_event::handler::Limits;
use parking_lot::Mutex;

use crate::deadline::{Deadline, nanos};
use crate::turns::Turn;

/// One invocation's meter. Shared by the store, the loop that polls the guest, and bodies of HTTP under way.
pub(crate) struct Meter {
    pub(crate) deadline: Deadline,
    pub(crate) cpu: CpuTime,
    pub(crate) traffic: Traffic,
    /// Held while it computes on.
    turn: Mutex<Option<Turn>>,
    /// It gave its thread back for a tick, and not to wait for the host.
    is_standing_back: AtomicBool,
    /// It began aside.
    began_aside: bool,
    /// It takes long: its place is aside.
    is_long: AtomicBool,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let began = Instant::now();
        Self {
            deadline: Deadline::new(began, limits.deadline),
            cpu: CpuTime::new(began, limits.cpu_time),
            traffic: Traffic::default(),
            turn: Mutex::new(None),
            is_standing_back: AtomicBool::new(false),
            began_aside: false,
            is_long: AtomicBool::new(false),
        }
    }

    /// That of one that begins aside, in a turn. To be made on the thread that polls it, in the poll in which it begins.
    pub(crate) fn aside(limits: &Limits, turn: Option<Turn>) -> Self {
        let meter = Self { turn: Mutex::new(turn), began_aside: true, ..Self::new(limits) };
        // Others have the core before these threads do, often enough for the two clocks to part.
        meter.cpu.leave();
        meter.cpu.enter();
        meter
    }

    /// A tick found it computing. Says whether it must go aside, or is there.
    pub(crate) fn was_found(&self) -> bool {
        if self.cpu.is_long() {
            self.is_long.store(true, Ordering::Relaxed);
        }
        self.began_aside || self.is_long()
    }

    /// Whether it was found to compute for long.
    pub(crate) fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    pub(crate) fn has_turn(&self) -> bool {
        self.turn.lock().is_some()
    }

    pub(crate) fn begin_turn(&self, turn: Turn) {
        *self.turn.lock() = Some(turn);
    }

    /// The guest gives its thread back at a tick, and keeps its turn until that is given on.
    pub(crate) fn stands_back(&self) {
        self.is_standing_back.store(true, Ordering::Relaxed);
    }

    /// Whether the guest would compute if it were polled.
    pub(crate) fn is_standing_back(&self) -> bool {
        self.is_standing_back.load(Ordering::Relaxed)
    }

    /// The guest computes again after a tick, or is about to.
    pub(crate) fn went_on(&self) {
        self.is_standing_back.store(false, Ordering::Relaxed);
    }

    /// To be called whenever the guest has given its thread back: if it waits for the host or has ended, another may
    /// compute meanwhile.
    pub(crate) fn left_thread(&self) {
        if !self.is_standing_back() {
            self.end_turn();
        }
    }

    pub(crate) fn end_turn(&self) {
        // Most have none. Dropped outside the lock.
        let turn = self.turn.lock().take();
        drop(turn);
    }

    /// Whether the guest must stop computing.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline.has_passed() || self.cpu.is_spent()
    }
}

/// The time in which a guest, and host functions on its behalf, kept a thread. Waiting is not counted.
///
/// Two clocks are read. Most invocations are polled once and never wait; those are measured with the machine's monotonic
/// clock, which costs some 20 ns and is read anyway. Its error is the time for which the kernel gave the core to another
/// thread meanwhile, and is bounded: a guest that computes is polled anew at each tick of the epoch. From the second poll
/// on it is the thread's own processor clock, which knows that but is a system call of some 200 ns: one for each
/// millisecond of computing, or beside the far dearer switch after a wait.
pub(crate) struct CpuTime {
    limit: Option<Duration>,
    began: Instant,
    /// Nanoseconds in polls that have ended.
    spent: AtomicU64,
    /// What the thread's clock said when the poll under way began, in nanoseconds.
    entered: AtomicU64,
    /// [`FIRST`], [`INSIDE`] or [`OUTSIDE`]. Only whoever polls changes it, so that no order between threads is needed.
    phase: AtomicU8,
}

/// A poll that takes so much of a core takes long: half a tick, since who was just polled when the tick came is no
/// exception.
const LONG: Duration = Duration::from_micros(500);
/// In the first poll, or before it.
const FIRST: u8 = 0;
/// In a later poll.
const INSIDE: u8 = 1;
/// The guest waits.
const OUTSIDE: u8 = 2;

impl CpuTime {
    pub(crate) fn new(began: Instant, limit: Option<Duration>) -> Self {
        let (spent, entered, phase) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU8::new(FIRST));
        Self { limit, began, spent, entered, phase }
    }

    /// To be called before each poll.
    pub(crate) fn enter(&self) {
        if self.phase.load(Ordering::Relaxed) == OUTSIDE {
            self.entered.store(thread_time(), Ordering::Relaxed);
            self.phase.store(INSIDE, Ordering::Relaxed);
        }
    }

    /// To be called after each poll in which the guest did not end.
    pub(crate) fn leave(&self) {
        self.spent.store(nanos(self.total()), Ordering::Relaxed);
        self.phase.store(OUTSIDE, Ordering::Relaxed);
    }

    /// Whether the poll under way takes long, by the thread's own clock. Of a first poll nobody knows.
    pub(crate) fn is_long(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == INSIDE
            && thread_time().saturating_sub(self.entered.load(Ordering::Relaxed)) >= nanos(LONG)
    }

    /// All of it, when all is over after this time on the clock.
    pub(crate) fn at_end(&self, wall: Duration) -> Duration {
        // In the first poll the two are one, and the clock was read already.
        if self.phase.load(Ordering::Relaxed) == FIRST { wall } else { self.total().min(wall) }
    }

    /// All of it until now.
    pub(crate) fn total(&self) -> Duration {
        let running = match self.phase.load(Ordering::Relaxed) {
            FIRST => nanos(self.began.elapsed()),
            INSIDE => thread_time().saturating_sub(self.entered.load(Ordering::Relaxed)),
            _ => 0,
        };
        Duration::from_nanos(self.spent.load(Ordering::Relaxed).saturating_add(running))
    }

    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Whether more was used than may be.
    pub(crate) fn is_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.total() >= limit)
    }
}

/// The processor time of this thread, in nanoseconds.
fn thread_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // Neither part is ever negative.
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Which limit a guest would go beyond by publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    Events,
    Bytes,
}

/// What went in and out of a guest, in bytes and in calls.
#[derive(Default)]
pub(crate) struct Traffic {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    calls: AtomicU32,
    published_events: AtomicUsize,
    published_bytes: AtomicUsize,
    denied: AtomicU32,
}

impl Traffic {
    /// The guest was given so many bytes.
    pub(crate) fn got(&self, bytes: usize) {
        self.bytes_in.fetch_add(widened(bytes), Ordering::Relaxed);
    }

    /// The guest gave so many bytes away.
    pub(crate) fn gave(&self, bytes: usize) {
        self.bytes_out.fetch_add(widened(bytes), Ordering::Relaxed);
    }

    /// The guest sent a request.
    pub(crate) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The guest wants to publish so many bytes; says whether it may, and counts them if so.
    pub(crate) fn publishes(&self, bytes: usize, limits: &Limits) -> Result<(), Beyond> {
        let (counted, relaxed) = (self.published_events.load(Ordering::Relaxed), Ordering::Relaxed);
        // A guest publishes one after another, so that nobody counts between the two.
        let total = self.published_bytes.load(relaxed).saturating_add(bytes);
        if counted >= limits.published_events {
            return Err(Beyond::Events);
        }
        if total > limits.published_bytes {
            return Err(Beyond::Bytes);
        }
        self.published_events.store(counted + 1, relaxed);
        self.published_bytes.store(total, relaxed);
        Ok(())
    }

    /// The guest was denied a call for want of a grant.
    pub(crate) fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn denied(&self) -> u32 {
        self.denied.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

fn widened(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the core busy until the thread has used so much of it.
    fn compute(time: Duration) {
        let end = thread_time() + nanos(time);
        while thread_time() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn waiting_is_not_counted() {
        let cpu = CpuTime::new(Instant::now(), Some(Duration::from_millis(20)));
        cpu.leave();
        let before = cpu.total();
        // Stands for a wait: the guest is not polled meanwhile.
        compute(Duration::from_millis(30));
        assert_eq!(cpu.total(), before);
        cpu.enter();
        assert!(!cpu.is_spent());
        compute(Duration::from_millis(20));
        assert!(cpu.is_spent());
        cpu.leave();
        assert!(cpu.total() >= Duration::from_millis(20));
        assert!(cpu.is_spent());
    }

    #[test]
    fn what_is_published_is_held_to_its_limits() {
        let limits = Limits { published_events: 2, published_bytes: 10, ..Limits::default() };
        let traffic = Traffic::default();
        assert_eq!(traffic.publishes(11, &limits), Err(Beyond::Bytes));
        assert_eq!(traffic.publishes(10, &limits), Ok(()));
        assert_eq!(traffic.publishes(1, &limits), Err(Beyond::Bytes));
        assert_eq!(traffic.publishes(0, &limits), Ok(()));
        assert_eq!(traffic.publishes(0, &limits), Err(Beyond::Events));
    }

    #[test]
    fn without_a_limit_nothing_is_ever_spent() {
        let cpu = CpuTime::new(Instant::now(), None);
        compute(Duration::from_millis(1));
        assert!(cpu.total() >= Duration::from_millis(1) && !cpu.is_spent());
    }
}
