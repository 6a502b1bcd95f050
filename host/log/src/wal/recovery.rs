//! Reading the write-ahead log back: what is whole, what is a torn end, what is damage.
//!
//! A process or machine that dies leaves the last segment with an end that is cut off or mixed up: nobody was told that
//! it is kept, so it is cut away. Anything else is damage and is never passed over in silence: bad bytes in an older
//! segment, which was synced whole before the next one began; bad bytes before a good frame that was written after a
//! sync of them had returned; a gap between segments. One case cannot be told from a torn end: bad bytes in the very
//! last group that was synced, when nothing was written after it, not even the closing frame of an orderly end.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::{Damage, OpenError};
use crate::wal::frame::{self, Frame, HEADER};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Segments with the sequence of their last group and their length.
    pub(crate) segments: Vec<(PathBuf, u64, u64)>,
    /// The last sequence; that of the checkpoint if there is none after it.
    pub(crate) last: u64,
    /// Bytes of a torn end that was cut away.
    pub(crate) torn: u64,
}

/// Reads everything after the checkpoint, in order, and cuts away a torn end.
pub(crate) fn replay(
    disk: &dyn Disk,
    folder: &Path,
    checkpoint: u64,
    mut take: impl FnMut(&Frame<'_>) -> Result<(), Damage>,
) -> Result<Found, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let mut paths = disk.list(folder).map_err(failed(folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    let mut found = Found { last: checkpoint, ..Found::default() };
    // An older segment may end before the checkpoint: the host died before it was removed.
    let mut expected = checkpoint + 1;
    for (index, path) in paths.iter().enumerate() {
        let is_last = index + 1 == paths.len();
        let bytes = disk.read(path).map_err(failed(path))?;
        let head = bytes.get(..HEADER).unwrap_or(&bytes);
        let first = match frame::read_header(head) {
            Ok(first) => first,
            // The machine died between the making of the file and the sync of its header.
            Err(_) if is_last && (bytes.len() < HEADER || head.iter().all(|byte| *byte == 0)) => {
                disk.remove(path).map_err(failed(path))?;
                found.torn += used(&bytes) as u64;
                break;
            }
            Err(error) => return Err(error.at(format!("`{}` at byte 0", path.display())).into()),
        };
        let gap = if index == 0 { first > expected } else { first != expected };
        if gap {
            let what = format!("groups are missing before it: {expected} is expected, it begins with {first}");
            return Err(Damage { place: format!("`{}`", path.display()), what }.into());
        }
        let (last, length) = read_segment(path, &bytes, first, checkpoint, is_last, &mut take)?;
        if length < bytes.len() {
            let file = disk.open(path).map_err(failed(path))?;
            file.cut(length as u64).and_then(|()| file.sync()).map_err(failed(path))?;
            found.torn += bytes.get(length..).map_or(0, used) as u64;
        }
        found.last = last.max(checkpoint);
        expected = last + 1;
        found.segments.push((path.clone(), last, length as u64));
    }
    Ok(found)
}

/// Reads one segment; answers its last sequence and how many of its bytes are good.
fn read_segment(
    path: &Path,
    bytes: &[u8],
    first: u64,
    checkpoint: u64,
    is_last: bool,
    take: &mut impl FnMut(&Frame<'_>) -> Result<(), Damage>,
) -> Result<(u64, usize), Damage> {
    let mut at = HEADER;
    let mut next = first;
    // What follows is room that was made ahead of what is written.
    let end = used(bytes);
    while at < end
        && let Some(rest) = bytes.get(at..)
    {
        let place = || format!("`{}` at byte {at}", path.display());
        match frame::read(rest) {
            Ok(found) if found.sequence == next => {
                if next > checkpoint {
                    take(&found)?;
                }
                at += frame::FRAME + found.payload.len();
                next += 1;
            }
            Ok(found) => {
                let what = format!("group {next} is expected, group {} is there", found.sequence);
                return Err(Damage { place: place(), what });
            }
            Err(error) if !is_last => return Err(error.at(place())),
            Err(error) if was_synced(rest, next) => return Err(error.at(place())),
            Err(_) => break,
        }
    }
    Ok((next - 1, at))
}

/// How many of these bytes are before the zeros at their end.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Whether a good frame follows that was written when this group was synced.
fn was_synced(rest: &[u8], sequence: u64) -> bool {
    // A good frame can begin at any byte, since the length of the bad one may be what is bad. Nearly all places fall
    // to the look at the number, before any checksum is computed.
    const PLAUSIBLE: u64 = 1 << 24;
    (1..used(rest)).filter_map(|at| rest.get(at..)).any(|candidate| {
        let number = candidate.get(4..12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        number.is_some_and(|number| number > sequence && number - sequence < PLAUSIBLE)
            && frame::read(candidate).is_ok_and(|found| found.synced >= sequence)
    })
}
