//! The host's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use hostel_event::port::Clock;
use hostel_event::time::{Moment, Timestamp};

/// The machine's clocks.
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::new(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the Clock port's only real implementation")]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
