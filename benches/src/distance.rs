//! How far the cores are from one another, in time. Where the machine is virtual it may change while it runs, and everything
//! in which two threads take part with it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Exchanges that are timed at once.
const BATCH: u32 = 1_000;
/// Some tens of milliseconds, most of them with the two threads on two cores.
const BATCHES: usize = 200;
/// When it ends at the latest: the other core may be taken by somebody.
const LONGEST: Duration = Duration::from_millis(300);
/// Looks after which a thread lets others run: the other may be waiting for this very core.
const PATIENCE: u32 = 1_000;
/// What stands in the place when nothing comes any more.
const OVER: u32 = u32::MAX;

/// Nanoseconds in which a cache line goes from one core to another and back; of two where there are more. `None` where there
/// is one.
pub(crate) fn measure() -> Option<f64> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores > 1).then(exchange)
}

/// Two threads count in turns: the odd numbers are one's, the even ones the other's.
fn exchange() -> f64 {
    let place = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 1;
            while await_number(&place, next) {
                place.store(next + 1, Ordering::Release);
                next += 2;
            }
        });
        let (began, mut made, mut batches) = (Instant::now(), 0, Vec::with_capacity(BATCHES));
        while batches.len() < BATCHES && began.elapsed() < LONGEST {
            let batch = Instant::now();
            for _ in 0..BATCH {
                place.store(made * 2 + 1, Ordering::Release);
                made += 1;
                await_number(&place, made * 2);
            }
            batches.push(batch.elapsed());
        }
        place.store(OVER, Ordering::Release);
        // The median: the first are of two threads on one core.
        batches.sort_unstable();
        let median = batches.get(batches.len() / 2).copied().unwrap_or_default();
        median.as_secs_f64() * 1e9 / f64::from(BATCH)
    })
}

/// Waits for a number; says whether it came, and not the end.
fn await_number(place: &AtomicU32, number: u32) -> bool {
    let mut looks = 0_u32;
    loop {
        match place.load(Ordering::Acquire) {
            OVER => return false,
            found if found == number => return true,
            _ => {}
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(PATIENCE) {
            thread::yield_now();
        } else {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_takes_some_time_and_ends() {
        assert!(exchange() > 0.0);
    }
}
