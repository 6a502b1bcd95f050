//! The port behind which handlers' keys and values are kept.

use futures_core::future::BoxFuture;

use crate::key_value::{Bucket, Entry, Key, Write};

/// Why keys could not be read or written. Nothing was written then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyValueError {
    /// What was expected of a key does not hold: another has written it meanwhile.
    #[error("key `{0}` was written by another meanwhile")]
    Conflict(Key),
    /// There is no room.
    #[error("{0} is full")]
    Full(String),
    /// The value is larger than the host takes.
    #[error("the value has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// One attempt did more than may take effect with one acknowledgement; the text says what and how much it may.
    #[error("{0}")]
    TooMuch(String),
    /// The store failed.
    #[error("the key-value store failed: {0}")]
    Failed(String),
}

/// Keeps values by bucket and key.
pub trait KeyValue: Send + Sync {
    /// What a key holds; `None` if it is not there. Cancelling is safe.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>>;

    /// The keys of a bucket in order, at most `limit`, those after `after` if given. Cancelling is safe.
    ///
    /// # Errors
    /// [`KeyValueError::Failed`].
    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>>;

    /// Whether there is room now for a write that would take effect with an attempt's acknowledgement. Keeps nothing:
    /// what is asked for here and then written with an ack is kept even if the room is gone by then.
    ///
    /// # Errors
    /// [`KeyValueError::Full`] or [`KeyValueError::Failed`].
    fn room_for(&self, write: &Write) -> Result<(), KeyValueError>;

    /// Writes all of these or none, each key at most once. Cancelling leaves open whether it did.
    ///
    /// # Errors
    /// [`KeyValueError::Conflict`] names the first key of which does not hold what was expected; [`KeyValueError::Full`],
    /// though never for writes that only make room.
    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>>;
}
