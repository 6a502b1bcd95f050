//! How a request is refused, byte for byte as go-micro does.
//!
//! It does not say when a request is not answered at all; that is the endpoint's to decide.

use hostel_event::headers::HeaderError;

use crate::http::wire::escape;

const PLAIN: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
const NO_SNIFFING: (&str, &str) = ("X-Content-Type-Options", "nosniff");

/// Why a request is refused. The text is the `detail` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is no message; in Go's words.
    #[error("Error parsing request body: {0}")]
    Body(String),
    /// The message names no topic, or is `null`.
    #[error("Topic not found")]
    Topic,
    /// go-micro would take the header, Hostel does not.
    #[error("Error reading message header: {0}")]
    Header(#[from] HeaderError),
    /// Another method than POST.
    #[error("Method not allowed")]
    Method,
    /// Another path than v1's, where only v1's is served.
    #[error("404 page not found")]
    Path,
}

/// What is sent back. `Date` and `Content-Length` are added by the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// Its headers.
    pub headers: &'static [(&'static str, &'static str)],
    /// Its body.
    pub body: Vec<u8>,
}

impl Refusal {
    /// The answer, as go-micro gives it.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            Self::Body(_) | Self::Topic | Self::Header(_) => {
                let body = error(500, "Internal Server Error", &self.to_string());
                Answer { status: 500, headers: &[PLAIN], body }
            }
            // 405 outside and 400 within, and a line's end: Go's `http.Error` adds it.
            Self::Method => {
                let mut body = error(400, "Bad Request", &self.to_string());
                body.push(b'\n');
                Answer { status: 405, headers: &[PLAIN, NO_SNIFFING], body }
            }
            Self::Path => {
                Answer { status: 404, headers: &[PLAIN, NO_SNIFFING], body: format!("{self}\n").into_bytes() }
            }
        }
    }
}

/// go-micro's error as JSON.
fn error(code: u16, status: &str, detail: &str) -> Vec<u8> {
    let mut json = format!(r#"{{"id":"go.micro.broker","code":{code},"detail":"#).into_bytes();
    escape::text(&mut json, detail);
    json.extend_from_slice(br#","status":"#);
    escape::text(&mut json, status);
    json.push(b'}');
    json
}
