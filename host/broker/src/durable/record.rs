//! What this broker keeps in the log, as bytes: events with whom they are for, scheduled publishes, dead letters,
//! subscriptions. Described in `docs/wire/durable.md`.

use bytes::Bytes;

use hostel_event::headers::Headers;
use hostel_event::id::EventId;
use hostel_event::message::{Event, Message};
use hostel_event::name::{HandlerName, QueueGroup, Tenant};
use hostel_event::outcome::Attempt;
use hostel_event::pattern::Pattern;
use hostel_event::port::{Pause, PausedBy, Start};
use hostel_event::subscription::{Audience, Order, Place, Quarantine, RetryPolicy, Subscription, SubscriptionId};
use hostel_event::time::Timestamp;
use hostel_event::topic::Topic;
use hostel_log::record::{Offset, SubscriptionNumber};

use super::history;
use super::wire::{Reader, Unreadable, Writer};

const EVENT: u8 = 1;
const SCHEDULED: u8 = 1;
/// Since 2 with the event's tenant.
const DEAD_LETTER: u8 = 2;
/// Since 2 with whose topics it hears, and its pause.
const SUBSCRIPTION: u8 = 2;

/// An event without its tenant and topic, which the log keeps beside it.
fn put_event(writer: &mut Writer, event: &Event) {
    writer.text(event.id.as_str()).time(event.published_at);
    writer.optional(event.expires_at.map(Timestamp::as_millis));
    writer.length(event.message.headers.len());
    for (name, value) in event.message.headers.iter() {
        writer.text(name).text(value);
    }
    writer.bytes(&event.message.body);
}

/// Reads what [`put_event`] wrote. The body shares the record's memory.
fn take_event(
    record: &Bytes,
    reader: &mut Reader<'_>,
    (tenant, topic): (&Tenant, &Topic),
) -> Result<Event, Unreadable> {
    let id = EventId::new(reader.text()?).map_err(|_| Unreadable("its id is malformed"))?;
    let published_at = reader.time()?;
    let expires_at = reader.optional()?.map(Timestamp::from_millis);
    let mut headers = Headers::new();
    for _ in 0..reader.length()? {
        let (name, value) = (reader.text()?, reader.text()?);
        headers.append(name, value).map_err(|_| Unreadable("a header is malformed"))?;
    }
    let length = reader.bytes()?.len();
    let end = reader.position();
    let body = record.slice(end - length..end);
    let message = Message { headers, body };
    Ok(Event { id, tenant: tenant.clone(), topic: topic.clone(), published_at, expires_at, message })
}

/// An event, and the numbers of the subscriptions that it is for. These stand at the end, where they are found without
/// reading the event.
pub(crate) fn event(event: &Event, targets: impl ExactSizeIterator<Item = SubscriptionNumber>) -> Vec<u8> {
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let mut writer = Writer::new(EVENT, event.bytes() + 64 + 4 * targets.len());
    put_event(&mut writer, event);
    for target in targets {
        writer.raw(&target.0.to_be_bytes());
    }
    writer.raw(&count.to_be_bytes());
    writer.done()
}

/// The event of a record.
pub(crate) fn read_event(record: Vec<u8>, tenant: &Tenant, topic: &Topic) -> Result<Event, Unreadable> {
    let record = Bytes::from(record);
    take_event(&record, &mut Reader::new(&record, EVENT)?, (tenant, topic))
}

/// The subscriptions that an event's record names.
pub(crate) fn read_targets(record: &[u8]) -> Result<impl Iterator<Item = SubscriptionNumber> + '_, Unreadable> {
    if record.first() != Some(&EVENT) {
        return Err(Unreadable("its format is unknown"));
    }
    let short = Unreadable("it ends too early");
    let (rest, count) = record.split_last_chunk::<4>().ok_or(short)?;
    let bytes = (u32::from_be_bytes(*count) as usize).checked_mul(4).ok_or(short)?;
    let from = rest.len().checked_sub(bytes).ok_or(short)?;
    let targets = rest.get(from..).ok_or(short)?;
    let (numbers, _) = targets.as_chunks::<4>();
    Ok(numbers.iter().map(|number| SubscriptionNumber(u32::from_be_bytes(*number))))
}

