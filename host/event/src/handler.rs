//! Handlers: what a tenant deploys, and what it may do and use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::destination::Destination;
use crate::name::{BucketName, HandlerName, Tenant, Version};
use crate::pattern::Pattern;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    /// Takes the 32 bytes of a SHA-256.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    ///
    /// # Errors
    /// [`DigestError`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError(text.to_owned());
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return Err(error());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|&c| char::from(c).to_digit(16)).ok_or_else(error);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// A version of a handler, whole: what the host runs and under which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Whose handler it is.
    pub tenant: Tenant,
    /// Its name in the tenant.
    pub name: HandlerName,
    /// The version its author gave it.
    pub version: Version,
    /// The component's bytes.
    pub digest: Digest,
    /// What it hears, and how it is delivered.
    pub subscriptions: Vec<Subscription>,
    /// How many events one instance may serve, one after the other; with 1 each event has a fresh one.
    pub reuse: NonZeroU32,
    /// How much it may use.
    pub limits: Limits,
    /// What it may do.
    pub grants: Grants,
}

/// How much one invocation may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of all its instances together, in bytes.
    pub memory: usize,
    /// Wall-clock time from start to end, time in host calls included.
    pub deadline: Duration,
    /// Of that, the most time in which it computes and does not wait; `None` leaves it to the deadline.
    pub cpu_time: Option<Duration>,
    /// The most log lines kept of one invocation; what goes beyond is counted.
    pub log_lines: usize,
    /// The most bytes of log text kept of one invocation.
    pub log_bytes: usize,
    /// The most events that one invocation may publish.
    pub published_events: usize,
    /// The most bytes of those, headers and bodies together.
    pub published_bytes: usize,
}

impl Limits {
    /// The memory that a handler gets unless its manifest says otherwise: room for a Python guest, which takes 35 MiB
    /// at its start.
    pub const MEMORY: usize = 64 * 1024 * 1024;
    /// The deadline unless the manifest says otherwise. Arbitrary; long enough for a slow upstream, short enough that
    /// a stuck handler shows soon.
    pub const DEADLINE: Duration = Duration::from_secs(5);
    /// Log lines for each invocation unless the manifest says otherwise. Arbitrary: a page of text.
    pub const LOG_LINES: usize = 100;
    /// Log bytes for each invocation unless the manifest says otherwise.
    pub const LOG_BYTES: usize = 16 * 1024;
    /// The most events that one invocation publishes, unless the manifest says less. Arbitrary: a handler that wants more
    /// is better off as several. It is also as many as one ack carries where effects are held back for it.
    pub const PUBLISHED_EVENTS: usize = 1_000;
    /// Their bytes, unless the manifest says less. Arbitrary: sixteen messages of the largest size by default.
    pub const PUBLISHED_BYTES: usize = 16 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Self::MEMORY,
            deadline: Self::DEADLINE,
            cpu_time: None,
            log_lines: Self::LOG_LINES,
            log_bytes: Self::LOG_BYTES,
            published_events: Self::PUBLISHED_EVENTS,
            published_bytes: Self::PUBLISHED_BYTES,
        }
    }
}

/// What a handler may do beyond computing. Nothing, unless its manifest asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Topics that it may publish on.
    pub publish: Vec<Pattern>,
    /// Buckets of its tenant that it may read and write.
    pub key_value: Vec<BucketName>,
    /// Where it may send HTTP requests.
    pub http: Vec<Destination>,
    /// What `wasi:config/store` answers.
    pub config: BTreeMap<String, String>,
    /// The names of the secrets of its tenant that `wasi:config/store` answers beside it. Their values are nowhere here.
    pub secrets: BTreeSet<String>,
    /// What `wasi:cli/environment` answers.
    pub environment: BTreeMap<String, String>,
    /// The bundle of files that it reads.
    pub files: Option<Digest>,
}

impl Grants {
    /// Whether it may publish on `topic`.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.publish.iter().any(|pattern| pattern.matches(topic))
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("publish", &self.publish)
            .field("key_value", &self.key_value)
            .field("http", &self.http)
            .field("config", &self.config.keys().collect::<Vec<_>>())
            .field("secrets", &self.secrets)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("files", &self.files)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes() {
        let digest = Digest::new(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        assert_eq!(Digest::parse(&format!("sha256:{digest}")), Ok(digest));
        assert!(Digest::parse("abc").is_err());
        assert!(Digest::parse(&"g".repeat(64)).is_err());
        assert!(Digest::parse(&"é".repeat(32)).is_err());
    }

    #[test]
    fn grants_never_print_a_value() {
        let config = BTreeMap::from([("key".to_owned(), "s3cret".to_owned())]);
        let grants = Grants { environment: config.clone(), config, ..Grants::default() };
        assert!(!format!("{grants:?}").contains("s3cret"));
    }
}
