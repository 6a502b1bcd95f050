//! Keys as bytes: big-endian numbers, so that ranges are ordered, and names with their length before them, so that no
//! name runs into the next. Lengths of names are checked by [`crate::batch`].

use crate::record::{DeadLetterId, Kind, Millis, Offset, ScheduledId, SubscriptionNumber, TopicId};

/// How many offsets share a bitmap.
pub(crate) const BLOCK: u64 = 1024;

/// A name with its length before it. The length is bounded by the batch.
fn name(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Names in a row, the last without its length.
pub(crate) fn names(parts: &[&str], last: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 2).sum::<usize>() + last.len());
    for part in parts {
        name(&mut out, part);
    }
    out.extend_from_slice(last.as_bytes());
    out
}

/// The start of all keys below these names.
pub(crate) fn names_prefix(parts: &[&str]) -> Vec<u8> {
    names(parts, "")
}

/// Number and offset.
fn numbered(number: u32, offset: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes());
    out
}

pub(crate) fn event(topic: TopicId, offset: Offset) -> Vec<u8> {
    numbered(topic.0, offset.0)
}

pub(crate) fn stretch(topic: TopicId, first: Offset) -> Vec<u8> {
    numbered(topic.0, first.0)
}

pub(crate) fn cursor(subscription: SubscriptionNumber) -> Vec<u8> {
    subscription.0.to_be_bytes().to_vec()
}

pub(crate) fn settled(subscription: SubscriptionNumber, block: u64) -> Vec<u8> {
    numbered(subscription.0, block)
}

pub(crate) fn delivery(subscription: SubscriptionNumber, offset: Offset) -> Vec<u8> {
    numbered(subscription.0, offset.0)
}

pub(crate) fn due(at: Millis, subscription: SubscriptionNumber, offset: Offset) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    out.extend_from_slice(&at.0.to_be_bytes());
    out.extend_from_slice(&numbered(subscription.0, offset.0));
    out
}

pub(crate) fn scheduled(id: ScheduledId) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.extend_from_slice(&id.due.0.to_be_bytes());
    out.extend_from_slice(&id.stamp.0.to_be_bytes());
    out
}

pub(crate) fn dead_letter_time(tenant: &str, at: Millis, id: DeadLetterId) -> Vec<u8> {
    let mut out = names_prefix(&[tenant]);
    out.extend_from_slice(&at.0.to_be_bytes());
    out.extend_from_slice(&id.0);
    out
}

pub(crate) fn document(kind: Kind, key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(kind.code());
    out.extend_from_slice(key.as_bytes());
    out
}

/// The first key after all that begin with this.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut out = prefix.to_vec();
    while let Some(last) = out.pop() {
        if last < u8::MAX {
            out.push(last + 1);
            return Some(out);
        }
    }
    None
}
