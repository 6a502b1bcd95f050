//! What is out: kept events, and the tokens that settle their deliveries.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_core::future::BoxFuture;

use hostel_event::delivery::{Settle, SettleError, Settlement};
use hostel_event::key_value::Effects;
use hostel_event::message::Event;
use hostel_event::port::PublishError;

use super::{Entry, Shared, commit, deliver, hand_over, overloaded};

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
            Err(_) => Err(overloaded("the memory broker".to_owned())),
        }
    }

    /// Takes an event on even where there is no room.
    pub(crate) fn reserve_beyond(event: Arc<Event>, shared: &Arc<Shared>) -> Arc<Self> {
        let bytes = event.bytes();
        shared.bytes.fetch_add(bytes, Ordering::AcqRel);
        Arc::new(Self { event, bytes, shared: Arc::clone(shared) })
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

    /// Acknowledges with what the attempt did. Where another has written a key meanwhile nothing of it takes effect and
    /// the event is delivered again: to the same subscription, or if that has ended to whoever gets what it had.
    fn ack(&mut self, effects: Effects) -> Result<(), SettleError> {
        let Err(key) = commit(&self.shared, effects) else { return Ok(()) };
        self.settled = !self.entry.account.ended.load(Ordering::Acquire);
        if self.settled {
            // The new delivery has a place of its own: this one's goes back with the token.
            self.entry.reserve_beyond();
            deliver(&self.shared, &self.entry, &self.kept);
        }
        Err(SettleError::Conflict(key))
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
            Settlement::Ack(effects) if effects.is_empty() => Ok(()),
            Settlement::Ack(effects) => self.ack(effects),
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
