//! The queue in front of the committer: batches of callers, bounded by number and bytes, and orders of the keeper, which
//! go first.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use futures_channel::oneshot;
use parking_lot::{Condvar, Mutex};

use crate::batch::{Batch, Receipt};
use crate::error::CommitError;
use crate::settings::{Settings, Sync};

/// At most so many batches share a frame. Their index must fit into the 16 bits that a stamp has for it.
const GROUP_BATCHES: usize = 4096;
/// A group ends once it has so many bytes, so that one fsync never has to take much more.
const GROUP_BYTES: usize = 4 << 20;

/// A batch that waits, and whom to tell.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) sync: Sync,
    pub(crate) reply: oneshot::Sender<Result<Receipt, CommitError>>,
}

/// What the keeper asks of the committer.
pub(crate) enum Order {
    /// Seal memory and go on in a new segment; answers the last sequence before it, or nothing if it cannot be now.
    Seal(SyncSender<Option<u64>>),
    /// Let go of segments up to this sequence.
    Release(u64),
    /// Let readers see everything, so that what older readers needed can go.
    Refresh(SyncSender<()>),
}

/// What the committer does next.
pub(crate) enum Work {
    Group(Vec<Request>),
    Order(Order),
    /// The deadline has passed.
    Deadline,
    /// Closed and empty.
    End,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    bytes: usize,
    orders: VecDeque<Order>,
    is_closed: bool,
}

/// The queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    batches_limit: usize,
    bytes_limit: usize,
}

impl Queue {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            batches_limit: settings.queue_batches,
            bytes_limit: settings.queue_bytes,
        }
    }

    /// Adds a batch; or says why that cannot be.
    pub(crate) fn push(&self, request: Request) -> Result<(), CommitError> {
        let mut state = self.state.lock();
        let bytes = request.batch.bytes;
        if state.is_closed {
            return Err(CommitError::Closed);
        }
        // One batch always fits, whatever its size.
        let is_over = state.bytes + bytes > self.bytes_limit && !state.requests.is_empty();
        if is_over || state.requests.len() >= self.batches_limit {
            return Err(CommitError::Busy);
        }
        state.bytes += bytes;
        state.requests.push_back(request);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds an order; `false` if the committer is gone or going.
    pub(crate) fn order(&self, order: Order) -> bool {
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        state.orders.push_back(order);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Waits for what is next. With `only_orders`, batches wait.
    pub(crate) fn next(&self, deadline: Option<Instant>, only_orders: bool) -> Work {
        let mut state = self.state.lock();
        loop {
            if let Some(order) = state.orders.pop_front() {
                return Work::Order(order);
            }
            if !state.requests.is_empty() && (!only_orders || state.is_closed) {
                return Work::Group(take(&mut state));
            }
            if state.is_closed {
                return Work::End;
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return Work::Deadline;
                    }
                }
            }
        }
    }

    /// Takes nothing more in; what waits is still done.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

fn take(state: &mut State) -> Vec<Request> {
    let mut bytes = 0;
    let mut requests = Vec::new();
    while requests.len() < GROUP_BATCHES
        && bytes < GROUP_BYTES
        && let Some(request) = state.requests.pop_front()
    {
        bytes += request.batch.bytes;
        requests.push(request);
    }
    state.bytes = state.bytes.saturating_sub(bytes);
    requests
}
