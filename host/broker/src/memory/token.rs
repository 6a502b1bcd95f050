//! What is out: kept events, and the tokens that settle their deliveries.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_core::future::BoxFuture;

use hostel_event::delivery::{Settle, SettleError, Settlement};
use hostel_event::message::Event;
use hostel_event::port::PublishError;

use super::{Entry, RETRY_AFTER, Shared, hand_over};

/// An event that someone has yet to settle. Gives its bytes back when the last delivery of it is gone.
pub(crate) struct Kept {
    event: Arc<Event>,
    bytes: usize,
    shared: Arc<Shared>,
}

impl Kept {
    /// Takes room for an event.
    pub(crate) fn reserve(event: Arc<Event>, shared: &Arc<Shared>) -> Result<Arc<Self>, PublishError> {
        let (bytes, limit) = (event.bytes(), shared.settings.bytes);
        let grow = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= limit);
        match shared.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow) {
            Ok(_) => Ok(Arc::new(Self { event, bytes, shared: Arc::clone(shared) })),
            Err(_) => Err(PublishError::Overloaded { what: "the memory broker".to_owned(), retry_after: RETRY_AFTER }),
        }
    }

    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Settles one delivery. Dropped unused, it gives the event to another member of the queue group if its subscription has
/// ended, and else forgets it: this broker does not redeliver.
pub(crate) struct Token {
    entry: Arc<Entry>,
    kept: Arc<Kept>,
    shared: Arc<Shared>,
    settled: bool,
}

impl Token {
    /// A token for a delivery whose place in the window is reserved.
    pub(crate) fn new(entry: Arc<Entry>, kept: Arc<Kept>, shared: Arc<Shared>) -> Self {
        Self { entry, kept, shared, settled: false }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.entry.release();
        if !self.settled && self.entry.account.ended.load(Ordering::Acquire) {
            hand_over(&self.shared, &self.entry, &self.kept);
        }
    }
}

impl Settle for Token {
    fn settle(mut self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), SettleError>> {
        self.settled = !matches!(settlement, Settlement::Retry { .. });
        let result = match settlement {
            Settlement::Ack => Ok(()),
            Settlement::DeadLetter { reason, history } => {
                let event = Arc::clone(&self.kept.event);
                self.shared.graveyard.bury(&self.entry.subscription, event, reason, history);
                Ok(())
            }
            Settlement::Retry { .. } => Err(SettleError::Failed("the memory broker keeps no delays".to_owned())),
        };
        Box::pin(ready(result))
    }
}
