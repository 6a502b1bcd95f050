//! What one guest has open of its files, and what reads them.
//!
//! A file stays open for as long as its descriptor or any stream of it is there. So each of them holds the file's place,
//! and the place is free when the last of them is gone, at whatever moment and in whatever way that happens.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi::p2::{DynInputStream, InputStream, Pollable, StreamResult};

use super::place::Place;

/// Files and folders that one guest may have open at a time. Arbitrary: more than a handler needs, and few enough that
/// several may.
pub(super) const FILES: usize = 16;
/// Streams of files and lists of folders that it may have at a time: two for each. Arbitrary; for each of them the host
/// may hold 64 KiB that were read and not yet fetched.
pub(super) const READERS: usize = 32;

/// What a guest has open.
pub(crate) struct Open {
    /// By the number of the descriptor's resource. The folder that it was told of is not in it, which is open anyhow.
    files: HashMap<u32, Arc<Held>>,
    may_open: Arc<Semaphore>,
    may_read: Arc<Semaphore>,
}

/// A file or folder that is open.
#[derive(Debug)]
pub(super) struct Held {
    _place: Place,
    _own: OwnedSemaphorePermit,
}

/// What a stream or a list holds beside what it reads.
pub(super) struct Reader {
    _file: Option<Arc<Held>>,
    _own: OwnedSemaphorePermit,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            may_open: Arc::new(Semaphore::new(FILES)),
            may_read: Arc::new(Semaphore::new(READERS)),
        }
    }
}

impl Open {
    /// Whether it has nothing open.
    pub(super) fn is_empty(&self) -> bool {
        self.may_open.available_permits() == FILES
    }

    /// The right to open one more, if it may.
    pub(super) fn one_more(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.may_open).try_acquire_owned().ok()
    }

    /// It has opened something.
    pub(super) fn opened(&mut self, number: u32, place: Place, own: OwnedSemaphorePermit) {
        self.files.insert(number, Arc::new(Held { _place: place, _own: own }));
    }

    /// It has closed a descriptor.
    pub(super) fn closed(&mut self, number: u32) {
        self.files.remove(&number);
    }

    /// What one more stream or list of a descriptor is to hold, if it may have one.
    pub(super) fn reader(&self, number: u32) -> Option<Reader> {
        let own = Arc::clone(&self.may_read).try_acquire_owned().ok()?;
        Some(Reader { _file: self.files.get(&number).cloned(), _own: own })
    }
}

/// A stream of WASI's, and what it holds. It ends before that does.
pub(super) struct Reading {
    stream: DynInputStream,
    _reader: Reader,
}

impl Reading {
    pub(super) fn new(stream: DynInputStream, reader: Reader) -> Self {
        Self { stream, _reader: reader }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.stream.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.stream.blocking_read(size).await
    }

    fn skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.stream.skip(bytes)
    }

    async fn blocking_skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.stream.blocking_skip(bytes).await
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::name::Tenant;

    use super::super::place::Places;
    use super::*;

    #[test]
    fn a_file_is_open_until_its_descriptor_and_its_streams_are_gone() {
        let (places, tenant) = (Places::new(), Tenant::new("acme").unwrap());
        let mut open = Open::default();
        assert!(open.is_empty());
        let own = open.one_more().unwrap();
        open.opened(7, places.try_take(&tenant).unwrap(), own);
        let (first, second) = (open.reader(7).unwrap(), open.reader(7).unwrap());
        open.closed(7);
        drop(first);
        assert!(!open.is_empty());
        drop(second);
        assert!(open.is_empty());
    }

    #[test]
    fn a_guest_has_so_many_files_and_so_many_readers() {
        let (places, tenant) = (Places::new(), Tenant::new("acme").unwrap());
        let mut open = Open::default();
        for number in 0..FILES {
            let own = open.one_more().unwrap();
            open.opened(u32::try_from(number).unwrap(), places.try_take(&tenant).unwrap(), own);
        }
        assert!(open.one_more().is_none());
        let mut readers: Vec<_> = std::iter::from_fn(|| open.reader(0)).collect();
        assert_eq!(readers.len(), READERS);
        readers.pop();
        assert!(open.reader(1).is_some());
        open.closed(1);
        assert!(open.one_more().is_some(), "the place of what is closed is free at once");
    }
}
