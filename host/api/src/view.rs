//! What the admin API and the ingress answer: plain records as they stand in JSON. Times are RFC 3339 texts.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Limits, Subscription};

/// A list that comes whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct Items<T> {
    /// What is in it.
    pub items: Vec<T>,
}

/// A list that comes in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// This part.
    pub items: Vec<T>,
    /// What to ask for as `before` to get the next part; `None` after the last.
    pub next: Option<String>,
}

/// A component that the host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentView {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// The world that it fits, such as `hostel:handler/handler@0.1.0`.
    pub world: String,
    /// Whether the host had it before.
    pub known: bool,
    /// What was done with it just now, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<StageView>,
}

/// A bundle of files that the host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilesView {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Whether the host had it before.
    pub known: bool,
}

/// A stage of a deployment that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageView {
    /// Which: `check`, `compile` or `load`, `keep`, `init`, `switch`.
    pub stage: String,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// A handler as the host runs it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandlerView {
    /// Its name in the tenant.
    pub name: String,
    /// The version that its author gave it.
    pub version: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub component: String,
    /// The world that its component fits.
    pub world: String,
    /// When this version came.
    pub deployed_at: String,
    /// What it hears.
    pub subscriptions: Vec<Subscription>,
    /// Patterns of the topics that it may publish on.
    pub publish: Vec<String>,
    /// The bundle of files that it reads: `sha256:` and 64 hexadecimal digits; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// How many events one instance may serve; absent: each event has a fresh one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<NonZeroU32>,
    /// How much one invocation may use.
    pub limits: Limits,
    /// The keys of its config. Values may be secrets and are not told.
    pub config: Vec<String>,
    /// The names of the secrets that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// How many of its calls were denied for want of a grant, since this version came or the host was started.
    #[serde(default)]
    pub denied: u64,
    /// What it heard of other tenants and does not hear any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedSubscription>,
    /// Why it does not run, though it was deployed before the host was started; `None`: it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Why what lies for it in the watched folder does not run; `None`: it does, or nothing lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A subscription to topics of another tenant that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedSubscription {
    /// Which topics.
    pub pattern: String,
    /// Whose.
    pub from: String,
    /// Why.
    pub reason: String,
}

/// What became of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployedView {
    /// The handler as it runs now.
    pub handler: HandlerView,
    /// `false` when this very component and manifest were deployed before.
    pub changed: bool,
    /// What was done just now, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<StageView>,
}

/// What an undeployed handler left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscardedView {
    /// Deliveries that waited for it and are now nobody's.
    pub discarded: u64,
}

/// A subscription and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionView {
    /// Its name: `tenant/handler:pattern`.
    pub id: String,
    /// Whose it is.
    pub handler: String,
    /// Which topics it hears.
    pub pattern: String,
    /// Whom it shares events with; `None`: it gets each.
    pub queue: Option<String>,
    /// Deliveries that wait for their turn now.
    pub waiting: u64,
    /// Deliveries that run now.
    pub running: u64,
    /// Deliveries that wait for another attempt now.
    pub sleeping: u64,
    /// Attempts started since it began.
    pub delivered: u64,
    /// Deliveries acknowledged since it began.
    pub acked: u64,
    /// Attempts started that were not the first of their delivery, since it began.
    pub retried: u64,
    /// Deliveries given up since it began.
    pub dead_lettered: u64,
    /// Deliveries that expired before their turn came, since it began.
    pub expired: u64,
    /// Why nothing of it starts now; `None`: it goes on.
    pub pause: Option<PauseView>,
    /// Whether nobody has come for it since the host was started. What waits for it is kept.
    #[serde(default)]
    pub absent: bool,
}

/// Why nothing of a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseView {
    /// Who paused it.
    pub by: PauseBy,
    /// Since when.
    pub since: String,
    /// Why, in one line.
    pub reason: String,
}

/// Who paused a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PauseBy {
    /// An operator.
    Operator,
    /// The host, since its handler kept failing.
    Quarantine,
}

/// A replay that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayView {
    /// The subscription that gets it.
    pub subscription: String,
    /// Its handler.
    pub handler: String,
    /// Every event before this offset was looked at.
    pub next: u64,
    /// It ends before this offset.
    pub end: u64,
    /// Events of it that are not settled, of those before `next`.
    pub unsettled: u64,
}

/// What became of many dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchView {
    /// Those that it was done to, the oldest first.
    pub done: Vec<DeadLetterSummary>,
    /// Those that it could not be done to. They are kept.
    pub failed: Vec<NotDoneView>,
    /// What to ask for as `cursor` to go on; `None` when all have been looked at.
    pub next: Option<String>,
}

/// Why something was not done to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotDoneView {
    /// Its id.
    pub id: String,
    /// The error's code.
    pub code: String,
    /// Why.
    pub detail: String,
}

/// A dead letter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterSummary {
    /// Its own id.
    pub id: String,
    /// The event's id.
    pub event: String,
    /// Where the event was published.
    pub topic: String,
    /// The handler that gave it up.
    pub handler: String,
    /// The subscription that gave it up.
    pub subscription: String,
    /// Why, in one line.
    pub reason: String,
    /// How many attempts it had.
    pub attempts: u32,
    /// When it was given up.
    pub died_at: String,
}

