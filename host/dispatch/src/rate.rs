//! Rates, by the generic cell rate algorithm (ITU-T I.371): so much a second, in bursts of one second's worth at most.
//!
//! All that is remembered of what was taken is one number, *due*: the time, in nanoseconds since the clock was made, by
//! which a steady taker would have taken as much. It may be kept in an atomic. Decides only; the time is told.

use std::num::NonZeroU64;
use std::time::Duration;

use hostel_event::time::Moment;

/// One second's worth may be taken at once.
const BURST: u64 = 1_000_000_000;

/// So much a second. More than a thousand million a second is not told from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(NonZeroU64);

impl Rate {
    pub(crate) const fn new(per_second: NonZeroU64) -> Self {
        Self(per_second)
    }

    /// So much of a core.
    pub(crate) fn of_time(per_second: Duration) -> Self {
        Self(NonZeroU64::new(nanos(per_second)).unwrap_or(NonZeroU64::MIN))
    }

    /// How long a steady taker has for this amount.
    pub(crate) fn time(self, amount: u64) -> u64 {
        let time = u128::from(amount) * u128::from(BURST) / u128::from(self.0.get());
        // Rounded down, so that a second's worth fits into a second, but nothing is free.
        u64::try_from(time).unwrap_or(u64::MAX).max(u64::from(amount > 0))
    }

    /// When this amount may be taken, or was ready to be.
    pub(crate) fn ready(self, due: u64, amount: u64) -> Moment {
        // More than a second's worth waits until everything else is paid for.
        let time = self.time(amount).min(BURST);
        Moment::new(Duration::from_nanos(due.saturating_add(time).saturating_sub(BURST)))
    }

    /// What is due once this amount was taken, whether it was ready or not.
    pub(crate) fn taken(self, due: u64, now: Moment, amount: u64) -> u64 {
        due.max(nanos(now.since_start())).saturating_add(self.time(amount))
    }
}

/// As whole nanoseconds, or the most there are.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::new(Duration::from_millis(millis))
    }

    fn rate(per_second: u64) -> Rate {
        Rate::new(NonZeroU64::new(per_second).unwrap())
    }

    /// How many of one are let through when as many as possible are taken at each of these times.
    fn taken(rate: Rate, times: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let mut due = 0;
        let greedy = |millis| {
            let mut count = 0;
            while rate.ready(due, 1) <= at(millis) {
                due = rate.taken(due, at(millis), 1);
                count += 1;
            }
            count
        };
        times.into_iter().map(greedy).collect()
    }

    #[test]
    fn a_burst_is_one_seconds_worth_and_then_it_goes_by_the_rate() {
        assert_eq!(taken(rate(10), [0, 99, 100, 150, 500, 500]), [10, 0, 1, 0, 4, 0]);
        assert_eq!(taken(rate(3), [5000, 5000, 6000]), [3, 0, 3]);
        assert_eq!(taken(rate(1), [0, 999, 1000]), [1, 0, 1]);
    }

    #[test]
    fn what_is_not_used_is_kept_for_one_second_and_no_longer() {
        assert_eq!(taken(rate(10), [0, 3_600_000, 3_600_050]), [10, 10, 0]);
    }

    #[test]
    fn over_any_time_no_more_is_taken_than_the_rate_and_one_burst() {
        for per_second in [1, 7, 333, 100_000] {
            let total: u64 = taken(rate(per_second), (0..5000).step_by(13)).into_iter().map(u64::from).sum();
            assert!(total <= per_second * 6, "{total} at {per_second}");
            assert!(total >= per_second * 6 - per_second / 50 - 1, "{total} at {per_second}");
        }
    }

    #[test]
    fn what_is_overdrawn_is_waited_for() {
        let half = Rate::of_time(Duration::from_millis(500));
        let spent = half.taken(0, at(0), 3_000_000_000);
        assert_eq!(half.time(500_000_000), 1_000_000_000);
        assert!(half.ready(spent, 1) > at(4999), "three seconds at half a core, but for the burst");
        assert!(half.ready(spent, 1) <= at(5001));
    }

    #[test]
    fn nothing_overflows() {
        let rate = rate(1);
        assert_eq!(rate.taken(u64::MAX, at(0), u64::MAX), u64::MAX);
        assert!(rate.ready(0, u64::MAX) <= at(0), "more than a burst waits for the rest only");
        assert_eq!(Rate::of_time(Duration::ZERO).time(1), 1_000_000_000);
    }
}
