//! go-micro's HTTP broker on the wire: requests, messages and refusals as bytes. No I/O.
//!
//! `docs/wire/gomicro-http.md` shows every byte. What Go's standard library decides, such as what counts as JSON and
//! how an error reads, is decided here in the same way; the tests compare with what Go says.

mod base64;
pub mod decode;
pub mod encode;
mod escape;
mod json;
mod message;
mod query;
mod quote;
pub mod refusal;

#[cfg(test)]
mod tests;

/// The version under which a node without a queue is registered: every node of it gets every message.
pub const BROADCAST_VERSION: &str = "ff.http.broadcast";
/// The content type of every request.
pub const CONTENT_TYPE: &str = "application/json";

/// The two forms that go-micro's HTTP broker has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Generation {
    /// v1.18.
    First,
    /// v2.5 to v6.
    Second,
}

impl Generation {
    /// The service under which a node is registered.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::First => "go.micro.http.broker",
            Self::Second => "micro.http.broker",
        }
    }

    /// Where a message is posted.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::First => "/_sub",
            Self::Second => "/",
        }
    }

    /// The header that names the topic.
    #[must_use]
    pub const fn topic_header(self) -> &'static str {
        match self {
            Self::First => ":topic",
            Self::Second => "Micro-Topic",
        }
    }
}
