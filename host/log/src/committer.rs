//! The committer: the one thread that writes. It takes what waits as one group, decides each batch, appends the group to
//! the write-ahead log, applies it to the tables while another thread syncs the file, and then tells the callers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use futures_channel::oneshot;

use crate::batch::Receipt;
use crate::book::Book;
use crate::disk::{DiskFile, is_full};
use crate::error::CommitError;
use crate::group::Group;
use crate::keeper::Wake;
use crate::queue::{Order, Request, Work};
use crate::settings::Sync;
use crate::shared::Shared;
use crate::wal::{AppendError, Wal, frame};

/// So many checkpoints' worth of log may wait for the keeper; then commits wait too. Bounds memory.
const BACKLOG: u64 = 4;
/// How often a committer that waits for the keeper looks whether the disk has filled up meanwhile. Arbitrary.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

type Reply = oneshot::Sender<Result<Receipt, CommitError>>;

/// A batch of a group that was decided, and whom to tell.
type Decided = (Reply, Receipt);

pub(crate) struct Committer {
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    wal: Wal,
    book: Book,
    /// The last group written.
    sequence: u64,
    /// The last group synced.
    synced: u64,
    deadline: Option<Instant>,
    to_syncer: SyncSender<Arc<dyn DiskFile>>,
    from_syncer: Receiver<io::Result<()>>,
    syncer: thread::JoinHandle<()>,
}

impl Committer {
    /// Starts the thread, and the one that syncs for it.
    pub(crate) fn start(
        shared: Arc<Shared>,
        wake: Arc<Wake>,
        (wal, book, sequence): (Wal, Book, u64),
    ) -> io::Result<thread::JoinHandle<()>> {
        let (to_syncer, files) = sync_channel::<Arc<dyn DiskFile>>(1);
        let (results, from_syncer) = sync_channel(1);
        let syncer = thread::Builder::new().name("log-sync".to_owned()).spawn(move || {
            while let Ok(file) = files.recv() {
                if results.send(file.sync()).is_err() {
                    return;
                }
            }
        })?;
        shared.live_bytes.store(book.live_bytes, Ordering::Relaxed);
        let committer = Self {
            shared,
            wake,
            wal,
            book,
            sequence,
            synced: sequence,
            deadline: None,
            to_syncer,
            from_syncer,
            syncer,
        };
        thread::Builder::new().name("log-commit".to_owned()).spawn(move || committer.run())
    }

