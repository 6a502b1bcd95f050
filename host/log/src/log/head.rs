//! The head file: the format of the store and its last checkpoint. 28 bytes: `hostelLG`, format (4), sequence of the
//! checkpoint (8), XXH3 of the 20 bytes before (8). Big-endian.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::{Reader, Unreadable};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::wal::frame::checksum;

/// The format of stores that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"hostelLG";

/// Where it lies.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("head")
}

/// It as bytes.
pub(crate) fn encode(checkpoint: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(28);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(&checkpoint.to_be_bytes());
    let sum = checksum(&[&out]);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// The last checkpoint; `None` if there is no store yet.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<u64>, OpenError> {
    let path = path(folder);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let damaged = |error: Unreadable| -> OpenError { error.at(format!("`{}`", path.display())).into() };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged(Unreadable("this is no head of a store")))?;
    let mut reader = Reader::bare(rest);
    // The format comes first, so that a store of another one is named as such whatever else is in it.
    let found = reader.u32().map_err(damaged)?;
    let checkpoint = reader.u64().map_err(damaged)?;
    let sum = reader.u64().map_err(damaged)?;
    if checksum(&[bytes.get(..20).unwrap_or_default()]) == sum && found == FORMAT {
        return Ok(Some(checkpoint));
    }
    if found == FORMAT {
        return Err(damaged(Unreadable("the checksum does not agree")));
    }
    Err(OpenError::Format { folder: folder.to_owned(), found, known: FORMAT })
}
