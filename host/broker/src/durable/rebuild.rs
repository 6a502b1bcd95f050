//! What is unsettled, read back from the log when the broker starts: from the lowest floor that somebody has on, topic by
//! topic, once for all subscriptions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hostel_event::subscription::SubscriptionId;
use hostel_log::error::{Damage, ReadError};
use hostel_log::log::Log;
use hostel_log::record::{Cursor, Kind, Millis, Offset, SubscriptionNumber, Topic};
use hostel_log::snapshot::Snapshot;

use super::lane::Lane;
use super::queue::{Place, Queue, TopicKey};
use super::record::{self, Known};
use super::replay::Progress;
use super::topics::Topics;
use super::{NEXT_NUMBER, wire};

/// Events read at a time.
const PAGE: usize = 4096;

/// What was found.
pub(crate) struct Rebuilt {
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) sleepers: Vec<(Millis, (SubscriptionNumber, Offset))>,
    pub(crate) next_scheduled: Option<Millis>,
    pub(crate) next_offset: Offset,
    /// The number that the next subscription gets.
    pub(crate) next_number: u32,
}

/// A subscription while it is read.
struct Found {
    known: Known,
    cursor: Cursor,
    waiting: Vec<Place>,
}

impl Found {
    fn is_live(&self) -> bool {
        self.known.replay.is_none() && !self.known.ended
    }

    fn id(&self) -> SubscriptionId {
        self.known.id.clone()
    }
}

pub(crate) fn rebuild(log: &Log, topics: &Topics) -> Result<Rebuilt, ReadError> {
    let snapshot = log.snapshot();
    let mut found = HashMap::new();
    let mut next_number = next_number(&snapshot)?;
    for document in snapshot.documents(Kind::Subscription, "")? {
        let known = record::read_known(&document.bytes)
            .map_err(|error| damage(format!("subscription document `{}`", document.key), error))?;
        next_number = next_number.max(known.number.0.saturating_add(1));
        let cursor = snapshot.cursor(known.number)?;
        found.insert(known.number, Found { known, cursor, waiting: Vec::new() });
    }
    for topic in snapshot.topics(None)? {
        read_topic(&snapshot, topics, &topic, &mut found)?;
    }
    let mut lanes = Vec::with_capacity(found.len());
    let mut sleepers = Vec::new();
    let there: HashSet<SubscriptionId> = found.values().filter(|found| found.is_live()).map(Found::id).collect();
    for (number, Found { mut known, mut waiting, cursor }) in found {
        if let Some(replay) = known.replay {
            // A replay ends with its subscription.
            known.ended |= !there.contains(&known.id);
            let progress = Progress::resume(replay, cursor, asleep(&snapshot, number)?);
            lanes.push(Arc::new(Lane::new(known, Queue::new(), Some(progress))));
            continue;
        }
        waiting.sort_unstable_by_key(|place| place.offset);
        let queue = queue(&snapshot, number, waiting, &mut sleepers)?;
        lanes.push(Arc::new(Lane::new(known, queue, None)));
    }
    let (next_scheduled, next_offset) = (snapshot.next_scheduled()?, snapshot.next_offset()?);
    Ok(Rebuilt { lanes, sleepers, next_scheduled, next_offset, next_number })
}

fn next_number(snapshot: &Snapshot) -> Result<u32, ReadError> {
    let Some(document) = snapshot.document(Kind::Host, NEXT_NUMBER)? else { return Ok(1) };
    let bytes: Result<[u8; 4], _> = document.bytes.try_into();
    let malformed = wire::Unreadable("it is no number of 4 bytes");
    bytes.map(u32::from_be_bytes).map_err(|_| damage(format!("document `{NEXT_NUMBER}`"), malformed))
}

/// Notes who waits for which event of a topic.
fn read_topic(
    snapshot: &Snapshot,
    topics: &Topics,
    topic: &Topic,
    found: &mut HashMap<SubscriptionNumber, Found>,
) -> Result<(), ReadError> {
    let names = record::names(&topic.tenant, &topic.name);
    let (tenant, name) = names.map_err(|error| damage(format!("topic `{}`", topic.name), error))?;
    let hears = |known: &Known| known.replay.is_none() && known.source == tenant && known.pattern.matches(&name);
    let floors = found.values().filter(|found| hears(&found.known)).map(|found| found.cursor.floor);
    let Some(mut from) = floors.min() else { return Ok(()) };
    let mut key = None::<TopicKey>;
    loop {
        let page = snapshot.events(topic, from, PAGE)?;
        for event in &page {
            let targets = record::read_targets(&event.bytes)
                .map_err(|error| damage(format!("event {} of topic `{name}`", event.offset), error))?;
            for target in targets {
                if let Some(found) = found.get_mut(&target)
                    && !found.cursor.is_settled(event.offset)
                {
                    let topic = *key.get_or_insert_with(|| topics.key(&tenant, &name));
                    found.waiting.push(Place { offset: event.offset, topic });
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => from = last.offset.next(),
            _ => return Ok(()),
        }
    }
}

/// What waits and what sleeps: the latter is what the log remembers attempts of.
fn queue(
    snapshot: &Snapshot,
    number: SubscriptionNumber,
    waiting: Vec<Place>,
    sleepers: &mut Vec<(Millis, (SubscriptionNumber, Offset))>,
) -> Result<Queue, ReadError> {
    let mut queue = Queue::new();
    let asleep = asleep(snapshot, number)?;
    for place in waiting {
        match asleep.get(&place.offset) {
            Some(due) => {
                queue.hold_asleep(place);
                sleepers.push((*due, (number, place.offset)));
            }
            None => queue.wait(place),
        }
    }
    Ok(queue)
}

/// What the log remembers attempts of, and when it is due.
fn asleep(snapshot: &Snapshot, number: SubscriptionNumber) -> Result<HashMap<Offset, Millis>, ReadError> {
    let mut asleep = HashMap::new();
    let mut from = Offset(0);
    loop {
        let page = snapshot.deliveries(number, from, PAGE)?;
        asleep.extend(page.iter().map(|found| (found.offset, found.delivery.due)));
        match page.last() {
            Some(last) if page.len() == PAGE => from = last.offset.next(),
            _ => return Ok(asleep),
        }
    }
}

fn damage(place: String, error: wire::Unreadable) -> ReadError {
    Damage { place, what: error.to_string() }.into()
}
