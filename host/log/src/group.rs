//! A group of batches that share one frame: checks each against the state after those before it, gives offsets and
//! stamps, and ends as a list of writes. Reads, decides, and writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::{Batch, Change, Once, Precondition, Publish, Published, Receipt, Schedule, ScheduledOutcome};
use crate::book::{self, Book, Entry, Update};
use crate::codec;
use crate::error::{CommitError, Conflict, ReadError};
use crate::key::{self, BLOCK};
use crate::record::{
    DeadLetter, DeadLetterId, Delivery, Millis, Offset, ScheduledId, Seen, SeenKey, Stretch, SubscriptionNumber, Topic,
    TopicId, Version,
};
use crate::space::Space;
use crate::tables::{Tables, place};
use crate::wal::frame::Writes;

/// A stretch of a topic ends after so many events: a few kilobytes of them for each million.
const STRETCH_EVENTS: u32 = 1024;

/// The group so far.
pub(crate) struct Group<'a> {
    tables: &'a Tables,
    book: &'a Book,
    sequence: u64,
    batches: u16,
    writes: Writes,
    update: Update,
}

/// One batch on top of the group. Dropped whole if the batch fails.
struct Stage<'g, 'a> {
    group: &'g Group<'a>,
    version: Version,
    writes: Writes,
    update: Update,
    receipt: Receipt,
}

impl<'a> Group<'a> {
    /// An empty one, which will have this sequence.
    pub(crate) fn new(tables: &'a Tables, book: &'a Book, sequence: u64) -> Self {
        let update = Update { next_offset: book.next_offset, next_topic: book.next_topic, ..Update::default() };
        Self { tables, book, sequence, batches: 0, writes: Writes::new(), update }
    }

    /// Adds a batch, or leaves the group as it is.
    pub(crate) fn add(&mut self, batch: Batch) -> Result<Receipt, CommitError> {
        let version = Version((self.sequence << 16) | u64::from(self.batches));
        let mut stage = Stage {
            group: self,
            version,
            writes: Writes::new(),
            update: Update {
                next_offset: self.update.next_offset,
                next_topic: self.update.next_topic,
                ..Update::default()
            },
            receipt: Receipt { published: Vec::new(), scheduled: Vec::new(), version },
        };
        for precondition in &batch.preconditions {
            stage.check(precondition)?;
        }
        for change in batch.changes {
            stage.apply(change)?;
        }
        let Stage { writes, update, receipt, .. } = stage;
        self.batches = self.batches.saturating_add(1);
        self.writes.extend(writes);
        self.update.entries.extend(update.entries);
        self.update.next_offset = update.next_offset;
        self.update.next_topic = update.next_topic;
        self.update.added_bytes += update.added_bytes;
        self.update.dropped_bytes += update.dropped_bytes;
        Ok(receipt)
    }

    /// What to write, and what then changes in the book.
    pub(crate) fn finish(mut self) -> (Writes, Update) {
        for entry in self.update.entries.values() {
            if let Some(tail) = &entry.tail {
                self.writes
                    .insert((Space::Stretches, key::stretch(entry.topic.id, tail.first)), Some(codec::stretch(tail)));
            }
        }
        let mut counter = |name: &[u8], was: u64, is: u64| {
            if was != is {
                self.writes.insert((Space::Meta, name.to_vec()), Some(codec::number(is)));
            }
        };
        counter(book::NEXT_OFFSET, self.book.next_offset, self.update.next_offset);
        counter(book::NEXT_TOPIC, u64::from(self.book.next_topic), u64::from(self.update.next_topic));
        (self.writes, self.update)
    }
}