/// A publish that waits for its time.
pub(crate) fn scheduled(event: &Event, audience: &Audience) -> Vec<u8> {
    let mut writer = Writer::new(SCHEDULED, event.bytes() + 64);
    match audience {
        Audience::Everyone => writer.byte(0),
        Audience::Node { queue: None } => writer.byte(1),
        Audience::Node { queue: Some(queue) } => writer.byte(2).text(queue.as_str()),
    };
    put_event(&mut writer, event);
    writer.done()
}

/// The event and audience of a scheduled publish.
pub(crate) fn read_scheduled(record: Vec<u8>, tenant: &str, topic: &str) -> Result<(Event, Audience), Unreadable> {
    let names = names(tenant, topic)?;
    let record = Bytes::from(record);
    let mut reader = Reader::new(&record, SCHEDULED)?;
    let audience = match reader.byte()? {
        0 => Audience::Everyone,
        1 => Audience::Node { queue: None },
        2 => Audience::Node { queue: Some(queue(reader.text()?)?) },
        _ => return Err(Unreadable("its audience is unknown")),
    };
    Ok((take_event(&record, &mut reader, (&names.0, &names.1))?, audience))
}

/// What the log does not keep of a dead letter by itself.
pub(crate) fn dead_letter(subscription: &SubscriptionId, event: &Event, attempts: &[Attempt]) -> Vec<u8> {
    let mut writer = Writer::new(DEAD_LETTER, event.bytes() + 256);
    writer.text(subscription.as_str()).text(event.tenant.as_str()).text(event.topic.as_str());
    put_event(&mut writer, event);
    writer.bytes(&history::encode(attempts));
    writer.done()
}

/// Subscription, event and attempts of a dead letter that the log keeps for a tenant.
pub(crate) fn read_dead_letter(
    record: Vec<u8>,
    owner: &str,
) -> Result<(SubscriptionId, Event, Vec<Attempt>), Unreadable> {
    let record = Bytes::from(record);
    let (mut reader, format) = Reader::up_to(&record, DEAD_LETTER)?;
    let subscription = subscription_id(reader.text()?)?.id;
    // Before, nobody heard another tenant's topics.
    let tenant = if format == 1 { owner } else { reader.text()? };
    let (tenant, topic) = names(tenant, reader.text()?)?;
    let event = take_event(&record, &mut reader, (&tenant, &topic))?;
    let attempts = history::decode(reader.bytes()?)?;
    reader.end()?;
    Ok((subscription, event, attempts))
}

/// What is remembered of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its number, never used again for another.
    pub(crate) number: SubscriptionNumber,
    /// Its name.
    pub(crate) id: SubscriptionId,
    /// Whose it is.
    pub(crate) tenant: Tenant,
    /// Whose topics it hears.
    pub(crate) source: Tenant,
    /// Which of them.
    pub(crate) pattern: Pattern,
    /// Its queue group, under which it was last seen.
    pub(crate) queue: Option<QueueGroup>,
    /// It was ended, and what it left is being handed over.
    pub(crate) ended: bool,
    /// It is a replay to the subscription of this name, not the subscription itself.
    pub(crate) replay: Option<KnownReplay>,
    /// Nothing of it was to be started when this was written.
    pub(crate) pause: Option<Pause>,
}

impl Known {
    /// The subscription as far as it is known, with defaults for the rest.
    pub(crate) fn outline(self) -> Subscription {
        let is_remote = self.id.handler().starts_with('@');
        Subscription {
            id: self.id,
            tenant: self.tenant,
            source: self.source,
            pattern: self.pattern,
            place: if is_remote { Place::Remote { nodes: 0 } } else { Place::Local },
            queue: self.queue,
            concurrency: Subscription::CONCURRENCY,
            window: Subscription::WINDOW,
            retry: RetryPolicy::default(),
            order: Order::None,
            quarantine: Quarantine::default(),
            start: Start::Latest,
        }
    }
}

/// What is remembered of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownReplay {
    /// The first offset that is no part of it. Where it is stands in its number's cursor.
    pub(crate) end: Offset,
    /// How many events a second at most; 0 is no limit.
    pub(crate) rate: u32,
}

