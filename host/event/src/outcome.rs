//! How one attempt ended, and what it used.

use std::fmt;
use std::time::Duration;

use crate::name::Version;
use crate::time::Timestamp;

/// How one attempt ended, in the handler's words or the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler returned ok.
    Ack,
    /// The handler asked for another attempt.
    Retry {
        /// Why.
        reason: String,
        /// How long to wait before it; `None` leaves it to the backoff.
        after: Option<Duration>,
    },
    /// The handler gave the event up.
    Reject {
        /// Why.
        reason: String,
    },
    /// The handler did not return: the host ended it, or could not begin.
    Fault(Fault),
}

/// Why a handler did not return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub kind: FaultKind,
    /// What happened, in a sentence.
    pub message: String,
    /// The guest's stack, innermost frame first, a line for each frame, where there was one.
    pub stack: Option<String>,
}

/// The kinds of fault, each of which a person treats in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// The guest trapped: a panic, a failed assertion, an access out of bounds.
    Trap,
    /// The guest ran into its deadline, in a loop or in a host call.
    Deadline,
    /// The guest asked for more memory or table space than its cap and then failed.
    Memory,
    /// The guest recursed past its stack.
    Stack,
    /// The guest ended itself with a failing exit code instead of returning.
    Exit,
    /// The guest returned or passed a value that the contract forbids.
    Contract,
    /// The host could not run the guest; no fault of the guest's.
    Host,
}

impl FaultKind {
    /// Whether the handler is to blame: a fault of the host's says nothing about it.
    #[must_use]
    pub const fn is_of_handler(self) -> bool {
        !matches!(self, Self::Host)
    }

    /// Its name in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Exit => "exit",
            Self::Contract => "contract",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Outcome {
    /// Its name in logs, metrics and answers: `ack`, `retry`, `reject`, or the kind of fault.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Retry { .. } => "retry",
            Self::Reject { .. } => "reject",
            Self::Fault(fault) => fault.kind.as_str(),
        }
    }

    /// Why the event was not handled; `None` for an ack.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ack => None,
            Self::Retry { reason, .. } | Self::Reject { reason } => Some(reason),
            Self::Fault(fault) => Some(&fault.message),
        }
    }

    /// The guest's stack, where there is one.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        match self {
            Self::Fault(fault) => fault.stack.as_deref(),
            _ => None,
        }
    }
}

/// How serious a log line is. The words of `wasi:logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The flow of control.
    Trace,
    /// For someone debugging.
    Debug,
    /// For someone watching.
    Info,
    /// Something hazardous.
    Warn,
    /// Something failed.
    Error,
    /// The handler cannot go on.
    Critical,
}

impl Level {
    /// Its name in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// `wasi:logging`.
    Logging,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The host, which has something to say about the log itself.
    Host,
}

/// A line that a handler logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// How serious.
    pub level: Level,
    /// Where it came from.
    pub source: LogSource,
    /// The context that the handler gave, often a module; may be empty.
    pub context: String,
    /// The text, without a line end.
    pub text: String,
}

/// What one attempt logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The lines that were kept, in order.
    pub lines: Vec<LogLine>,
    /// How many lines were not kept, or kept only in part, because the attempt logged more than it may.
    pub cut: u64,
}

impl Log {
    /// A line that says how much was cut; `None` if nothing was.
    #[must_use]
    pub fn note(&self, at: Timestamp) -> Option<LogLine> {
        let text = match self.cut {
            0 => return None,
            1 => "1 line was cut".to_owned(),
            cut => format!("{cut} lines were cut"),
        };
        let text = format!("{text}: the handler logged more than `log_lines` and `log_bytes` in `[limits]` allow");
        Some(LogLine { at, level: Level::Warn, source: LogSource::Host, context: String::new(), text })
    }
}

/// What one attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// From before the instance was made until after the handler returned.
    pub wall: Duration,
    /// Of that, the time in which it computed and did not wait, calls to the host included.
    pub cpu: Duration,
    /// The most linear memory it held at once, in bytes.
    pub peak_memory: usize,
    /// Bytes that it was given: headers and body of its event, values of keys, bodies of HTTP answers.
    pub bytes_in: u64,
    /// Bytes that it gave: headers and bodies that it published, values of keys, bodies of HTTP requests.
    pub bytes_out: u64,
    /// HTTP requests that it sent.
    pub calls: u32,
}

/// Everything the host tells of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What it logged.
    pub log: Log,
    /// What it used.
    pub usage: Usage,
}

/// One attempt as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub began: Timestamp,
    /// Which version of the handler ran.
    pub version: Version,
    /// How it ended, what it logged and used.
    pub report: Report,
}
