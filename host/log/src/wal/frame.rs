//! How a segment begins and how a group of batches lies in it.
//!
//! Header: `hostelWL`, format (4 bytes), zero (4), first sequence (8), checksum (8). Frame: length of the payload (4),
//! sequence (8), synced through (8), checksum (8) over the 20 bytes before it and the payload, payload. The payload is
//! a row of writes: key space (1), 1 for put or 0 for remove (1), length of the key (4), length of the value (4), key,
//! value. Numbers are big-endian, checksums XXH3 of 64 bits.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::codec::{Reader, Unreadable};
use crate::space::Space;

/// What changes: the last write of each key. `None` removes.
pub(crate) type Writes = BTreeMap<(Space, Vec<u8>), Option<Vec<u8>>>;

/// The format of segments.
pub(crate) const FORMAT: u32 = 1;
pub(crate) const HEADER: usize = 32;
pub(crate) const FRAME: usize = 28;
const MAGIC: &[u8; 8] = b"hostelWL";
/// Where the checksum of a frame begins.
const CHECKED: usize = 20;

/// XXH3 over parts in a row.
pub(crate) fn checksum(parts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(part);
    }
    hash.digest()
}

/// The begin of a segment.
pub(crate) fn header(first: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&first.to_be_bytes());
    let sum = checksum(&[&out]);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// What the begin of a segment says.
pub(crate) fn read_header(bytes: &[u8]) -> Result<u64, Unreadable> {
    let (head, sum) = bytes.split_last_chunk::<8>().ok_or(Unreadable("the header is cut off"))?;
    if bytes.len() != HEADER || !head.starts_with(MAGIC) {
        return Err(Unreadable("this is no segment of a write-ahead log"));
    }
    if checksum(&[head]) != u64::from_be_bytes(*sum) {
        return Err(Unreadable("the header's checksum does not agree"));
    }
    let mut reader = Reader::bare(head);
    reader.u64()?;
    if reader.u32()? != FORMAT {
        return Err(Unreadable("the segment has a format that this version does not read"));
    }
    reader.u32()?;
    reader.u64()
}

/// A group as bytes. An empty group is only told how far was synced.
pub(crate) fn encode(sequence: u64, synced: u64, writes: &Writes) -> Vec<u8> {
    let room =
        writes.iter().map(|((_, key), value)| 10 + key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
    let mut out = Vec::with_capacity(FRAME + room);
    out.extend_from_slice(&u32::try_from(room).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&synced.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    for ((space, key), value) in writes {
        let bytes = value.as_deref().unwrap_or_default();
        out.extend_from_slice(&[space.code(), u8::from(value.is_some())]);
        out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(bytes);
    }
    if let Some((head, payload)) = out.split_at_checked(FRAME) {
        let sum = checksum(&[head.get(..CHECKED).unwrap_or_default(), payload]);
        if let Some(place) = out.get_mut(CHECKED..FRAME) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    }
    out
}

/// A frame that was found.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// Its number; they have no gaps.
    pub(crate) sequence: u64,
    /// When it was written, a sync of everything up to this one had returned.
    pub(crate) synced: u64,
    /// Its writes.
    pub(crate) payload: &'a [u8],
}

/// The frame at the begin of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Result<Frame<'_>, Unreadable> {
    const CUT: Unreadable = Unreadable("the frame is cut off");
    let (head, rest) = bytes.split_at_checked(FRAME).ok_or(CUT)?;
    let mut reader = Reader::bare(head);
    let length = reader.u32()? as usize;
    let sequence = reader.u64()?;
    let synced = reader.u64()?;
    let sum = reader.u64()?;
    let payload = rest.get(..length).ok_or(CUT)?;
    if checksum(&[head.get(..CHECKED).unwrap_or_default(), payload]) != sum {
        return Err(Unreadable("the frame's checksum does not agree"));
    }
    Ok(Frame { sequence, synced, payload })
}

/// The writes of a payload, one by one.
pub(crate) fn each(payload: &[u8], mut take: impl FnMut(Space, &[u8], Option<&[u8]>)) -> Result<(), Unreadable> {
    const CUT: Unreadable = Unreadable("a write in the frame is cut off");
    let mut rest = payload;
    while let Some((&[space, kind], after)) = rest.split_first_chunk::<2>() {
        let space = Space::of(space).ok_or(Unreadable("a write in the frame names an unknown key space"))?;
        let mut reader = Reader::bare(after);
        let (key, value) = (reader.u32()? as usize, reader.u32()? as usize);
        let (key, after) = reader.rest().split_at_checked(key).ok_or(CUT)?;
        let (value, after) = after.split_at_checked(value).ok_or(CUT)?;
        take(space, key, (kind == 1).then_some(value));
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(CUT) }
}
