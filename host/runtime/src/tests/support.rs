//! Small components as text, and stand-ins for what the host's other parts would give.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use hostel_event::delivery::SettleError;
use hostel_event::handler::{Grants, Handler, Limits};
use hostel_event::headers::Headers;
use hostel_event::id::EventId;
use hostel_event::key_value::{Bucket, Entry, Expected, Key, Revision, Write};
use hostel_event::message::{Event, Message};
use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::outcome::{Fault, FaultKind, Outcome, Report};
use hostel_event::pattern::Pattern;
use hostel_event::port::{
    Call, Clock, EarlyAck, Invoke, KeyValue, KeyValueError, Publication, Publish, PublishError, Question, Receipt,
    Request, RequestError,
};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;
use parking_lot::Mutex;

use crate::{Component, Guest, Runtime, Settings, digest};

/// A clock that stands still.
pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}

/// A runtime of a size for tests, with a folder of its own.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) settings: Settings,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            invocations: 4,
            warm: 3,
            memory_limit: 64 * 1024 * 1024,
            ..Settings::new(dir.path().join("cache"))
        };
        Self { runtime: Runtime::new(&settings, Arc::new(FixedClock)).unwrap(), settings, _dir: dir }
    }

    /// Another runtime over the same folder, as after a restart.
    pub(crate) fn restarted(&self) -> Runtime {
        Runtime::new(&self.settings, Arc::new(FixedClock)).unwrap()
    }

    pub(crate) fn load(&self, fixture: &Fixture) -> Arc<Component> {
        self.runtime.load(&fixture.bytes()).unwrap()
    }

    pub(crate) fn guest(&self, fixture: &Fixture, handler: &Handler) -> Arc<Guest> {
        self.runtime.prepare(&self.load(fixture), handler).unwrap()
    }

    /// Runs a fixture once with limits for tests.
    pub(crate) async fn run(&self, fixture: &Fixture) -> Report {
        self.guest(fixture, &handler()).invoke(call()).await
    }
}

/// The fault that a report must have, of this kind.
#[track_caller]
pub(crate) fn fault(report: &Report, kind: FaultKind) -> &Fault {
    match &report.outcome {
        Outcome::Fault(fault) if fault.kind == kind => fault,
        other => panic!("expected a fault of kind {kind}, found {other:?}"),
    }
}

/// A handler with short limits and no grants.
pub(crate) fn handler() -> Handler {
    Handler {
        tenant: Tenant::new("acme").unwrap(),
        name: HandlerName::new("fixture").unwrap(),
        version: Version::new("1.2.3").unwrap(),
        digest: digest(b""),
        subscriptions: Vec::new(),
        reuse: NonZeroU32::MIN,
        limits: Limits { memory: 1024 * 1024, deadline: Duration::from_secs(10), ..Limits::default() },
        grants: Grants::default(),
    }
}

/// The same, with a deadline.
pub(crate) fn handler_within(deadline: Duration) -> Handler {
    let mut handler = handler();
    handler.limits.deadline = deadline;
    handler
}

/// The same, whose instances serve so many events.
pub(crate) fn reusing_handler(events: u32) -> Handler {
    Handler { reuse: NonZeroU32::new(events).unwrap(), ..handler() }
}

/// The same, which may publish.
pub(crate) fn publishing_handler(pattern: &str) -> Handler {
    let mut handler = handler();
    handler.grants.publish = vec![Pattern::new(pattern).unwrap()];
    handler
}

/// Acknowledges once and publishes as told.
pub(crate) struct Ports {
    acked: Mutex<bool>,
    pub(crate) published: Mutex<Vec<Publication>>,
    /// By bucket and key, with the number of the write as its revision.
    pub(crate) entries: Mutex<BTreeMap<(Bucket, Key), Entry>>,
    /// How many writes conflict before one is taken.
    pub(crate) conflicts: AtomicU64,
    answer: Answer,
}

/// What publishing answers.
pub(crate) enum Answer {
    Ok,
    Never,
    Error(PublishError),
}

impl Ports {
    pub(crate) fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            acked: Mutex::default(),
            published: Mutex::default(),
            entries: Mutex::default(),
            conflicts: AtomicU64::new(0),
            answer,
        })
    }

    pub(crate) fn is_acked(&self) -> bool {
        *self.acked.lock()
    }
}

impl EarlyAck for Ports {
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>> {
        let was_acked = std::mem::replace(&mut *self.acked.lock(), true);
        Box::pin(async move { if was_acked { Err(SettleError::AlreadySettled) } else { Ok(()) } })
    }
}

impl Publish for Ports {
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(async move {
            match &self.answer {
                Answer::Ok => {
                    self.published.lock().push(publication);
                    Ok(Receipt { id: EventId::new("event-8").unwrap(), subscriptions: Vec::new() })
                }
                Answer::Never => std::future::pending().await,
                Answer::Error(error) => Err(error.clone()),
            }
        })
    }
}

