//! The keeper: the one thread that moves memory into tables and lets go of old segments. Merging tables is left to
//! [`crate::merger`], which may take its time.
//!
//! A checkpoint seals the memory of all trees at one group, writes it into tables, remembers the group in the head file
//! and only then lets go of the segments up to it. A crash anywhere between leaves the segments, which are played back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::{io, thread};

use futures_channel::oneshot;
use parking_lot::{Condvar, Mutex};

use crate::disk::is_full;
use crate::error::CommitError;
use crate::log::head;
use crate::queue::Order;
use crate::shared::Shared;

/// How soon a checkpoint that found no space is tried again. Arbitrary; commits are refused meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(250);

pub(crate) type Reply = oneshot::Sender<Result<(), CommitError>>;

#[derive(Default)]
struct Wanted {
    checkpoint: bool,
    reclaims: Vec<Reply>,
    stop: bool,
}

/// How the keeper and the merger are woken.
#[derive(Default)]
pub(crate) struct Wake {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Wake {
    /// Asks for a checkpoint.
    pub(crate) fn checkpoint(&self) {
        self.wanted.lock().checkpoint = true;
        self.changed.notify_one();
    }

    /// Asks for all space that can be given back.
    pub(crate) fn reclaim(&self, reply: Reply) {
        let mut wanted = self.wanted.lock();
        // With the keeper gone the reply is dropped, which the caller hears as "closed".
        if !wanted.stop {
            wanted.reclaims.push(reply);
            self.changed.notify_one();
        }
    }

    /// Asks the keeper to end.
    pub(crate) fn stop(&self) {
        let mut wanted = self.wanted.lock();
        wanted.stop = true;
        wanted.reclaims.clear();
        self.changed.notify_one();
    }

    /// Waits for something to do; `None` to end.
    pub(crate) fn next(&self, again: Option<Duration>) -> Option<Vec<Reply>> {
        let mut wanted = self.wanted.lock();
        loop {
            if wanted.stop {
                return None;
            }
            if wanted.checkpoint || !wanted.reclaims.is_empty() {
                wanted.checkpoint = false;
                return Some(std::mem::take(&mut wanted.reclaims));
            }
            match again {
                None => self.changed.wait(&mut wanted),
                Some(wait) => {
                    if self.changed.wait_for(&mut wanted, wait).timed_out() {
                        return Some(Vec::new());
                    }
                }
            }
        }
    }
}

/// Why a checkpoint did not come about.
enum Failed {
    /// No space; it is tried again.
    Full,
    /// The log ends, or is poisoned.
    Gone,
}

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    merger: Arc<Wake>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, wake: Arc<Wake>, merger: Arc<Wake>) -> io::Result<thread::JoinHandle<()>> {
        let keeper = Self { shared, wake, merger };
        thread::Builder::new().name("log-keep".to_owned()).spawn(move || keeper.run())
    }

    fn run(self) {
        let mut again = None;
        while let Some(reclaims) = self.wake.next(again) {
            let outcome = if self.is_still_full() { Err(Failed::Full) } else { self.checkpoint() };
            let is_full = matches!(outcome, Err(Failed::Full));
            self.shared.keeper_is_full.store(is_full, Ordering::Relaxed);
            again = is_full.then_some(TRY_AGAIN);
            let error = match outcome {
                Ok(()) => {
                    self.merger.checkpoint();
                    reclaims.into_iter().for_each(|reply| self.merger.reclaim(reply));
                    continue;
                }
                Err(Failed::Full) => CommitError::Full { free: 0, wanted: self.shared.settings.reserve },
                Err(Failed::Gone) => self.shared.poisoned().unwrap_or(CommitError::Closed),
            };
            for reply in reclaims {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    /// A disk that was full is asked first: a table that is begun and fails leaves its part until the next start.
    fn is_still_full(&self) -> bool {
        let shared = &self.shared;
        shared.keeper_is_full.load(Ordering::Relaxed)
            && shared.disk.free(&shared.folder).is_ok_and(|free| free < shared.settings.checkpoint_bytes)
    }

    fn checkpoint(&self) -> Result<(), Failed> {
        let (reply, sealed) = sync_channel(1);
        if !self.shared.queue.order(Order::Seal(reply)) {
            return Err(Failed::Gone);
        }
        let Some(sequence) = sealed.recv().map_err(|_| Failed::Gone)? else {
            return Err(if self.shared.poisoned().is_some() { Failed::Gone } else { Failed::Full });
        };
        if let Err(error) = self.shared.tables.flush(self.shared.watermark()) {
            return Err(self.failed("write tables", &error));
        }
        let written = self.shared.disk.replace(&head::path(&self.shared.folder), &head::encode(sequence));
        if let Err(error) = written {
            return Err(self.failed("write the head file", &lsm_tree::Error::Io(error)));
        }
        self.shared.queue.order(Order::Release(sequence));
        Ok(())
    }

    fn failed(&self, what: &str, error: &lsm_tree::Error) -> Failed {
        if matches!(error, lsm_tree::Error::Io(error) if is_full(error)) {
            return Failed::Full;
        }
        self.shared.poison(format!("cannot {what}: {error}"));
        Failed::Gone
    }
}
