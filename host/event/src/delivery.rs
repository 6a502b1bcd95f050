//! Deliveries: one event on its way to one subscription, with the token that settles it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::key_value::{Effects, Key};
use crate::message::Event;
use crate::outcome::Attempt;
use crate::subscription::SubscriptionId;

/// One event handed to one subscription. It carries the right to settle it, which is used once.
pub struct Delivery {
    /// Whom it is for.
    pub subscription: SubscriptionId,
    /// What is delivered.
    pub event: Arc<Event>,
    /// Attempts that went before, oldest first; empty for a first delivery.
    pub history: Vec<Attempt>,
    /// What settles it.
    pub settle: Box<dyn Settle>,
}

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The event was handled. The broker forgets the delivery, and what its attempt did takes effect: both or neither.
    /// Effects are only given to a broker of `atomic_effects`.
    Ack(Effects),
    /// The event is to come again. Only given to a broker that `delays`.
    Retry {
        /// Not before this has passed.
        after: Duration,
        /// Every attempt so far, the last of them the reason for this.
        history: Vec<Attempt>,
    },
    /// The event is given up and becomes a dead letter.
    DeadLetter {
        /// Why, in one line.
        reason: String,
        /// Every attempt.
        history: Vec<Attempt>,
    },
}

/// Why a settlement did not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// It was settled before.
    #[error("the delivery was settled before")]
    AlreadySettled,
    /// Another wrote this key since the attempt first looked at it: none of its effects took. The broker delivers the
    /// event again at once, by itself and whatever it promises else, with the history with which it came.
    #[error("key `{0}` was written by another meanwhile")]
    Conflict(Key),
    /// The broker failed; the delivery will come again if the broker redelivers.
    #[error("cannot settle the delivery: {0}")]
    Failed(String),
}

/// The right to settle one delivery. Consumed by its use.
pub trait Settle: Send + Sync {
    /// Ends the delivery.
    ///
    /// Once it returns ok, the settlement holds as the broker's guarantees say. Cancelling leaves open whether it
    /// took. Dropping the token unused leaves the delivery to the broker: one that redelivers will deliver it again.
    ///
    /// # Errors
    /// [`SettleError::Conflict`] when a write of an ack's effects does not find what it expects,
    /// [`SettleError::Failed`] when the broker could not keep the settlement. Nothing took effect then.
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), SettleError>>;
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("subscription", &self.subscription)
            .field("event", &self.event.id)
            .field("attempts", &self.history.len())
            .finish_non_exhaustive()
    }
}
