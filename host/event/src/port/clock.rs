//! The port through which time comes in.

use crate::time::{Moment, Timestamp};

/// Tells the time. The only source of it in the host, so that tests hold the hands.
pub trait Clock: Send + Sync {
    /// The time by a clock that only goes forward.
    fn now(&self) -> Moment;

    /// The time by the wall clock; may jump.
    fn wall(&self) -> Timestamp;
}
