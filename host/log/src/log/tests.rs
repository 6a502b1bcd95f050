//! What the store promises, seen through [`Log`] alone.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake as StdWake, Waker};
use std::thread::{self, Thread};

use crate::batch::{Batch, Publish, Published, Receipt};
use crate::error::CommitError;
use crate::log::Log;
use crate::record::{Millis, Offset};
use crate::settings::{Settings, Sync};

mod behaviour;
mod crash;
mod damage;
mod faults;
mod full;
mod model;
mod space;

/// Small, so that checkpoints happen within a test.
const SMALL: Settings = Settings {
    reserve: 0,
    checkpoint_bytes: 64 << 10,
    queue_batches: 1024,
    queue_bytes: 16 << 20,
    cache_bytes: 1 << 20,
};

struct Unpark(Thread);

impl StdWake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn open(folder: &Path) -> Log {
    Log::open(folder, SMALL).unwrap()
}

fn publish(topic: &str, bytes: &[u8]) -> Publish {
    Publish { tenant: "acme".to_owned(), topic: topic.to_owned(), at: Millis(1000), bytes: bytes.to_vec(), once: None }
}

fn commit(log: &Log, batch: Batch) -> Result<Receipt, CommitError> {
    wait(log.commit(batch, Sync::Always))
}

/// Commits one batch that was filled by a closure.
fn with(log: &Log, fill: impl FnOnce(&mut Batch)) -> Result<Receipt, CommitError> {
    let mut batch = Batch::new();
    fill(&mut batch);
    commit(log, batch)
}

fn kept(receipt: &Receipt) -> Vec<Offset> {
    let offset = |published: &Published| match published {
        Published::Kept(offset) => *offset,
        Published::Duplicate(_) => panic!("{published:?}"),
    };
    receipt.published.iter().map(offset).collect()
}

/// The bodies of all events of a topic.
fn bodies(log: &Log, topic: &str) -> Vec<Vec<u8>> {
    let snapshot = log.snapshot();
    let Some(topic) = snapshot.topic("acme", topic).unwrap() else { return Vec::new() };
    snapshot.events(&topic, Offset(0), usize::MAX).unwrap().into_iter().map(|event| event.bytes).collect()
}
