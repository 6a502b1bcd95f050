//! Headers of a message.

use std::fmt;

/// The most headers a message may have.
pub const COUNT_LIMIT: usize = 128;
/// The most bytes a header's name may have.
pub const NAME_LIMIT: usize = 256;
/// The most bytes that all names and values may have together: what common HTTP servers take for a request's head.
pub const TOTAL_LIMIT: usize = 64 * 1024;

/// Name and value pairs in order. Names compare without regard to ASCII case and may repeat.
///
/// A name has 1 to 256 bytes without white space and control characters; a value is any text without NUL. Together
/// they have at most 64 KiB, in at most 128 headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    pairs: Vec<(Box<str>, Box<str>)>,
    bytes: usize,
}

/// Why a header was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header without a name.
    #[error("a header's name is empty")]
    EmptyName,
    /// A name over [`NAME_LIMIT`].
    #[error("a header's name has {0} bytes, more than {NAME_LIMIT}")]
    LongName(usize),
    /// A name with white space or a control character.
    #[error("header name {name:?} has {found:?}; white space and control characters are not allowed")]
    Name {
        /// The whole name.
        name: String,
        /// The offending character.
        found: char,
    },
    /// A value with NUL.
    #[error("the value of header `{0}` has a NUL character")]
    Value(String),
    /// More than [`COUNT_LIMIT`] headers.
    #[error("a message has at most {COUNT_LIMIT} headers")]
    TooMany,
    /// More than [`TOTAL_LIMIT`] bytes.
    #[error("the headers of a message have at most {TOTAL_LIMIT} bytes")]
    TooLarge,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new(), bytes: 0 }
    }

    /// Adds a header after the others.
    ///
    /// # Errors
    /// [`HeaderError`] when the name, the value or a limit says no; the headers are then as before.
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        check_name(name)?;
        if value.contains('\0') {
            return Err(HeaderError::Value(name.to_owned()));
        }
        if self.pairs.len() == COUNT_LIMIT {
            return Err(HeaderError::TooMany);
        }
        let bytes = self.bytes + name.len() + value.len();
        if bytes > TOTAL_LIMIT {
            return Err(HeaderError::TooLarge);
        }
        self.bytes = bytes;
        self.pairs.push((name.into(), value.into()));
        Ok(())
    }

    /// The value of the first header with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Takes out every header with this name and returns the value of the first.
    pub fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let mut first = None;
        let mut freed = 0;
        self.pairs.retain_mut(|(own, value)| {
            if !own.eq_ignore_ascii_case(name) {
                return true;
            }
            freed += own.len() + value.len();
            let value = std::mem::take(value);
            first.get_or_insert(value);
            false
        });
        self.bytes -= freed;
        first
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The bytes of all names and values together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    if name.is_empty() {
        return Err(HeaderError::EmptyName);
    }
    if name.len() > NAME_LIMIT {
        return Err(HeaderError::LongName(name.len()));
    }
    match name.chars().find(|c| c.is_control() || c.is_whitespace()) {
        None => Ok(()),
        Some(found) => Err(HeaderError::Name { name: name.to_owned(), found }),
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_repeat_in_order() {
        let mut headers = Headers::new();
        for (name, value) in [("X-A", "1"), ("b", "2"), ("x-a", "3"), (":topic", "é")] {
            headers.append(name, value).unwrap();
        }
        assert_eq!(headers.get("x-A"), Some("1"));
        assert_eq!(headers.get("missing"), None);
        assert_eq!(headers.bytes(), 18);
        assert_eq!(headers.remove("x-a").as_deref(), Some("1"));
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("b", "2"), (":topic", "é")]);
        assert_eq!(headers.bytes(), 10);
    }

    #[test]
    fn a_refusal_says_what() {
        let check = |name: &str, value: &str| Headers::new().append(name, value).unwrap_err().to_string();
        assert_eq!(check("", "v"), "a header's name is empty");
        assert_eq!(check(&"n".repeat(257), "v"), "a header's name has 257 bytes, more than 256");
        assert_eq!(
            check("a b", "v"),
            r#"header name "a b" has ' '; white space and control characters are not allowed"#
        );
        assert_eq!(check("a", "\0"), "the value of header `a` has a NUL character");
        assert_eq!(check("a", &"v".repeat(TOTAL_LIMIT)), "the headers of a message have at most 65536 bytes");

        let mut headers = Headers::new();
        for _ in 0..COUNT_LIMIT {
            headers.append("a", "").unwrap();
        }
        assert_eq!(headers.append("a", ""), Err(HeaderError::TooMany));
    }
}
