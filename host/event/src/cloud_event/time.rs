//! Times of RFC 3339: telling them from other texts, and writing them. They are kept as they came, so none is converted.

use crate::time::Timestamp;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Whether a text is a `date-time` of RFC 3339, section 5.6.
pub(super) fn is_rfc3339(text: &str) -> bool {
    read(text.as_bytes()).is_some()
}

fn read(text: &[u8]) -> Option<()> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let year = number(y1, y2)? * 100 + number(y3, y4)?;
    let month = number(m1, m2)?;
    let day = number(d1, d2)?;
    if day == 0 || day > days_of(month, year)? {
        return None;
    }
    let (clock, rest) = rest.split_at_checked(9)?;
    let [b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2] = *clock else { return None };
    // A minute may have a leap second; which ones do is not known in advance.
    if number(h1, h2)? > 23 || number(n1, n2)? > 59 || number(s1, s2)? > 60 {
        return None;
    }
    let zone = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            fraction.get(digits..)?
        }
    };
    match *zone {
        [b'Z' | b'z'] => Some(()),
        [b'+' | b'-', h1, h2, b':', m1, m2] => (number(h1, h2)? <= 23 && number(m1, m2)? <= 59).then_some(()),
        _ => None,
    }
}

fn number(tens: u8, ones: u8) -> Option<u32> {
    let digit = |c: u8| char::from(c).to_digit(10);
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn days_of(month: u32, year: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Writes a point in time in UTC, to the millisecond; what lies beyond the year 9999 as its last millisecond.
pub(super) fn written(at: Timestamp) -> String {
    let millis = at.as_millis().min(253_402_300_799_999);
    let (days, in_day) = (millis / DAY, millis % DAY);
    // Counted in eras of 400 years that begin on the first of March, so that a leap day is the last day of its year.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (seconds, fraction) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339_are_known() {
        for text in [
            "2018-04-05T17:31:00Z",
            "2018-04-05t17:31:00.123456789z",
            "2024-02-29T23:59:60+14:00",
            "0000-01-01T00:00:00-00:00",
        ] {
            assert!(is_rfc3339(text), "{text}");
        }
        for text in [
            "",
            "2018-04-05",
            "2018-04-05 17:31:00Z",
            "2018-04-05T17:31:00",
            "2018-04-05T17:31Z",
            "2018-04-05T17:31:00.Z",
            "2018-13-05T17:31:00Z",
            "2018-00-05T17:31:00Z",
            "2018-04-31T17:31:00Z",
            "2023-02-29T00:00:00Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T17:31:61Z",
            "2018-04-05T17:31:00+24:00",
            "2018-04-05T17:31:00+0100",
            "1522949460",
            "２018-04-05T17:31:00Z",
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_written_in_utc() {
        let check = |millis, expected: &str| {
            let text = written(Timestamp::from_millis(millis));
            assert_eq!(text, expected);
            assert!(is_rfc3339(&text));
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
        check(1_735_689_599_999, "2024-12-31T23:59:59.999Z");
        check(u64::MAX, "9999-12-31T23:59:59.999Z");
    }
}
