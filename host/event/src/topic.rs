//! Topics: where events are published.

use std::fmt;
use std::sync::Arc;

/// The most bytes a topic or a pattern may have.
pub const LIMIT: usize = 255;

/// A dotted name such as `orders.created`: 1 to 255 bytes of `A-Z a-z 0-9 . _ -` without an empty token.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Nothing was given.
    #[error("topic is empty")]
    Empty,
    /// More than [`LIMIT`] bytes.
    #[error("topic has {0} bytes, more than {LIMIT}")]
    TooLong(usize),
    /// Two dots in a row, or a dot at an end.
    #[error("topic `{text}` has an empty token at byte {at}")]
    EmptyToken {
        /// The whole text.
        text: String,
        /// Where the empty token stands.
        at: usize,
    },
    /// A character outside the allowed set.
    #[error("topic `{text}` has {found:?} at byte {at}; allowed are A-Z, a-z, 0-9, ., _ and -")]
    Character {
        /// The whole text.
        text: String,
        /// The offending character.
        found: char,
        /// Where it stands, in bytes from the start.
        at: usize,
    },
}

impl Topic {
    /// Checks and takes a text.
    ///
    /// # Errors
    /// [`TopicError`] says what is wrong and where.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The texts between the dots.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

fn check(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > LIMIT {
        return Err(TopicError::TooLong(text.len()));
    }
    let mut token_starts = true;
    for (at, c) in text.char_indices() {
        match c {
            '.' if token_starts => return Err(TopicError::EmptyToken { text: text.to_owned(), at }),
            '.' => token_starts = true,
            c if is_token(c) => token_starts = false,
            found => return Err(TopicError::Character { text: text.to_owned(), found, at }),
        }
    }
    if token_starts {
        return Err(TopicError::EmptyToken { text: text.to_owned(), at: text.len() });
    }
    Ok(())
}

/// Whether a token of a topic may have this character.
pub(crate) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_topics_are_taken() {
        for text in ["a", "orders.created", "go.micro.topic.foo", "A_b-9.c", &"x".repeat(255)] {
            assert_eq!(Topic::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_refusal_says_what_and_where() {
        let check = |text: &str| Topic::new(text).unwrap_err().to_string();
        assert_eq!(check(""), "topic is empty");
        assert_eq!(check(&"x".repeat(256)), "topic has 256 bytes, more than 255");
        assert_eq!(check(".a"), "topic `.a` has an empty token at byte 0");
        assert_eq!(check("a..b"), "topic `a..b` has an empty token at byte 2");
        assert_eq!(check("a."), "topic `a.` has an empty token at byte 2");
        assert_eq!(check("a.*"), "topic `a.*` has '*' at byte 2; allowed are A-Z, a-z, 0-9, ., _ and -");
        assert_eq!(check("ö"), "topic `ö` has 'ö' at byte 0; allowed are A-Z, a-z, 0-9, ., _ and -");
    }
}
