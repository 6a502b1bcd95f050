//! Traces: which events and attempts belong together, as W3C Trace Context writes it in the header `traceparent`.
//!
//! A span is one step that is told of: an event published, an attempt, an event settled. Its id is a hash of what it is
//! about, so that whoever needs it, such as the attempt whose handler publishes and the one who tells of the attempt,
//! finds the same one without being told. Who tells of spans, and to whom, is not decided here.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use crate::message::Event;
use crate::subscription::SubscriptionId;

/// The header that names the trace and the step that caused a message.
pub const PARENT_HEADER: &str = "traceparent";

/// The header in which tracers keep what is their own. It goes where [`PARENT_HEADER`] goes.
pub const STATE_HEADER: &str = "tracestate";

/// The flag of a trace that is to be told of.
const SAMPLED: u8 = 1;

/// The id of a trace, never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span, never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// What `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Which trace.
    pub trace: TraceId,
    /// The span that caused what carries this.
    pub parent: SpanId,
    flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no `traceparent` as W3C Trace Context writes it")]
pub struct ContextError;

impl TraceId {
    /// A trace of its own for an event that brings none: drawn from its id, which is unique, and when it came.
    #[must_use]
    pub fn begun_by(event: &Event) -> Self {
        let half = |which: u8| {
            let known = ("trace", which, event.tenant.as_str(), event.id.as_str(), event.published_at.as_millis());
            hash(&known).to_be_bytes()
        };
        let mut id = [0; 16];
        for (byte, from) in id.iter_mut().zip(half(0).into_iter().chain(half(1))) {
            *byte = from;
        }
        Self(id)
    }

    /// Whether it is among the one in so many that are told of. Everybody who asks finds the same.
    #[must_use]
    pub fn is_one_in(self, count: u32) -> bool {
        count != 0 && hash(&("sample", self.0)).is_multiple_of(u64::from(count))
    }
}

impl SpanId {
    /// The span of an event's publish.
    #[must_use]
    pub fn published(trace: TraceId, event: &Event) -> Self {
        Self::of(trace, &("publish", event.tenant.as_str(), event.id.as_str()))
    }

    /// The span of an attempt, counted from 1.
    #[must_use]
    pub fn attempt(trace: TraceId, event: &Event, subscription: &SubscriptionId, number: u32) -> Self {
        Self::of(trace, &("attempt", event.tenant.as_str(), event.id.as_str(), subscription.as_str(), number))
    }

    /// The span of an event from its publish to its end in a subscription.
    #[must_use]
    pub fn settled(trace: TraceId, event: &Event, subscription: &SubscriptionId) -> Self {
        Self::of(trace, &("settle", event.tenant.as_str(), event.id.as_str(), subscription.as_str()))
    }

    fn of(trace: TraceId, what: &impl Hash) -> Self {
        // Zero is no id; it would come up once in 2^64.
        Self(hash(&(trace.0, what)).max(1).to_be_bytes())
    }
}

impl Context {
    /// What an event's header says; `None` where there is none, or none that can be read.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        event.message.headers.get(PARENT_HEADER)?.parse().ok()
    }

    /// The context of an event that begins a trace: its publish is the first span.
    #[must_use]
    pub fn begun_by(event: &Event, is_sampled: bool) -> Self {
        let trace = TraceId::begun_by(event);
        Self { trace, parent: SpanId::published(trace, event), flags: if is_sampled { SAMPLED } else { 0 } }
    }

    /// The context of what a span causes.
    #[must_use]
    pub const fn below(self, span: SpanId) -> Self {
        Self { parent: span, ..self }
    }

    /// Whether its spans are to be told of.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED == SAMPLED
    }
}

/// The standard library's hash, whose keys are fixed where it is made this way: the ids need not be secret.
fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl FromStr for Context {
    type Err = ContextError;

    /// Reads version 00, and of a later one what it has in common with that, as the recommendation asks.
    fn from_str(text: &str) -> Result<Self, ContextError> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(ContextError);
        let (version, trace, parent, flags) = (part()?, part()?, part()?, part()?);
        let [version] = hex::<1>(version)?;
        let (trace, parent, [flags]) = (hex::<16>(trace)?, hex::<8>(parent)?, hex::<1>(flags)?);
        let has_more = parts.next().is_some();
        if version == 0xff || (version == 0 && has_more) || trace == [0; 16] || parent == [0; 8] {
            return Err(ContextError);
        }
        Ok(Self { trace: TraceId(trace), parent: SpanId(parent), flags })
    }
}

/// Reads so many bytes in lower-case hexadecimal.
fn hex<const BYTES: usize>(text: &str) -> Result<[u8; BYTES], ContextError> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ContextError),
    };
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return Err(ContextError);
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return Err(ContextError) };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Ok(bytes)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use crate::id::EventId;
    use crate::message::Message;
    use crate::name::Tenant;
    use crate::time::Timestamp;
    use crate::topic::Topic;

    use super::*;

    /// The example of the recommendation.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn event(tenant: &str, id: &str) -> Event {
        Event {
            id: EventId::new(id).unwrap(),
            tenant: Tenant::new(tenant).unwrap(),
            topic: Topic::new("a").unwrap(),
            published_at: Timestamp::from_millis(1),
            expires_at: None,
            message: Message::default(),
        }
    }

    #[test]
    fn a_context_reads_what_it_writes() {
        let context: Context = EXAMPLE.parse().unwrap();
        assert_eq!(context.to_string(), EXAMPLE);
        assert!(context.is_sampled());
        let unsampled: Context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
        assert!(!unsampled.is_sampled());
        let later = format!("cc-{}-what-comes", EXAMPLE.get(3..).unwrap());
        assert_eq!(later.parse(), Ok(context), "of a later version what is known of it");
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Context>(), Err(ContextError), "{text}");
        }
    }

    #[test]
    fn ids_are_the_same_for_the_same_and_others_for_others() {
        let (one, other) = (event("acme", "1"), event("globex", "1"));
        let context = Context::begun_by(&one, true);
        assert_eq!(context, Context::begun_by(&one, true));
        assert_ne!(context.trace, TraceId::begun_by(&other));
        assert_eq!(context.parent, SpanId::published(context.trace, &one));
        let tenant = Tenant::new("acme").unwrap();
        let handler = crate::name::HandlerName::new("h").unwrap();
        let id = SubscriptionId::new(&tenant, &handler, &crate::pattern::Pattern::new("a").unwrap());
        let attempt = |number| SpanId::attempt(context.trace, &one, &id, number);
        assert_eq!(attempt(1), attempt(1));
        assert_ne!(attempt(1), attempt(2));
        assert_ne!(attempt(1), SpanId::settled(context.trace, &one, &id));
    }

    #[test]
    fn about_one_in_so_many_is_told_of() {
        let told =
            |count| (0..4_000).filter(|n| TraceId::begun_by(&event("acme", &n.to_string())).is_one_in(count)).count();
        assert_eq!((told(0), told(1)), (0, 4_000));
        let quarter = told(4);
        assert!((800..1_200).contains(&quarter), "{quarter}");
    }
}
