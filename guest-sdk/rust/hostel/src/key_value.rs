//! Buckets of keys and values that outlive an event.
//!
//! ```
//! # fn example(customer: &str) -> hostel::Result {
//! let totals = hostel::key_value::open("totals")?;
//! let orders = totals.increment(customer, 1)?;
//! hostel::info!("{customer} has ordered {orders} times");
//! # Ok(())
//! # }
//! ```
//!
//! The manifest must name the bucket: `keyvalue = ["totals"]`. Handlers of one tenant that name the same bucket share it.
//!
//! With a broker of atomic effects, which all of the host's are, what an attempt writes takes effect with the event's
//! acknowledgement, together with what it publishes, or not at all. The attempt itself sees its writes at once. If another
//! attempt wrote one of the same keys meanwhile, the event is handled again from the start, which does not count as a
//! failed attempt: so read, compute and write as if nobody else were there.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Advice;
use crate::host;

/// A bucket that the handler has opened.
pub struct Bucket {
    name: String,
    opened: host::Bucket,
}

/// Why a bucket was not opened, or a key not read or written.
///
/// By `?` a denied bucket and a value that cannot be written are rejections, as for
/// [`PublishError`](crate::PublishError); anything else is a retry.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyValueError {
    /// The handler may not open this bucket. A rejection. The handler's log names the line of the manifest that would
    /// allow it.
    Denied {
        /// Which bucket.
        bucket: String,
    },
    /// The value cannot be written as JSON. A rejection.
    Encode(serde_json::Error),
    /// What the key holds is not the JSON that is expected. A retry: it is not the event that is wrong.
    Decode {
        /// Which key.
        key: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The host did not do it; the text says why. A retry.
    Failed(String),
}

/// Opens a bucket of the handler's tenant.
///
/// # Errors
/// [`KeyValueError::Denied`] when the manifest does not name it.
pub fn open(bucket: &str) -> Result<Bucket, KeyValueError> {
    Ok(Bucket { name: bucket.to_owned(), opened: host::open_bucket(bucket)? })
}

impl Bucket {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a key holds; `None` if it is not there. A key is any text of 1 to 1,024 bytes without NUL.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.opened.get(key)
    }

    /// What a key holds, read as JSON.
    ///
    /// # Errors
    /// [`KeyValueError::Decode`] when it is something else, or [`KeyValueError::Failed`].
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, KeyValueError> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        let decoded = serde_json::from_slice(&value);
        decoded.map(Some).map_err(|error| KeyValueError::Decode { key: key.to_owned(), error })
    }

    /// Has a key hold this value, at most as large as a message may be.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), KeyValueError> {
        self.opened.set(key, value.as_ref())
    }

    /// Has a key hold this value as JSON.
    ///
    /// # Errors
    /// [`KeyValueError::Encode`] when it cannot be written as JSON, or [`KeyValueError::Failed`].
    pub fn set_json(&self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), KeyValueError> {
        self.set(key, serde_json::to_vec(value).map_err(KeyValueError::Encode)?)
    }

    /// Takes a key away; no error if it is not there.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    pub fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.opened.delete(key)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    pub fn exists(&self, key: &str) -> Result<bool, KeyValueError> {
        self.opened.exists(key)
    }

    /// Adds to the number that a key holds, in decimal digits, or to 0 if it is not there; returns the sum.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`] when it holds something else, or the sum is too large.
    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, KeyValueError> {
        self.opened.increment(key, delta)
    }

    /// Every key, in the order of their bytes. They are fetched page by page as the iterator is used; what is written
    /// meanwhile may or may not be among them. After an error there is nothing more.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys { bucket: self, page: VecDeque::new(), next: Next::First }
    }
}

/// The keys of a bucket.
#[derive(Debug)]
pub struct Keys<'a> {
    bucket: &'a Bucket,
    page: VecDeque<String>,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    First,
    After(u64),
    End,
}

