//! Snapshots: one state of everything, to read from. It shows what was committed before it was taken and nothing later.
//! One exception: what retention drops may vanish from open snapshots too.

use std::sync::Arc;

use crate::book;
use crate::codec::{self, Reader, Unreadable};
use crate::error::ReadError;
use crate::key::{self, BLOCK};
use crate::record::{
    Cursor, DeadLetter, DeadLetterId, Delivery, Document, Kind, Millis, Offset, Scheduled, Seen, SeenKey, StoredEvent,
    Stretch, SubscriptionNumber, Topic, TopicId, Value, ValueKey,
};
use crate::shared::Shared;
use crate::space::Space;
use crate::tables::{Pair, place};

/// One state of everything. All reads block on the disk at most, never on writers.
pub struct Snapshot {
    shared: Arc<Shared>,
    at: u64,
}

/// A delivery with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    /// Whose.
    pub subscription: SubscriptionNumber,
    /// Of which event.
    pub offset: Offset,
    /// What is remembered.
    pub delivery: Delivery,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.end_read(self.at);
    }
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let at = shared.begin_read();
        Self { shared, at }
    }

    /// A topic by its name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn topic(&self, tenant: &str, name: &str) -> Result<Option<Topic>, ReadError> {
        self.one(Space::Topics, &key::names(&[tenant], name), codec::read_topic)
    }

    /// The topics of a tenant, by name; all topics without a tenant.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn topics(&self, tenant: Option<&str>) -> Result<Vec<Topic>, ReadError> {
        let prefix = tenant.map_or_else(Vec::new, |tenant| key::names_prefix(&[tenant]));
        let pairs = self.pairs(Space::Topics, &prefix, key::after(&prefix).as_deref());
        pairs.map(|pair| decode(Space::Topics, pair?, |_, value| codec::read_topic(value))).collect()
    }

    /// The offset that the next event will have at least.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_offset(&self) -> Result<Offset, ReadError> {
        let found = self.one(Space::Meta, book::NEXT_OFFSET, codec::read_number)?;
        Ok(Offset(found.unwrap_or(1)))
    }

    /// One event; `None` if it was dropped or never was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn event(&self, topic: &Topic, offset: Offset) -> Result<Option<StoredEvent>, ReadError> {
        if offset < topic.floor {
            return Ok(None);
        }
        let found = self.one(Space::Events, &key::event(topic.id, offset), codec::read_event)?;
        Ok(found.map(|(at, bytes)| StoredEvent { topic: topic.id, offset, at, bytes }))
    }

    /// Events of a topic from an offset on, at most `limit`, in order.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn events(&self, topic: &Topic, from: Offset, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        let (from, to) = (key::event(topic.id, from.max(topic.floor)), key::event(topic.id, Offset(u64::MAX)));
        let pairs = self.pairs(Space::Events, &from, Some(&to)).take(limit);
        let read = |key: &[u8], value: &[u8]| {
            let (at, bytes) = codec::read_event(value)?;
            Ok(StoredEvent { topic: topic.id, offset: second(key)?, at, bytes })
        };
        pairs.map(|pair| decode(Space::Events, pair?, read)).collect()
    }

    /// Where the events of a topic stand from an offset to before another, at most `limit`, in order.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn offsets(&self, topic: &Topic, from: Offset, to: Offset, limit: usize) -> Result<Vec<Offset>, ReadError> {
        let (from, to) = (key::event(topic.id, from.max(topic.floor)), key::event(topic.id, to));
        let pairs = self.pairs(Space::Events, &from, Some(&to)).take(limit);
        pairs.map(|pair| decode(Space::Events, pair?, |key, _| second(key))).collect()
    }

    /// The first event of a topic that was published at or after a time. Where publishers give times out of order, the
    /// first such event by offset.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn offset_at(&self, topic: &Topic, time: Millis) -> Result<Option<Offset>, ReadError> {
        for stretch in self.stretches(topic.id)? {
            if stretch.latest < time {
                continue;
            }
            let (from, to) = (stretch.first.max(topic.floor), stretch.last.next());
            for pair in self.pairs(Space::Events, &key::event(topic.id, from), Some(&key::event(topic.id, to))) {
                let read = |key: &[u8], value: &[u8]| Ok((second(key)?, codec::read_event(value)?.0));
                let (offset, at) = decode(Space::Events, pair?, read)?;
                if at >= time {
                    return Ok(Some(offset));
                }
            }
        }
        Ok(None)
    }

    /// The stretches of a topic, oldest first: its size, and what [`crate::retention`] decides by.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn stretches(&self, topic: TopicId) -> Result<Vec<Stretch>, ReadError> {
        let (from, to) = (key::stretch(topic, Offset(0)), key::stretch(topic, Offset(u64::MAX)));
        self.pairs(Space::Stretches, &from, Some(&to)).map(|pair| book::read_stretch(pair?)).collect()
    }

    /// How far a subscription is. One that never settled nor advanced has floor 0 and nothing settled.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn cursor(&self, subscription: SubscriptionNumber) -> Result<Cursor, ReadError> {
        let floor = self.one(Space::Cursors, &key::cursor(subscription), codec::read_number)?;
        let floor = Offset(floor.unwrap_or(0));
        let (from, to) = (key::settled(subscription, floor.0 / BLOCK), key::settled(subscription, u64::MAX));
        let mut settled = Vec::new();
        for pair in self.pairs(Space::Settled, &from, Some(&to)) {
            let found = decode(Space::Settled, pair?, |key, value| {
                let block = second(key)?.0;
                let bits = Reader::new(value)?.rest();
                Ok(bits
                    .iter()
                    .enumerate()
                    .flat_map(move |(byte, bits)| {
                        let first = block * BLOCK + byte as u64 * 8;
                        (0..8_u64).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| Offset(first + bit))
                    })
                    .collect::<Vec<_>>())
            })?;
            settled.extend(found.into_iter().filter(|offset| *offset >= floor));
        }
        Ok(Cursor { floor, settled })
    }

    /// A delivery that failed before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn delivery(&self, to: SubscriptionNumber, offset: Offset) -> Result<Option<Delivery>, ReadError> {
        self.one(Space::Deliveries, &key::delivery(to, offset), codec::read_delivery)
    }

    /// The deliveries of a subscription that failed before, from an offset on, at most `limit`, in order of offset.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn deliveries(
        &self,
        subscription: SubscriptionNumber,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<DueDelivery>, ReadError> {
        let (from, to) = (key::delivery(subscription, from), key::delivery(subscription, Offset(u64::MAX)));
        let read = |key: &[u8], value: &[u8]| {
            Ok(DueDelivery { subscription, offset: second(key)?, delivery: codec::read_delivery(value)? })
        };
        let pairs = self.pairs(Space::Deliveries, &from, Some(&to)).take(limit);
        pairs.map(|pair| decode(Space::Deliveries, pair?, read)).collect()
    }

    /// The deliveries that are due at a time, of all subscriptions, at most `limit`, the longest due first.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn due(&self, until: Millis, limit: usize) -> Result<Vec<DueDelivery>, ReadError> {
        let to = until.0.saturating_add(1).to_be_bytes();
        let mut found = Vec::new();
        for pair in self.pairs(Space::Due, &[], Some(&to)).take(limit) {
            let (subscription, offset) = decode(Space::Due, pair?, |key, _| {
                let mut reader = Reader::bare(key);
                reader.u64()?;
                Ok((SubscriptionNumber(reader.u32()?), Offset(reader.u64()?)))
            })?;
            if let Some(delivery) = self.delivery(subscription, offset)? {
                found.push(DueDelivery { subscription, offset, delivery });
            }
        }
        Ok(found)
    }

    /// When the next delivery is due; `None` if none waits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_due(&self) -> Result<Option<Millis>, ReadError> {
        self.first_time(Space::Due)
    }

    /// The scheduled publishes that are due at a time, at most `limit`, the longest due first.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn scheduled(&self, until: Millis, limit: usize) -> Result<Vec<Scheduled>, ReadError> {
        let to = until.0.saturating_add(1).to_be_bytes();
        let pairs = self.pairs(Space::Scheduled, &[], Some(&to)).take(limit);
        pairs.map(|pair| decode(Space::Scheduled, pair?, codec::read_scheduled)).collect()
    }

    /// When the next scheduled publish is due; `None` if none waits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_scheduled(&self) -> Result<Option<Millis>, ReadError> {
        self.first_time(Space::Scheduled)
    }

    /// A dead letter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, ReadError> {
        self.one(Space::DeadLetters, &id.0, |value| codec::read_dead_letter(id, value))
    }

    /// The dead letters of a tenant, the oldest first, at most `limit`, after the one named.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn dead_letters(
        &self,
        tenant: &str,
        after: Option<(Millis, DeadLetterId)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        let prefix = key::names_prefix(&[tenant]);
        let from = after.map_or_else(
            || prefix.clone(),
            |(at, id)| {
                let mut from = key::dead_letter_time(tenant, at, id);
                from.push(0);
                from
            },
        );
        let mut found = Vec::new();
        for pair in self.pairs(Space::DeadLetterTimes, &from, key::after(&prefix).as_deref()).take(limit) {
            let id = decode(Space::DeadLetterTimes, pair?, |key, _| {
                let mut reader = Reader::bare(key.get(prefix.len()..).unwrap_or_default());
                reader.u64()?;
                Ok(DeadLetterId(reader.id()?))
            })?;
            found.extend(self.dead_letter(id)?);
        }
        Ok(found)
    }

    /// The dead letters of a tenant, the newest first, at most `limit`, older than the one named, which need not be there
    /// any more.
    ///
    /// # Errors
    /// At the first that cannot be read.
    pub fn dead_letters_before(
        &self,
        tenant: &str,
        before: Option<(Millis, DeadLetterId)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        let prefix = key::names_prefix(&[tenant]);
        let to = before.map_or_else(|| key::after(&prefix), |(at, id)| Some(key::dead_letter_time(tenant, at, id)));
        let mut found = Vec::new();
        for pair in self.pairs(Space::DeadLetterTimes, &prefix, to.as_deref()).rev().take(limit) {
            let id = decode(Space::DeadLetterTimes, pair?, |key, _| {
                let mut reader = Reader::bare(key.get(prefix.len()..).unwrap_or_default());
                reader.u64()?;
                Ok(DeadLetterId(reader.id()?))
            })?;
            found.extend(self.dead_letter(id)?);
        }
        Ok(found)
    }

    /// A value.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn value(&self, key: &ValueKey) -> Result<Option<Value>, ReadError> {
        self.one(Space::Values, &key::names(&[&key.tenant, &key.bucket], &key.key), codec::read_value)
    }

    /// The keys of a bucket after the one named, at most `limit`, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn value_keys(
        &self,
        tenant: &str,
        bucket: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ReadError> {
        let prefix = key::names_prefix(&[tenant, bucket]);
        let mut from = key::names(&[tenant, bucket], after.unwrap_or_default());
        if after.is_some() {
            from.push(0);
        }
        let pairs = self.pairs(Space::Values, &from, key::after(&prefix).as_deref()).take(limit);
        pairs.map(|pair| decode(Space::Values, pair?, |key, _| text(key.get(prefix.len()..)))).collect()
    }

    /// What is known of an id. Whether it still counts is the caller's window to say.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn seen(&self, key: &SeenKey) -> Result<Option<Seen>, ReadError> {
        self.one(Space::Seen, &key::names(&[&key.tenant, &key.scope], &key.id), codec::read_seen)
    }

    /// A document.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn document(&self, kind: Kind, name: &str) -> Result<Option<Document>, ReadError> {
        let found = self.one(Space::Documents, &key::document(kind, name), codec::read_value)?;
        Ok(found.map(|value| Document { key: name.to_owned(), version: value.version, bytes: value.bytes }))
    }

    /// All documents of a kind whose key begins so, by key.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn documents(&self, kind: Kind, prefix: &str) -> Result<Vec<Document>, ReadError> {
        let prefix = key::document(kind, prefix);
        let read = |key: &[u8], value: &[u8]| {
            let value = codec::read_value(value)?;
            Ok(Document { key: text(key.get(1..))?, version: value.version, bytes: value.bytes })
        };
        let pairs = self.pairs(Space::Documents, &prefix, key::after(&prefix).as_deref());
        pairs.map(|pair| decode(Space::Documents, pair?, read)).collect()
    }

    fn first_time(&self, space: Space) -> Result<Option<Millis>, ReadError> {
        let first = self.pairs(space, &[], None).next();
        first.map(|pair| decode(space, pair?, |key, _| Ok(Millis(Reader::bare(key).u64()?)))).transpose()
    }

    fn one<T>(
        &self,
        space: Space,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, ReadError> {
        let Some(value) = self.shared.tables.get(space, key, self.at)? else { return Ok(None) };
        read(&value).map(Some).map_err(|error| error.at(place(space, key)).into())
    }

    fn pairs(
        &self,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<Pair, ReadError>> + use<> {
        self.shared.tables.range(space, from, to, self.at)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

fn decode<T>(
    space: Space,
    (key, value): Pair,
    read: impl FnOnce(&[u8], &[u8]) -> Result<T, Unreadable>,
) -> Result<T, ReadError> {
    read(&key, &value).map_err(|error| error.at(place(space, &key)).into())
}

/// The second number of a key: an offset or a block.
fn second(key: &[u8]) -> Result<Offset, Unreadable> {
    let mut reader = Reader::bare(key);
    reader.u32()?;
    reader.u64().map(Offset)
}

fn text(bytes: Option<&[u8]>) -> Result<String, Unreadable> {
    let bytes = bytes.unwrap_or_default().to_vec();
    String::from_utf8(bytes).map_err(|_| Unreadable("a key is not text"))
}