impl Stage<'_, '_> {
    fn check(&self, precondition: &Precondition) -> Result<(), CommitError> {
        match precondition {
            Precondition::Value(key, expected) => {
                let found = self.version(Space::Values, &key::names(&[&key.tenant, &key.bucket], &key.key))?;
                let (bucket, key) = (key.bucket.clone(), key.key.clone());
                ensure(found == *expected, || Conflict::Value { bucket, key, found })
            }
            Precondition::Document(kind, key, expected) => {
                let found = self.version(Space::Documents, &key::document(*kind, key))?;
                ensure(found == *expected, || Conflict::Document { key: key.clone(), found })
            }
            Precondition::DeadLetter(id) => {
                let found = self.get(Space::DeadLetters, id.0.to_vec())?;
                ensure(found.is_some(), || Conflict::DeadLetter(*id))
            }
            Precondition::Scheduled(id) => {
                let found = self.get(Space::Scheduled, key::scheduled(*id))?;
                ensure(found.is_some(), || Conflict::Scheduled(*id))
            }
            Precondition::Unsettled(subscription, offset) => self.bitmap_to_settle(*subscription, *offset).map(|_| ()),
            Precondition::Unseen(once) => match self.seen(once)? {
                Some(seen) => Err(Conflict::Seen { id: once.key.id.clone(), offset: seen.offset }.into()),
                None => Ok(()),
            },
        }
    }

    // Flat: a line or a call for each kind of change.
    fn apply(&mut self, change: Change) -> Result<(), CommitError> {
        match change {
            Change::Publish(publish) => self.publish(publish),
            Change::Schedule(schedule) => self.schedule(schedule),
            Change::Unschedule(id) => self.remove(Space::Scheduled, key::scheduled(id)),
            Change::Settle(subscription, offset) => self.settle(subscription, offset),
            Change::Advance(subscription, floor) => self.advance(subscription, floor),
            Change::PutDelivery(to, offset, delivery) => self.put_delivery(to, offset, &delivery),
            Change::RemoveDelivery(subscription, offset) => self.remove_delivery(subscription, offset),
            Change::ForgetSubscription(subscription) => self.forget_subscription(subscription),
            Change::PutDeadLetter(letter) => self.put_dead_letter(&letter),
            Change::RemoveDeadLetter(id) => self.remove_dead_letter(id),
            Change::PutValue(key, bytes) => {
                let version = self.version;
                let key = key::names(&[&key.tenant, &key.bucket], &key.key);
                self.put(Space::Values, key, codec::value(version, &bytes))
            }
            Change::RemoveValue(key) => self.remove(Space::Values, key::names(&[&key.tenant, &key.bucket], &key.key)),
            Change::PutDocument(kind, key, bytes) => {
                let version = self.version;
                self.put(Space::Documents, key::document(kind, &key), codec::value(version, &bytes))
            }
            Change::RemoveDocument(kind, key) => self.remove(Space::Documents, key::document(kind, &key)),
            Change::DropEvents { tenant, topic, below } => self.drop_events(&tenant, &topic, below),
        }
    }

    fn publish(&mut self, publish: Publish) -> Result<(), CommitError> {
        if let Some(seen) = self.known(publish.once.as_ref())? {
            self.receipt.published.push(Published::Duplicate(seen.offset));
            return Ok(());
        }
        let mut entry = self.entry(publish.tenant, publish.topic)?;
        let offset = Offset(self.update.next_offset);
        self.update.next_offset = offset.next().0;
        let bytes = publish.bytes.len() as u64;
        let tail = match entry.tail {
            Some(full) if full.events >= STRETCH_EVENTS => {
                self.put(Space::Stretches, key::stretch(entry.topic.id, full.first), codec::stretch(&full))?;
                None
            }
            tail => tail,
        };
        entry.tail = Some(match tail {
            None => Stretch { first: offset, last: offset, events: 1, bytes, earliest: publish.at, latest: publish.at },
            Some(tail) => Stretch {
                last: offset,
                events: tail.events + 1,
                bytes: tail.bytes + bytes,
                earliest: tail.earliest.min(publish.at),
                latest: tail.latest.max(publish.at),
                ..tail
            },
        });
        self.update.added_bytes += bytes;
        self.put(Space::Events, key::event(entry.topic.id, offset), codec::event(publish.at, &publish.bytes))?;
        self.update.entries.insert(entry.topic.id, entry);
        if let Some(once) = publish.once {
            self.remember(&once.key, Some(offset), publish.at)?;
        }
        self.receipt.published.push(Published::Kept(offset));
        Ok(())
    }

