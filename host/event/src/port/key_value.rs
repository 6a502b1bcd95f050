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

    /// Writes all of these or none, each key at most once. Cancelling leaves open whether it did.
    ///
    /// # Errors
    /// [`KeyValueError::Conflict`] names the first key of which does not hold what was expected.
    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>>;
}
