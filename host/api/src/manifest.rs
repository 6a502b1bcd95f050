//! Manifests: what an author writes in `handler.toml`, and the same shape as JSON on the admin API's wire.
//!
//! What is not written stays absent here; the server fills in its defaults. Names, topics and patterns are texts here
//! and checked by the server, so that there is one rule for them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::unit::{ByteSize, Span};

/// A version of a handler as its author describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The handler's name in its tenant: `a-z 0-9 -`.
    pub name: String,
    /// The version that the author gives it.
    #[serde(default = "first_version")]
    pub version: String,
    /// In TOML, where the component is, relative to the manifest. In JSON, `sha256:` and 64 hexadecimal digits.
    pub component: String,
    /// Patterns of the topics that it may publish on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Buckets of keys and values that it may read and write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyvalue: Vec<String>,
    /// Where it may send HTTP requests: scheme, host, port and the beginning of a path, after methods if not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// The names of the tenant's secrets that `wasi:config/store` answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The files that it reads, at `/files`. In TOML, a folder, relative to the manifest. In JSON, `sha256:` and 64
    /// hexadecimal digits, of the bundle of that folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// What it hears.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
    /// How many events one instance may serve, one after the other; absent: each event has a fresh one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<NonZeroU32>,
    /// How much one invocation may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What `wasi:config/store` answers.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub config: Settings,
    /// Its environment variables. The host's own are not among them.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub environment: Settings,
}

/// What a handler hears, and how it is delivered. What is absent is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Which topics.
    pub pattern: String,
    /// The tenant whose topics they are, if it exports them; absent: the handler's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whom it shares events with; absent: it gets each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How many of its deliveries run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// How many deliveries it may have waiting and running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<NonZeroU32>,
    /// Which of its deliveries go one after another: `header:` and the header whose value they have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// What follows a failed attempt.
    #[serde(default, skip_serializing_if = "Retry::is_empty")]
    pub retry: Retry,
    /// When it is paused because its handler keeps failing.
    #[serde(default, skip_serializing_if = "Quarantine::is_empty")]
    pub quarantine: Quarantine,
    /// Which events it begins with when it is new: `earliest`, `latest`, or those since a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// When a subscription is paused because its handler keeps failing. What is absent is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// After this many faults without an ack between them; 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<u32>,
    /// Only if all of them fell within this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
}

/// What follows a failed attempt. What is absent is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many attempts an event gets before it becomes a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<NonZeroU32>,
    /// The upper bound of the delay after the first attempt; it doubles with each further one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Span>,
    /// What the upper bound never exceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<Span>,
}

/// How much one invocation may use. What is absent is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Wall-clock time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Of that, the time in which it computes and does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Span>,
    /// Log lines that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u32>,
    /// Bytes of log text that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<ByteSize>,
    /// Events that it may publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_events: Option<u32>,
    /// Bytes of those, headers and bodies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_bytes: Option<ByteSize>,
}

/// Keys and values for the handler. `Debug` shows the keys only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, String>);

