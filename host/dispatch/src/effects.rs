//! What an attempt does to the world: held back until its acknowledgement where the broker promises atomic effects, done
//! at once where it does not.
//!
//! An attempt has one [`Stage`], through which its handler publishes, reads and writes. It holds everything back until
//! it is [taken](Stage::take) to be settled with the ack. After an early ack that took, nothing is held back any more;
//! after one that did not, nothing is done any more, since the event comes again.
//!
//! The attempt sees its own writes. Of each key that it touches it remembers the revision that it saw first, which its
//! write to that key then expects: who wrote the same key meanwhile makes the ack conflict. What it only read may
//! change under it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::handler::Limits;
use hostel_event::key_value::{Bucket, Effects, Entry, Expected, Key, Revision, Write};
use hostel_event::message::{Event, Message};
use hostel_event::port::{
    Admitted, KeyValue, KeyValueError, Publication, Publish, PublishError, Question, Receipt, Request, RequestError,
};
use hostel_event::subscription::SubscriptionId;
use hostel_event::trace::{Context, PARENT_HEADER, STATE_HEADER, SpanId};

use crate::admit::Admission;

/// Events and written keys that one ack carries: as many as a manifest may allow events.
const COUNT_LIMIT: usize = Limits::PUBLISHED_EVENTS;
/// Their bytes together, likewise.
const BYTES_LIMIT: usize = Limits::PUBLISHED_BYTES;
/// Keys of which an attempt remembers the revision. Bounds what a handler that reads without end makes the host keep,
/// to some 10 MiB of the longest keys.
const SEEN_LIMIT: usize = 10_000;
/// The revision of what the attempt itself wrote. No store gives it: they count from the other end.
const OWN: Revision = Revision(u64::MAX);

/// Where the effects of one attempt go.
pub(crate) struct Stage {
    admission: Arc<Admission>,
    state: Mutex<State>,
    /// The headers by which what the attempt publishes belongs to the trace of its event, if that has one.
    trace: Vec<(&'static str, Box<str>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Effects wait for the ack.
    Held,
    /// Effects are done at once.
    Through,
    /// The attempt has no say any more.
    Closed,
}

struct State {
    mode: Mode,
    publications: Vec<Admitted>,
    writes: BTreeMap<Bucket, BTreeMap<Key, Staged>>,
    /// What was found when a key was first looked at; `None` if nothing was.
    seen: HashMap<Bucket, HashMap<Key, Option<Revision>>>,
    seen_count: usize,
    /// Of publications and writes.
    count: usize,
    bytes: usize,
}

/// A key that the attempt wrote.
struct Staged {
    value: Option<Bytes>,
    expected: Expected,
}

impl Stage {
    /// A stage that holds effects back if the broker can do them with the ack.
    pub(crate) fn new(admission: Arc<Admission>) -> Self {
        let mode = if admission.broker().guarantees().atomic_effects { Mode::Held } else { Mode::Through };
        let state = State {
            mode,
            publications: Vec::new(),
            writes: BTreeMap::new(),
            seen: HashMap::new(),
            seen_count: 0,
            count: 0,
            bytes: 0,
        };
        Self { admission, state: Mutex::new(state), trace: Vec::new() }
    }

    /// The same, for an attempt whose publishes go on with the trace of its event.
    pub(crate) fn caused_by(self, event: &Event, subscription: &SubscriptionId, attempt: u32) -> Self {
        let Some(context) = Context::of(event) else { return self };
        let span = SpanId::attempt(context.trace, event, subscription, attempt);
        let parent = (PARENT_HEADER, context.below(span).to_string().into());
        let state = event.message.headers.get(STATE_HEADER).map(|state| (STATE_HEADER, state.into()));
        Self { trace: std::iter::once(parent).chain(state).collect(), ..self }
    }

    /// Has a message go on with the trace, unless its publisher says of which it is.
    fn trace(&self, message: &mut Message) {
        if self.trace.is_empty() || message.headers.get(PARENT_HEADER).is_some() {
            return;
        }
        for (name, value) in &self.trace {
            // Where there is no room for one more header the message goes without.
            let _ = message.headers.append(name, value);
        }
    }

    /// Takes what was held back, to be settled with an ack. Until [`pass`](Self::pass) is called the attempt has no say.
    pub(crate) fn take(&self) -> Effects {
        let mut state = self.state.lock();
        if state.mode == Mode::Held {
            state.mode = Mode::Closed;
        }
        let publications = std::mem::take(&mut state.publications);
        let staged = std::mem::take(&mut state.writes);
        let mut writes = Vec::new();
        for (bucket, keys) in staged {
            for (key, Staged { value, expected }) in keys {
                writes.push(Write { bucket: bucket.clone(), key, value, expected });
            }
        }
        Effects { publications, writes }
    }

