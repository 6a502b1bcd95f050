//! The event that is being delivered.

use std::cell::OnceCell;
use std::fmt;
use std::str::Utf8Error;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::host::{self, Delivery};

/// One delivery of an event. Lent for the length of one call of the handler.
///
/// What it tells comes from the host, each time it is asked; only the body is kept once it was fetched.
pub struct Event<'a> {
    delivery: Delivery<'a>,
    body: OnceCell<Vec<u8>>,
}

/// Why a body could not be read as what the handler expects. By `?` it becomes a rejection.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is not UTF-8.
    Text(Utf8Error),
    /// The body is not JSON, or JSON of another shape: a missing field, another type.
    Json(serde_json::Error),
}

/// Why a delivery could not be settled or its deadline not moved. By `?` it becomes a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleError {
    /// The delivery was settled before, by an earlier [`Event::ack`].
    AlreadySettled,
    /// The broker refused or could not be reached; the text says why. The delivery will be attempted again.
    Failed(String),
    /// The deadline asked for lies beyond what the host allows.
    TooLong {
        /// How much is left to ask for.
        left: Duration,
    },
}

impl<'a> Event<'a> {
    pub(crate) const fn new(delivery: Delivery<'a>) -> Self {
        Self { delivery, body: OnceCell::new() }
    }

    /// The event's id: a UUIDv7 unless its publisher gave another. The same in every attempt.
    #[must_use]
    pub fn id(&self) -> String {
        self.delivery.id()
    }

    /// The topic it was published on.
    #[must_use]
    pub fn topic(&self) -> String {
        self.delivery.topic()
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt()
    }

    /// When it was published, to the millisecond.
    #[must_use]
    pub fn published_at(&self) -> SystemTime {
        let since_epoch = Duration::from_millis(self.delivery.published_at_ms());
        // Beyond the platform's range only for a time that no clock has shown.
        SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Name and value of each header, in order. Names may repeat.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        self.delivery.headers()
    }

    /// The value of the first header with this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.delivery.header(name)
    }

    /// The body. The first call copies it into the handler's memory, later calls give the same copy.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.get_or_init(|| self.delivery.body())
    }

    /// The body, to keep or to change. Copies it only if [`body`](Self::body) has not yet.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body.into_inner().unwrap_or_else(|| self.delivery.body())
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`BodyError::Text`] when it is not UTF-8.
    pub fn text(&self) -> Result<&str, BodyError> {
        std::str::from_utf8(self.body()).map_err(BodyError::Text)
    }

    /// The body as JSON. `T` may borrow from it.
    ///
    /// # Errors
    /// [`BodyError::Json`] when it is not JSON or not a `T`; the text names the field that is missing and the place of
    /// what is malformed.
    pub fn json<'b, T: Deserialize<'b>>(&'b self) -> Result<T, BodyError> {
        serde_json::from_slice(self.body()).map_err(BodyError::Json)
    }

    /// Why the last attempt failed; `None` in the first.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.delivery.error()
    }

    /// Acknowledges the event now, before the handler returns.
    ///
    /// From then on an error, a panic or a time-out of this delivery reaches the logs only, and nothing makes the event
    /// come again. What was published so far holds.
    ///
    /// # Errors
    /// [`SettleError::AlreadySettled`] the second time, [`SettleError::Failed`] when the broker could not keep it.
    pub fn ack(&self) -> Result<(), SettleError> {
        self.delivery.ack()
    }

    /// Moves the deadline of this delivery to `time` from now, if that is later than it was. Counted in milliseconds,
    /// rounded up.
    ///
    /// # Errors
    /// [`SettleError::TooLong`] beyond the run time that the host gives one delivery, by default ten times the
    /// handler's deadline.
    pub fn extend(&self, time: Duration) -> Result<(), SettleError> {
        self.delivery.extend(time)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("topic", &self.topic())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "the body is not UTF-8 text",
            Self::Json(_) => "the body is not the JSON that is expected",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Text(error) => error,
            Self::Json(error) => error,
        })
    }
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySettled => f.write_str("the delivery was settled before"),
            Self::Failed(why) => write!(f, "the delivery was not settled: {why}"),
            Self::TooLong { left } => {
                write!(f, "the deadline lies beyond what the host allows; {} ms are left", host::millis(*left))
            }
        }
    }
}

impl std::error::Error for SettleError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Student<'a> {
        name: &'a str,
    }

    #[test]
    fn an_event_tells_what_was_published() {
        let published_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let event = testing::Event::new("students.registered")
            .id("e-1")
            .attempt(2)
            .published_at(published_at)
            .header("Kind", "a")
            .header("kind", "b")
            .body("text")
            .last_error("no room");
        let handle = |event: Event<'_>| -> crate::Result {
            assert_eq!((event.id(), event.topic(), event.attempt()), ("e-1".into(), "students.registered".into(), 2));
            assert_eq!(event.published_at(), published_at);
            assert_eq!(event.headers().len(), 2);
            assert_eq!(event.header("KIND").as_deref(), Some("a"));
            assert_eq!(event.header("other"), None);
            assert_eq!(event.last_error().as_deref(), Some("no room"));
            assert_eq!(event.text()?, "text");
            assert_eq!(event.into_body(), b"text");
            Ok(())
        };
        testing::run(handle, event).result.unwrap();
    }

    #[test]
    fn a_body_that_is_not_the_json_expected_is_rejected_by_name() {
        let handle = |event: Event<'_>| -> crate::Result {
            event.json::<Student<'_>>()?;
            Ok(())
        };
        let check = |body: &str, expected: &str| {
            let error = testing::run(handle, testing::Event::new("a").body(body)).result.unwrap_err();
            assert!(error.is_reject(), "{body}");
            assert_eq!(error.reason(), format!("the body is not the JSON that is expected: {expected}"), "{body}");
        };
        check("{}", "missing field `name` at line 1 column 2");
        check("{\"name\": 7}", "invalid type: integer `7`, expected a borrowed string at line 1 column 10");
        check("{", "EOF while parsing an object at line 1 column 1");
        check("", "EOF while parsing a value at line 1 column 0");
    }

    #[test]
    fn json_may_borrow_from_the_body() {
        let handle = |event: Event<'_>| -> crate::Result {
            assert_eq!(event.json::<Student<'_>>()?, Student { name: "Ada" });
            Ok(())
        };
        testing::run(handle, testing::Event::new("a").json(&json!({ "name": "Ada" }))).result.unwrap();
    }

    #[test]
    fn a_body_that_is_not_text_is_rejected() {
        let handle = |event: Event<'_>| -> crate::Result { event.text().map(drop).map_err(Into::into) };
        let error = testing::run(handle, testing::Event::new("a").body([0x61, 0xff])).result.unwrap_err();
        assert_eq!(error, crate::reject("the body is not UTF-8 text: invalid utf-8 sequence of 1 bytes from index 1"));
    }
}
