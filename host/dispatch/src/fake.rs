//! A broker for this crate's tests: keeps what is published in a list, keys and values in a map, and delivers nothing.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::id::Ids;
use hostel_event::key_value::{Bucket, Entry, Expected, Key, Revision, Write};
use hostel_event::name::{BucketName, Tenant};
use hostel_event::port::{
    Admitted, Broker, Clock, DeadLetters, Guarantees, KeyValue, KeyValueError, Observe, Pause, PublishError, Receipt,
    Sink, SubscribeError, Unsubscribed,
};
use hostel_event::subscription::{Subscription, SubscriptionId};

use crate::admit::{Admission, Parts};

/// What a broker in memory promises that cannot hold effects back.
pub(crate) const MEMORY: Guarantees =
    Guarantees { durable: false, acks: true, redelivers: false, delays: false, orders: true, atomic_effects: false };

/// The largest message and value.
pub(crate) const MESSAGE_BYTES: usize = 1024 * 1024;

pub(crate) struct Fake {
    guarantees: Guarantees,
    pub(crate) published: Mutex<Vec<Admitted>>,
    pub(crate) full: AtomicBool,
    /// The pauses of which it was told.
    pub(crate) pauses: Mutex<BTreeMap<SubscriptionId, Option<Pause>>>,
    entries: Mutex<BTreeMap<(Bucket, Key), Entry>>,
    revision: AtomicU64,
}

impl Fake {
    pub(crate) fn new(guarantees: Guarantees) -> Arc<Self> {
        Arc::new(Self {
            guarantees,
            published: Mutex::default(),
            full: AtomicBool::new(false),
            pauses: Mutex::default(),
            entries: Mutex::default(),
            revision: AtomicU64::new(0),
        })
    }

    /// Writes without expecting anything.
    pub(crate) async fn put(&self, key: &str, value: Option<&str>) {
        self.write(vec![write(key, value)]).await.unwrap();
    }

    /// What a key of the bucket holds.
    pub(crate) fn held(&self, key: &str) -> Option<Entry> {
        self.entries.lock().get(&(bucket(), self::key(key))).cloned()
    }

    fn room(&self) -> Result<(), PublishError> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(PublishError::Overloaded { what: "it".to_owned(), retry_after: std::time::Duration::ZERO }),
            false => Ok(()),
        }
    }
}

/// Admission to a broker, with ids that count.
pub(crate) fn admission(broker: &Arc<Fake>, clock: Arc<dyn Clock>, observe: Arc<dyn Observe>) -> Arc<Admission> {
    Arc::new(Admission::new(Parts {
        broker: Arc::<Fake>::clone(broker),
        ids: Ids::new(Arc::clone(&clock), || [0; 10]),
        clock,
        observe,
        message_bytes: MESSAGE_BYTES,
        quotas: Arc::default(),
    }))
}

pub(crate) fn bucket() -> Bucket {
    Bucket { tenant: Tenant::new("acme").unwrap(), name: BucketName::new("b").unwrap() }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn write(name: &str, value: Option<&str>) -> Write {
    let value = value.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Write { bucket: bucket(), key: key(name), value, expected: Expected::Anything }
}

impl KeyValue for Fake {
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        Box::pin(ready(Ok(self.entries.lock().get(&(bucket.clone(), key.clone())).cloned())))
    }

    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        let entries = self.entries.lock();
        let of_bucket = entries.keys().filter(|(own, key)| own == bucket && after.is_none_or(|after| key > after));
        let keys = of_bucket.take(limit).map(|(_, key)| key.clone()).collect();
        Box::pin(ready(Ok(keys)))
    }

    fn room_for(&self, _: &Write) -> Result<(), KeyValueError> {
        self.room().map_err(|_| KeyValueError::Full("it".to_owned()))
    }

    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        let mut entries = self.entries.lock();
        for write in &writes {
            let found = entries.get(&(write.bucket.clone(), write.key.clone())).map(|entry| entry.revision);
            let holds = match write.expected {
                Expected::Anything => true,
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Box::pin(ready(Err(KeyValueError::Conflict(write.key.clone()))));
            }
        }
        for Write { bucket, key, value, .. } in writes {
            match value {
                Some(value) => {
                    let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed) + 1);
                    entries.insert((bucket, key), Entry { value, revision });
                }
                None => drop(entries.remove(&(bucket, key))),
            }
        }
        Box::pin(ready(Ok(())))
    }
}

impl Broker for Fake {
    fn guarantees(&self) -> Guarantees {
        self.guarantees
    }

    fn publish(&self, admitted: Admitted) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        let kept = self.room().map(|()| {
            let id = admitted.event.id.clone();
            self.published.lock().push(admitted);
            Receipt { id, subscriptions: Vec::new() }
        });
        Box::pin(ready(kept))
    }

    fn room_for(&self, _: &Admitted) -> Result<(), PublishError> {
        self.room()
    }

    fn subscribe(&self, _: Arc<Subscription>, _: Arc<dyn Sink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        unreachable!("these tests deliver by hand")
    }

    fn resubscribe(&self, _: Arc<Subscription>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        unreachable!("these tests deliver by hand")
    }

    fn unsubscribe(&self, _: &SubscriptionId) -> BoxFuture<'_, Result<Unsubscribed, SubscribeError>> {
        unreachable!("these tests deliver by hand")
    }

    fn keep_pause(&self, id: &SubscriptionId, pause: Option<Pause>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        self.pauses.lock().insert(id.clone(), pause);
        Box::pin(ready(Ok(())))
    }

    fn kept_pause(&self, id: &SubscriptionId) -> Option<Pause> {
        self.pauses.lock().get(id).cloned().flatten()
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        unreachable!("these tests look at settlements")
    }

    fn key_value(&self) -> &dyn KeyValue {
        self
    }
}