    /// What was taken took effect: from now on effects are done at once.
    pub(crate) fn pass(&self) {
        self.state.lock().mode = Mode::Through;
    }

    fn mode(&self) -> Mode {
        self.state.lock().mode
    }

    fn store(&self) -> &dyn KeyValue {
        self.admission.broker().key_value()
    }

    fn stage(&self, publication: Publication) -> Result<Receipt, PublishError> {
        let admitted = self.admission.stage(publication)?;
        let id = admitted.event.id.clone();
        let mut state = self.state.lock();
        state.grow(1, admitted.event.bytes()).map_err(PublishError::TooMuch)?;
        state.publications.push(admitted);
        Ok(Receipt { id, subscriptions: Vec::new() })
    }

    /// What the attempt itself wrote to a key; `None` if it did not.
    fn own(&self, bucket: &Bucket, key: &Key) -> Option<Option<Entry>> {
        let state = self.state.lock();
        let staged = state.writes.get(bucket)?.get(key)?;
        Some(staged.value.clone().map(|value| Entry { value, revision: OWN }))
    }

    async fn read(&self, bucket: Bucket, key: Key) -> Result<Option<Entry>, KeyValueError> {
        if let Some(own) = self.own(&bucket, &key) {
            return Ok(own);
        }
        let found = self.store().get(&bucket, &key).await?;
        let revision = found.as_ref().map(|entry| entry.revision);
        self.state.lock().saw(&bucket, &key, revision).map_err(KeyValueError::TooMuch)?;
        Ok(found)
    }

    async fn list(&self, bucket: Bucket, after: Option<Key>, limit: usize) -> Result<Vec<Key>, KeyValueError> {
        let deleted = self.state.lock().deleted_after(&bucket, after.as_ref());
        let asked = limit.saturating_add(deleted);
        let kept = self.store().keys(&bucket, after.as_ref(), asked).await?;
        // Of a page that was filled nothing is known beyond its last key.
        let end = if kept.len() < asked { None } else { kept.last().cloned() };
        let mut keys = self.state.lock().merge(&bucket, after.as_ref(), end.as_ref(), kept);
        keys.truncate(limit);
        Ok(keys)
    }

    /// Keeps writes for the ack. What they expect is not looked at: until the ack nobody else writes here, and then the
    /// store compares with what the attempt saw first, which is older than what any write expects.
    async fn write_staged(&self, writes: Vec<Write>) -> Result<(), KeyValueError> {
        for write in &writes {
            if !self.state.lock().knows(&write.bucket, &write.key) {
                self.read(write.bucket.clone(), write.key.clone()).await?;
            }
            self.store().room_for(write)?;
        }
        let mut state = self.state.lock();
        // All of them or none.
        let (count, bytes) = state.growth(&writes);
        state.grow(count, bytes).map_err(KeyValueError::TooMuch)?;
        for write in writes {
            let replaced = state.stage(write);
            state.bytes = state.bytes.saturating_sub(replaced);
        }
        Ok(())
    }

    /// Refuses values that no message could carry.
    fn check(&self, writes: &[Write]) -> Result<(), KeyValueError> {
        let limit = self.admission.message_bytes();
        let too_large = |write: &Write| write.value.as_ref().map(Bytes::len).filter(|&bytes| bytes > limit);
        writes.iter().find_map(too_large).map_or(Ok(()), |bytes| Err(KeyValueError::TooLarge { bytes, limit }))
    }
}

impl State {
    /// Remembers which revision a key had when it was first looked at.
    fn saw(&mut self, bucket: &Bucket, key: &Key, revision: Option<Revision>) -> Result<(), String> {
        if self.knows(bucket, key) {
            return Ok(());
        }
        if self.seen_count == SEEN_LIMIT {
            return Err(format!("one attempt may read at most {SEEN_LIMIT} keys before its ack"));
        }
        self.seen_count += 1;
        self.seen.entry(bucket.clone()).or_default().insert(key.clone(), revision);
        Ok(())
    }

    fn knows(&self, bucket: &Bucket, key: &Key) -> bool {
        self.seen.get(bucket).is_some_and(|keys| keys.contains_key(key))
    }

