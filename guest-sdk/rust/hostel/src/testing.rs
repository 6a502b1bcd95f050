//! A test double of the host: runs a handler natively, in a plain `cargo test`, and tells what it did.
//!
//! ```
//! use hostel::testing;
//!
//! fn handle(event: hostel::Event) -> hostel::Result {
//!     hostel::warn!("attempt {}", event.attempt());
//!     Err(hostel::reject("no such course"))
//! }
//!
//! let run = testing::run(handle, testing::Event::new("students.registered").attempt(2));
//! assert_eq!(run.result, Err(hostel::reject("no such course")));
//! assert_eq!(run.logs[0].text, "attempt 2");
//! ```
//!
//! The double refuses a malformed topic, header, bucket or key as the host does, and takes every topic and bucket unless
//! told otherwise: what the manifest allows is known to the host alone. Deadlines and memory limits hold in the host only. A panic passes
//! through, as in any test. A WebAssembly build does not have this module.

#![cfg(not(target_family = "wasm"))]

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use log::Level;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host::{self, Delivery, Effects, Rules};
use crate::http::{Request, Response};
use crate::publish::PublishError;
use crate::{Result, logging};

/// Runs a handler for one event, against a host without config that takes every topic.
pub fn run(handler: impl FnOnce(crate::Event<'_>) -> Result, event: Event) -> Run {
    Host::new().run(handler, event)
}

/// An event to be delivered.
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) attempt: u32,
    pub(crate) published_at_ms: u64,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) last_error: Option<String>,
}

/// A host with rules of its own. One can run many events; nothing of a run is left for the next.
#[derive(Clone, Default)]
pub struct Host {
    rules: Rules,
}

/// What a handler did with an event.
#[derive(Debug)]
#[must_use = "look at what the handler did"]
#[non_exhaustive]
pub struct Run {
    /// What it returned.
    pub result: Result,
    /// What it published, in order. A host with atomic effects keeps it only if the event was acknowledged.
    pub published: Vec<Published>,
    /// What it logged, in order. Empty if the test has set a logger of its own.
    pub logs: Vec<LogLine>,
    /// Whether it acknowledged the event before it returned, by [`ack`](crate::Event::ack).
    pub acked: bool,
    /// The times to which it moved its deadline, by [`extend`](crate::Event::extend).
    pub extended: Vec<Duration>,
    /// What the buckets hold at its end, by bucket and key. A host with atomic effects keeps what it wrote only if the
    /// event was acknowledged.
    pub buckets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// The HTTP requests that it sent, in order.
    pub requests: Vec<Request>,
}

/// An event that a handler published.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// That of the header `Hostel-Id`, or `published-1`, `published-2` and so on.
    pub id: String,
    /// Where it was published.
    pub topic: String,
    /// Name and value of each header, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A line that a handler logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// How grave it is.
    pub level: Level,
    /// The log record's target: the path of the module that logged it, unless it says otherwise.
    pub context: String,
    /// The text.
    pub text: String,
}

impl Event {
    /// An event on a topic, in its first attempt, published at the Unix epoch, without headers and body.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            id: "00000000-0000-7000-8000-000000000001".to_owned(),
            topic: topic.into(),
            attempt: 1,
            published_at_ms: 0,
            headers: Vec::new(),
            body: Vec::new(),
            last_error: None,
        }
    }

    /// With this id.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// In this attempt, counted from 1.
    ///
    /// # Panics
    /// If it is 0: a host never delivers that.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        assert!(attempt > 0, "attempts are counted from 1");
        Self { attempt, ..self }
    }

    /// Published at this time; a time before the Unix epoch counts as the epoch.
    #[must_use]
    pub fn published_at(self, time: SystemTime) -> Self {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { published_at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body: text or any bytes.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With this value as JSON for a body, and a header `Content-Type` that says so.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake of the test, which ends here")]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body(body).header("Content-Type", "application/json"),
            Err(error) => panic!("the event's body cannot be written as JSON: {error}"),
        }
    }

    /// With the reason why the last attempt failed.
    #[must_use]
    pub fn last_error(self, reason: impl Into<String>) -> Self {
        Self { last_error: Some(reason.into()), ..self }
    }
}

impl Host {
    /// A host without config that takes every topic.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a config value.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.rules.config.insert(key.into(), value.into());
        self
    }

    /// With a value that a key of a bucket holds at the start.
    #[must_use]
    pub fn value(mut self, bucket: impl Into<String>, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.rules.buckets.entry(bucket.into()).or_default().insert(key.into(), value.into());
        self
    }

    /// With an answer to requests for a URL, whatever their method. A request for another URL fails.
    #[must_use]
    pub fn respond(mut self, url: impl Into<String>, response: Response) -> Self {
        self.rules.responses.insert(url.into(), response);
        self
    }

    /// With a bucket that the handler may not open. Without this it may open any.
    #[must_use]
    pub fn deny_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.rules.denied_buckets.insert(bucket.into());
        self
    }

    /// With a topic on which the handler may not publish.
    #[must_use]
    pub fn deny(self, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        let text = format!("add \"{topic}\" to `publish` in the handler's manifest");
        self.refuse(topic, move || PublishError::Denied(text.clone()))
    }

    /// With a topic on which publishing fails with this error.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hostel::{PublishError, testing};
    ///
    /// fn handle(_: hostel::Event) -> hostel::Result {
    ///     hostel::publish("orders.priced", &1)?;
    ///     Ok(())
    /// }
    ///
    /// let busy = || PublishError::Overloaded { retry_after: Duration::from_secs(1) };
    /// let host = testing::Host::new().refuse("orders.priced", busy);
    /// let run = host.run(handle, testing::Event::new("orders.created"));
    /// assert_eq!(run.result.unwrap_err().delay(), Some(Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn refuse(mut self, topic: impl Into<String>, error: impl Fn() -> PublishError + 'static) -> Self {
        self.rules.refusals.insert(topic.into(), Rc::new(error));
        self
    }

    /// Runs a handler for one event.
    #[expect(clippy::needless_pass_by_value, reason = "an event is delivered once; tests read better without a borrow")]
    pub fn run(&self, handler: impl FnOnce(crate::Event<'_>) -> Result, event: Event) -> Run {
        self.attach(|| handler(crate::Event::new(Delivery(&event))))
    }

    /// Runs the function of `#[hostel::init]`.
    pub fn init(&self, init: impl FnOnce() -> Result) -> Run {
        self.attach(init)
    }

    fn attach(&self, work: impl FnOnce() -> Result) -> Run {
        logging::install();
        let (result, effects) = host::attach(self.rules.clone(), work);
        let Effects { published, logs, acked, extended, buckets, requests } = effects;
        Run { result, published, logs, acked, extended, buckets, requests }
    }
}