    fn schedule(&mut self, schedule: Schedule) -> Result<(), CommitError> {
        if let Some(seen) = self.known(schedule.once.as_ref())? {
            self.receipt.scheduled.push(ScheduledOutcome::Duplicate(seen.offset));
            return Ok(());
        }
        // A batch may schedule several for one time, so the stamp of the batch is not enough; offsets never repeat.
        let stamp = Version(self.update.next_offset);
        self.update.next_offset += 1;
        let id = ScheduledId { due: schedule.due, stamp };
        let value = codec::scheduled(&schedule.tenant, &schedule.topic, &schedule.bytes);
        self.put(Space::Scheduled, key::scheduled(id), value)?;
        if let Some(once) = schedule.once {
            self.remember(&once.key, None, schedule.at)?;
        }
        self.receipt.scheduled.push(ScheduledOutcome::Kept(id));
        Ok(())
    }

    /// The topic, made if it is new.
    fn entry(&mut self, tenant: String, name: String) -> Result<Entry, CommitError> {
        if let Some(entry) = self.find_entry(&tenant, &name) {
            return Ok(entry);
        }
        let id = TopicId(self.update.next_topic);
        self.update.next_topic =
            id.0.checked_add(1)
                .ok_or_else(|| CommitError::TooLarge { what: "the store has no more numbers for topics".to_owned() })?;
        let topic = Topic { id, tenant, name, floor: Offset(0) };
        self.put(Space::Topics, key::names(&[&topic.tenant], &topic.name), codec::topic(&topic))?;
        Ok(Entry { topic: Arc::new(topic), tail: None })
    }

    fn find_entry(&self, tenant: &str, name: &str) -> Option<Entry> {
        let layers = [&self.update.entries, &self.group.update.entries];
        if let Some(id) = self.group.book.id(tenant, name) {
            let newer = layers.iter().find_map(|entries| entries.get(&id));
            return newer.or_else(|| self.group.book.entry(id)).cloned();
        }
        // Topics made in this very group are few.
        let new = TopicId(self.group.book.next_topic)..;
        let mut made = layers.into_iter().flat_map(|entries| entries.range(new.clone()));
        made.find(|(_, entry)| entry.topic.tenant == tenant && entry.topic.name == name).map(|(_, entry)| entry.clone())
    }

    fn drop_events(&mut self, tenant: &str, topic: &str, below: Offset) -> Result<(), CommitError> {
        let Some(mut entry) = self.find_entry(tenant, topic) else { return Ok(()) };
        if below <= entry.topic.floor {
            return Ok(());
        }
        // Not beyond what there is: an event that comes later is not dropped before.
        let below = below.min(Offset(self.update.next_offset));
        let id = entry.topic.id;
        for (key, value) in self.pairs(Space::Stretches, &key::stretch(id, Offset(0)), &key::stretch(id, below))? {
            let stretch = book::read_stretch((key.clone(), value)).map_err(unreadable)?;
            if stretch.last < below {
                self.update.dropped_bytes += stretch.bytes;
                self.remove(Space::Stretches, key)?;
            }
        }
        if let Some(tail) = entry.tail
            && tail.last < below
        {
            // The tail may not be written yet if it grew in this group.
            self.remove(Space::Stretches, key::stretch(id, tail.first))?;
            entry.tail = None;
        }
        let topic = Topic { floor: below, ..(*entry.topic).clone() };
        self.put(Space::Topics, key::names(&[&topic.tenant], &topic.name), codec::topic(&topic))?;
        entry.topic = Arc::new(topic);
        self.update.entries.insert(id, entry);
        Ok(())
    }

