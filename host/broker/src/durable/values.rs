//! Handlers' keys and values, in the log's own key space. A revision is the log's stamp of the write.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use hostel_event::key_value::{Bucket, Entry, Expected, Key, Revision, Write};
use hostel_event::port::{KeyValue, KeyValueError};
use hostel_log::batch::{Batch, Precondition};
use hostel_log::error::{CommitError, Conflict, ReadError};
use hostel_log::log::Log;
use hostel_log::record::{ValueKey, Version};
use hostel_log::settings::Sync;
use hostel_log::snapshot::Snapshot;

use super::Shared;
use crate::chain::chain;

fn value_key(bucket: &Bucket, key: &Key) -> ValueKey {
    let (tenant, bucket) = (bucket.tenant.as_str().to_owned(), bucket.name.as_str().to_owned());
    ValueKey { tenant, bucket, key: key.as_str().to_owned() }
}

/// Adds writes, with what they expect, to a batch.
pub(crate) fn add(batch: &mut Batch, writes: Vec<Write>) {
    for write in writes {
        let key = value_key(&write.bucket, &write.key);
        match write.expected {
            Expected::Anything => {}
            Expected::Absent => {
                batch.require(Precondition::Value(key.clone(), Version::ABSENT));
            }
            Expected::Revision(revision) => {
                batch.require(Precondition::Value(key.clone(), Version(revision.0)));
            }
        }
        match write.value {
            Some(value) => batch.put_value(key, value.to_vec()),
            None => batch.remove_value(key),
        };
    }
}

/// Reads on a thread for blocking work.
async fn read<T: Send + 'static>(
    log: &Arc<Log>,
    ask: impl FnOnce(&Snapshot) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, KeyValueError> {
    let log = Arc::clone(log);
    let outcome = tokio::task::spawn_blocking(move || ask(&log.snapshot())).await;
    match outcome {
        Ok(found) => found.map_err(|error| KeyValueError::Failed(chain(&error))),
        Err(_) => Err(KeyValueError::Failed("the reader ended".to_owned())),
    }
}

fn key_value_error(error: CommitError) -> KeyValueError {
    match error {
        CommitError::Conflict(Conflict::Value { key, .. }) => match Key::new(&key) {
            Ok(key) => KeyValueError::Conflict(key),
            Err(error) => KeyValueError::Failed(error.to_string()),
        },
        CommitError::Full { .. } => KeyValueError::Full("the disk".to_owned()),
        error => KeyValueError::Failed(error.to_string()),
    }
}

impl KeyValue for Shared {
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        let key = value_key(bucket, key);
        Box::pin(async move {
            let found = read(&self.log, move |snapshot| snapshot.value(&key)).await?;
            Ok(found.map(|value| Entry { value: value.bytes.into(), revision: Revision(value.version.0) }))
        })
    }

    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        let (bucket, after) = (bucket.clone(), after.cloned());
        Box::pin(async move {
            let found = read(&self.log, move |snapshot| {
                let after = after.as_ref().map(Key::as_str);
                snapshot.value_keys(bucket.tenant.as_str(), bucket.name.as_str(), after, limit)
            });
            let keys = found.await?.into_iter().map(|key| Key::new(&key));
            keys.collect::<Result<_, _>>().map_err(|error| KeyValueError::Failed(error.to_string()))
        })
    }

    fn room_for(&self, write: &Write) -> Result<(), KeyValueError> {
        let health = self.log.health();
        match health.poisoned {
            Some(reason) => Err(KeyValueError::Failed(reason)),
            None if health.is_full && write.value.is_some() => Err(KeyValueError::Full("the disk".to_owned())),
            None => Ok(()),
        }
    }

    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        Box::pin(async move {
            let mut batch = Batch::new();
            add(&mut batch, writes);
            if batch.is_empty() {
                return Ok(());
            }
            self.log.commit(batch, Sync::Always).await.map(|_| ()).map_err(key_value_error)
        })
    }
}