/// Asks nobody.
impl Request for Ports {
    fn request(&self, question: Question) -> BoxFuture<'_, Result<Vec<Arc<Event>>, RequestError>> {
        Box::pin(async move { Err(RequestError::Timeout(question.patience)) })
    }
}

/// Writes at once, and lets another be faster as often as it is told.
impl KeyValue for Ports {
    fn get(&self, bucket: &Bucket, key: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        let found = self.entries.lock().get(&(bucket.clone(), key.clone())).cloned();
        Box::pin(async { Ok(found) })
    }

    fn keys(
        &self,
        bucket: &Bucket,
        after: Option<&Key>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        let entries = self.entries.lock();
        let of_bucket = entries.keys().filter(|(own, key)| own == bucket && after.is_none_or(|after| key > after));
        let keys = of_bucket.take(limit).map(|(_, key)| key.clone()).collect();
        Box::pin(async { Ok(keys) })
    }

    fn room_for(&self, _: &Write) -> Result<(), KeyValueError> {
        Ok(())
    }

    fn write(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        let mut entries = self.entries.lock();
        for Write { bucket, key, value, expected } in writes {
            let number = entries.get(&(bucket.clone(), key.clone())).map_or(0, |entry| entry.revision.0);
            let is_expected = match expected {
                Expected::Anything => true,
                Expected::Absent => number == 0,
                Expected::Revision(Revision(expected)) => number == expected,
            };
            let is_beaten =
                self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if is_beaten.is_ok() || !is_expected {
                return Box::pin(async { Err(KeyValueError::Conflict(key)) });
            }
            match value {
                Some(value) => drop(entries.insert((bucket, key), Entry { value, revision: Revision(number + 1) })),
                None => drop(entries.remove(&(bucket, key))),
            }
        }
        Box::pin(async { Ok(()) })
    }
}

pub(crate) fn call() -> Call {
    call_with(&Ports::new(Answer::Ok))
}

pub(crate) fn call_with(ports: &Arc<Ports>) -> Call {
    let mut headers = Headers::new();
    headers.append("X-Kind", "test").unwrap();
    let event = Event {
        id: EventId::new("event-7").unwrap(),
        tenant: Tenant::new("acme").unwrap(),
        topic: Topic::new("orders.created").unwrap(),
        published_at: Timestamp::from_millis(42),
        expires_at: None,
        message: Message { headers, body: Bytes::from_static(b"the body") },
    };
    Call {
        event: Arc::new(event),
        attempt: 1,
        last_error: None,
        early_ack: Arc::<Ports>::clone(ports),
        publish: Arc::<Ports>::clone(ports),
        request: Arc::<Ports>::clone(ports),
        key_value: Arc::<Ports>::clone(ports),
    }
}

/// A handler's component, written as the body of its core function `handle`.
///
/// The function has the event's handle as `$event` and returns the address of its result: 0 for ok; `$ok`, `$reject`
/// and `$retry` make one. It may import everything that `fixture.wat` imports.
pub(crate) struct Fixture {
    /// Instructions of `handle`.
    pub(crate) handle: &'static str,
    /// Fields of the core module beside it.
    pub(crate) fields: &'static str,
    /// Pages of memory at the start.
    pub(crate) pages: u32,
    /// Instructions of `init`; the component exports `lifecycle` if there are any.
    pub(crate) init: Option<&'static str>,
    /// The version of the exported `subscriber`.
    pub(crate) version: &'static str,
    /// Whether it keeps the handle of its event, which it must not.
    pub(crate) keeps_event: bool,
}

impl Fixture {
    pub(crate) fn new(handle: &'static str) -> Self {
        Self { handle, fields: "", pages: 1, init: None, version: "0.1.0", keeps_event: false }
    }

    pub(crate) fn with_fields(self, fields: &'static str) -> Self {
        Self { fields, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        let lifecycle = r#"
            (func $init (result (result (error string)))
                (canon lift (core func $main "init") (memory $memory) (realloc $realloc)))
            (instance $lifecycle (export "init" (func $init)))
            (export "hostel:handler/lifecycle@0.1.0" (instance $lifecycle))"#;
        include_str!("fixture.wat")
            .replace("{handle}", self.handle)
            .replace("{fields}", self.fields)
            .replace("{pages}", &self.pages.to_string())
            .replace("{init}", self.init.unwrap_or("(i32.const 16)"))
            .replace("{lifecycle}", if self.init.is_some() { lifecycle } else { "" })
            .replace("{drop}", if self.keeps_event { "" } else { "(call $drop-event (local.get $event))" })
            .replace("{version}", self.version)
    }
}
