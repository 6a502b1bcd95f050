//! How events are kept: `[broker]`, and its rules for single topics.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use hostel_api::unit::{ByteSize, Span};
use hostel_event::pattern::Pattern;

use super::MIB;

/// The longest interval of syncs. Arbitrary; whoever wants to lose more than a minute says `never`.
const INTERVAL_LIMIT: Duration = Duration::from_secs(60);

/// How events are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Broker {
    /// Which broker.
    #[serde(rename = "use")]
    pub(crate) kind: BrokerKind,
    /// When a publish is answered.
    pub(crate) sync: SyncPolicy,
    /// How long events stay; 0: as long as there is room.
    pub(crate) keep_for: Span,
    /// How many bytes of a topic stay; 0: all.
    pub(crate) keep_bytes: ByteSize,
    /// How many events of a topic stay; 0: all.
    pub(crate) keep_events: u64,
    /// An id that its publisher gave counts as seen for so long.
    pub(crate) dedupe_window: Span,
    /// Topics that are kept otherwise; the first pattern that hears a topic counts.
    pub(crate) topics: Vec<TopicRule>,
    /// Bytes of events in memory.
    pub(crate) memory: ByteSize,
    /// How many dead letters the memory broker keeps.
    pub(crate) dead_letters: usize,
    /// Bytes of all dead letters that the memory broker keeps.
    pub(crate) dead_letter_memory: ByteSize,
    /// Bytes of all keys and values that the memory broker keeps.
    pub(crate) key_value_memory: ByteSize,
}

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    /// Over the log in the data directory.
    Durable,
    /// In memory alone.
    Memory,
}

/// How the topics are kept that a pattern hears. What is absent is as for all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicRule {
    /// Which topics.
    pub(crate) pattern: String,
    /// When a publish is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sync: Option<SyncPolicy>,
    /// How long events stay; 0: as long as there is room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_for: Option<Span>,
    /// How many bytes of a topic stay; 0: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_bytes: Option<ByteSize>,
    /// How many events of a topic stay; 0: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_events: Option<u64>,
    /// Whether events go when their time is over though somebody has not settled them.
    #[serde(default)]
    pub(crate) drop: bool,
}

/// When a publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncPolicy {
    /// Once it is on the disk.
    Always,
    /// Once the system has it, which puts it on the disk within this time.
    Interval(Duration),
    /// Once the system has it.
    Never,
}

impl FromStr for SyncPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => return Ok(Self::Always),
            "never" => return Ok(Self::Never),
            _ => {}
        }
        let span: Span = text
            .parse()
            .map_err(|_| format!("`{text}` is neither `always`, `never` nor a duration, such as `100ms`"))?;
        if span.0.is_zero() || span.0 > INTERVAL_LIMIT {
            return Err(format!("`{text}` is not between 1ms and 1m; write `always` or `never`"));
        }
        Ok(Self::Interval(span.0))
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Interval(interval) => Span(*interval).fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

impl Serialize for SyncPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SyncPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Default for Broker {
    /// A week of history, at most 1 GiB of each topic. The numbers are arbitrary: enough for a replay after a bad weekend,
    /// and a bound for the disk.
    fn default() -> Self {
        Self {
            kind: BrokerKind::Durable,
            sync: SyncPolicy::Always,
            keep_for: Span(Duration::from_secs(7 * 24 * 60 * 60)),
            keep_bytes: ByteSize(1024 * MIB),
            keep_events: 0,
            dedupe_window: Span(Duration::from_secs(120)),
            topics: Vec::new(),
            memory: ByteSize(256 * MIB),
            dead_letters: 10_000,
            dead_letter_memory: ByteSize(64 * MIB),
            key_value_memory: ByteSize(64 * MIB),
        }
    }
}

/// What of it has the right type and still cannot be.
pub(super) fn check(broker: &Broker, wrong: &mut impl FnMut(bool, &str)) {
    let standard = Broker::default();
    if broker.kind == BrokerKind::Memory {
        let durable_only = [
            ("sync", broker.sync != standard.sync),
            ("keep_for", broker.keep_for != standard.keep_for),
            ("keep_bytes", broker.keep_bytes != standard.keep_bytes),
            ("keep_events", broker.keep_events != standard.keep_events),
            ("dedupe_window", broker.dedupe_window != standard.dedupe_window),
            ("topics", !broker.topics.is_empty()),
        ];
        for (key, is_set) in durable_only {
            wrong(is_set, &format!("`broker.{key}` has no effect with `broker.use = \"memory\"`"));
        }
    }
    for (at, rule) in broker.topics.iter().enumerate() {
        if let Err(error) = Pattern::new(&rule.pattern) {
            wrong(true, &format!("`broker.topics[{at}].pattern`: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_policy_is_a_word_or_an_interval() {
        let check = |text: &str, expected: SyncPolicy| {
            let read: SyncPolicy = text.parse().unwrap();
            assert_eq!((read, read.to_string().as_str()), (expected, text));
        };
        check("always", SyncPolicy::Always);
        check("never", SyncPolicy::Never);
        check("100ms", SyncPolicy::Interval(Duration::from_millis(100)));
        let refused = |text: &str| text.parse::<SyncPolicy>().unwrap_err();
        assert_eq!(refused("often"), "`often` is neither `always`, `never` nor a duration, such as `100ms`");
        assert_eq!(refused("0s"), "`0s` is not between 1ms and 1m; write `always` or `never`");
        assert_eq!(refused("2m"), "`2m` is not between 1ms and 1m; write `always` or `never`");
    }

    fn mistakes(text: &str) -> Vec<String> {
        let broker: Broker = toml::from_str(text).unwrap();
        let mut mistakes = Vec::new();
        check(&broker, &mut |wrong, text| {
            if wrong {
                mistakes.push(text.to_owned());
            }
        });
        mistakes
    }

    #[test]
    fn what_the_memory_broker_cannot_do_is_not_asked_of_it() {
        assert_eq!(
            mistakes("use = 'memory'\nsync = 'never'\ntopics = [{ pattern = 'a' }]"),
            [
                "`broker.sync` has no effect with `broker.use = \"memory\"`",
                "`broker.topics` has no effect with `broker.use = \"memory\"`",
            ]
        );
        assert_eq!(mistakes("use = 'memory'\nmemory = '1MiB'"), Vec::<String>::new());
    }

    #[test]
    fn a_rule_for_topics_names_them_by_a_good_pattern() {
        assert_eq!(
            mistakes("topics = [{ pattern = 'a', drop = true }, { pattern = 'a..b' }]"),
            ["`broker.topics[1].pattern`: pattern `a..b` has an empty token"]
        );
    }
}
