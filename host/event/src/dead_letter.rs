//! Dead letters: events that a subscription gave up, kept with their story.

use std::sync::Arc;

use crate::id::DeadLetterId;
use crate::message::Event;
use crate::outcome::Attempt;
use crate::subscription::SubscriptionId;
use crate::time::Timestamp;

/// An event that was rejected or ran out of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its own id; sorts by the time it died.
    pub id: DeadLetterId,
    /// Which subscription gave it up.
    pub subscription: SubscriptionId,
    /// The event, whole.
    pub event: Arc<Event>,
    /// Why, in one line.
    pub reason: String,
    /// Every attempt, oldest first.
    pub history: Vec<Attempt>,
    /// When it was given up.
    pub died_at: Timestamp,
}
