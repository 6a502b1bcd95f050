//! The keys and values of the memory broker: a map for each bucket, one lock over all of them.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::ops::Bound;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::key_value::{Bucket, Entry, Expected, Key, Revision, Write};
use hostel_event::port::{KeyValue, KeyValueError};

/// What an entry takes beside its key and value: about what the maps and counters of one cost.
const OVERHEAD: usize = 128;

/// Every bucket of every tenant. A bucket is there as long as it holds something.
pub(crate) struct Store {
    /// The most bytes of all keys and values.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: HashMap<Bucket, BTreeMap<Key, Entry>>,
    bytes: usize,
    /// The last revision that was given.
    revision: u64,
}

impl Store {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Writes all of these or none, whether there is room or not.
    pub(crate) fn write_beyond(&self, writes: Vec<Write>) -> Result<(), Key> {
        let mut state = self.state.lock();
        state.check(&writes)?;
        state.apply(writes);
        Ok(())
    }

    fn write_within(&self, writes: Vec<Write>) -> Result<(), KeyValueError> {
        let mut state = self.state.lock();
        state.check(&writes).map_err(KeyValueError::Conflict)?;
        self.has_room(&state, &writes)?;
        state.apply(writes);
        Ok(())
    }

    fn has_room(&self, state: &State, writes: &[Write]) -> Result<(), KeyValueError> {
        let grown: usize = writes.iter().map(taken_by).sum();
        let freed: usize = writes.iter().map(|write| state.taken(write)).sum();
        if grown > freed && state.bytes.saturating_add(grown - freed) > self.limit {
            return Err(KeyValueError::Full("the memory broker's key-value store".to_owned()));
        }
        Ok(())
    }
}

impl State {
    fn entry(&self, bucket: &Bucket, key: &Key) -> Option<&Entry> {
        self.buckets.get(bucket)?.get(key)
    }

    /// The first key that is not as expected.
    fn check(&self, writes: &[Write]) -> Result<(), Key> {
        let holds = |write: &Write| {
            let found = self.entry(&write.bucket, &write.key).map(|entry| entry.revision);
            match write.expected {
                Expected::Anything => true,
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found == Some(revision),
            }
        };
        match writes.iter().find(|write| !holds(write)) {
            None => Ok(()),
            Some(write) => Err(write.key.clone()),
        }
    }

    /// The bytes that the entry takes which a write replaces.
    fn taken(&self, write: &Write) -> usize {
        self.entry(&write.bucket, &write.key).map_or(0, |entry| size(&write.key, entry.value.len()))
    }

    fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.bytes = self.bytes.saturating_sub(self.taken(&write)).saturating_add(taken_by(&write));
            let Write { bucket, key, value, .. } = write;
            match value {
                Some(value) => {
                    self.revision += 1;
                    let entry = Entry { value, revision: Revision(self.revision) };
                    self.buckets.entry(bucket).or_default().insert(key, entry);
                }
                None => self.delete(&bucket, &key),
            }
        }
    }

    fn delete(&mut self, bucket: &Bucket, key: &Key) {
        if let Some(entries) = self.buckets.get_mut(bucket) {
            entries.remove(key);
            if entries.is_empty() {
                self.buckets.remove(bucket);
            }
        }
    }
}

fn size(key: &Key, value: usize) -> usize {
    key.as_str().len() + value + OVERHEAD
}

/// The bytes that a write takes once it is done.
fn taken_by(write: &Write) -> usize {
    write.value.as_ref().map_or(0, |value| size(&write.key, value.len()))
}

impl KeyValue for Store {
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        Box::pin(ready(Ok(self.state.lock().entry(bucket, key).cloned())))
    }

    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        let state = self.state.lock();
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = state.buckets.get(bucket).map_or_else(Vec::new, |entries| {
            entries.range::<Key, _>((begin, Bound::Unbounded)).take(limit).map(|(key, _)| key.clone()).collect()
        });
        Box::pin(ready(Ok(keys)))
    }

    fn room_for(&self, write: &Write) -> Result<(), KeyValueError> {
        self.has_room(&self.state.lock(), std::slice::from_ref(write))
    }

    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        Box::pin(ready(self.write_within(writes)))
    }
}
