//! Values as bytes, to and fro. Every value begins with its format, 1 today. Numbers are big-endian.

use crate::error::Damage;
use crate::record::{
    DeadLetter, DeadLetterId, Delivery, Millis, Offset, Scheduled, ScheduledId, Seen, Stretch, SubscriptionNumber,
    Topic, TopicId, Value, Version,
};

/// The format of every value today.
const FORMAT: u8 = 1;

/// What makes bytes unreadable; the caller knows the place.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) &'static str);

impl Unreadable {
    /// With its place.
    pub(crate) fn at(self, place: String) -> Damage {
        Damage { place, what: self.0.to_owned() }
    }
}

/// Puts a value together.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(room: usize) -> Self {
        let mut out = Vec::with_capacity(room + 1);
        out.push(FORMAT);
        Self(out)
    }

    pub(crate) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Bytes with their length before them.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(length).rest(bytes)
    }

    pub(crate) fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a value apart.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self(rest)),
            Some(_) => Err(Unreadable("the value has a format that this version does not read")),
            None => Err(Unreadable("the value is empty")),
        }
    }

    /// Without a format before it.
    pub(crate) const fn bare(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable("the value is cut off"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn id(&mut self) -> Result<[u8; 16], Unreadable> {
        self.take()
    }

    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length).ok_or(Unreadable("the value is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(self.sized()?.to_vec()).map_err(|_| Unreadable("a name is not text"))
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A value that is one number.
pub(crate) fn number(number: u64) -> Vec<u8> {
    Writer::new(8).u64(number).done()
}

pub(crate) fn read_number(bytes: &[u8]) -> Result<u64, Unreadable> {
    Reader::new(bytes)?.u64()
}

pub(crate) fn event(at: Millis, bytes: &[u8]) -> Vec<u8> {
    Writer::new(8 + bytes.len()).u64(at.0).rest(bytes).done()
}

pub(crate) fn read_event(bytes: &[u8]) -> Result<(Millis, Vec<u8>), Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok((Millis(reader.u64()?), reader.rest().to_vec()))
}

pub(crate) fn topic(topic: &Topic) -> Vec<u8> {
    Writer::new(64)
        .u32(topic.id.0)
        .u64(topic.floor.0)
        .sized(topic.tenant.as_bytes())
        .sized(topic.name.as_bytes())
        .done()
}

pub(crate) fn read_topic(bytes: &[u8]) -> Result<Topic, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok(Topic { id: TopicId(reader.u32()?), floor: Offset(reader.u64()?), tenant: reader.text()?, name: reader.text()? })
}

pub(crate) fn stretch(stretch: &Stretch) -> Vec<u8> {
    Writer::new(36)
        .u64(stretch.last.0)
        .u32(stretch.events)
        .u64(stretch.bytes)
        .u64(stretch.earliest.0)
        .u64(stretch.latest.0)
        .done()
}

pub(crate) fn read_stretch(first: Offset, bytes: &[u8]) -> Result<Stretch, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok(Stretch {
        first,
        last: Offset(reader.u64()?),
        events: reader.u32()?,
        bytes: reader.u64()?,
        earliest: Millis(reader.u64()?),
        latest: Millis(reader.u64()?),
    })
}

pub(crate) fn delivery(delivery: &Delivery) -> Vec<u8> {
    Writer::new(12 + delivery.history.len()).u64(delivery.due.0).u32(delivery.attempts).rest(&delivery.history).done()
}

pub(crate) fn read_delivery(bytes: &[u8]) -> Result<Delivery, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok(Delivery { due: Millis(reader.u64()?), attempts: reader.u32()?, history: reader.rest().to_vec() })
}

pub(crate) fn scheduled(tenant: &str, topic: &str, bytes: &[u8]) -> Vec<u8> {
    Writer::new(64 + bytes.len()).sized(tenant.as_bytes()).sized(topic.as_bytes()).rest(bytes).done()
}

pub(crate) fn read_scheduled(key: &[u8], bytes: &[u8]) -> Result<Scheduled, Unreadable> {
    let mut key = Reader::bare(key);
    let id = ScheduledId { due: Millis(key.u64()?), stamp: Version(key.u64()?) };
    let mut reader = Reader::new(bytes)?;
    Ok(Scheduled { id, tenant: reader.text()?, topic: reader.text()?, bytes: reader.rest().to_vec() })
}

pub(crate) fn dead_letter(letter: &DeadLetter) -> Vec<u8> {
    Writer::new(64 + letter.detail.len())
        .u64(letter.at.0)
        .u32(letter.subscription.0)
        .u64(letter.offset.0)
        .u32(letter.attempts)
        .sized(letter.tenant.as_bytes())
        .sized(letter.reason.as_bytes())
        .rest(&letter.detail)
        .done()
}

pub(crate) fn read_dead_letter(id: DeadLetterId, bytes: &[u8]) -> Result<DeadLetter, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok(DeadLetter {
        id,
        at: Millis(reader.u64()?),
        subscription: SubscriptionNumber(reader.u32()?),
        offset: Offset(reader.u64()?),
        attempts: reader.u32()?,
        tenant: reader.text()?,
        reason: reader.text()?,
        detail: reader.rest().to_vec(),
    })
}

/// Values of tenants and documents of the state alike.
pub(crate) fn value(version: Version, bytes: &[u8]) -> Vec<u8> {
    Writer::new(8 + bytes.len()).u64(version.0).rest(bytes).done()
}

pub(crate) fn read_value(bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    Ok(Value { version: Version(reader.u64()?), bytes: reader.rest().to_vec() })
}

/// Offset 0 is no event's, so it stands for none.
pub(crate) fn seen(seen: Seen) -> Vec<u8> {
    Writer::new(16).u64(seen.offset.map_or(0, |offset| offset.0)).u64(seen.at.0).done()
}

pub(crate) fn read_seen(bytes: &[u8]) -> Result<Seen, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    let offset = match reader.u64()? {
        0 => None,
        offset => Some(Offset(offset)),
    };
    Ok(Seen { offset, at: Millis(reader.u64()?) })
}
