//! The host, as this crate sees it: that of the component in a WebAssembly build, the test double in a native one. Both
//! offer the same functions.

use std::time::Duration;

#[cfg(target_family = "wasm")]
mod component;
#[cfg(not(target_family = "wasm"))]
mod double;
#[cfg(target_family = "wasm")]
mod http;

#[cfg(target_family = "wasm")]
pub(crate) use component::{Bucket, Delivery, config, log, open_bucket, publish};
#[cfg(target_family = "wasm")]
pub use component::{bindings, handle, init};
#[cfg(not(target_family = "wasm"))]
pub(crate) use double::{
    Bucket, Delivery, Effects, Rules, attach, config, find_header, log, open_bucket, publish, send,
};
#[cfg(target_family = "wasm")]
pub(crate) use http::send;

/// Whole milliseconds, rounded up so that a short wait does not become none; the most there are for what is longer.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(5)), 5);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
