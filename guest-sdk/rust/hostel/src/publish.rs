//! Publishing messages on topics of the handler's own tenant.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::error::Advice;
use crate::host;

/// What is published: headers and a body of any bytes.
///
/// ```
/// let message = hostel::Message::new("id,name\n1,Ada\n").header("Content-Type", "text/csv");
/// assert_eq!(message.headers().len(), 1);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why a message was not published. Nothing of it was kept.
///
/// By `?` it says itself what should become of the event that was being handled: what will be refused again however
/// often it is tried is a rejection, so that it is seen at once and can be redriven when it is cured; what may pass is
/// a retry.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The handler may not publish on this topic; the text names the line of the manifest that would allow it.
    /// A rejection.
    Denied(String),
    /// The topic or a header is malformed; the text says which and how. A rejection.
    Invalid(String),
    /// The message is larger than the host takes. A rejection.
    TooLarge {
        /// The most bytes that a message may have.
        limit: u64,
    },
    /// The value cannot be written as JSON. A rejection.
    Encode(serde_json::Error),
    /// A queue is full. A retry, after the time that the host gave.
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The broker failed; the text says how. A retry.
    Failed(String),
}

/// Publishes a value as JSON, with the header `Content-Type: application/json`, and returns the new event's id.
///
/// The manifest must allow the topic. With a broker of atomic effects the event exists once the delivery is
/// acknowledged and never if it is not; with any other it exists when the call returns.
///
/// ```
/// # fn example() -> hostel::Result {
/// let id = hostel::publish("students.welcomed", &serde_json::json!({ "name": "Ada" }))?;
/// hostel::debug!("published {id}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`PublishError`]; nothing was published then.
pub fn publish(topic: &str, value: &(impl Serialize + ?Sized)) -> Result<String, PublishError> {
    publish_message(topic, Message::json(value)?)
}

/// Publishes a message and returns the new event's id: [`publish`] for what is not JSON or needs headers.
///
/// # Errors
/// [`PublishError`]; nothing was published then.
pub fn publish_message(topic: &str, message: Message) -> Result<String, PublishError> {
    host::publish(topic, message)
}

impl Message {
    /// A message without headers.
    #[must_use]
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { headers: Vec::new(), body: body.into() }
    }

    /// A value as JSON, with the header `Content-Type: application/json`.
    ///
    /// # Errors
    /// [`PublishError::Encode`] when it cannot be written as JSON, for instance a map whose keys are not text.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, PublishError> {
        let body = serde_json::to_vec(value).map_err(PublishError::Encode)?;
        Ok(Self::new(body).header("Content-Type", "application/json"))
    }

    /// Adds a header after the others. The host refuses a malformed one when the message is published.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Gives the new event its id, by the header `Hostel-Id`.
    ///
    /// Make it from the id of the event being handled, and what a retry publishes again has the same id as before: whoever
    /// hears it can tell. A host whose broker remembers ids makes one event of the two; the memory broker does not.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.header("Hostel-Id", id)
    }

    /// Name and value of each header, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The size of the body only: it may be large, or secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("headers", &self.headers).field("body_bytes", &self.body.len()).finish()
    }
}

impl PublishError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::Denied(_) | Self::Invalid(_) | Self::TooLarge { .. } | Self::Encode(_) => Advice::Reject,
            Self::Overloaded { retry_after } => Advice::Retry(Some(*retry_after)),
            Self::Failed(_) => Advice::Retry(None),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) => write!(f, "publishing was denied: {why}"),
            Self::Invalid(why) => write!(f, "the message was refused: {why}"),
            Self::TooLarge { limit } => write!(f, "the message is larger than the {limit} bytes that the host takes"),
            Self::Encode(_) => f.write_str("the value cannot be written as JSON"),
            Self::Overloaded { retry_after } => {
                write!(f, "the host is overloaded; try again in {} ms", host::millis(*retry_after))
            }
            Self::Failed(why) => write!(f, "the broker failed: {why}"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::testing;
    use crate::{Error, Event};

    #[test]
    fn a_value_is_published_as_json() {
        let handle = |_: Event<'_>| -> crate::Result {
            publish("students.welcomed", &json!({ "name": "Ada" }))?;
            Ok(())
        };
        let run = testing::run(handle, testing::Event::new("a"));
        run.result.unwrap();
        let [published] = &run.published[..] else { panic!("{:?}", run.published) };
        assert_eq!(published.topic, "students.welcomed");
        assert_eq!(published.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
        assert_eq!(published.body, br#"{"name":"Ada"}"#);
    }

    #[test]
    fn an_error_says_what_becomes_of_the_event() {
        let check = |error: PublishError, expected: Error| assert_eq!(Error::from(error), expected);
        check(PublishError::Denied("no".into()), crate::reject("publishing was denied: no"));
        check(PublishError::Invalid("no".into()), crate::reject("the message was refused: no"));
        check(
            PublishError::TooLarge { limit: 8 },
            crate::reject("the message is larger than the 8 bytes that the host takes"),
        );
        check(
            PublishError::Overloaded { retry_after: Duration::from_millis(70) },
            crate::retry("the host is overloaded; try again in 70 ms").after(Duration::from_millis(70)),
        );
        check(PublishError::Failed("disk full".into()), crate::retry("the broker failed: disk full"));
    }

    #[test]
    fn a_value_that_is_not_json_is_a_rejection() {
        let error = Error::from(Message::json(&BTreeMap::from([((1, 2), 3)])).unwrap_err());
        assert_eq!(error, crate::reject("the value cannot be written as JSON: key must be a string"));
    }
}
