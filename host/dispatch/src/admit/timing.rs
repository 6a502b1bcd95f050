//! Points in time as publishers write them in headers: RFC 3339, or a duration from now.

use std::time::{Duration, SystemTime};

use hostel_event::port::PublishError;
use hostel_event::time::Timestamp;

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const LAST: u64 = 253_402_300_799_999;

/// Reads `2026-01-01T12:00:00Z`, `2026-01-01T12:00:00.5+01:00` or `5m`, which is from `now` on.
pub(super) fn parse(header: &str, text: &str, now: Timestamp) -> Result<Timestamp, PublishError> {
    let trimmed = text.trim();
    let point = match humantime::parse_duration(trimmed) {
        Ok(delay) => Some(now.as_millis().saturating_add(millis(delay)).min(LAST)),
        Err(_) => rfc3339(trimmed),
    };
    point.map(Timestamp::from_millis).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        PublishError::Timing(format!(
            "header `{header}`: {shown:?} is neither a time nor a duration; \
             write for example `2026-01-31T12:00:00Z` or `5m`"
        ))
    })
}

/// Writes a point in time as RFC 3339 in UTC.
pub(super) fn write(time: Timestamp) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time.as_millis().min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Milliseconds since the Unix epoch. What lies before it is its beginning.
fn rfc3339(text: &str) -> Option<u64> {
    let (local, ahead) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
            (local, minutes(offset)?)
        }
    };
    let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let millis = i64::try_from(millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())).ok()?;
    let utc = millis.saturating_sub(ahead.saturating_mul(60_000)).max(0);
    u64::try_from(utc).ok().map(|utc| utc.min(LAST))
}

/// How many minutes `+01:30` is ahead of UTC.
fn minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, offset.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, limit: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| is_number && *number < limit)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read() {
        let now = Timestamp::from_millis(1_000_000);
        let check = |text: &str, expected: u64| {
            assert_eq!(parse("H", text, now), Ok(Timestamp::from_millis(expected)), "{text}");
        };
        check("5m", 1_300_000);
        check(" 250ms ", 1_000_250);
        check("1h 30m", 6_400_000);
        check("0s", 1_000_000);
        check("2023-11-14T22:13:20Z", 1_700_000_000_000);
        check("2023-11-14T22:13:20.123z", 1_700_000_000_123);
        check("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500);
        check("2023-11-14T16:43:20-05:30", 1_700_000_000_000);
        check("1970-01-01T00:30:00+01:00", 0);
        check("9999-12-31T23:59:59-23:59", LAST);
        check("99999y", LAST);
    }

    #[test]
    fn what_is_neither_is_refused_with_what_to_write() {
        let now = Timestamp::default();
        for text in ["", "5", "tomorrow", "-5m", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20+1:00", "é"]
        {
            let expected = format!(
                "header `Hostel-Expires`: {text:?} is neither a time nor a duration; \
                 write for example `2026-01-31T12:00:00Z` or `5m`"
            );
            assert_eq!(parse("Hostel-Expires", text, now).unwrap_err().to_string(), expected);
        }
        for text in ["2023-11-14T22:13:20+24:00", "2023-11-14T22:13:20+00:60", "2023-11-14T22:13:20+0é:0"] {
            assert!(parse("H", text, now).is_err(), "{text}");
        }
        let long = parse("H", &"x".repeat(60_000), now).unwrap_err().to_string();
        assert!(long.len() < 250, "a long value is cut");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for millis in [0, 1_700_000_000_123, LAST] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(parse("H", &write(time), Timestamp::default()), Ok(time));
        }
    }
}
