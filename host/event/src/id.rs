//! Ids of events, deliveries and dead letters.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::port::Clock;
use crate::time::Timestamp;

/// The most bytes an id that a publisher gives may have.
pub const LIMIT: usize = 255;

/// Ten random bytes: what a UUIDv7 takes beside its time.
pub type Entropy = [u8; 10];

/// An event's id: a UUIDv7 unless its publisher gave another text of 1 to 255 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Arc<str>);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given.
    #[error("event id is empty")]
    Empty,
    /// More than [`LIMIT`] bytes.
    #[error("event id has {0} bytes, more than {LIMIT}")]
    TooLong(usize),
    /// A control character.
    #[error("event id {text:?} has the control character {found:?}")]
    Control {
        /// The whole text.
        text: String,
        /// The offending character.
        found: char,
    },
}

impl EventId {
    /// Checks and takes the id that a publisher gave.
    ///
    /// # Errors
    /// [`IdError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > LIMIT {
            return Err(IdError::TooLong(text.len()));
        }
        if let Some(found) = text.chars().find(|c| c.is_control()) {
            return Err(IdError::Control { text: text.to_owned(), found });
        }
        Ok(Self(text.into()))
    }

    /// A UUIDv7 (RFC 9562, section 5.7): sorts by time to the millisecond.
    #[must_use]
    pub fn generate(at: Timestamp, entropy: &Entropy) -> Self {
        Self(uuid7(at, entropy))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, if it is a UUIDv7.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let uuid = Uuid::try_parse(&self.0).ok().filter(|uuid| uuid.get_version_num() == 7)?;
        let bytes = uuid.as_bytes().iter().take(6);
        Some(Timestamp::from_millis(bytes.fold(0, |time, byte| time << 8 | u64::from(*byte))))
    }
}

/// The id of a dead letter: a UUIDv7. One event may leave several, one for each subscription that gave it up.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(Arc<str>);

impl DeadLetterId {
    /// A UUIDv7, which sorts by time.
    #[must_use]
    pub fn generate(at: Timestamp, entropy: &Entropy) -> Self {
        Self(uuid7(at, entropy))
    }

    /// Takes back what was once shown. Any text is taken; an unknown one is simply not found.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes ids, from a clock and a source of randomness that are given.
#[derive(Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    entropy: fn() -> Entropy,
}

impl Ids {
    /// Ids with the clock's time and ten random bytes from each call of `entropy`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: fn() -> Entropy) -> Self {
        Self { clock, entropy }
    }

    /// An id for an event whose publisher gave none.
    #[must_use]
    pub fn event(&self) -> EventId {
        EventId::generate(self.clock.wall(), &(self.entropy)())
    }

    /// An id for a dead letter.
    #[must_use]
    pub fn dead_letter(&self) -> DeadLetterId {
        DeadLetterId::generate(self.clock.wall(), &(self.entropy)())
    }
}

fn uuid7(at: Timestamp, entropy: &Entropy) -> Arc<str> {
    let uuid = uuid::Builder::from_unix_timestamp_millis(at.as_millis(), entropy).into_uuid();
    Arc::from(&*uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// Whether a text is a UUID of version 7, as generated ids are.
#[must_use]
pub fn is_uuid7(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.get_version_num() == 7)
}

macro_rules! shown_as_text {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )*};
}

shown_as_text!(EventId, DeadLetterId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_is_a_uuid7_of_its_time() {
        let early = EventId::generate(Timestamp::from_millis(1_700_000_000_000), &[0xff; 10]);
        let late = EventId::generate(Timestamp::from_millis(1_700_000_000_001), &[0; 10]);
        assert_eq!(early.as_str(), "018bcfe5-6800-7fff-bfff-ffffffffffff");
        assert!(is_uuid7(late.as_str()));
        assert!(early < late);
    }

    #[test]
    fn a_publishers_id_is_kept_as_given() {
        assert_eq!(EventId::new("order 7/é").unwrap().as_str(), "order 7/é");
        assert!(!is_uuid7("order 7"));
    }

    #[test]
    fn a_refusal_says_what() {
        let check = |text: &str| EventId::new(text).unwrap_err().to_string();
        assert_eq!(check(""), "event id is empty");
        assert_eq!(check(&"x".repeat(256)), "event id has 256 bytes, more than 255");
        assert_eq!(check("a\nb"), r#"event id "a\nb" has the control character '\n'"#);
    }
}
