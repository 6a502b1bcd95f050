//! How far the cores are from one another, in time. Where the machine is virtual it may change while it runs, and everything
//! in which two threads take part with it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// Some tens of milliseconds, long enough for two threads to come to run on two cores.
const EXCHANGES: u32 = 200_000;
/// Looks after which a thread lets others run: the other may be waiting for this very core.
const PATIENCE: u32 = 100_000;

/// Nanoseconds in which a cache line goes from one core to another and back; of two where there are more.
pub(crate) fn measure() -> f64 {
    let is_there = AtomicBool::new(false);
    let (there, back) = (true, false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EXCHANGES {
                await_value(&is_there, there);
                is_there.store(back, Ordering::Release);
            }
        });
        let began = Instant::now();
        for _ in 0..EXCHANGES {
            is_there.store(there, Ordering::Release);
            await_value(&is_there, back);
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(EXCHANGES)
    })
}

fn await_value(place: &AtomicBool, value: bool) {
    let mut looks = 0_u32;
    while place.load(Ordering::Acquire) != value {
        looks += 1;
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
    fn an_exchange_takes_some_time() {
        assert!(measure() > 0.0);
    }
}
