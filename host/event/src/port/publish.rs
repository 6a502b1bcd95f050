//! The port by which events come in, from the wire and from guests alike.

use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::headers::HeaderError;
use crate::id::{EventId, IdError};
use crate::message::Message;
use crate::name::Tenant;
use crate::port::Receipt;
use crate::subscription::Audience;
use crate::topic::Topic;

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whose topic it is.
    pub tenant: Tenant,
    /// Where to publish.
    pub topic: Topic,
    /// The event's id, if the caller has drawn one of the host's [`Ids`](crate::id::Ids) for it already. A `Hostel-Id`
    /// header, by which the publisher gives its own, wins.
    pub id: Option<EventId>,
    /// Whom it is for.
    pub audience: Audience,
    /// What to publish.
    pub message: Message,
}

/// Why a message was not published. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The message is larger than the host takes.
    #[error("the message has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Headers and body together.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// The id in its header is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A header is malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A header that says when to publish it or when it expires cannot be heeded; the text names it and says why.
    #[error("{0}")]
    Timing(String),
    /// There is no room: the host, or one of the subscriptions that must get the event, has too much waiting.
    #[error("{what} is full")]
    Overloaded {
        /// What is full, for people: a subscription's id or `the broker`.
        what: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The tenant may not have more of this now: its quota is used up.
    #[error("the tenant's quota of {what} is used up")]
    Quota {
        /// Which quota, for people: `events in a second`, `stored bytes`.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// One attempt published more than may take effect with one acknowledgement; the text says how much it may.
    #[error("{0}")]
    TooMuch(String),
    /// The disk is full. The broker takes events again by itself when there is space; the text says how much is wanted.
    #[error("{0}")]
    Full(String),
    /// The broker takes no more events until the host is started again; the text says why. What it has is not lost.
    #[error("the broker takes no more events: {0}")]
    Unavailable(String),
    /// The host is going down.
    #[error("the host is shutting down")]
    Closed,
    /// The broker failed.
    #[error("the broker failed: {0}")]
    Broker(String),
}

/// Publishes messages.
pub trait Publish: Send + Sync {
    /// Admits a message, makes it an event and has the broker keep it.
    ///
    /// Returns once the event is kept as the broker's guarantees say. Cancelling leaves open whether it was kept.
    ///
    /// # Errors
    /// [`PublishError`]; nothing of the message is kept then.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Receipt, PublishError>>;
}