/// A message to take the place of a dead letter's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageView {
    /// Names and values, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body, if it is text.
    #[serde(default)]
    pub body: Option<String>,
    /// The body, if it is not.
    #[serde(default)]
    pub body_base64: Option<String>,
}

impl MessageView {
    /// Its body as bytes; without one there are none.
    ///
    /// # Errors
    /// A text that says what is wrong: two bodies, or no base64.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.body, &self.body_base64) {
            (Some(_), Some(_)) => Err("`body` and `body_base64` exclude one another".to_owned()),
            (Some(body), None) => Ok(body.clone().into_bytes()),
            (None, Some(body)) => BASE64.decode(body).map_err(|error| format!("`body_base64`: {error}")),
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// A dead letter, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterView {
    /// Its own id.
    pub id: String,
    /// The handler that gave it up.
    pub handler: String,
    /// The subscription that gave it up.
    pub subscription: String,
    /// Why, in one line.
    pub reason: String,
    /// When it was given up.
    pub died_at: String,
    /// The event.
    pub event: EventView,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// One attempt to handle an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub began: String,
    /// Which version of the handler ran.
    pub version: String,
    /// `ack`, `retry`, `reject`, or the kind of fault, such as `trap` or `deadline`.
    pub outcome: String,
    /// Why it was not handled.
    pub reason: Option<String>,
    /// The guest's stack, innermost frame first, where there was one.
    pub stack: Option<String>,
    /// What it logged.
    pub log: Vec<LogLineView>,
    /// Log lines that were not kept, or only in part.
    pub log_cut: u64,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
    /// The most linear memory it held at once.
    pub peak_memory_bytes: u64,
}

/// A line that a handler logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLineView {
    /// When, to the millisecond.
    pub at: String,
    /// Who logged it.
    pub handler: String,
    /// For which subscription.
    pub subscription: String,
    /// The id of the event that it was handling.
    pub event: String,
    /// In which attempt.
    pub attempt: u32,
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub level: String,
    /// `logging`, `stdout`, `stderr`, or `host` for what the host says about the log itself.
    pub source: String,
    /// The context that the handler gave; may be empty.
    pub context: String,
    /// The text.
    pub text: String,
}

/// An event. Its body stands in exactly one of two fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its id.
    pub id: String,
    /// Where it was published.
    pub topic: String,
    /// When.
    pub published_at: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, if it is UTF-8.
    pub body: Option<String>,
    /// The body in base64 (RFC 4648, section 4), if it is not.
    pub body_base64: Option<String>,
}

/// An event was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedView {
    /// Its id.
    pub id: String,
    /// Where.
    pub topic: String,
    /// How many subscriptions will get it.
    pub subscriptions: u64,
}

/// A batch of events was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedBatchView {
    /// Each, in the order of the batch.
    pub events: Vec<PublishedView>,
}

/// An event was published and its publisher waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledView {
    /// Its id.
    pub id: String,
    /// Where.
    pub topic: String,
    /// Whether every subscription is done with it; `false` when the wait ended first.
    pub settled: bool,
    /// How it went for each.
    pub subscriptions: Vec<SettlementView>,
}

/// How an event went for one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettlementView {
    /// Which.
    pub subscription: String,
    /// Its handler.
    pub handler: String,
    /// How it ended.
    pub outcome: SettlementOutcome,
    /// Why it was not handled, or not yet.
    pub reason: Option<String>,
    /// How many attempts there were.
    pub attempts: u32,
    /// What they logged.
    pub log: Vec<LogLineView>,
    /// Log lines that were not kept, or only in part.
    pub log_cut: u64,
}

/// How an event ended for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettlementOutcome {
    /// It was handled.
    Ack,
    /// It was given up.
    DeadLetter,
    /// The subscription ended before its turn came.
    Discarded,
    /// It expired before its turn came.
    Expired,
    /// Not yet.
    Pending,
}

/// Log lines that a follower missed because it read too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostLinesView {
    /// How many.
    pub lines: u64,
}

/// Events that a follower missed because it read too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostEventsView {
    /// How many.
    pub events: u64,
}

/// A body as [`EventView`] carries it: as text if it is UTF-8, else in base64; exactly one of the two is there.
#[must_use]
pub fn text_or_base64(body: &[u8]) -> (Option<String>, Option<String>) {
    match str::from_utf8(body) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64.encode(body))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_or_base64() {
        assert_eq!(text_or_base64("é".as_bytes()), (Some("é".to_owned()), None));
        assert_eq!(text_or_base64(&[0xff]), (None, Some("/w==".to_owned())));
        assert_eq!(text_or_base64(&[0xfb, 0xff, 0xfe]), (None, Some("+//+".to_owned())));
    }

    #[test]
    fn outcomes_are_written_as_the_api_says() {
        let json = |outcome| serde_json::to_string(&outcome).unwrap();
        assert_eq!(json(SettlementOutcome::Ack), r#""ack""#);
        assert_eq!(json(SettlementOutcome::DeadLetter), r#""dead-letter""#);
        assert_eq!(json(SettlementOutcome::Discarded), r#""discarded""#);
        assert_eq!(json(SettlementOutcome::Expired), r#""expired""#);
        assert_eq!(json(SettlementOutcome::Pending), r#""pending""#);
    }
}
