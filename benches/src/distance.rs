//! How far the cores are from one another, in time. Where the machine is virtual it may change while it runs, and everything
//! in which two threads take part with it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Some tens of milliseconds, long enough for two threads to come to run on two cores.
const EXCHANGES: u32 = 200_000;
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
        let (began, mut made) = (Instant::now(), 0);
        while made < EXCHANGES && (made % 1_000 != 0 || began.elapsed() < LONGEST) {
            place.store(made * 2 + 1, Ordering::Release);
            made += 1;
            await_number(&place, made * 2);
        }
        let took = began.elapsed();
        place.store(OVER, Ordering::Release);
        took.as_secs_f64() * 1e9 / f64::from(made.max(1))
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
