//! Names that people give: of tenants, handlers, versions, queue groups and buckets. One rule, stated once, checked at the edge.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty {
        /// Which name: `tenant`, `handler`, …
        what: &'static str,
    },
    /// More bytes than allowed.
    #[error("{what} has {length} bytes, more than {limit}")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may have.
        limit: usize,
    },
    /// A character outside the allowed set.
    #[error("{what} `{text}` has {found:?} at byte {at}; allowed are {allowed}")]
    Character {
        /// Which name.
        what: &'static str,
        /// The whole text.
        text: String,
        /// The offending character.
        found: char,
        /// Where it stands, in bytes from the start.
        at: usize,
        /// The allowed characters, for people.
        allowed: &'static str,
    },
}

/// Checks `text` against a length and a predicate on its characters.
pub(crate) fn check(
    what: &'static str,
    text: &str,
    limit: usize,
    (allowed, is_allowed): (&'static str, fn(usize, char) -> bool),
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { what, length: text.len(), limit });
    }
    match text.char_indices().find(|&(at, c)| !is_allowed(at, c)) {
        None => Ok(()),
        Some((at, found)) => Err(NameError::Character { what, text: text.to_owned(), found, at, allowed }),
    }
}

fn is_label(at: usize, c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && c == '-')
}

fn is_word(_: usize, c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

const LABEL: (&str, fn(usize, char) -> bool) = ("a-z, 0-9 and, after the first, -", is_label);
const WORD: (&str, fn(usize, char) -> bool) = ("A-Z, a-z, 0-9, ., _ and -", is_word);

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $limit:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// [`NameError`] when it is empty, too long or has a character outside the allowed set.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check($what, text, $limit, $rule)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

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

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// A tenant: the unit of isolation. 1 to 63 bytes of `a-z 0-9 -`, so that it can be a DNS label.
    Tenant, "tenant", 63, LABEL
);
name!(
    /// A handler of a tenant. 1 to 63 bytes of `a-z 0-9 -`.
    HandlerName, "handler name", 63, LABEL
);
name!(
    /// A version that the author gave a handler, such as `1.4.0`. 1 to 63 bytes of `A-Z a-z 0-9 . _ -`.
    Version, "version", 63, WORD
);
name!(
    /// A queue group. 1 to 255 bytes of `A-Z a-z 0-9 . _ -`.
    QueueGroup, "queue group", 255, WORD
);
name!(
    /// A bucket of keys and values. 1 to 63 bytes of `A-Z a-z 0-9 . _ -`.
    BucketName, "bucket", 63, WORD
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_given() {
        assert_eq!(Tenant::new("acme-7").unwrap().as_str(), "acme-7");
        assert_eq!(QueueGroup::new("Go.Micro_q-1").unwrap().to_string(), "Go.Micro_q-1");
    }

    #[test]
    fn a_refusal_says_what_and_where() {
        let check = |text: &str| Tenant::new(text).unwrap_err().to_string();
        assert_eq!(check(""), "tenant is empty");
        assert_eq!(check(&"a".repeat(64)), "tenant has 64 bytes, more than 63");
        assert_eq!(check("acMe"), "tenant `acMe` has 'M' at byte 2; allowed are a-z, 0-9 and, after the first, -");
        assert_eq!(check("-a"), "tenant `-a` has '-' at byte 0; allowed are a-z, 0-9 and, after the first, -");
        assert_eq!(check("../a"), "tenant `../a` has '.' at byte 0; allowed are a-z, 0-9 and, after the first, -");
    }
}