    /// The bitmap of an offset's block, if the offset is not settled.
    fn bitmap_to_settle(&self, subscription: SubscriptionNumber, offset: Offset) -> Result<Vec<u8>, CommitError> {
        let conflict = || Conflict::Settled { subscription, offset };
        ensure(offset >= self.floor(subscription)?, conflict)?;
        let bitmap = match self.get(Space::Settled, key::settled(subscription, offset.0 / BLOCK))? {
            Some(value) => value.get(1..).unwrap_or_default().to_vec(),
            None => vec![0; (BLOCK / 8) as usize],
        };
        let (byte, bit) = bit(offset);
        ensure(bitmap.get(byte).is_some_and(|byte| byte & bit == 0), conflict)?;
        Ok(bitmap)
    }

    fn settle(&mut self, subscription: SubscriptionNumber, offset: Offset) -> Result<(), CommitError> {
        let mut bitmap = self.bitmap_to_settle(subscription, offset)?;
        let (byte, bit) = bit(offset);
        if let Some(byte) = bitmap.get_mut(byte) {
            *byte |= bit;
        }
        let value = codec::Writer::new(bitmap.len()).rest(&bitmap).done();
        self.put(Space::Settled, key::settled(subscription, offset.0 / BLOCK), value)
    }

    fn advance(&mut self, subscription: SubscriptionNumber, floor: Offset) -> Result<(), CommitError> {
        if floor <= self.floor(subscription)? {
            return Ok(());
        }
        let (from, to) = (key::settled(subscription, 0), key::settled(subscription, floor.0 / BLOCK));
        for (key, _) in self.pairs(Space::Settled, &from, &to)? {
            self.remove(Space::Settled, key)?;
        }
        self.put(Space::Cursors, key::cursor(subscription), codec::number(floor.0))
    }

    fn floor(&self, subscription: SubscriptionNumber) -> Result<Offset, CommitError> {
        let key = key::cursor(subscription);
        let Some(value) = self.get(Space::Cursors, key.clone())? else { return Ok(Offset(0)) };
        let number = codec::read_number(&value).map_err(|error| unreadable(error.at(place(Space::Cursors, &key))));
        number.map(Offset)
    }

    fn put_delivery(&mut self, to: SubscriptionNumber, offset: Offset, new: &Delivery) -> Result<(), CommitError> {
        self.remove_delivery(to, offset)?;
        self.put(Space::Deliveries, key::delivery(to, offset), codec::delivery(new))?;
        self.put(Space::Due, key::due(new.due, to, offset), codec::Writer::new(0).done())
    }

    fn remove_delivery(&mut self, subscription: SubscriptionNumber, offset: Offset) -> Result<(), CommitError> {
        let key = key::delivery(subscription, offset);
        let Some(value) = self.get(Space::Deliveries, key.clone())? else { return Ok(()) };
        let old = codec::read_delivery(&value).map_err(|error| unreadable(error.at(place(Space::Deliveries, &key))))?;
        self.remove(Space::Due, key::due(old.due, subscription, offset))?;
        self.remove(Space::Deliveries, key)
    }

    fn forget_subscription(&mut self, subscription: SubscriptionNumber) -> Result<(), CommitError> {
        let (from, to) = (key::settled(subscription, 0), key::settled(subscription, u64::MAX));
        for (key, _) in self.pairs(Space::Settled, &from, &to)? {
            self.remove(Space::Settled, key)?;
        }
        let (from, to) = (key::delivery(subscription, Offset(0)), key::delivery(subscription, Offset(u64::MAX)));
        for (key, _) in self.pairs(Space::Deliveries, &from, &to)? {
            let mut reader = codec::Reader::bare(&key);
            if let (Ok(_), Ok(offset)) = (reader.u32(), reader.u64()) {
                self.remove_delivery(subscription, Offset(offset))?;
            }
        }
        self.remove(Space::Cursors, key::cursor(subscription))
    }

    fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<(), CommitError> {
        self.remove_dead_letter(letter.id)?;
        self.put(Space::DeadLetters, letter.id.0.to_vec(), codec::dead_letter(letter))?;
        let time = key::dead_letter_time(&letter.tenant, letter.at, letter.id);
        self.put(Space::DeadLetterTimes, time, codec::Writer::new(0).done())
    }

