//! Sizes and lengths of time as people write them: `64MiB`, `5s`. A bare number is refused, for nobody can tell
//! whether it means bytes or megabytes, seconds or milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number of bytes, written with its unit: `512B`, `16KiB`, `64MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

/// A length of time, written with its unit: `250ms`, `5s`, `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size; write a whole number and a unit, such as `64MiB`")]
pub struct ByteSizeError(String);

/// A text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write a number and a unit, such as `250ms`, `5s` or `1m 30s`")]
pub struct SpanError(String);

/// Units of size, the largest first within each family. Those of ten are read, since other tools write them, and never
/// written.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let error = || ByteSizeError(text.to_owned());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (digits, unit) = trimmed.split_at(end);
        let number: u64 = digits.parse().map_err(|_| error())?;
        let unit = unit.trim_start();
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(error)?;
        number.checked_mul(*factor).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        match exact.into_iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        humantime::parse_duration(text).map(Self).map_err(|_| SpanError(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

macro_rules! as_text {
    ($type:ident, $expected:literal, $example:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": concat!($expected, " with its unit, such as `", $example, "`"),
                    "pattern": $pattern,
                    "examples": [$example],
                })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($expected, " with its unit, such as \"", $example, "\""))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                // Any, not str: a format that describes itself then tells what it found instead.
                deserializer.deserialize_any(Text)
            }
        }
    };
}

as_text!(ByteSize, "a size", "64MiB", "^ *[0-9]+ *([kKMGT]i?)?[bB] *$");
// Whatever humantime reads; what it writes is among it.
as_text!(Span, "a duration", "5s", "^[0-9]+ *[a-zA-Z]+( *[0-9]+ *[a-zA-Z]+)*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        let check = |text: &str, expected: u64| assert_eq!(text.parse(), Ok(ByteSize(expected)), "{text}");
        check("0B", 0);
        check("512B", 512);
        check("16KiB", 16 * 1024);
        check("64MiB", 64 * 1024 * 1024);
        check(" 64 mib ", 64 * 1024 * 1024);
        check("1GiB", 1 << 30);
        check("2TiB", 2 << 40);
        check("5MB", 5_000_000);
    }

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_is_exact() {
        let check = |bytes: u64, expected: &str| assert_eq!(ByteSize(bytes).to_string(), expected);
        check(0, "0B");
        check(1000, "1000B");
        check(1024, "1KiB");
        check(1536, "1536B");
        check(64 << 20, "64MiB");
        check(3 << 40, "3TiB");
    }

    #[test]
    fn a_refused_size_says_what_to_write() {
        for text in ["", "64", "MiB", "1.5GiB", "-1B", "64 parsecs", "99999999999TiB", "é"] {
            let expected = format!("`{text}` is not a size; write a whole number and a unit, such as `64MiB`");
            assert_eq!(text.parse::<ByteSize>().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn spans_read_what_they_write() {
        for (text, millis) in [("250ms", 250), ("5s", 5_000), ("1m 30s", 90_000), ("1h", 3_600_000)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
        }
        assert_eq!(
            "5 parsecs".parse::<Span>().unwrap_err().to_string(),
            "`5 parsecs` is not a duration; write a number and a unit, such as `250ms`, `5s` or `1m 30s`"
        );
        assert!("5".parse::<Span>().is_err());
    }

    #[test]
    fn json_carries_them_as_text() {
        assert_eq!(serde_json::to_string(&ByteSize(1 << 20)).unwrap(), r#""1MiB""#);
        assert_eq!(serde_json::from_str::<Span>(r#""5s""#).unwrap(), Span(Duration::from_secs(5)));
        assert_eq!(
            serde_json::from_str::<ByteSize>("5").unwrap_err().to_string(),
            r#"invalid type: integer `5`, expected a size with its unit, such as "64MiB" at line 1 column 1"#
        );
    }
}