/// The document of a subscription.
pub(crate) fn known(known: &Known) -> Vec<u8> {
    let mut writer = Writer::new(SUBSCRIPTION, 128);
    writer.number(u64::from(known.number.0)).text(known.id.as_str()).byte(u8::from(known.ended));
    match &known.queue {
        None => writer.byte(0),
        Some(queue) => writer.byte(1).text(queue.as_str()),
    };
    match known.replay {
        None => writer.byte(0),
        Some(KnownReplay { end, rate }) => writer.byte(1).number(end.0).number(u64::from(rate)),
    };
    writer.text(known.source.as_str());
    match &known.pause {
        None => writer.byte(0),
        Some(Pause { by: PausedBy::Operator, since, reason }) => writer.byte(1).time(*since).text(reason),
        Some(Pause { by: PausedBy::Quarantine, since, reason }) => writer.byte(2).time(*since).text(reason),
    };
    writer.done()
}

/// Reads the document of a subscription.
pub(crate) fn read_known(record: &[u8]) -> Result<Known, Unreadable> {
    let (mut reader, format) = Reader::up_to(record, SUBSCRIPTION)?;
    let number = SubscriptionNumber(reader.small()?);
    let Name { id, tenant, pattern } = subscription_id(reader.text()?)?;
    let ended = reader.byte()? != 0;
    let queue = match reader.byte()? {
        0 => None,
        _ => Some(queue(reader.text()?)?),
    };
    let replay = match reader.byte()? {
        0 => None,
        _ => Some(KnownReplay { end: Offset(reader.number()?), rate: reader.small()? }),
    };
    let (source, pause) = match format {
        1 => (tenant.clone(), None),
        _ => {
            let source = Tenant::new(reader.text()?).map_err(|_| Unreadable("its source is malformed"))?;
            (source, take_pause(&mut reader)?)
        }
    };
    reader.end()?;
    Ok(Known { number, id, tenant, source, pattern, queue, ended, replay, pause })
}

fn take_pause(reader: &mut Reader<'_>) -> Result<Option<Pause>, Unreadable> {
    let by = match reader.byte()? {
        0 => return Ok(None),
        1 => PausedBy::Operator,
        2 => PausedBy::Quarantine,
        _ => return Err(Unreadable("who paused it is unknown")),
    };
    Ok(Some(Pause { by, since: reader.time()?, reason: reader.text()?.to_owned() }))
}

fn queue(text: &str) -> Result<QueueGroup, Unreadable> {
    QueueGroup::new(text).map_err(|_| Unreadable("its queue group is malformed"))
}

/// Tenant and topic as the log names them.
pub(crate) fn names(tenant: &str, topic: &str) -> Result<(Tenant, Topic), Unreadable> {
    let tenant = Tenant::new(tenant).map_err(|_| Unreadable("its tenant is malformed"))?;
    let topic = Topic::new(topic).map_err(|_| Unreadable("its topic is malformed"))?;
    Ok((tenant, topic))
}

/// What a subscription's name says.
struct Name {
    id: SubscriptionId,
    tenant: Tenant,
    pattern: Pattern,
}

/// A subscription's name from its text: `tenant/handler:pattern`, `owner/handler:@source/pattern` or
/// `tenant/@label:pattern`.
fn subscription_id(text: &str) -> Result<Name, Unreadable> {
    let malformed = Unreadable("its subscription is malformed");
    let (tenant, rest) = text.split_once('/').ok_or(malformed)?;
    let (label, heard) = rest.split_once(':').ok_or(malformed)?;
    let tenant = Tenant::new(tenant).map_err(|_| malformed)?;
    let (source, pattern) = match heard.strip_prefix('@') {
        None => (None, heard),
        Some(heard) => {
            let (source, pattern) = heard.split_once('/').ok_or(malformed)?;
            (Some(Tenant::new(source).map_err(|_| malformed)?), pattern)
        }
    };
    let pattern = Pattern::new(pattern).map_err(|_| malformed)?;
    let handler = |label| HandlerName::new(label).map_err(|_| malformed);
    let id = match (label.strip_prefix('@'), source) {
        (Some(label), None) => SubscriptionId::remote(&tenant, label, &pattern),
        (None, None) => SubscriptionId::new(&tenant, &handler(label)?, &pattern),
        (None, Some(source)) => SubscriptionId::imported(&tenant, &handler(label)?, &source, &pattern),
        (Some(_), Some(_)) => return Err(malformed),
    };
    Ok(Name { id, tenant, pattern })
}

#[cfg(test)]
mod tests;
