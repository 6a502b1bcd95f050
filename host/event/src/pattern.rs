//! Patterns: which topics a subscription hears.

use std::fmt;
use std::sync::Arc;

use crate::topic::{LIMIT, Topic, is_token};

/// A topic in which `*` stands for one token and a final `>` for one or more.
///
/// `orders.*` hears `orders.created` and not `orders.eu.created`; `orders.>` hears both and not `orders`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

/// One piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Exactly this token.
    Exact(&'a str),
    /// `*`: any one token.
    One,
    /// `>`: one or more tokens, to the end.
    Rest,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing was given.
    #[error("pattern is empty")]
    Empty,
    /// More than 255 bytes.
    #[error("pattern has {0} bytes, more than {LIMIT}")]
    TooLong(usize),
    /// Two dots in a row, or a dot at an end.
    #[error("pattern `{0}` has an empty token")]
    EmptyToken(String),
    /// `>` anywhere but as the last token.
    #[error("pattern `{0}` has `>` before its end; `>` may only be the last token")]
    RestNotLast(String),
    /// `*` or `>` beside other characters.
    #[error("token `{token}` of pattern `{text}` is neither a name nor a whole `*` or `>`")]
    Token {
        /// The whole text.
        text: String,
        /// The offending token.
        token: String,
    },
}

impl Pattern {
    /// Checks and takes a text.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > LIMIT {
            return Err(PatternError::TooLong(text.len()));
        }
        let mut rest_seen = false;
        for token in text.split('.') {
            if rest_seen {
                return Err(PatternError::RestNotLast(text.to_owned()));
            }
            match token {
                "" => return Err(PatternError::EmptyToken(text.to_owned())),
                "*" => {}
                ">" => rest_seen = true,
                exact if exact.chars().all(is_token) => {}
                other => return Err(PatternError::Token { text: text.to_owned(), token: other.to_owned() }),
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, in order; [`Token::Rest`] only as the last.
    pub fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        self.0.split('.').map(|token| match token {
            "*" => Token::One,
            ">" => Token::Rest,
            exact => Token::Exact(exact),
        })
    }

    /// Whether it hears more than one topic.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.tokens().any(|token| !matches!(token, Token::Exact(_)))
    }

    /// The topic that this pattern is, if it has neither `*` nor `>`.
    #[must_use]
    pub fn as_topic(&self) -> Option<Topic> {
        Topic::new(&self.0).ok()
    }

    /// Whether it hears `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut topic = topic.tokens();
        for token in self.tokens() {
            let matched = match (token, topic.next()) {
                (Token::Rest, next) => return next.is_some(),
                (Token::One, Some(_)) => true,
                (Token::Exact(exact), Some(next)) => exact == next,
                (_, None) => false,
            };
            if !matched {
                return false;
            }
        }
        topic.next().is_none()
    }
}

impl From<&Topic> for Pattern {
    fn from(topic: &Topic) -> Self {
        Self(topic.as_str().into())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_documented() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            let matched = Pattern::new(pattern).unwrap().matches(&Topic::new(topic).unwrap());
            assert_eq!(matched, expected, "{pattern} against {topic}");
        };
        check("orders.created", "orders.created", true);
        check("orders.created", "orders.created.eu", false);
        check("orders.*", "orders.created", true);
        check("orders.*", "orders", false);
        check("orders.*", "orders.eu.created", false);
        check("orders.>", "orders.eu.created", true);
        check("orders.>", "orders.created", true);
        check("orders.>", "orders", false);
        check("*.created", "orders.created", true);
        check("*.*", "orders", false);
        check(">", "a", true);
        check("*.>", "a", false);
        check("*.>", "a.b.c", true);
    }

    #[test]
    fn a_refusal_says_what() {
        let check = |text: &str| Pattern::new(text).unwrap_err().to_string();
        assert_eq!(check(""), "pattern is empty");
        assert_eq!(check("a..b"), "pattern `a..b` has an empty token");
        assert_eq!(check(">.a"), "pattern `>.a` has `>` before its end; `>` may only be the last token");
        assert_eq!(check("a.b*"), "token `b*` of pattern `a.b*` is neither a name nor a whole `*` or `>`");
        assert_eq!(check("a b"), "token `a b` of pattern `a b` is neither a name nor a whole `*` or `>`");
    }
}
