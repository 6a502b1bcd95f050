//! HTTP requests to other servers.
//!
//! ```
//! # fn example(id: &str) -> hostel::Result {
//! let answer = hostel::http::get(&format!("https://api.example.com/items/{id}"))?;
//! if answer.status() == 404 {
//!     return Err(hostel::reject(format!("there is no item {id}")));
//! }
//! let item: serde_json::Value = answer.json()?;
//! # Ok(())
//! # }
//! ```
//!
//! The manifest must name the server: `http = ["https://api.example.com"]`. A request is sent when it is sent: unlike what
//! a handler publishes and keeps, it does not wait for the acknowledgement, and another attempt sends it again. The wait
//! for an answer counts to the handler's deadline. Redirects are answers like others. For streams and time-outs use bindings
//! of your own for `wasi:http`, which work beside this.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::Advice;
use crate::host;

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What was answered, whatever its status.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
///
/// By `?` a denied and a malformed request are rejections, as for [`PublishError`](crate::PublishError); anything else is
/// a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The handler may not send this. A rejection. The handler's log names the line of the manifest that would allow it.
    Denied {
        /// To where.
        url: String,
    },
    /// The method, the URL or a header is malformed; the text says which. A rejection.
    Invalid(String),
    /// The server was not reached, or did not answer as it should; the text says why. A retry.
    Failed(String),
}

/// Sends a GET.
///
/// # Errors
/// [`HttpError`]; a status that stands for a failure is none.
pub fn get(url: &str) -> Result<Response, HttpError> {
    send(Request::new("GET", url))
}

/// Sends a request and waits for the whole answer.
///
/// # Errors
/// [`HttpError`]; a status that stands for a failure is none.
pub fn send(request: Request) -> Result<Response, HttpError> {
    host::send(request)
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scheme, authority, and path with query; an error if the URL is none.
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "the double looks for whole URLs"))]
    pub(crate) fn parts(&self) -> Result<(bool, &str, &str), HttpError> {
        let invalid = || HttpError::Invalid(format!("`{}` is no URL that begins with http:// or https://", self.url));
        let (scheme, rest) = self.url.split_once("://").ok_or_else(invalid)?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(invalid()),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        Ok((secure, authority, path))
    }
}

impl Response {
    /// An answer, for [tests](crate::testing::Host::respond).
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Its status, such as 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether its status is from 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of the first header with this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its body as text.
    ///
    /// # Errors
    /// [`HttpError::Failed`] when it is not UTF-8.
    pub fn text(&self) -> Result<&str, HttpError> {
        std::str::from_utf8(&self.body).map_err(|error| HttpError::Failed(format!("the answer is not text: {error}")))
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// [`HttpError::Failed`] when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| HttpError::Failed(format!("the answer is not the JSON that is expected: {error}")))
    }
}

impl HttpError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::Denied { .. } | Self::Invalid(_) => Advice::Reject,
            Self::Failed(_) => Advice::Retry(None),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { url } => {
                write!(f, "a request to `{url}` was denied: add its server to `http` in handler.toml")
            }
            Self::Invalid(why) => write!(f, "the request was refused: {why}"),
            Self::Failed(why) => write!(f, "the request failed: {why}"),
        }
    }
}

impl std::error::Error for HttpError {}

/// Neither values nor bodies: they may be secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, body, .. } = self;
        f.debug_struct("Request").field("method", method).field("url", url).field("body_bytes", &body.len()).finish()
    }
}

/// The size of the body only.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("body_bytes", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Event, Host};

    #[test]
    fn a_double_answers_as_it_is_told_and_remembers_what_it_was_asked() {
        let url = "https://a.example/x";
        let host = Host::new().respond(url, Response::new(201, r#"{"a":1}"#).with_header("X-Kind", "test"));
        let run = host.run(
            |_| {
                let answer = send(Request::new("POST", url).header("X-Key", "k").body("b"))?;
                assert!(answer.is_success());
                assert_eq!((answer.status(), answer.header("x-kind")), (201, Some("test")));
                assert_eq!(answer.json::<serde_json::Value>()?["a"], 1);
                assert_eq!(answer.text()?, r#"{"a":1}"#);
                Ok(())
            },
            Event::new("a"),
        );
        assert_eq!(run.result, Ok(()));
        let [request] = &run.requests[..] else { panic!("{:?}", run.requests) };
        assert_eq!((request.method(), request.url(), &request.body[..]), ("POST", url, &b"b"[..]));
    }

    #[test]
    fn an_error_says_what_becomes_of_the_event() {
        let run = Host::new().run(|_| get("https://a.example").map(drop).map_err(Into::into), Event::new("a"));
        assert!(!run.result.unwrap_err().is_reject());
        let check = |error: HttpError, expected: crate::Error| assert_eq!(crate::Error::from(error), expected);
        check(
            HttpError::Denied { url: "u".into() },
            crate::reject("a request to `u` was denied: add its server to `http` in handler.toml"),
        );
        check(HttpError::Failed("no".into()), crate::retry("the request failed: no"));
    }
}
