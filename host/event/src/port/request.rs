//! The port by which one who publishes waits for an answer.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::message::Event;
use crate::port::{Publication, PublishError};

/// What is asked, and how long to wait for answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What to publish. Its header [`REPLY_TO_HEADER`](crate::reply::REPLY_TO_HEADER) is set by who asks in its name.
    pub publication: Publication,
    /// The most answers that are waited for.
    pub answers: NonZeroUsize,
    /// How long they may take together, counted from when the question was published.
    pub patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The question was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It was published and nobody answered in time.
    #[error("nobody answered within {0:?}")]
    Timeout(Duration),
    /// As many questions wait for answers as may at the same time.
    #[error("{0} requests wait for an answer, as many as may")]
    TooMany(usize),
}

/// Asks and waits for answers.
pub trait Request: Send + Sync {
    /// Publishes a question at once, on no attempt's acknowledgement, with a reply topic of its own, and waits until as
    /// many events as wanted were published on that topic, or the patience is over. Gives those that came, at least one.
    ///
    /// Answers are heard when they take effect: what a handler answers, with its acknowledgement. Cancelling leaves open
    /// whether the question was published, and hears no answer any more.
    ///
    /// # Errors
    /// [`RequestError`].
    fn request(&self, question: Question) -> BoxFuture<'_, Result<Vec<Arc<Event>>, RequestError>>;
}
