//! Traces: spans of what becomes of events, sent to a collector by OTLP over HTTP with JSON.
//!
//! A span is made on the event path and put into a bounded queue; where that is full it is dropped and counted. A task of
//! its own sends them in batches, so that a collector which is slow or away holds nothing up. Only events whose trace is
//! to be told of have spans: their publisher says so in `traceparent`, or the host when it begins a trace.
//!
//! Written here and not taken from the OpenTelemetry crates: those bring some twenty crates, protobuf and an HTTP client
//! of their own for three kinds of span, and OTLP's JSON is a stable encoding.

mod otlp;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use hostel_event::message::Event;
use hostel_event::outcome::{Attempt, Outcome};
use hostel_event::port::Settled;
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Timestamp;
use hostel_event::trace::{Context, SpanId, TraceId};

pub(crate) use send::{Collector, url as address};

/// Spans that wait to be sent. Arbitrary: some seconds of a busy host, and at most a few megabytes.
const QUEUE: usize = 8_192;
/// The most characters of a reason in a span. Arbitrary: what fits in a line or two.
const REASON: usize = 300;

/// What became of spans so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) exported: u64,
    /// For want of room in the queue.
    pub(crate) dropped: u64,
    /// The collector did not take them.
    pub(crate) failed: u64,
}

/// A step that is told of.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    role: Role,
    name: String,
    began: Time,
    ended: Time,
    attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    failure: Option<String>,
}

/// What a span is, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Internal,
    Producer,
    Consumer,
}

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time(u64);

impl Time {
    fn of(time: Timestamp) -> Self {
        Self(time.as_millis().saturating_mul(1_000_000))
    }

    fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// See the module's page.
pub(crate) struct Traces {
    queue: Option<mpsc::Sender<Span>>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Tells nobody.
    pub(crate) fn off() -> Self {
        Self { queue: None, counters: Arc::default(), stop: CancellationToken::new(), task: Mutex::new(None) }
    }

    /// Sends spans to a collector. Must be called within a tokio runtime.
    pub(crate) fn to(collector: Collector) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let stop = CancellationToken::new();
        let task = tokio::spawn(send::run(collector, waiting, Arc::clone(&counters), stop.clone()));
        Self { queue: Some(queue), counters, stop, task: Mutex::new(Some(task)) }
    }