impl Run {
    /// What a key of a bucket holds at the end.
    #[must_use]
    pub fn value(&self, bucket: &str, key: &str) -> Option<&[u8]> {
        self.buckets.get(bucket)?.get(key).map(Vec::as_slice)
    }
}

impl Published {
    /// The value of the first header with this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        host::find_header(&self.headers, name)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON or not a `T`.
    #[must_use]
    #[expect(clippy::panic, reason = "what the test asserts does not hold")]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body published on `{}` is not the JSON expected: {error}", self.topic),
        }
    }
}

/// Bodies as text, for the messages of failing tests.
impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .finish()
    }
}

/// Names of keys only: values may be secrets.
impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("config", &self.rules.config.keys().collect::<Vec<_>>())
            .field("refused", &self.rules.refusals.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, SettleError, publish, publish_message};

    #[test]
    fn a_run_tells_logs_ack_and_extension() {
        let handle = |event: crate::Event<'_>| -> Result {
            crate::info!("one");
            crate::error!(target: "shop", "two {}", 2);
            event.extend(Duration::from_secs(9))?;
            event.ack()?;
            assert_eq!(event.ack(), Err(SettleError::AlreadySettled));
            Err(crate::retry("too late"))
        };
        let run = run(handle, Event::new("a"));
        let line = |level, context: &str, text: &str| LogLine { level, context: context.into(), text: text.into() };
        assert_eq!(run.logs, [line(Level::Info, module_path!(), "one"), line(Level::Error, "shop", "two 2")]);
        assert!(run.acked);
        assert_eq!(run.extended, [Duration::from_secs(9)]);
        assert_eq!(run.result, Err(crate::retry("too late")));
    }

    #[test]
    fn published_ids_are_those_given_or_counted() {
        let handle = |_: crate::Event<'_>| -> Result {
            assert_eq!(publish("a", &1)?, "published-1");
            assert_eq!(publish_message("b", Message::new("x").id("mine"))?, "mine");
            Ok(())
        };
        let run = run(handle, Event::new("a"));
        run.result.unwrap();
        assert_eq!(run.published[0].json::<u8>(), 1);
        assert_eq!(run.published[1].header("hostel-id"), Some("mine"));
    }

    #[test]
    fn what_the_host_would_refuse_is_refused() {
        let check = |topic: &str, message: Message, expected: &str| {
            let run = run(|_| publish_message(topic, message).map(drop).map_err(Into::into), Event::new("a"));
            assert_eq!(run.result, Err(crate::reject(expected)), "{topic}");
            assert!(run.published.is_empty());
        };
        let empty = || Message::new("");
        check("", empty(), "the message was refused: topic is empty");
        check("a..b", empty(), "the message was refused: topic `a..b` has an empty token");
        check("a b", empty(), "the message was refused: topic `a b` has ' '; allowed are A-Z, a-z, 0-9, ., _ and -");
        check("a", empty().header("x", "\0"), "the message was refused: the value of header `x` has a NUL character");
        check(
            "a",
            empty().header("x", "v".repeat(64 * 1024)),
            "the message was refused: the headers of a message have at most 65536 bytes",
        );
    }

    #[test]
    fn a_denied_topic_is_denied_with_the_cure() {
        let handle = |_: crate::Event<'_>| -> Result {
            publish("orders.priced", &1)?;
            Ok(())
        };
        assert_eq!(
            Host::new().deny("orders.priced").run(handle, Event::new("a")).result,
            Err(crate::reject("publishing was denied: add \"orders.priced\" to `publish` in the handler's manifest"))
        );
    }

    #[test]
    fn init_sees_the_config() {
        let init = || -> Result {
            crate::require_config("key")?;
            Ok(())
        };
        assert!(Host::new().init(init).result.is_err());
        assert_eq!(Host::new().config("key", "x").init(init).result, Ok(()));
    }

    #[test]
    fn a_panic_leaves_no_host_behind() {
        let panicked = std::panic::catch_unwind(|| run(|_| panic!("on purpose"), Event::new("a")).result);
        assert!(panicked.is_err());
        assert_eq!(run(|_| Ok(()), Event::new("a")).result, Ok(()));
    }

    #[test]
    fn config_values_are_not_printed() {
        assert!(!format!("{:?}", Host::new().config("key", "s3cret")).contains("s3cret"));
    }
}