    fn grow(&mut self, count: usize, bytes: usize) -> Result<(), String> {
        let (count, bytes) = (self.count.saturating_add(count), self.bytes.saturating_add(bytes));
        if count > COUNT_LIMIT || bytes > BYTES_LIMIT {
            return Err(format!(
                "one attempt may publish and write at most {COUNT_LIMIT} events and keys of together {BYTES_LIMIT} \
                 bytes before its ack"
            ));
        }
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    /// How many keys more would be held back with these writes, and how many bytes before what they replace is gone.
    fn growth(&self, writes: &[Write]) -> (usize, usize) {
        let is_new = |write: &&Write| !self.writes.get(&write.bucket).is_some_and(|keys| keys.contains_key(&write.key));
        let bytes = writes.iter().map(|write| size(&write.key, write.value.as_ref())).sum();
        (writes.iter().filter(is_new).count(), bytes)
    }

    /// Holds a write back; says how many bytes were held back for the key before.
    fn stage(&mut self, write: Write) -> usize {
        let Write { bucket, key, value, .. } = write;
        let seen = self.seen.get(&bucket).and_then(|keys| keys.get(&key).copied().flatten());
        let expected = seen.map_or(Expected::Absent, Expected::Revision);
        let keys = self.writes.entry(bucket).or_default();
        let replaced = keys.get(&key).map_or(0, |staged| size(&key, staged.value.as_ref()));
        keys.insert(key, Staged { value, expected });
        replaced
    }

    /// How many keys after `after` the attempt deleted, at most.
    fn deleted_after(&self, bucket: &Bucket, after: Option<&Key>) -> usize {
        self.own_after(bucket, after).filter(|(_, staged)| staged.value.is_none()).count()
    }

    fn own_after<'a>(
        &'a self,
        bucket: &Bucket,
        after: Option<&Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Staged)> + use<'a> {
        let begin = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        self.writes.get(bucket).into_iter().flat_map(move |keys| keys.range((begin.clone(), Bound::Unbounded)))
    }

    /// The store's keys and the attempt's own, up to `end` if there is more behind it.
    fn merge(&self, bucket: &Bucket, after: Option<&Key>, end: Option<&Key>, mut keys: Vec<Key>) -> Vec<Key> {
        let own: BTreeMap<&Key, &Staged> = self.own_after(bucket, after).collect();
        keys.retain(|key| !own.contains_key(key));
        let is_there = |(key, staged): &(&Key, &Staged)| staged.value.is_some() && end.is_none_or(|end| *key <= end);
        keys.extend(own.into_iter().filter(is_there).map(|(key, _)| key.clone()));
        keys.sort();
        keys
    }
}

fn size(key: &Key, value: Option<&Bytes>) -> usize {
    key.as_str().len() + value.map_or(0, Bytes::len)
}

/// What an attempt is told whose early ack did not take.
const TOO_LATE: &str = "the early ack did not take, so the event comes again and this attempt has no effects";

impl Publish for Stage {
    fn publish(&self, mut publication: Publication) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        self.trace(&mut publication.message);
        match self.mode() {
            Mode::Through => self.admission.publish(publication),
            Mode::Held => Box::pin(std::future::ready(self.stage(publication))),
            Mode::Closed => Box::pin(std::future::ready(Err(PublishError::Broker(TOO_LATE.to_owned())))),
        }
    }
}

impl Request for Stage {
    fn request(&self, mut question: Question) -> BoxFuture<'_, Result<Vec<Arc<Event>>, RequestError>> {
        self.trace(&mut question.publication.message);
        self.admission.request(question)
    }
}

impl KeyValue for Stage {
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        match self.mode() {
            Mode::Held => Box::pin(self.read(bucket.clone(), key.clone())),
            Mode::Through | Mode::Closed => self.store().get(bucket, key),
        }
    }

    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        match self.mode() {
            Mode::Held => Box::pin(self.list(bucket.clone(), after.cloned(), limit)),
            Mode::Through | Mode::Closed => self.store().keys(bucket, after, limit),
        }
    }

    fn room_for(&self, write: &Write) -> Result<(), KeyValueError> {
        self.store().room_for(write)
    }

    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        if let Err(error) = self.check(&writes) {
            return Box::pin(std::future::ready(Err(error)));
        }
        match self.mode() {
            Mode::Through => self.store().write(writes),
            Mode::Held => Box::pin(self.write_staged(writes)),
            Mode::Closed => Box::pin(std::future::ready(Err(KeyValueError::Failed(TOO_LATE.to_owned())))),
        }
    }
}

#[cfg(test)]
mod tests;
