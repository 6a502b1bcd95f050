//! The line in which publishes stand between the log and the subscriptions.
//!
//! The log gives offsets in the order in which batches are queued. A batch is queued and put in line under one lock, and
//! one task takes them out of the line as the log answers: so subscriptions get events, and publishers their answers, in
//! the order of offsets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use hostel_event::delivery::Delivery;
use hostel_event::message::Event;
use hostel_event::outcome::Attempt;
use hostel_log::batch::{Batch, Published, Receipt};
use hostel_log::error::CommitError;
use hostel_log::log::{Commit, Log};
use hostel_log::record::Offset;
use hostel_log::settings::Sync;

use super::Shared;
use super::budget::Kept;
use super::lane::{Arrival, Lane};
use super::queue::{Load, Place, TopicKey};
use super::token::Token;

/// How many batches may be in line: as many as the log's own queue takes by default.
const LIMIT: usize = 16_384;

/// What becomes of a batch in line.
pub(crate) type Answer = oneshot::Receiver<Result<Receipt, CommitError>>;

/// An event of a batch, and who gets it once the batch is kept.
pub(crate) struct Publication {
    pub(crate) event: Arc<Event>,
    pub(crate) topic: TopicKey,
    pub(crate) targets: Vec<Arc<Lane>>,
}

pub(crate) enum Step {
    Batch {
        commit: Commit,
        publications: Vec<Publication>,
        answer: oneshot::Sender<Result<Receipt, CommitError>>,
    },
    /// Says that everything before it is done, and where that ends.
    Pass(oneshot::Sender<Offset>),
}

pub(crate) struct Line {
    /// `None` once the broker is closed.
    sender: Mutex<Option<UnboundedSender<Step>>>,
    /// Batches in line. This bounds the channel.
    length: AtomicUsize,
    /// Everything up to this offset is with its subscriptions.
    applied: AtomicU64,
}

impl Line {
    /// A line behind an offset, and its end.
    pub(crate) fn new(applied: Offset) -> (Self, UnboundedReceiver<Step>) {
        let (sender, receiver) = unbounded_channel();
        let (length, applied) = (AtomicUsize::new(0), AtomicU64::new(applied.0));
        (Self { sender: Mutex::new(Some(sender)), length, applied }, receiver)
    }

    /// Queues a batch and puts it in line. The caller holds the table of subscriptions, so that what it chose is still
    /// true for all that comes after.
    pub(crate) fn commit(
        &self,
        log: &Log,
        (batch, sync): (Batch, Sync),
        publications: Vec<Publication>,
    ) -> Result<Answer, CommitError> {
        if self.length.fetch_add(1, Ordering::Relaxed) >= LIMIT {
            self.length.fetch_sub(1, Ordering::Relaxed);
            return Err(CommitError::Busy);
        }
        let (answer, answered) = oneshot::channel();
        let sender = self.sender.lock();
        let Some(sender) = sender.as_ref() else {
            self.length.fetch_sub(1, Ordering::Relaxed);
            return Err(CommitError::Closed);
        };
        let commit = log.commit(batch, sync);
        // The task goes on until the sender is gone.
        let _ = sender.send(Step::Batch { commit, publications, answer });
        Ok(answered)
    }

    /// Waits until everything that is in line now is done.
    pub(crate) async fn pass(&self) {
        // An error says that the broker is closed and nothing is in line.
        let _ = self.mark().await;
    }

    /// Tells, once everything that is in line now is done, the first offset behind it.
    pub(crate) fn mark(&self) -> oneshot::Receiver<Offset> {
        let (done, passed) = oneshot::channel();
        if let Some(sender) = self.sender.lock().as_ref() {
            let _ = sender.send(Step::Pass(done));
        }
        passed
    }

    /// Takes nothing more in.
    pub(crate) fn close(&self) {
        self.sender.lock().take();
    }

    /// The first offset that is not known to be with its subscriptions.
    pub(crate) fn end(&self) -> Offset {
        Offset(self.applied.load(Ordering::Acquire)).next()
    }
}

/// The task: takes batches out of the line in order. Ends when the line is closed and empty.
pub(crate) async fn run(shared: Arc<Shared>, mut steps: UnboundedReceiver<Step>) {
    while let Some(step) = steps.recv().await {
        match step {
            Step::Batch { commit, publications, answer } => {
                let outcome = commit.await;
                if let Ok(receipt) = &outcome {
                    apply(&shared, &publications, receipt);
                }
                shared.line.length.fetch_sub(1, Ordering::Relaxed);
                // A publisher that is gone does not want to know.
                let _ = answer.send(outcome);
            }
            Step::Pass(done) => {
                let _ = done.send(shared.line.end());
            }
        }
    }
}

fn apply(shared: &Arc<Shared>, publications: &[Publication], receipt: &Receipt) {
    for (publication, published) in publications.iter().zip(&receipt.published) {
        let Published::Kept(offset) = *published else { continue };
        let mut kept = None;
        let is_fresh = !shared.is_expired(&publication.event);
        let place = Place { offset, topic: publication.topic };
        for lane in &publication.targets {
            let reserve = || {
                if is_fresh && kept.is_none() {
                    kept = Kept::reserve(&publication.event, shared);
                }
                kept.is_some()
            };
            match (lane.arrive(place, reserve), &kept) {
                (Arrival::Deliver, Some(kept)) => {
                    deliver(shared, lane, Load { place, has_history: false }, (kept, Vec::new()));
                    if lane.delivered(1) {
                        shared.feeding.feed(lane);
                    }
                }
                (Arrival::Feed, _) => shared.feeding.feed(lane),
                _ => {}
            }
        }
        shared.line.applied.store(offset.0, Ordering::Release);
    }
}

/// Gives one to the sink of its lane, with the token that settles it.
pub(crate) fn deliver(shared: &Arc<Shared>, lane: &Arc<Lane>, load: Load, (kept, history): (&Arc<Kept>, Vec<Attempt>)) {
    let event = Arc::clone(kept.event());
    let token = Token::new(Arc::clone(shared), Arc::clone(lane), load, Arc::clone(kept));
    lane.deliver(Delivery { subscription: lane.id().clone(), event, history, settle: Box::new(token) });
}
