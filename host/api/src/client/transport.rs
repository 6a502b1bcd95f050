//! One request and its answer: connecting, time limits, bounded bodies, and what each failure is called.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tls::{Connector, Tls};
use super::upload::{Sent, Upload};
use super::{CALL_LIMIT, tls};
use crate::problem::Problem;

/// How long a connection may take to come about. Arbitrary; a host is near.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that is read whole. A list of a thousand dead letters stays far below it.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// What may stand in a path's segment or a query's value as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers at the address: error code E0036.
    #[error("no host answers at {address}")]
    Unreachable {
        /// The base of the URL.
        address: String,
        /// What the connection failed with.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The host wants a certificate of the client's, or does not take the one it was shown: error code E0052.
    #[error("the host at {address} lets nobody in without a certificate that it believes")]
    Certificate {
        /// The base of the URL.
        address: String,
        /// The alert that it sent.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The host answered that it would not.
    #[error("{}", .problem.detail)]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// When it said to try again.
        retry_after: Option<Duration>,
    },
    /// The answer took too long.
    #[error("{what} took longer than {} s", .limit.as_secs())]
    TooSlow {
        /// Method and URL.
        what: String,
        /// How long it might have taken.
        limit: Duration,
    },
    /// The connection broke before the answer was whole.
    #[error("{what} broke off")]
    Broken {
        /// Method and URL.
        what: String,
        /// What it broke with.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer is none that a host of this version gives.
    #[error("{what} was answered with {found}; is a Hostel host of this version there?")]
    Malformed {
        /// Method and URL.
        what: String,
        /// What came instead.
        found: String,
    },
    /// What was asked for cannot be put into a request.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// The error and its first cause. What lies between tells of the HTTP library's parts and of nothing else.
    #[must_use]
    pub fn with_cause(&self) -> String {
        let mut root: &dyn Error = self;
        while let Some(source) = root.source() {
            root = source;
        }
        if std::ptr::addr_eq(root, self) { self.to_string() } else { format!("{self}: {root}") }
    }
}

/// How long a connection is kept for another request. Shorter than the 75 seconds after which a host closes one, so that
/// a request does not meet the end of its connection.
const IDLE: Duration = Duration::from_secs(60);

/// A base URL that was checked: `http://host:port` or `https://host:port`, and perhaps a path before every other.
#[derive(Debug, Clone)]
pub(super) struct Base(String);

impl Base {
    pub(super) fn parse(text: &str) -> Result<Self, ClientError> {
        let invalid = |why: &str| {
            ClientError::Invalid(format!("`{text}` is not the base URL of a host: {why}; write `http://host:port`"))
        };
        let uri: Uri = text.parse().map_err(|_| invalid("it is no URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(invalid("it does not begin with `http://` or `https://`")),
        }
        if uri.query().is_some() {
            return Err(invalid("it has a query"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether it takes TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// Escapes what may not stand in one segment of a path or one value of a query.
pub(super) fn segment(text: &str) -> String {
    // A segment of dots only would walk up the path instead of naming something.
    if text == "." || text == ".." {
        return text.replace('.', "%2E");
    }
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A request before it is sent.
#[derive(Debug)]
pub(super) struct Ask {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    /// Counts what of the body is on its way.
    sent: Sent,
    limit: Duration,
}

impl Ask {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new(), sent: Sent::default(), limit: CALL_LIMIT }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    pub(super) fn counting(self, sent: &Sent) -> Self {
        Self { sent: sent.clone(), ..self }
    }

    pub(super) fn json(self, value: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_vec(value).map_err(|error| ClientError::Invalid(error.to_string()))?;
        Ok(self.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.into()))
    }

    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    fn what(&self) -> String {
        format!("{} {}", self.method, self.url)
    }
}

/// Whether connections may take TLS.
#[derive(Debug, Clone, Copy)]
pub(super) enum Security<'a> {
    Plain,
    Tls(&'a Tls),
}

/// Sends requests. Clones share their connections.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: HyperClient<Connector, Upload>,
    /// What every request shows of who asks.
    authorization: Option<HeaderValue>,
}

impl Transport {
    pub(super) fn new(security: Security<'_>) -> Result<Self, ClientError> {
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECT_LIMIT));
        plain.set_nodelay(true);
        let connector = match security {
            Security::Plain => Connector::plain(plain),
            Security::Tls(settings) => Connector::tls(plain, settings)?,
        };
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { http, authorization: None })
    }

    /// The same, that shows a token with every request.
    pub(super) fn with_token(self, token: &str) -> Result<Self, ClientError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| ClientError::Invalid("the token has a character that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    /// Asks, and reads the whole answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClientError> {
        let what = ask.what();
        let body = self.whole(ask).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Malformed { what, found: format!("JSON that does not fit ({error})") })
    }

    /// Asks, and reads the whole answer as text.
    pub(super) async fn text(&self, ask: Ask) -> Result<String, ClientError> {
        self.whole(ask).await.map(|body| String::from_utf8_lossy(&body).into_owned())
    }

    /// Asks for a stream of server-sent events; the time limit is for its beginning.
    pub(super) async fn stream(&self, ask: Ask) -> Result<Incoming, ClientError> {
        let (what, limit) = (ask.what(), ask.limit);
        let ask = ask.header(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let response = tokio::time::timeout(limit, async {
            let response = self.send(ask).await?;
            if response.status().is_success() { Ok(response) } else { Err(refusal(&what, response).await) }
        });
        let response = response.await.map_err(|_| ClientError::TooSlow { what: what.clone(), limit })??;
        let kind = media_type(response.headers());
        if kind != "text/event-stream" {
            return Err(ClientError::Malformed { what, found: format!("`{kind}` instead of a stream of events") });
        }
        Ok(response.into_body())
    }

    async fn whole(&self, ask: Ask) -> Result<Bytes, ClientError> {
        let (what, limit) = (ask.what(), ask.limit);
        let answer = tokio::time::timeout(limit, async {
            let response = self.send(ask).await?;
            if response.status().is_success() {
                read(&what, response.into_body()).await
            } else {
                Err(refusal(&what, response).await)
            }
        });
        answer.await.map_err(|_| ClientError::TooSlow { what: what.clone(), limit })?
    }

    async fn send(&self, ask: Ask) -> Result<Response<Incoming>, ClientError> {
        let what = ask.what();
        let uri: Uri = ask.url.parse().map_err(|_| ClientError::Invalid(format!("`{}` is no URL", ask.url)))?;
        let address = uri.authority().map_or_else(
            || ask.url.clone(),
            |authority| format!("{}://{authority}", uri.scheme_str().unwrap_or("http")),
        );
        let mut request = Request::new(Upload::new(ask.body, ask.sent));
        *request.method_mut() = ask.method;
        *request.uri_mut() = uri;
        // No User-Agent: the ingress would make it a header of the message, and nobody asked for one.
        *request.headers_mut() = ask.headers;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        self.http.request(request).await.map_err(|error| {
            // With TLS 1.3 a client believes that it is connected before the host has looked at its certificate.
            if tls::is_about_our_certificate(&error) {
                ClientError::Certificate { address, source: error.into() }
            } else if error.is_connect() {
                ClientError::Unreachable { address, source: error.into() }
            } else {
                ClientError::Broken { what, source: error.into() }
            }
        })
    }
}

async fn read(what: &str, body: Incoming) -> Result<Bytes, ClientError> {
    match Limited::new(body, ANSWER_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ClientError::Malformed { what: what.to_owned(), found: format!("more than {ANSWER_LIMIT} bytes") })
        }
        Err(source) => Err(ClientError::Broken { what: what.to_owned(), source }),
    }
}

