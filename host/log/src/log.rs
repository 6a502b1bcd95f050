//! The log itself: opens a store, queues commits, gives snapshots, ends in order.

use std::fs::{self, File, TryLockError};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use parking_lot::Mutex;

use crate::batch::{Batch, Receipt};
use crate::book::Book;
use crate::committer::Committer;
use crate::disk::{Disk, RealDisk};
use crate::error::{CommitError, OpenError, ReadError};
use crate::keeper::{Keeper, Wake};
use crate::merger::Merger;
use crate::queue::Request;
use crate::record::Millis;
use crate::settings::{Settings, Sync};
pub use crate::shared::Health;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::tables::Tables;
use crate::wal::{Wal, frame, recovery};

pub(crate) mod head;
#[cfg(test)]
mod tests;

/// An open store. Share it in an [`Arc`]; dropping it ends it in order, as [`close`](Self::close) does.
pub struct Log {
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    wake_merger: Arc<Wake>,
    threads: Mutex<Option<Threads>>,
    recovered: Recovered,
    /// Held as long as the store is open.
    lock: Mutex<Option<File>>,
}

struct Threads {
    committer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    merger: JoinHandle<()>,
}

/// What opening found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Groups of batches that were played back because they were in no table yet.
    pub groups: u64,
    /// Bytes at the end that were being written when the host died and were cut away.
    pub torn: u64,
}

/// What becomes of a commit. Dropping it leaves the commit to happen.
#[must_use = "whether the batch is kept is known only from this"]
#[derive(Debug)]
pub struct Commit(State);

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<Result<Receipt, CommitError>>),
    Refused(Option<CommitError>),
}

impl Future for Commit {
    type Output = Result<Receipt, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(reply) => Pin::new(reply).poll(context).map(|reply| match reply {
                Ok(outcome) => outcome,
                Err(oneshot::Canceled) => Err(CommitError::Closed),
            }),
            State::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(CommitError::Closed))),
        }
    }
}

