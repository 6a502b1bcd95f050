//! Posts to peers: connections that are kept and counted, limits on time and bytes, TLS.
//!
//! HTTP/1.1 over plain connections, as go-micro speaks it; HTTP/2 where a TLS peer chooses it. Redirects are not
//! followed. What an answer means for an event is not decided here.

mod connection;
mod pool;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{Attempted, Connection};
use pool::Pool;
use tls::Tls;

/// The most bytes that an address may have: a name of DNS has 253 and a port 5.
const ADDRESS_LIMIT: usize = 260;
/// The most bytes of an answer that are read; a peer that says more has its connection closed.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long the rest of an answer is read for the sake of its connection. Arbitrary; go-micro's has none.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// The most characters of an answer that are told on. Arbitrary: go-micro's errors have about 120.
const EXCERPT: usize = 300;
/// The longest wait that a peer may ask for. Arbitrary: what it says beyond is more likely wrong than meant.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);
const AGENT: &str = concat!("hostel/", env!("CARGO_PKG_VERSION"));

/// How posts are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take to come about, TLS included.
    pub connect_limit: Duration,
    /// How long a peer may take to answer once it is connected.
    pub answer_limit: Duration,
    /// Connections to all peers together; where there is no room the one that was idle longest makes way.
    pub connections: usize,
    /// Connections that are kept for each peer while nothing goes over them.
    pub idle_per_peer: usize,
    /// How long one is kept so.
    pub idle_limit: Duration,
    /// Which peers are believed to be who they say.
    pub trust: Trust,
}

impl Default for Settings {
    /// 5 s to connect and 30 s to answer; 1,024 connections, 8 idle ones for each peer, kept for a minute. Arbitrary, but
    /// for the 8: go-micro posts 8 messages of a topic in a row.
    fn default() -> Self {
        Self {
            connect_limit: Duration::from_secs(5),
            answer_limit: Duration::from_secs(30),
            connections: 1024,
            idle_per_peer: 8,
            idle_limit: Duration::from_secs(60),
            trust: Trust::default(),
        }
    }
}

/// Which certificates are taken, and which is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// A PEM file with certificates of authorities to trust beside the system's.
    pub roots: Option<PathBuf>,
    /// Take any certificate from anybody, as go-micro v1 to v5 do: the wire is then encrypted, and who is at its other
    /// end is not known.
    pub any_certificate: bool,
    /// What is shown to a peer that asks for a certificate: PEM files of the chain and of its private key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The file of authorities cannot be read.
    #[error("cannot read certificates of authorities from `{path}`")]
    Roots {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file has no certificate, or one that is none.
    #[error("`{path}` has no certificate of an authority that can be used")]
    NoRoots {
        /// Which file.
        path: PathBuf,
    },
    /// The certificate that is to be shown, or its key, cannot be read.
    #[error("cannot read `{path}`")]
    Own {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// TLS cannot be had.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Where a peer listens: `host:port`, checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

impl Address {
    /// Takes `host:port` with a name, an IPv4 address or an IPv6 address in brackets, and a port that is not 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ADDRESS_LIMIT {
            return None;
        }
        let authority: Authority = text.parse().ok()?;
        let plain = !text.contains('@') && !authority.host().is_empty();
        (plain && authority.port_u16().is_some_and(|port| port > 0)).then(|| Self(text.into()))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without its port; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host);
        host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A peer's end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) secure: bool,
}

/// What a peer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long it asked to wait.
    pub(crate) retry_after: Option<Duration>,
    /// How its body begins, without control characters; empty unless it is an error's.
    pub(crate) excerpt: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostError {
    /// Nothing of the request reached the peer.
    #[error("{0}")]
    Unreachable(String),
    /// The peer was connected and gave no answer. It may have handled the message.
    #[error("{0}")]
    Unanswered(String),
}

