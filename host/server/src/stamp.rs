//! What a file looks like from outside: two looks that find the same saw the same content.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, Statx};

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
        Self::from_metadata(&std::fs::metadata(path)?).ok_or_else(|| io::Error::other("it is no file"))
    }

    /// Of what was looked at already; `None`: it is no file.
    pub(crate) fn from_metadata(about: &Metadata) -> Option<Self> {
        about.is_file().then(|| Self {
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
            bytes: about.len(),
            mode: about.mode() & 0o7777,
        })
    }

    /// The same, of what the kernel itself says.
    pub(crate) fn from_statx(about: &Statx) -> Option<Self> {
        let mode = u32::from(about.stx_mode);
        (FileType::from_raw_mode(mode) == FileType::RegularFile).then(|| Self {
            modified: (about.stx_mtime.tv_sec, about.stx_mtime.tv_nsec.into()),
            changed: (about.stx_ctime.tv_sec, about.stx_ctime.tv_nsec.into()),
            inode: about.stx_ino,
            bytes: about.stx_size,
            mode: mode & 0o7777,
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

    use super::*;

    #[test]
    fn a_file_looks_the_same_whoever_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "a").unwrap();
        let about = |path: &Path| statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        assert_eq!(Stamp::from_statx(&about(&path)), Some(Stamp::of(&path).unwrap()));
        assert_eq!(Stamp::from_statx(&about(folder.path())), None);
    }
}