/// What an answer that is no success says.
async fn refusal(what: &str, response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = match read(what, response.into_body()).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => ClientError::Problem { problem: Box::new(problem), retry_after },
        Err(_) => ClientError::Malformed { what: what.to_owned(), found: bare(status, &body) },
    }
}

/// A status and the beginning of its body: some proxy's page, or a plain word such as that of `/readyz`.
fn bare(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(200).collect();
    if text.trim().is_empty() { format!("status {status}") } else { format!("status {status} and `{}`", text.trim()) }
}

/// `Retry-After` in whole seconds; its other form, a date, is not one that a host sends.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_checked_before_anything_is_sent() {
        let check = |text: &str, expected: &str| {
            let error = Base::parse(text).unwrap_err();
            let hint = "write `http://host:port`";
            assert_eq!(error.to_string(), format!("`{text}` is not the base URL of a host: {expected}; {hint}"));
        };
        check("127.0.0.1:4301", "it does not begin with `http://` or `https://`");
        check("http://", "it is no URL");
        check("http://a b", "it is no URL");
        check("http://a/?b", "it has a query");
        check("", "it is no URL");
        assert_eq!(Base::parse("http://localhost:4301/").unwrap().url("/healthz"), "http://localhost:4301/healthz");
        let is_secure = |text: &str| Base::parse(text).unwrap().is_secure();
        assert!(is_secure("https://a:1") && is_secure("HTTPS://a:1") && !is_secure("http://a:1"));
    }

    #[test]
    fn what_would_change_a_path_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(segment(text), expected);
        check("orders.created", "orders.created");
        check("orders.*", "orders.%2A");
        check("orders.>", "orders.%3E");
        check("a/b?c=d&e é", "a%2Fb%3Fc%3Dd%26e%20%C3%A9");
        check("..", "%2E%2E");
    }
}
