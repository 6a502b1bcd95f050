//! What the operator sets: `hostel.toml`, over it the environment, over that the flags of `hostel serve`.
//!
//! Any values are taken that have the right type; [`check`](Config::check) says what does not fit together. Reading
//! and layering are in [`load`].

pub(crate) mod load;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use hostel_api::unit::{ByteSize, Span};

/// Everything. Each part has a table of its own in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where components, and code compiled from them, are kept.
    pub(crate) data_dir: PathBuf,
    /// How long running and waiting deliveries get to end after SIGTERM.
    pub(crate) shutdown_deadline: Span,
    /// Manifests of handlers to deploy at start, relative to the working directory.
    pub(crate) handlers: Vec<PathBuf>,
    /// Where events come in.
    pub(crate) ingress: Ingress,
    /// Where operators come in.
    pub(crate) admin: Admin,
    /// How much handlers may use together.
    pub(crate) runtime: Runtime,
    /// How much is kept.
    pub(crate) broker: Broker,
    /// What the host says of itself.
    pub(crate) log: Log,
}

/// Where events come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingress {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Whose topics it serves.
    pub(crate) tenant: String,
    /// The most bytes of a message, headers and body together.
    pub(crate) message_limit: ByteSize,
    /// How long a client may take for a request's head, from when it connected or got its last answer. So this is also
    /// how long a connection may be idle.
    pub(crate) head_timeout: Span,
    /// How long a client may take for a request's body.
    pub(crate) body_timeout: Span,
    /// The longest that a publisher may wait for its event to be settled.
    pub(crate) wait_limit: Span,
    /// How many connections are open at the same time.
    pub(crate) connections: usize,
}

/// Where operators come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The most bytes of a component.
    pub(crate) component_limit: ByteSize,
    /// How many connections are open at the same time.
    pub(crate) connections: usize,
}

/// How much handlers may use together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// How many invocations run at the same time.
    pub(crate) invocations: usize,
    /// The largest memory that a handler may ask for.
    pub(crate) memory_limit: ByteSize,
}

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Broker {
    /// Bytes of all events that are not settled.
    pub(crate) memory: ByteSize,
    /// How many dead letters are kept.
    pub(crate) dead_letters: usize,
    /// Bytes of all dead letters.
    pub(crate) dead_letter_memory: ByteSize,
}

/// What the host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// Which lines, in the words of `tracing`: `info`, `hostel_dispatch=debug,info`.
    pub(crate) filter: String,
    /// In which shape.
    pub(crate) format: LogFormat,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

const MIB: u64 = 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".hostel"),
            shutdown_deadline: Span(Duration::from_secs(30)),
            handlers: Vec::new(),
            ingress: Ingress::default(),
            admin: Admin::default(),
            runtime: Runtime::default(),
            broker: Broker::default(),
            log: Log::default(),
        }
    }
}

impl Default for Ingress {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4300)),
            tenant: "default".to_owned(),
            message_limit: ByteSize(MIB),
            // Longer than a minute: who publishes every 10, 30 or 60 seconds keeps its connection, and does not meet
            // its end at the very moment when the next request is on its way.
            head_timeout: Span(Duration::from_secs(75)),
            body_timeout: Span(Duration::from_secs(30)),
            wait_limit: Span(Duration::from_secs(60)),
            connections: 1024,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 4301)), component_limit: ByteSize(64 * MIB), connections: 128 }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            invocations: hostel_runtime::Settings::invocations_here(),
            memory_limit: ByteSize(hostel_runtime::Settings::MEMORY_LIMIT as u64),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self { memory: ByteSize(256 * MIB), dead_letters: 10_000, dead_letter_memory: ByteSize(64 * MIB) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}
