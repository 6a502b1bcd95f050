//! The port through which people and meters watch. Nothing in the host's work depends on it.

use std::sync::Arc;

use crate::message::Event;
use crate::name::Tenant;
use crate::outcome::Attempt;
use crate::subscription::SubscriptionId;
use crate::time::Timestamp;

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
    /// It expired before its turn came.
    Expired,
}

/// Why nothing of a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who paused it.
    pub by: PausedBy,
    /// Since when.
    pub since: Timestamp,
    /// Why, in one line.
    pub reason: String,
}

/// Who paused a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// An operator, until an operator resumes it.
    Operator,
    /// The host, since its handler kept failing; until an operator resumes it or the handler is deployed anew.
    Quarantine,
}

/// Watches what happens. Every method returns at once: it is called on the event path.
pub trait Observe: Send + Sync {
    /// An event was kept.
    fn published(&self, event: &Arc<Event>);

    /// A message of this tenant was refused for lack of room.
    fn refused(&self, tenant: &Tenant);

    /// An attempt ended.
    fn attempted(&self, event: &Arc<Event>, subscription: &SubscriptionId, attempt: &Attempt);

    /// A subscription is done with an event.
    fn settled(&self, event: &Arc<Event>, subscription: &SubscriptionId, settled: &Settled);

    /// A subscription was paused. Those who watch events only need not listen.
    fn paused(&self, _subscription: &SubscriptionId, _pause: &Pause) {}

    /// A subscription goes on after a pause.
    fn resumed(&self, _subscription: &SubscriptionId) {}
}