    /// Sends what waits, as long as that takes a few seconds at most, and ends.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic in it was told already.
            let _ = task.await;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let Counters { exported, dropped, failed } = &*self.counters;
        Counts {
            exported: exported.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// An event was kept.
    pub(crate) fn published(&self, event: &Event, now: impl FnOnce() -> Timestamp) {
        self.tell(event, |context| published(context, event, now()));
    }

    /// An attempt ended.
    pub(crate) fn attempted(&self, event: &Event, subscription: &SubscriptionId, attempt: &Attempt) {
        self.tell(event, |context| attempted(context, event, subscription, attempt));
    }

    /// A subscription is done with an event.
    pub(crate) fn settled(
        &self,
        event: &Event,
        subscription: &SubscriptionId,
        settled: &Settled,
        now: impl FnOnce() -> Timestamp,
    ) {
        self.tell(event, |context| ended(context, event, (subscription, settled), now()));
    }

    fn tell(&self, event: &Event, span: impl FnOnce(Context) -> Span) {
        let Some(queue) = &self.queue else { return };
        let Some(context) = Context::of(event).filter(|context| context.is_sampled()) else { return };
        // Room first: a span that is dropped need not be made.
        match queue.try_reserve() {
            Ok(room) => room.send(span(context)),
            Err(_) => drop(self.counters.dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn published(context: Context, event: &Event, now: Timestamp) -> Span {
    let id = SpanId::published(context.trace, event);
    Span {
        trace: context.trace,
        id,
        // Of a trace that the event itself began, it is the first.
        parent: Some(context.parent).filter(|parent| *parent != id),
        role: Role::Producer,
        name: format!("publish {}", event.topic),
        began: Time::of(event.published_at),
        ended: Time::of(now.max(event.published_at)),
        attributes: about(event),
        failure: None,
    }
}

fn attempted(context: Context, event: &Event, subscription: &SubscriptionId, attempt: &Attempt) -> Span {
    let outcome = &attempt.report.outcome;
    let began = Time::of(attempt.began);
    let mut attributes = heard(event, subscription);
    attributes.extend([
        ("hostel.handler.version", attempt.version.as_str().into()),
        ("hostel.attempt", Value::Number(u64::from(attempt.number))),
        ("hostel.outcome", outcome.as_str().into()),
    ]);
    Span {
        trace: context.trace,
        id: SpanId::attempt(context.trace, event, subscription, attempt.number),
        parent: Some(SpanId::published(context.trace, event)),
        role: Role::Consumer,
        name: format!("process {}", subscription.handler()),
        began,
        ended: began.after(attempt.report.usage.wall),
        attributes,
        failure: (*outcome != Outcome::Ack).then(|| cut(outcome.reason().unwrap_or_default())),
    }
}

fn ended(
    context: Context,
    event: &Event,
    (subscription, settled): (&SubscriptionId, &Settled),
    now: Timestamp,
) -> Span {
    let (outcome, failure) = match settled {
        Settled::Ack => ("ack", None),
        Settled::DeadLetter { reason } => ("dead_letter", Some(cut(reason))),
        Settled::Discarded => ("discarded", None),
        Settled::Expired => ("expired", None),
    };
    let mut attributes = heard(event, subscription);
    attributes.push(("hostel.outcome", outcome.into()));
    Span {
        trace: context.trace,
        id: SpanId::settled(context.trace, event, subscription),
        parent: Some(SpanId::published(context.trace, event)),
        role: Role::Internal,
        name: format!("settle {}", subscription.handler()),
        began: Time::of(event.published_at),
        ended: Time::of(now.max(event.published_at)),
        attributes,
        failure,
    }
}

/// What there is to say of an event, in the words of OpenTelemetry's conventions where it has some.
fn about(event: &Event) -> Vec<(&'static str, Value)> {
    vec![
        ("messaging.system", "hostel".into()),
        ("messaging.destination.name", event.topic.as_str().into()),
        ("messaging.message.id", event.id.as_str().into()),
        ("hostel.tenant", event.tenant.as_str().into()),
    ]
}

/// The same, with who hears it. The tenant is then that of the handler.
fn heard(event: &Event, subscription: &SubscriptionId) -> Vec<(&'static str, Value)> {
    let mut attributes = about(event);
    attributes.retain(|(name, _)| *name != "hostel.tenant");
    attributes.extend([
        ("hostel.tenant", subscription.tenant().into()),
        ("hostel.handler", subscription.handler().into()),
        ("hostel.subscription", subscription.as_str().into()),
    ]);
    attributes
}

fn cut(text: &str) -> String {
    text.chars().take(REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::super::meter::tests::{attempt, event, subscription};
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced(parent: &str) -> Event {
        let mut event = event("acme");
        event.message.headers.append("traceparent", parent).unwrap();
        event
    }

    /// Traces that nobody sends, and where their spans are.
    fn held(room: usize) -> (Traces, mpsc::Receiver<Span>) {
        let (queue, waiting) = mpsc::channel(room);
        (Traces { queue: Some(queue), ..Traces::off() }, waiting)
    }

    #[test]
    fn spans_hang_together_by_their_ids() {
        let (traces, mut waiting) = held(8);
        let (event, id) = (traced(PARENT), subscription("acme", "h", "a"));
        let failed = Outcome::Reject { reason: "no".to_owned() };
        traces.published(&event, || Timestamp::from_millis(3));
        traces.attempted(&event, &id, &attempt(failed, Duration::from_micros(1_500)));
        traces.settled(&event, &id, &Settled::DeadLetter { reason: "no".to_owned() }, || Timestamp::from_millis(9));
        let [published, attempted, settled] = std::array::from_fn(|_| waiting.try_recv().unwrap());
        assert_eq!(published.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!((attempted.parent, settled.parent), (Some(published.id), Some(published.id)));
        assert_eq!((published.began, published.ended), (Time(0), Time(3_000_000)));
        assert_eq!((attempted.ended, settled.ended), (Time(1_500_000), Time(9_000_000)));
        assert_eq!((attempted.failure.as_deref(), settled.failure.as_deref()), (Some("no"), Some("no")));
        assert!(attempted.attributes.contains(&("hostel.attempt", Value::Number(1))), "{attempted:?}");
        let context: Context = PARENT.parse().unwrap();
        assert_eq!(attempted.id, SpanId::attempt(context.trace, &event, &id, 1), "what handlers publish names it");
    }

    #[test]
    fn an_event_that_begins_its_trace_has_the_first_span() {
        let (traces, mut waiting) = held(8);
        let begun = Context::begun_by(&event("acme"), true).to_string();
        traces.published(&traced(&begun), Timestamp::default);
        assert_eq!(waiting.try_recv().unwrap().parent, None);
    }

    #[test]
    fn what_is_not_to_be_told_of_is_not_and_a_full_queue_drops() {
        let (traces, mut waiting) = held(1);
        traces.published(&event("acme"), Timestamp::default);
        traces.published(&traced("nonsense"), Timestamp::default);
        traces.published(&traced("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), Timestamp::default);
        assert!(waiting.try_recv().is_err());
        for _ in 0..3 {
            traces.published(&traced(PARENT), Timestamp::default);
        }
        assert_eq!(traces.counts(), Counts { dropped: 2, ..Counts::default() });
    }
}
