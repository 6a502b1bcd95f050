//! What a handler returns when an event was not handled, and how other errors become that.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::cloud_event::CloudEventError;
use crate::event::BodyError;
use crate::http::HttpError;
use crate::key_value::KeyValueError;
use crate::publish::PublishError;

/// What a handler returns.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Why an event was not handled, and whether it is to come again.
///
/// Made by [`reject`], by [`retry`], or by `?` from any [`std::error::Error`]. Such an error is a retry, and its text
/// is that of the error and of its sources, joined by `: `. Only a [`BodyError`], a [`CloudEventError`], a [`PublishError`], a
/// [`KeyValueError`] and an [`HttpError`] say themselves what should become of the event, also where they are the source of another error.
///
/// Like `anyhow::Error` it is no `std::error::Error` itself, or `?` could not take every error there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    reason: String,
    advice: Advice,
}

/// What should become of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// It may go better later, after this long if it is given.
    Retry(Option<Duration>),
    /// It will never go better.
    Reject,
}

/// An error that makes the event a dead letter at once: it will never go better.
///
/// The host keeps the first 4,096 bytes of the reason.
///
/// ```
/// fn seats(text: &str) -> hostel::Result<u32> {
///     text.parse().map_err(|_| hostel::reject(format!("`{text}` is no number of seats")))
/// }
/// assert!(seats("many").unwrap_err().is_reject());
/// ```
#[must_use = "an error does nothing until it is returned"]
pub fn reject(reason: impl Into<String>) -> Error {
    Error { reason: reason.into(), advice: Advice::Reject }
}

/// An error that has the event attempted again, after the subscription's backoff or [after](Error::after) a time of
/// the handler's choice, until the subscription's attempts are used up.
///
/// The host keeps the first 4,096 bytes of the reason.
///
/// ```
/// use std::time::Duration;
///
/// let error = hostel::retry("the library is closed").after(Duration::from_secs(3600));
/// assert!(!error.is_reject());
/// assert_eq!(error.delay(), Some(Duration::from_secs(3600)));
/// ```
#[must_use = "an error does nothing until it is returned"]
pub fn retry(reason: impl Into<String>) -> Error {
    Error { reason: reason.into(), advice: Advice::Retry(None) }
}

impl Error {
    /// The same error as a retry that waits for `delay`, counted from the end of this attempt, instead of the
    /// subscription's backoff. It turns a rejection into a retry.
    ///
    /// Counted in milliseconds, rounded up. The host caps it at 24 hours.
    #[must_use = "an error does nothing until it is returned"]
    pub fn after(self, delay: Duration) -> Self {
        Self { advice: Advice::Retry(Some(delay)), ..self }
    }

    /// Why the event was not handled.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it makes the event a dead letter at once.
    #[must_use]
    pub const fn is_reject(&self) -> bool {
        matches!(self.advice, Advice::Reject)
    }

    /// How long to wait before the next attempt, if the error says so.
    #[must_use]
    pub const fn delay(&self) -> Option<Duration> {
        match self.advice {
            Advice::Retry(delay) => delay,
            Advice::Reject => None,
        }
    }

    /// Reason and advice, to be handed to the host. A native build hands them to nobody.
    #[cfg(target_family = "wasm")]
    pub(crate) fn into_parts(self) -> (String, Advice) {
        (self.reason, self.advice)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl<E: StdError + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let chain = || std::iter::successors(Some(&error as &(dyn StdError + 'static)), |&one| one.source());
        let advice = chain().find_map(own_advice).unwrap_or(Advice::Retry(None));
        Self { reason: join(chain()), advice }
    }
}

/// What an error of this crate says about the event.
fn own_advice(error: &(dyn StdError + 'static)) -> Option<Advice> {
    if error.is::<BodyError>() || error.is::<CloudEventError>() {
        return Some(Advice::Reject);
    }
    let published = error.downcast_ref().map(PublishError::advice);
    let kept = || error.downcast_ref().map(KeyValueError::advice);
    published.or_else(kept).or_else(|| error.downcast_ref().map(HttpError::advice))
}

/// The texts of a chain of errors. Many errors end their text with that of their source: it is not said twice.
fn join<'a>(chain: impl Iterator<Item = &'a (dyn StdError + 'static)>) -> String {
    let mut joined = String::new();
    for text in chain.map(ToString::to_string) {
        if joined.is_empty() {
            joined = text;
        } else if !joined.ends_with(&text) {
            joined.push_str(": ");
            joined.push_str(&text);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer<E>(&'static str, E);

    impl<E> fmt::Display for Outer<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl<E: StdError + 'static> StdError for Outer<E> {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.1)
        }
    }

    fn failing<E: StdError + 'static>(error: E) -> Error {
        let run = || -> Result {
            Err(error)?;
            Ok(())
        };
        run().unwrap_err()
    }

    #[test]
    fn any_error_is_a_retry_with_the_text_of_its_chain() {
        let error = failing(Outer("cannot read the seats", "x".parse::<u32>().unwrap_err()));
        assert_eq!(error, retry("cannot read the seats: invalid digit found in string"));
    }

    #[test]
    fn a_source_that_was_said_is_not_said_again() {
        let inner = "x".parse::<u32>().unwrap_err();
        assert_eq!(
            failing(Outer("bad: invalid digit found in string", inner)).reason(),
            "bad: invalid digit found in string"
        );
    }

    #[test]
    fn an_own_error_keeps_its_advice_as_the_source_of_another() {
        let busy = PublishError::Overloaded { retry_after: Duration::from_millis(250) };
        let error = failing(Outer("cannot tell the others", busy));
        assert_eq!(error.delay(), Some(Duration::from_millis(250)));
        let body = BodyError::Text(String::from_utf8(vec![0xff]).unwrap_err().utf8_error());
        assert!(failing(Outer("cannot read the order", body)).is_reject());
    }

    #[test]
    fn after_makes_a_retry_of_a_rejection() {
        let error = reject("no such course").after(Duration::from_secs(1));
        assert!(!error.is_reject());
        assert_eq!((error.reason(), error.delay()), ("no such course", Some(Duration::from_secs(1))));
    }
}
