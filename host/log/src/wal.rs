//! The write-ahead log: the file to which every group of batches is appended before anything else happens to it. Opening
//! a store plays it back into the tables from the last checkpoint on.
//!
//! It answers for what a torn end is and what damage is. [`frame`] says how a group looks, [`recovery`] reads back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, is_full};

/// The segment is made longer by so much at a time, ahead of what is written: where a file grows with each write, each sync
/// waits for the file system's own books as well. Little enough for one sync to take along and for a small store, and so
/// much that the other several hundred need not.
const AHEAD: u64 = 1 << 20;

pub(crate) mod frame;
pub(crate) mod recovery;

/// Why a group could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No space; nothing of it is in the file.
    Full,
    /// Anything else; what is in the file is unknown.
    Failed(io::Error),
}

/// The end of the write-ahead log.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Up to its last frame.
    length: u64,
    /// Up to where it has zeros to write over; `None` if there was no space for them.
    reserved: Option<u64>,
    /// Files before the current one, with the sequence of their last group.
    sealed: Vec<(PathBuf, u64)>,
    sealed_bytes: u64,
    path: PathBuf,
}

/// The name of a segment: its first sequence, so that names sort as sequences do.
pub(crate) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.wal"))
}

impl Wal {
    /// Begins a new segment after what was found. The old ones are kept until a checkpoint lets go of them.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        first: u64,
        sealed: Vec<(PathBuf, u64, u64)>,
    ) -> io::Result<Self> {
        let path = segment_path(&folder, first);
        let (empty, sealed): (Vec<_>, Vec<_>) = sealed.into_iter().partition(|(found, ..)| *found == path);
        for (path, ..) in empty {
            disk.remove(&path)?;
        }
        let (file, length) = Self::new_segment(disk.as_ref(), &folder, &path, first)?;
        let sealed_bytes = sealed.iter().map(|(_, _, bytes)| bytes).sum();
        let sealed = sealed.into_iter().map(|(path, last, _)| (path, last)).collect();
        Ok(Self { disk, folder, file, length, reserved: Some(length), sealed, sealed_bytes, path })
    }

    fn new_segment(disk: &dyn Disk, folder: &Path, path: &Path, first: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let file = disk.create(path)?;
        let header = frame::header(first);
        let written = file.write_at(0, &header).and_then(|()| file.sync()).and_then(|()| disk.sync_folder(folder));
        if let Err(error) = written {
            // Nothing depends on it yet, and a half header would be damage later.
            let _ = disk.remove(path);
            return Err(error);
        }
        Ok((file, header.len() as u64))
    }

    /// Appends a frame.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Result<(), AppendError> {
        match self.file.write_at(self.length, frame) {
            Ok(()) => {
                self.length += frame.len() as u64;
                self.reserve();
                Ok(())
            }
            Err(error) if is_full(&error) => match self.trim() {
                Ok(()) => Err(AppendError::Full),
                Err(error) => Err(AppendError::Failed(error)),
            },
            Err(error) => Err(AppendError::Failed(error)),
        }
    }

    /// Makes room after the last frame if that took what there was. If it cannot, the file grows with what is written.
    fn reserve(&mut self) {
        if self.reserved.is_some_and(|reserved| reserved < self.length) {
            let ahead = self.length.next_multiple_of(AHEAD);
            self.reserved = self.file.reserve(ahead).is_ok().then_some(ahead);
        }
    }

    /// Cuts off everything after the last frame.
    pub(crate) fn trim(&mut self) -> io::Result<()> {
        self.file.cut(self.length)?;
        self.reserved = self.reserved.map(|_| self.length);
        Ok(())
    }

    /// The file to sync.
    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Bytes since the last checkpoint.
    pub(crate) const fn bytes(&self) -> u64 {
        self.length + self.sealed_bytes
    }

    /// Bytes in the current segment.
    pub(crate) const fn current_bytes(&self) -> u64 {
        self.length
    }

    /// Goes on in a new segment. The current one must be synced: only the last segment may end torn.
    pub(crate) fn rotate(&mut self, last: u64) -> io::Result<()> {
        let path = segment_path(&self.folder, last + 1);
        if path == self.path {
            return Ok(());
        }
        let (file, length) = Self::new_segment(self.disk.as_ref(), &self.folder, &path, last + 1)?;
        // Zeros that stay at its end are read as its end all the same.
        let _ = self.trim();
        self.sealed.push((std::mem::replace(&mut self.path, path), last));
        self.sealed_bytes += self.length;
        self.file = file;
        self.length = length;
        self.reserved = Some(length);
        Ok(())
    }

    /// Lets go of segments whose groups are all in tables.
    pub(crate) fn release(&mut self, checkpoint: u64) -> io::Result<()> {
        while let Some((path, last)) = self.sealed.first()
            && *last <= checkpoint
        {
            let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
            self.disk.remove(path)?;
            self.sealed_bytes = self.sealed_bytes.saturating_sub(bytes);
            self.sealed.remove(0);
        }
        Ok(())
    }
}