impl Iterator for Keys<'_> {
    type Item = Result<String, KeyValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.pop_front() {
                return Some(Ok(key));
            }
            let cursor = match self.next {
                Next::First => None,
                Next::After(cursor) => Some(cursor),
                Next::End => return None,
            };
            self.next = Next::End;
            match self.bucket.opened.list_keys(cursor) {
                Ok((keys, cursor)) => {
                    self.page = keys.into();
                    self.next = cursor.map_or(Next::End, Next::After);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl KeyValueError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::Denied { .. } | Self::Encode(_) => Advice::Reject,
            Self::Decode { .. } | Self::Failed(_) => Advice::Retry(None),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { bucket } => {
                write!(f, "bucket `{bucket}` was denied: add `keyvalue = [\"{bucket}\"]` to handler.toml")
            }
            Self::Encode(_) => f.write_str("the value cannot be written as JSON"),
            Self::Decode { key, .. } => write!(f, "what key `{key}` holds is not the JSON that is expected"),
            Self::Failed(why) => write!(f, "the key-value store refused: {why}"),
        }
    }
}

impl std::error::Error for KeyValueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) | Self::Decode { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Event, Host, Run, run};
    use crate::{Error, Result};

    fn with_bucket(host: &Host, work: impl FnOnce(&Bucket) -> Result) -> Run {
        host.run(|_| work(&open("b")?), Event::new("a"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let run = with_bucket(&Host::new().value("b", "old", "1"), |bucket| {
            assert_eq!(bucket.get("old")?.as_deref(), Some(&b"1"[..]));
            assert_eq!(bucket.get("new")?, None);
            bucket.set("new", "text")?;
            bucket.set_json("json", &[1, 2])?;
            bucket.delete("old")?;
            assert!(!bucket.exists("old")?);
            assert_eq!(bucket.get_json::<Vec<u8>>("json")?, Some(vec![1, 2]));
            Ok(())
        });
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.value("b", "new"), Some(&b"text"[..]));
        assert_eq!(run.value("b", "old"), None);
        assert_eq!(run.value("other", "new"), None);
    }

    #[test]
    fn numbers_are_decimal_digits() {
        let run =
            with_bucket(&Host::new().value("b", "text", "x").value("b", "most", u64::MAX.to_string()), |bucket| {
                assert_eq!(bucket.increment("n", 2)?, 2);
                assert_eq!(bucket.increment("n", 40)?, 42);
                assert!(bucket.increment("text", 1).is_err());
                assert!(bucket.increment("most", 1).is_err());
                Ok(())
            });
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.value("b", "n"), Some(&b"42"[..]));
    }

    #[test]
    fn keys_come_in_order_over_all_pages() {
        let names: Vec<String> = (0..2500).map(|number| format!("{number:04}")).collect();
        let host = names.iter().rev().fold(Host::new(), |host, name| host.value("b", name, ""));
        let run = with_bucket(&host, |bucket| {
            let keys: std::result::Result<Vec<String>, KeyValueError> = bucket.keys().collect();
            assert_eq!(keys?, names);
            Ok(())
        });
        assert_eq!(run.result, Ok(()));
    }

    #[test]
    fn an_error_says_what_becomes_of_the_event() {
        let check = |error: KeyValueError, expected: Error| assert_eq!(Error::from(error), expected);
        check(
            KeyValueError::Denied { bucket: "b".into() },
            crate::reject("bucket `b` was denied: add `keyvalue = [\"b\"]` to handler.toml"),
        );
        check(KeyValueError::Failed("it is full".into()), crate::retry("the key-value store refused: it is full"));
        let run = with_bucket(&Host::new().value("b", "k", "{"), |bucket| {
            bucket.get_json::<u8>("k")?;
            Ok(())
        });
        assert!(run.result.unwrap_err().reason().starts_with("what key `k` holds is not the JSON that is expected: "));
    }

    #[test]
    fn what_the_host_would_refuse_is_refused() {
        let denied = Host::new().deny_bucket("b").run(|_| open("b").map(drop).map_err(Into::into), Event::new("a"));
        assert!(denied.result.unwrap_err().is_reject());
        let check = |key: &str, expected: &str| {
            let run = with_bucket(&Host::new(), |bucket| Ok(bucket.set(key, "v")?));
            assert_eq!(run.result, Err(crate::retry(format!("the key-value store refused: {expected}"))));
        };
        check("", "key is empty");
        check("a\0", "key has a NUL at byte 1");
        check(&"k".repeat(1025), "key has 1025 bytes, more than 1024");
        let unnamed = run(|_| open("a/b").map(drop).map_err(Into::into), Event::new("a"));
        assert!(unnamed.result.unwrap_err().reason().contains("bucket `a/b` has '/'"));
    }
}
