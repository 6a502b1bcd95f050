//! The port through which a subscription gets again what is still kept.

use std::num::NonZeroU32;

use futures_core::future::BoxFuture;

use crate::id::EventId;
use crate::subscription::SubscriptionId;
use crate::time::Timestamp;

/// A place in what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest event that is kept.
    Earliest,
    /// Behind the newest.
    Latest,
    /// The first event that was kept then or later.
    Time(Timestamp),
    /// An event's place in the broker's order.
    Offset(u64),
}

/// What to replay, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where to begin.
    pub from: Start,
    /// Where to end; this event is no part of it.
    pub to: Start,
    /// How many events a second at most.
    pub rate: Option<NonZeroU32>,
}

/// A replay that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaying {
    /// Whose it is.
    pub subscription: SubscriptionId,
    /// Everything before this offset was looked at.
    pub next: u64,
    /// It ends before this offset.
    pub end: u64,
    /// Events of it that are not settled, as far as it looked.
    pub unsettled: usize,
}

/// Why a replay did not begin or end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// No such subscription is there, or nothing is replayed to it.
    #[error("subscription `{0}` does not exist, or nothing is replayed to it")]
    Unknown(SubscriptionId),
    /// One replay of a subscription at a time.
    #[error("a replay to subscription `{0}` is under way; end it first")]
    UnderWay(SubscriptionId),
    /// The broker failed.
    #[error("the broker failed: {0}")]
    Broker(String),
}

/// Delivers again what a subscription's pattern hears, whoever it was for when it was published.
pub trait Replay: Send + Sync {
    /// Begins a replay. It survives restarts. Its deliveries are settled apart from all others and share the
    /// subscription's window with them; retention leaves what it has yet to deliver.
    ///
    /// Cancelling leaves open whether it began.
    ///
    /// # Errors
    /// [`ReplayError`].
    fn replay(&self, subscription: &SubscriptionId, span: Span) -> BoxFuture<'_, Result<Replaying, ReplayError>>;

    /// The place of an event that a subscription hears; `None` if it is not kept, or cannot be found by its id alone.
    ///
    /// An id that a publisher gave is found within the window in which it counts as seen, and a UUIDv7 beyond it, by the
    /// time in it. Cancelling is safe.
    ///
    /// # Errors
    /// [`ReplayError::Unknown`] when the subscription is not there, [`ReplayError::Broker`] when it cannot be read.
    fn find(&self, subscription: &SubscriptionId, id: &EventId) -> BoxFuture<'_, Result<Option<u64>, ReplayError>>;

    /// The replays that are not done, by subscription.
    fn replays(&self) -> Vec<Replaying>;

    /// Ends a replay early; what of it runs may still be settled.
    ///
    /// # Errors
    /// [`ReplayError`].
    fn end_replay(&self, subscription: &SubscriptionId) -> BoxFuture<'_, Result<(), ReplayError>>;
}
