//! Points in time as people and JSON write them: RFC 3339, in UTC, to the millisecond.

use std::time::{Duration, SystemTime};

use crate::unit::Span;

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const LAST: u64 = 253_402_300_799_999;

/// Writes milliseconds since the Unix epoch as RFC 3339; what lies beyond the year 9999 as its last millisecond.
#[must_use]
pub fn rfc3339(millis: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Reads a point in time: RFC 3339 in UTC, such as `2026-01-31T12:00:00Z`, or a length of time, such as `1h`, for so long
/// before `now`. Milliseconds since the Unix epoch.
///
/// # Errors
/// [`TimeError`] when it is neither, or lies before 1970.
pub fn past(text: &str, now: u64) -> Result<u64, TimeError> {
    let error = || TimeError(text.to_owned());
    let millis = |span: Duration| u64::try_from(span.as_millis()).ok();
    match text.parse::<Span>() {
        Ok(span) => Ok(now.saturating_sub(millis(span.0).ok_or_else(error)?)),
        Err(_) => point(text).ok_or_else(error),
    }
}

/// Reads a point in time: RFC 3339 in UTC. Milliseconds since the Unix epoch; `None` when it is none, or before 1970.
#[must_use]
pub fn point(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(time.as_millis()).ok()
}

/// A text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; write one such as `2026-01-31T12:00:00Z`, or how long ago, such as `1h`")]
pub struct TimeError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_time_in_the_past_is_a_point_or_a_length() {
        let now = 1_700_000_000_123;
        assert_eq!(past("2023-11-14T22:13:20.123Z", 0), Ok(now));
        assert_eq!((point("2023-11-14T22:13:20.123Z"), point("1h")), (Some(now), None));
        assert_eq!(past("1h", now), Ok(now - 3_600_000));
        assert_eq!(past("100000d", now), Ok(0));
        let error = past("yesterday", now).unwrap_err().to_string();
        assert_eq!(
            error,
            "`yesterday` is no time; write one such as `2026-01-31T12:00:00Z`, or how long ago, such as `1h`"
        );
    }
}
