//! The port through which people and meters watch. Nothing in the host's work depends on it.

use std::sync::Arc;

use crate::message::Event;
use crate::outcome::Attempt;
use crate::subscription::SubscriptionId;

/// How an event ended for one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Handled, in this many attempts.
    Ack,
    /// Given up, for this reason.
    DeadLetter {
        /// Why, in one line.
        reason: String,
    },
    /// The subscription ended before its turn came.
    Discarded,
}

/// Watches what happens. Every method returns at once: it is called on the event path.
pub trait Observe: Send + Sync {
    /// An event was kept.
    fn published(&self, event: &Arc<Event>);

    /// A message was refused for lack of room.
    fn refused(&self);

    /// An attempt ended.
    fn attempted(&self, event: &Arc<Event>, subscription: &SubscriptionId, attempt: &Attempt);

    /// A subscription is done with an event.
    fn settled(&self, event: &Arc<Event>, subscription: &SubscriptionId, settled: &Settled);
}