    fn run(mut self) {
        loop {
            let is_behind = self.wal.bytes() > BACKLOG * self.shared.settings.checkpoint_bytes
                && self.shared.poisoned().is_none()
                && !self.shared.keeper_is_full.load(Ordering::Relaxed);
            let look_again = is_behind.then(|| Instant::now() + LOOK_AGAIN);
            let deadline = [self.deadline, look_again].into_iter().flatten().min();
            match self.shared.queue.next(deadline, is_behind) {
                Work::Group(requests) => self.commit(requests),
                Work::Order(order) => self.obey(order),
                Work::Deadline if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    let _ = self.sync();
                }
                Work::Deadline => {}
                Work::End => break,
            }
        }
        self.end();
    }

    /// Answers batches that cannot be taken now, for want of space or for good; the others go on.
    fn admit(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let (new, other) = match self.space() {
            Ok(space) => space,
            Err(error) => (Some(error.clone()), Some(error)),
        };
        let refusal = |request: &Request| if request.batch.brings_in() { new.clone() } else { other.clone() };
        let mut admitted = Vec::with_capacity(requests.len());
        for request in requests {
            match refusal(&request) {
                Some(error) => {
                    let _ = request.reply.send(Err(error));
                }
                None => admitted.push(request),
            }
        }
        admitted
    }

    fn commit(&mut self, requests: Vec<Request>) {
        let requests = self.admit(requests);
        if requests.is_empty() {
            return;
        }
        let sequence = self.sequence + 1;
        let mut group = Group::new(&self.shared.tables, &self.book, sequence);
        let mut decided = Vec::with_capacity(requests.len());
        let (mut must_sync, mut interval) = (false, None::<Duration>);
        for Request { batch, sync, reply } in requests {
            match group.add(batch) {
                Ok(receipt) => decided.push((reply, receipt)),
                Err(error) => {
                    let _ = reply.send(Err(error));
                    continue;
                }
            }
            match sync {
                Sync::Always => must_sync = true,
                Sync::Interval(wait) => interval = Some(interval.map_or(wait, |other| other.min(wait))),
                Sync::Never => {}
            }
        }
        let (writes, update) = group.finish();
        // A batch of preconditions only, or a duplicate, rests on what may not be synced yet.
        let outcome = if writes.is_empty() {
            if must_sync { self.sync() } else { Ok(()) }
        } else {
            self.write(sequence, &writes, must_sync).inspect(|()| {
                self.shared.dropped_bytes.fetch_add(update.dropped_bytes, Ordering::Relaxed);
                for entry in update.entries.values() {
                    self.shared.tables.stale.drop_below(entry.topic.id, entry.topic.floor);
                }
                self.book.update(update);
                self.shared.live_bytes.store(self.book.live_bytes, Ordering::Relaxed);
            })
        };
        if let Some(wait) = interval
            && self.synced < self.sequence
        {
            let deadline = Instant::now() + wait;
            self.deadline = Some(self.deadline.map_or(deadline, |other| other.min(deadline)));
        }
        tell(decided, &outcome);
        let dropped = self.shared.dropped_bytes.load(Ordering::Relaxed);
        let limit = self.shared.settings.checkpoint_bytes;
        // On a full disk any space is welcome.
        if self.wal.current_bytes() >= limit || dropped >= limit || (dropped > 0 && self.shared.health().is_full) {
            self.wake.checkpoint();
        }
    }

    /// Appends, applies and, if asked, syncs a group, then shows it to readers.
    fn write(&mut self, sequence: u64, writes: &frame::Writes, must_sync: bool) -> Result<(), CommitError> {
        let bytes = frame::encode(sequence, self.synced, writes);
        match self.wal.append(&bytes) {
            Ok(()) => {}
            Err(AppendError::Full) => {
                self.shared.set_full(true);
                return Err(CommitError::Full { free: 0, wanted: bytes.len() as u64 });
            }
            Err(AppendError::Failed(error)) => {
                return Err(self.shared.poison(format!("cannot write to the write-ahead log: {error}")));
            }
        }
        self.sequence = sequence;
        let is_syncing = must_sync && self.to_syncer.send(self.wal.file()).is_ok();
        let until = self.shared.tables.apply(writes);
        if must_sync {
            let result = if is_syncing { self.from_syncer.recv() } else { Ok(Err(io::ErrorKind::BrokenPipe.into())) };
            self.was_synced(result.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())))?;
        }
        self.shared.show(until);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), CommitError> {
        if self.synced == self.sequence {
            self.deadline = None;
            return Ok(());
        }
        let result = self.wal.file().sync();
        self.was_synced(result)
    }

    fn was_synced(&mut self, result: io::Result<()>) -> Result<(), CommitError> {
        self.deadline = None;
        match result {
            Ok(()) => {
                self.synced = self.sequence;
                Ok(())
            }
            // After a failed sync nobody knows which bytes are on the disk, and asking again may answer ok for bytes
            // that the system has thrown away.
            Err(error) => Err(self.shared.poison(format!("cannot sync the write-ahead log: {error}"))),
        }
    }

    /// What to answer to batches that bring in something new, and to others, if there is too little space for them.
    fn space(&self) -> Result<(Option<CommitError>, Option<CommitError>), CommitError> {
        if let Some(error) = self.shared.poisoned() {
            return Err(error);
        }
        let wanted = self.shared.settings.reserve;
        let free = self.shared.disk.free(&self.shared.folder);
        let free = free.map_err(|error| self.shared.poison(format!("cannot see how much space is free: {error}")))?;
        let is_behind = self.wal.bytes() > BACKLOG * self.shared.settings.checkpoint_bytes;
        let is_stuck = is_behind && self.shared.keeper_is_full.load(Ordering::Relaxed);
        let is_full = free < wanted || is_stuck;
        self.shared.lacks_space.store(free < wanted, Ordering::Relaxed);
        self.shared.set_full(is_full);
        let refusal = |wanted| Some(CommitError::Full { free, wanted });
        let new = if is_full { refusal(wanted) } else { None };
        let other = if free < wanted / 2 || is_stuck { refusal(wanted / 2) } else { None };
        Ok((new, other))
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Seal(reply) => {
                let _ = reply.send(self.seal());
            }
            Order::Release(sequence) => {
                if let Err(error) = self.wal.release(sequence) {
                    self.shared.poison(format!("cannot remove a segment of the write-ahead log: {error}"));
                }
            }
            Order::Refresh(reply) => {
                // Everything applied was shown, except a group whose sync failed; that one must not be.
                if self.shared.poisoned().is_none() {
                    self.shared.show(self.shared.tables.now());
                }
                let _ = reply.send(());
            }
        }
    }

    fn seal(&mut self) -> Option<u64> {
        if self.shared.poisoned().is_some() || self.sync().is_err() {
            return None;
        }
        match self.wal.rotate(self.sequence) {
            Ok(()) => {
                self.shared.tables.seal();
                Some(self.sequence)
            }
            Err(error) if is_full(&error) => {
                self.shared.keeper_is_full.store(true, Ordering::Relaxed);
                None
            }
            Err(error) => {
                self.shared.poison(format!("cannot begin a segment of the write-ahead log: {error}"));
                None
            }
        }
    }

    /// Ends with a frame that says how far was synced, so that damage in the last group is told from a torn end.
    fn end(mut self) {
        if self.shared.poisoned().is_none() && self.sync().is_ok() {
            let closing = frame::encode(self.sequence + 1, self.synced, &frame::Writes::new());
            if self.wal.append(&closing).is_ok() {
                // Before the sync, which then has no zeros to write.
                let _ = self.wal.trim();
                let _ = self.wal.file().sync();
            }
        }
        drop(self.to_syncer);
        let _ = self.syncer.join();
    }
}

fn tell(decided: Vec<Decided>, outcome: &Result<(), CommitError>) {
    for (reply, receipt) in decided {
        // Whoever is gone does not want to know.
        let _ = reply.send(outcome.clone().map(|()| receipt));
    }
}