    fn remove_dead_letter(&mut self, id: DeadLetterId) -> Result<(), CommitError> {
        let Some(value) = self.get(Space::DeadLetters, id.0.to_vec())? else { return Ok(()) };
        let old = codec::read_dead_letter(id, &value)
            .map_err(|error| unreadable(error.at(place(Space::DeadLetters, &id.0))))?;
        self.remove(Space::DeadLetterTimes, key::dead_letter_time(&old.tenant, old.at, id))?;
        self.remove(Space::DeadLetters, id.0.to_vec())
    }

    fn known(&self, once: Option<&Once>) -> Result<Option<Seen>, CommitError> {
        once.map_or(Ok(None), |once| self.seen(once))
    }

    fn seen(&self, once: &Once) -> Result<Option<Seen>, CommitError> {
        let key = seen_key(&once.key);
        let Some(value) = self.get(Space::Seen, key.clone())? else { return Ok(None) };
        let seen = codec::read_seen(&value).map_err(|error| unreadable(error.at(place(Space::Seen, &key))))?;
        Ok((seen.at >= once.since).then_some(seen))
    }

    fn remember(&mut self, key: &SeenKey, offset: Option<Offset>, at: Millis) -> Result<(), CommitError> {
        self.put(Space::Seen, seen_key(key), codec::seen(Seen { offset, at }))
    }

    fn version(&self, space: Space, key: &[u8]) -> Result<Version, CommitError> {
        let Some(value) = self.get(space, key.to_vec())? else { return Ok(Version::ABSENT) };
        let value = codec::read_value(&value).map_err(|error| unreadable(error.at(place(space, key))))?;
        Ok(value.version)
    }

    fn get(&self, space: Space, key: Vec<u8>) -> Result<Option<Vec<u8>>, CommitError> {
        let key = (space, key);
        for layer in [&self.writes, &self.group.writes] {
            if let Some(written) = layer.get(&key) {
                return Ok(written.clone());
            }
        }
        let found = self.group.tables.get(space, &key.1, u64::MAX).map_err(unreadable)?;
        Ok(found.map(|value| value.to_vec()))
    }

    /// Keys from one to before another, with what this batch and the group wrote.
    fn pairs(&self, space: Space, from: &[u8], to: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, CommitError> {
        let mut pairs = BTreeMap::new();
        for pair in self.group.tables.range(space, from, Some(to), u64::MAX) {
            let (key, value) = pair.map_err(unreadable)?;
            pairs.insert(key, value);
        }
        for layer in [&self.group.writes, &self.writes] {
            for ((_, key), value) in layer.range((space, from.to_vec())..(space, to.to_vec())) {
                match value {
                    Some(value) => pairs.insert(key.clone(), value.clone()),
                    None => pairs.remove(key),
                };
            }
        }
        Ok(pairs)
    }

    // Both answer so that a change is one expression.
    fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) -> Result<(), CommitError> {
        self.writes.insert((space, key), Some(value));
        Ok(())
    }

    fn remove(&mut self, space: Space, key: Vec<u8>) -> Result<(), CommitError> {
        self.writes.insert((space, key), None);
        Ok(())
    }
}

fn seen_key(key: &SeenKey) -> Vec<u8> {
    key::names(&[&key.tenant, &key.scope], &key.id)
}

/// Where an offset's bit is in the bitmap of its block.
fn bit(offset: Offset) -> (usize, u8) {
    let index = offset.0 % BLOCK;
    ((index / 8) as usize, 1 << (index % 8))
}

fn ensure(holds: bool, conflict: impl FnOnce() -> Conflict) -> Result<(), CommitError> {
    if holds { Ok(()) } else { Err(conflict().into()) }
}

fn unreadable(error: impl Into<ReadError>) -> CommitError {
    let error = error.into();
    let reason = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    CommitError::Unreadable { reason }
}
