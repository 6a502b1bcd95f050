//! A folder whose files are brought along: what lies in it, and the files themselves.
//!
//! All is looked at and opened from the open folder on, and the kernel holds every path to it: no link in it is followed,
//! also not one that is put there meanwhile. What is no plain file is never opened for reading, since a pipe would wait for
//! its other end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::io::Errno;

use super::{BundleError, ENTRIES, check};
use crate::stamp::Stamp;

/// How often something is opened before it counts as busy. Arbitrary: each time, a folder was renamed just then.
const ATTEMPTS: usize = 16;

/// See the module's page.
pub(crate) struct Folder {
    open: OwnedFd,
    /// What it is called when something is wrong.
    shown: PathBuf,
}

/// What lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Folder,
    /// And how it looks.
    File(Stamp),
}

impl Folder {
    /// One that was opened for reading.
    pub(crate) fn new(open: impl Into<OwnedFd>, shown: &Path) -> Self {
        Self { open: open.into(), shown: shown.to_owned() }
    }

    /// What it is called.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Everything in it by its path there, sorted; adds how much was looked at to `visited`. Blocks.
    ///
    /// # Errors
    /// It cannot be a bundle, or cannot be read.
    pub(crate) fn list(&self, visited: &mut usize) -> Result<BTreeMap<PathBuf, Piece>, BundleError> {
        let mut found = BTreeMap::new();
        let mut left = vec![PathBuf::new()];
        while let Some(below) = left.pop() {
            let at = self.shown.join(&below);
            let unreadable = |errno: Errno| BundleError::io("read", &at)(errno.into());
            let folder = self.open(&below, OFlags::RDONLY | OFlags::DIRECTORY).map_err(BundleError::io("read", &at))?;
            let mut entries = Dir::new(folder).map_err(unreadable)?;
            while let Some(entry) = entries.read() {
                let entry = entry.map_err(unreadable)?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                *visited += 1;
                let path = below.join(name);
                check(&path)?;
                let about = statx(
                    entries.fd().map_err(unreadable)?,
                    entry.file_name(),
                    AtFlags::SYMLINK_NOFOLLOW,
                    StatxFlags::BASIC_STATS,
                );
                let about = about.map_err(|errno| BundleError::io("read", &self.shown.join(&path))(errno.into()))?;
                let piece = if FileType::from_raw_mode(about.stx_mode.into()) == FileType::Directory {
                    left.push(path.clone());
                    Piece::Folder
                } else {
                    Piece::File(Stamp::from_statx(&about).ok_or_else(|| self.neither(&path))?)
                };
                found.insert(path, piece);
                if found.len() > ENTRIES {
                    let text = format!("`{}` has more than {ENTRIES} files and folders", self.shown.display());
                    return Err(BundleError::TooLarge(text));
                }
            }
        }
        Ok(found)
    }

    /// What is in one of its files, as far as `limit` bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
        let unreadable = |error| BundleError::io("read", &self.shown.join(path))(error);
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(self.neither(path));
        }
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content).map_err(unreadable)?;
        Ok(content)
    }

    fn neither(&self, path: &Path) -> BundleError {
        let at = self.shown.join(path);
        BundleError::Refused(format!("`{}` is neither a file nor a folder; put the file itself there", at.display()))
    }

    fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let file = beneath(&self.open, path, (flags, ResolveFlags::NO_SYMLINKS));
        file.map_err(io::Error::from)
    }
}

/// Opens what lies below an open folder, and nothing elsewhere.
pub(crate) fn beneath(folder: impl AsFd, path: &Path, (flags, resolve): (OFlags, ResolveFlags)) -> Result<File, Errno> {
    let (flags, resolve) = (flags | OFlags::CLOEXEC, resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS);
    for _ in 1..ATTEMPTS {
        match openat2(&folder, path, flags, Mode::empty(), resolve) {
            // A folder was renamed somewhere while `..` was followed: the kernel cannot tell whether that led out.
            Err(Errno::AGAIN) => {}
            opened => return opened.map(File::from),
        }
    }
    openat2(&folder, path, flags, Mode::empty(), resolve).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn opened(folder: &Path) -> Folder {
        Folder::new(File::open(folder).unwrap(), Path::new("assets"))
    }

    #[test]
    fn folders_count_as_files_do_and_no_more_are_looked_at_than_there_may_be() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=ENTRIES + 100 {
            fs::create_dir(folder.path().join(number.to_string())).unwrap();
        }
        let mut visited = 0;
        let error = opened(folder.path()).list(&mut visited).unwrap_err().to_string();
        assert_eq!(error, "`assets` has more than 10000 files and folders");
        assert_eq!(visited, ENTRIES + 1);
    }

    #[test]
    fn what_is_put_in_the_place_of_a_file_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        let assets = opened(&folder.path().join("assets"));
        std::os::unix::fs::symlink("../secret", folder.path().join("assets/link")).unwrap();
        assert!(
            assets.read(Path::new("link"), 100).unwrap_err().to_string().starts_with("cannot read `assets/link`: ")
        );
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("assets/pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let neither = "`assets/pipe` is neither a file nor a folder; put the file itself there";
        assert_eq!(assets.read(Path::new("pipe"), 100).unwrap_err().to_string(), neither);
        fs::remove_file(folder.path().join("assets/link")).unwrap();
        assert_eq!(assets.list(&mut 0).unwrap_err().to_string(), neither);
    }
}