/// Posts to peers. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    tls: Tls,
    pool: Pool,
    /// The tasks that drive connections.
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Client {
    /// A client without connections. Reads the system's certificates of authorities.
    ///
    /// # Errors
    /// [`ClientError`] when the settings' certificates cannot be had.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let tls = Tls::new(&settings.trust)?;
        let pool = Pool::new(&settings);
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        Ok(Self { shared: Arc::new(Shared { settings, tls, pool, tasks, cancel }) })
    }

    /// Closes every connection and waits until all are gone. Posts that run fail.
    pub async fn close(&self) {
        self.shared.cancel.cancel();
        self.shared.pool.clear();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Posts a body and waits for the answer. Cancelling leaves open whether the peer got it.
    pub(crate) async fn post(&self, to: &Endpoint, path: &str, body: Bytes) -> Result<Answer, PostError> {
        let mut request = Some(self.request(to, path, body)?);
        loop {
            let (mut connection, reused) = match self.shared.pool.take(to).await {
                Some(connection) => (connection, true),
                None => (self.open(to).await?, false),
            };
            let Some(whole) = request.take() else {
                return Err(PostError::Unreachable("the request was lost".to_owned()));
            };
            let limit = self.shared.settings.answer_limit;
            let Ok(attempted) = tokio::time::timeout(limit, connection.send(whole)).await else {
                return Err(PostError::Unanswered(format!("no answer within {limit:?}")));
            };
            match attempted {
                Attempted::Answered(response) => return Ok(self.finish(to, connection, response).await),
                // The peer closed the connection while it was idle.
                Attempted::Unsent(whole) if reused => request = Some(whole),
                Attempted::Unsent(_) => return Err(PostError::Unreachable("the peer closed at once".to_owned())),
                Attempted::Failed(error) => return Err(PostError::Unanswered(error)),
            }
        }
    }

    /// Whether a connection to the peer comes about. It is kept for the next post.
    pub(crate) async fn reach(&self, to: &Endpoint) -> Result<(), PostError> {
        let connection = self.open(to).await?;
        self.shared.pool.put(to, connection);
        Ok(())
    }

    fn request(&self, to: &Endpoint, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
        let scheme = if to.secure { "https" } else { "http" };
        let length = HeaderValue::from(body.len());
        Request::builder()
            .method(Method::POST)
            .uri(format!("{scheme}://{}{path}", to.address))
            .header(USER_AGENT, AGENT)
            .header(CONTENT_LENGTH, length)
            .header(CONTENT_TYPE, super::wire::CONTENT_TYPE)
            .body(Full::new(body))
            .map_err(|error| PostError::Unreachable(format!("cannot write a request for it: {error}")))
    }

    async fn open(&self, to: &Endpoint) -> Result<Connection, PostError> {
        let limit = self.shared.settings.connect_limit;
        let opened = tokio::time::timeout(limit, async {
            let room = self.shared.pool.room().await.ok_or_else(|| "there is no room for a connection".to_owned())?;
            // Boxed: it is large, rare and inside of what every post is.
            Box::pin(connection::open(to, &self.shared.tls, room, (&self.shared.tasks, &self.shared.cancel))).await
        });
        match opened.await {
            Ok(opened) => opened.map_err(PostError::Unreachable),
            Err(_) => Err(PostError::Unreachable(format!("no connection within {limit:?}"))),
        }
    }

    /// Reads what is left of an answer, for a connection that can be used again and for what an error says.
    async fn finish(&self, to: &Endpoint, connection: Connection, response: Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        let mut answer =
            Answer { status: head.status, retry_after: retry_after(&head.headers), excerpt: String::new() };
        let read = tokio::time::timeout(DRAIN_LIMIT, Limited::new(body, ANSWER_BYTES).collect());
        if let Ok(Ok(body)) = read.await {
            self.shared.pool.put(to, connection);
            if !answer.status.is_success() {
                answer.excerpt = excerpt(&body.to_bytes());
            }
        }
        answer
    }
}

/// `Retry-After` in whole seconds; its other form, a date, is left to the backoff.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_LIMIT))
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4 * EXCERPT)).unwrap_or_default());
    text.trim().chars().filter(|c| !c.is_control()).take(EXCERPT).collect()
}

#[cfg(test)]
mod tests;