impl Log {
    /// Opens the store in this folder, or makes one. Blocks: it plays back what is in no table yet, at most about four
    /// times [`Settings::checkpoint_bytes`].
    ///
    /// # Errors
    /// When another process has it, when its format is another, when it is damaged, or when the disk fails.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), folder, settings)
    }

    /// Like [`open`](Self::open), with another disk under the write-ahead log.
    ///
    /// # Errors
    /// As those of `open`.
    pub fn open_on(disk: Arc<dyn Disk>, folder: &Path, settings: Settings) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let segments = folder.join("wal");
        fs::create_dir_all(&segments).map_err(failed(&segments))?;
        let lock = lock(folder)?;
        let checkpoint = match head::read(disk.as_ref(), folder)? {
            Some(checkpoint) => checkpoint,
            None => {
                disk.replace(&head::path(folder), &head::encode(0)).map_err(failed(folder))?;
                0
            }
        };
        let tables = Tables::open(&folder.join("tables"), settings.cache_bytes)?;
        let found = recovery::replay(disk.as_ref(), &segments, checkpoint, |frame| {
            let at = tables.next();
            frame::each(frame.payload, |space, key, value| tables.apply_one(space, key, value, at))
                .map_err(|error| error.at(format!("group {} in `{}`", frame.sequence, segments.display())))
        })?;
        if found.torn > 0 {
            crate::telemetry::torn(folder, found.torn);
        }
        let book = Book::load(&tables).map_err(|error| match error {
            ReadError::Damaged(damage) => damage.into(),
            ReadError::Io { source, .. } => OpenError::Io { path: folder.to_owned(), source },
        })?;
        let recovered = Recovered { groups: found.last - checkpoint, torn: found.torn };
        let sequence = found.last;
        let wal = Wal::begin(Arc::clone(&disk), segments.clone(), sequence + 1, found.segments);
        let wal = wal.map_err(failed(&segments))?;
        let is_long = wal.bytes() > settings.checkpoint_bytes;
        let shared = Arc::new(Shared::new(folder.to_owned(), settings, disk, tables));
        let (wake, wake_merger) = (Arc::<Wake>::default(), Arc::<Wake>::default());
        let merger = Merger::start(Arc::clone(&shared), Arc::clone(&wake_merger)).map_err(failed(folder))?;
        let keeper = Keeper::start(Arc::clone(&shared), Arc::clone(&wake), Arc::clone(&wake_merger));
        let keeper = keeper.inspect_err(|_| wake_merger.stop()).map_err(failed(folder))?;
        let committer = Committer::start(Arc::clone(&shared), Arc::clone(&wake), (wal, book, sequence));
        let committer = committer.inspect_err(|_| {
            wake.stop();
            wake_merger.stop();
        });
        let committer = committer.map_err(failed(folder))?;
        if is_long {
            wake.checkpoint();
        }
        let threads = Mutex::new(Some(Threads { committer, keeper, merger }));
        Ok(Self { shared, wake, wake_merger, threads, recovered, lock: Mutex::new(Some(lock)) })
    }

    /// What opening found.
    #[must_use]
    pub const fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Queues a batch; it is decided in the order of these calls. The future is ready when the batch is kept as `sync`
    /// says, or will not be. Needs no runtime, and never blocks.
    pub fn commit(&self, batch: Batch, sync: Sync) -> Commit {
        let refusal = batch.check().err().or_else(|| self.shared.poisoned());
        if let Some(error) = refusal {
            return Commit(State::Refused(Some(error)));
        }
        let (reply, waiting) = oneshot::channel();
        match self.shared.queue.push(Request { batch, sync, reply }) {
            Ok(()) => Commit(State::Waiting(waiting)),
            Err(error) => Commit(State::Refused(Some(error))),
        }
    }

    /// One state of everything. Keep it short: what it can see takes space even if it was dropped.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.shared))
    }

    /// Whether it takes commits, and if not, why.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.look_for_space();
        self.shared.health()
    }

    /// Bytes of all events that are kept, without what the store adds.
    #[must_use]
    pub fn event_bytes(&self) -> u64 {
        self.shared.live_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that are free on the disk that the store is on.
    ///
    /// # Errors
    /// What the system said.
    pub fn free_bytes(&self) -> std::io::Result<u64> {
        self.shared.disk.free(&self.shared.folder)
    }

    /// Ids seen before this time may be forgotten: the longest window of all topics ago. Takes effect as tables are
    /// merged; until the store is opened again it is never taken back.
    pub fn forget_seen_before(&self, time: Millis) {
        self.shared.tables.stale.forget_seen(time.0);
    }

    /// Gives back all space that can be, which writes all tables of events anew. What retention drops comes back
    /// without it, a checkpoint later. Cancelling leaves it to happen.
    ///
    /// # Errors
    /// When the disk is full, or the log is poisoned or closed.
    pub async fn reclaim(&self) -> Result<(), CommitError> {
        let (reply, done) = oneshot::channel();
        self.wake.reclaim(reply);
        done.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Takes no more commits, finishes those that wait, syncs and ends; then the store may be opened again. Blocks as
    /// long as that takes. Safe to call again. Snapshots stay readable until the store is opened again; drop them before that.
    pub fn close(&self) {
        self.shared.queue.close();
        let Some(threads) = self.threads.lock().take() else { return };
        let _ = threads.committer.join();
        self.wake.stop();
        let _ = threads.keeper.join();
        self.wake_merger.stop();
        let _ = threads.merger.join();
        self.lock.lock().take();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

/// How long to wait for a process to let go of the store. One that is being ended does so in no time; and a process that
/// was just forked has the lock as well until it becomes another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes sure that this is the only process that has the store open. Blocks for a moment where another has it.
#[expect(
    clippy::disallowed_methods,
    reason = "a store is opened before anything is served, and opening one blocks anyway"
)]
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path: PathBuf = folder.join("lock");
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let file = File::create(&path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}
