//! The book of topics: what the committer must know of each topic to give the next event its place, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::codec;
use crate::error::ReadError;
use crate::key;
use crate::record::{Offset, Stretch, Topic, TopicId};
use crate::space::Space;
use crate::tables::{Tables, place};

/// Key of the next offset in the key space `meta`.
pub(crate) const NEXT_OFFSET: &[u8] = b"next-offset";
/// Key of the next number of a topic.
pub(crate) const NEXT_TOPIC: &[u8] = b"next-topic";

/// A topic and its last stretch.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) topic: Arc<Topic>,
    pub(crate) tail: Option<Stretch>,
}

/// All topics, and the next numbers.
#[derive(Debug)]
pub(crate) struct Book {
    ids: HashMap<String, HashMap<String, TopicId>>,
    entries: HashMap<TopicId, Entry>,
    pub(crate) next_offset: u64,
    pub(crate) next_topic: u32,
    /// Bytes of all events that are kept.
    pub(crate) live_bytes: u64,
}

/// What a group changes in the book.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) entries: BTreeMap<TopicId, Entry>,
    pub(crate) next_offset: u64,
    pub(crate) next_topic: u32,
    pub(crate) added_bytes: u64,
    pub(crate) dropped_bytes: u64,
}

impl Book {
    /// Reads it from the tables and tells them what is stale.
    pub(crate) fn load(tables: &Tables) -> Result<Self, ReadError> {
        let counter = |name: &[u8]| -> Result<u64, ReadError> {
            let Some(value) = tables.get(Space::Meta, name, u64::MAX)? else { return Ok(1) };
            Ok(codec::read_number(&value).map_err(|error| error.at(place(Space::Meta, name)))?)
        };
        let next_topic = u32::try_from(counter(NEXT_TOPIC)?).unwrap_or(u32::MAX);
        let mut book = Self {
            ids: HashMap::new(),
            entries: HashMap::new(),
            next_offset: counter(NEXT_OFFSET)?,
            next_topic,
            live_bytes: 0,
        };
        for pair in tables.range(Space::Topics, &[], None, u64::MAX) {
            let (key, value) = pair?;
            let topic = codec::read_topic(&value).map_err(|error| error.at(place(Space::Topics, &key)))?;
            tables.stale.drop_below(topic.id, topic.floor);
            let mut tail = None;
            let (from, to) = (key::stretch(topic.id, Offset(0)), key::stretch(topic.id, Offset(u64::MAX)));
            for pair in tables.range(Space::Stretches, &from, Some(&to), u64::MAX) {
                let stretch = read_stretch(pair?)?;
                book.live_bytes += stretch.bytes;
                tail = Some(stretch);
            }
            book.insert(Entry { topic: Arc::new(topic), tail });
        }
        Ok(book)
    }

    /// The number of a topic.
    pub(crate) fn id(&self, tenant: &str, topic: &str) -> Option<TopicId> {
        self.ids.get(tenant)?.get(topic).copied()
    }

    /// A topic.
    pub(crate) fn entry(&self, id: TopicId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Takes over what a group changed.
    pub(crate) fn update(&mut self, update: Update) {
        self.next_offset = update.next_offset;
        self.next_topic = update.next_topic;
        self.live_bytes = (self.live_bytes + update.added_bytes).saturating_sub(update.dropped_bytes);
        for entry in update.entries.into_values() {
            self.insert(entry);
        }
    }

    fn insert(&mut self, entry: Entry) {
        let topic = &entry.topic;
        if !self.entries.contains_key(&topic.id) {
            self.ids.entry(topic.tenant.clone()).or_default().insert(topic.name.clone(), topic.id);
        }
        self.entries.insert(topic.id, entry);
    }
}

/// A stretch from its key and value.
pub(crate) fn read_stretch((key, value): (Vec<u8>, Vec<u8>)) -> Result<Stretch, ReadError> {
    let mut reader = codec::Reader::bare(&key);
    let stretch = reader
        .u32()
        .and_then(|_| reader.u64())
        .and_then(|first| codec::read_stretch(Offset(first), &value))
        .map_err(|error| error.at(place(Space::Stretches, &key)))?;
    Ok(stretch)
}
