//! The one deadline of an invocation.
//!
//! Measured with the machine's own clock and not the `Clock` port: a guest's loop runs in real time whatever a test's
//! clock says, and must end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many times a handler's deadline an invocation may last with all extensions.
const EXTENSION_LIMIT: u32 = 10;

/// When an invocation must be over.
pub(crate) struct Deadline {
    began: Instant,
    /// The deadline of the handler's manifest.
    limit: Duration,
    /// Nanoseconds after `began`. Only ever grows.
    at: AtomicU64,
}

impl Deadline {
    pub(crate) fn new(began: Instant, limit: Duration) -> Self {
        Self { began, limit, at: AtomicU64::new(nanos(limit)) }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn has_passed(&self) -> bool {
        nanos(self.elapsed()) >= self.at.load(Ordering::Relaxed)
    }

    /// The whole time that it gives now, extensions included.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }

    /// The point in time, or one far away if the clock cannot tell it.
    pub(crate) fn instant(&self) -> Instant {
        self.began.checked_add(self.total()).unwrap_or_else(|| self.began + Duration::from_secs(365 * 24 * 60 * 60))
    }

    /// Moves it to `by` from now, if that is later.
    ///
    /// # Errors
    /// What is left to ask for, when `by` goes beyond the limit of all extensions.
    pub(crate) fn extend(&self, by: Duration) -> Result<(), Duration> {
        let elapsed = self.elapsed();
        let end = elapsed.saturating_add(by);
        let limit = self.limit.saturating_mul(EXTENSION_LIMIT);
        if end > limit {
            return Err(limit.saturating_sub(elapsed));
        }
        self.at.fetch_max(nanos(end), Ordering::Relaxed);
        Ok(())
    }
}

/// More than 584 years are as good as that.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_bounded_by_ten_deadlines() {
        let deadline = Deadline::new(Instant::now(), Duration::from_secs(10));
        assert_eq!(deadline.extend(Duration::from_secs(50)), Ok(()));
        assert!(deadline.total() >= Duration::from_secs(50));
        let left = deadline.extend(Duration::from_secs(101)).unwrap_err();
        assert!(left <= Duration::from_secs(100) && left > Duration::from_secs(90), "{left:?}");
    }

    #[test]
    fn an_extension_never_brings_the_end_nearer() {
        let deadline = Deadline::new(Instant::now(), Duration::from_secs(10));
        assert_eq!(deadline.extend(Duration::from_millis(1)), Ok(()));
        assert_eq!(deadline.total(), Duration::from_secs(10));
    }

    #[test]
    fn an_endless_deadline_does_not_overflow() {
        let deadline = Deadline::new(Instant::now(), Duration::MAX);
        assert!(!deadline.has_passed());
        assert!(deadline.instant() > Instant::now());
        assert_eq!(deadline.extend(Duration::MAX), Ok(()));
    }
}
