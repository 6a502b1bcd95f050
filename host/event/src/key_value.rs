//! Keys and values that handlers keep: buckets, keys, revisions, and what an attempt does that takes effect with its
//! acknowledgement.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::name::{BucketName, Tenant};
use crate::port::Admitted;

/// A bucket of a tenant: keys of one bucket have nothing to do with those of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name within the tenant.
    pub name: BucketName,
}

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing was given.
    #[error("key is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("key has {0} bytes, more than {limit}", limit = Key::LIMIT)]
    TooLong(usize),
    /// It holds a NUL.
    #[error("key has a NUL at byte {0}")]
    Nul(usize),
}

/// A key: 1 to 1,024 bytes of any text without NUL. Ordered by its bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The most bytes a key may have. Arbitrary: longer than any path that people use for one.
    pub const LIMIT: usize = 1024;

    /// Checks and takes a text.
    ///
    /// # Errors
    /// [`KeyError`] when it is empty, too long or has a NUL.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > Self::LIMIT {
            return Err(KeyError::TooLong(text.len()));
        }
        match text.find('\0') {
            None => Ok(Self(text.into())),
            Some(at) => Err(KeyError::Nul(at)),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Which of a key's values one is. Grows with each write to the store and is never used twice, so that a key that was
/// deleted and written again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Which one it is.
    pub revision: Revision,
}

/// What must hold of a key for a write to it to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// It is not there.
    Absent,
    /// It has this revision.
    Revision(Revision),
}

/// One key to be written or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// In which bucket.
    pub bucket: Bucket,
    /// Which key.
    pub key: Key,
    /// What it is to hold; `None` deletes it.
    pub value: Option<Bytes>,
    /// What must hold of it before.
    pub expected: Expected,
}

/// What an attempt did that takes effect with its acknowledgement, all of it or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What it published, in order.
    pub publications: Vec<Admitted>,
    /// What it wrote, each key at most once.
    pub writes: Vec<Write>,
}

impl Effects {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty() && self.writes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_any_text_of_some_length_without_nul() {
        assert_eq!(Key::new("a/b ü").unwrap().as_str(), "a/b ü");
        let refused = |text: &str| Key::new(text).unwrap_err().to_string();
        assert_eq!(refused(""), "key is empty");
        assert_eq!(refused("a\0"), "key has a NUL at byte 1");
        assert_eq!(refused(&"k".repeat(1025)), "key has 1025 bytes, more than 1024");
    }
}