impl Manifest {
    /// Reads `handler.toml`. `file` is its name for errors.
    ///
    /// # Errors
    /// [`DocumentError`] names the line and the key, and the nearest known key where one is unknown.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, DocumentError> {
        document::from_toml(text, file)
    }

    /// Reads the JSON of the admin API.
    ///
    /// # Errors
    /// As for [`from_toml`](Self::from_toml).
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::from_json(bytes)
    }
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Retry {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Quarantine {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Settings {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn first_version() -> String {
    "0.0.0".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FULL: &str = r#"
name = "hello"
version = "0.1.0"
component = "hello.wasm"
publish = ["orders.*"]

[[subscriptions]]
pattern = "orders.created"
queue = "workers"
concurrency = 16
window = 10000
retry = { attempts = 5, backoff = "1s", backoff_limit = "60s" }

[[subscriptions]]
pattern = "orders.>"

[limits]
memory = "64MiB"
deadline = "5s"
log_lines = 100
log_bytes = "16KiB"
published_events = 10

[config]
key = "value"
"#;

    #[test]
    fn a_whole_manifest_is_read_and_survives_json() {
        let manifest = Manifest::from_toml(FULL, "handler.toml").unwrap();
        let first = &manifest.subscriptions[0];
        assert_eq!(first.concurrency, NonZeroU32::new(16));
        assert_eq!(first.retry.backoff_limit, Some(Span(Duration::from_secs(60))));
        assert_eq!(manifest.subscriptions[1], Subscription { pattern: "orders.>".to_owned(), ..Default::default() });
        assert_eq!(manifest.limits.memory, Some(ByteSize(64 << 20)));
        assert_eq!(manifest.config.0["key"], "value");
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(Manifest::from_json(&json), Ok(manifest));
    }

    #[test]
    fn grants_are_read_and_survive_json() {
        let grants = "keyvalue = [\"totals\"]\nhttp = [\"https://a.example\"]\nsecrets = [\"KEY\"]\n\
                      environment = { TZ = \"UTC\" }\npublish =";
        let text = FULL.replacen("publish =", grants, 1);
        let manifest = Manifest::from_toml(&text, "handler.toml").unwrap();
        assert_eq!((manifest.secrets[0].as_str(), manifest.environment.0["TZ"].as_str()), ("KEY", "UTC"));
        assert_eq!((manifest.keyvalue[0].as_str(), manifest.http[0].as_str()), ("totals", "https://a.example"));
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(Manifest::from_json(&json), Ok(manifest));
    }

    #[test]
    fn order_and_quarantine_are_read_and_survive_json() {
        let rules = "order_by = \"header:Customer\"\nquarantine = { faults = 3, window = \"10s\" }\nstart = \"earliest\"\nwindow =";
        let manifest = Manifest::from_toml(&FULL.replacen("window =", rules, 1), "handler.toml").unwrap();
        let first = &manifest.subscriptions[0];
        assert_eq!(first.order_by.as_deref(), Some("header:Customer"));
        assert_eq!(first.start.as_deref(), Some("earliest"));
        assert_eq!(first.quarantine, Quarantine { faults: Some(3), window: Some(Span(Duration::from_secs(10))) });
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(Manifest::from_json(&json), Ok(manifest));
    }

    #[test]
    fn what_is_not_written_is_absent() {
        let manifest = Manifest::from_toml("name = \"a\"\ncomponent = \"a.wasm\"", "handler.toml").unwrap();
        assert_eq!(serde_json::to_string(&manifest).unwrap(), r#"{"name":"a","version":"0.0.0","component":"a.wasm"}"#);
    }

    #[test]
    fn config_values_are_never_printed() {
        let manifest = Manifest::from_toml(FULL, "handler.toml").unwrap();
        let printed = format!("{manifest:?}");
        assert!(printed.contains("config: {\"key\"}"), "{printed}");
        assert!(!printed.contains("value\""), "{printed}");
    }

    /// Checks the error that `FULL` gives after `from` was replaced by `to`.
    fn check(from: &str, to: &str, expected: &str) {
        assert!(FULL.contains(from), "{from}");
        let text = FULL.replacen(from, to, 1);
        let error = Manifest::from_toml(&text, "handler.toml").unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        check("version =", "versoin =", "`handler.toml` line 3: unknown key `versoin`; did you mean `version`?");
        check("memory =", "memry =", "`handler.toml` line 18: unknown key `memry` in `limits`; did you mean `memory`?");
        check(
            "queue =",
            "cue =",
            "`handler.toml` line 9: unknown key `cue` in `subscriptions[0]`; \
             known are `pattern`, `from`, `queue`, `concurrency`, `window`, `order_by`, `retry`, `quarantine` and `start`",
        );
        check(
            "backoff_limit =",
            "backoff-limit =",
            "`handler.toml` line 12: unknown key `backoff-limit` in `subscriptions[0].retry`; \
             did you mean `backoff_limit`?",
        );
        check("[limits]", "[limit]", "`handler.toml` line 17: unknown key `limit`; did you mean `limits`?");
    }

    #[test]
    fn a_missing_key_is_named_with_its_table() {
        check("name = \"hello\"", "", "`handler.toml`: key `name` is missing");
        check("pattern = \"orders.created\"", "", "`handler.toml`: key `pattern` is missing in `subscriptions[0]`");
    }

    #[test]
    fn a_bad_value_is_named_with_its_key() {
        check(
            "\"5s\"",
            "\"5 parsecs\"",
            "`handler.toml` line 19: key `limits.deadline`: `5 parsecs` is not a duration; \
             write a number and a unit, such as `250ms`, `5s` or `1m 30s`",
        );
        check(
            "\"64MiB\"",
            "64",
            "`handler.toml` line 18: key `limits.memory`: invalid type: integer `64`, \
             expected a size with its unit, such as \"64MiB\"",
        );
        check(
            "concurrency = 16",
            "concurrency = 0",
            "`handler.toml` line 10: key `subscriptions[0].concurrency`: invalid value: integer `0`, \
             expected a nonzero u32",
        );
        check(
            "key = \"value\"",
            "key = 7",
            "`handler.toml` line 25: key `config.key`: invalid type: integer `7`, expected a string",
        );
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        check("\"hello\"", "hello\"", "`handler.toml` line 2: missing opening quote, expected `\"`");
        check("[config]", "[config", "`handler.toml` line 24: unclosed table, expected `]`");
        check("deadline =", "memory =", "`handler.toml` line 19: duplicate key");
    }

    #[test]
    fn json_is_refused_with_the_same_words() {
        let check = |json: &str, expected: &str| {
            assert_eq!(Manifest::from_json(json.as_bytes()).unwrap_err().to_string(), expected);
        };
        check(
            r#"{"name":"a","component":"b","limits":{"memry":"1MiB"}}"#,
            "line 1: unknown key `memry` in `limits`; did you mean `memory`?",
        );
        check(r#"{"name":"a"}"#, "key `component` is missing");
        check(r#"{"name":"a","component":"b"} x"#, "line 1: trailing characters");
        check("", "line 1: EOF while parsing a value");
    }
}
