//! A disk that fails on command: the next write tears, fails or finds no space, the next sync fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, RealDisk};

/// What goes wrong, until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Writes write half and fail.
    Write,
    /// Writes write half and find no space.
    Full,
    /// Syncs fail.
    Sync,
    /// This much is said to be free.
    Free(u64),
}

/// The machine's file system with a fault in front.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<Fault>>);

impl FaultyDisk {
    /// Sets what goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        *self.0.lock() = fault;
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { file, fault: Arc::clone(&self.0) })
    }
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    fault: Arc<Mutex<Fault>>,
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        RealDisk.replace(path, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        match *self.0.lock() {
            Fault::Free(bytes) => Ok(bytes),
            _ => RealDisk.free(folder),
        }
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        match *self.fault.lock() {
            Fault::Write => {
                self.file.write_at(offset, half)?;
                Err(io::Error::other("injected write error"))
            }
            Fault::Full => {
                self.file.write_at(offset, half)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.file.write_at(offset, bytes),
        }
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        match *self.fault.lock() {
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            _ => self.file.reserve(length),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match *self.fault.lock() {
            Fault::Sync => Err(io::Error::other("injected sync error")),
            _ => self.file.sync(),
        }
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
}
