//! What a file looks like from outside: two looks that find the same saw the same content.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Times, size and place of a file. A link counts as what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of the file's entry itself: also where an older file took its place and kept its own time.
    changed: (i64, i64),
    inode: u64,
    bytes: u64,
    /// Who may do what, as `chmod` writes it.
    pub(crate) mode: u32,
}

impl Stamp {
    /// Looks at a file. Blocks.
    ///
    /// # Errors
    /// It is not there, or is no file.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let about = std::fs::metadata(path)?;
        if !about.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        Ok(Self {
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
            bytes: about.len(),
            mode: about.mode() & 0o7777,
        })
    }
}
