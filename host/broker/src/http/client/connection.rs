//! One connection to a peer, of either version of HTTP, and the task that drives it.

use std::future::Future;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Endpoint;
use super::tls::Tls;
use crate::chain::chain;

/// The most bytes of an answer's head, and the most headers in it. Arbitrary; go-micro's has two.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 100;

/// A connection over which requests can be sent.
pub(super) enum Connection {
    /// One request at a time.
    One(http1::SendRequest<Full<Bytes>>),
    /// Many at a time.
    Many(http2::SendRequest<Full<Bytes>>),
}

/// How the sending of a request ended.
pub(super) enum Attempted {
    /// With an answer, of which the head is there.
    Answered(Response<Incoming>),
    /// Nothing of it went out.
    Unsent(Request<Full<Bytes>>),
    /// Without an answer.
    Failed(String),
}

impl Connection {
    pub(super) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Attempted {
        let sent = match self {
            Self::One(sender) => {
                to_origin_form(&mut request);
                sender.try_send_request(request).await
            }
            Self::Many(sender) => sender.try_send_request(request).await,
        };
        sent.map_or_else(failed, Attempted::Answered)
    }

    /// Waits until another request may be sent; false if none ever may. Short: it is asked of a connection over which
    /// the last answer has ended.
    pub(super) async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Many(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Many(sender) => sender.is_closed(),
        }
    }

    /// Another handle of a connection that can be shared.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Many(sender) => Some(Self::Many(sender.clone())),
        }
    }
}

fn failed(mut error: TrySendError<Request<Full<Bytes>>>) -> Attempted {
    match error.take_message() {
        Some(request) => Attempted::Unsent(request),
        None => Attempted::Failed(chain(&error.into_error())),
    }
}

/// HTTP/1.1 names the host in a header and only the path on the first line.
fn to_origin_form(request: &mut Request<Full<Bytes>>) {
    let Some(authority) = request.uri().authority() else { return };
    let host = HeaderValue::from_str(authority.as_str());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
    if let (Ok(host), Ok(path)) = (host, path) {
        // Host comes first, as go-micro has it and RFC 9110, section 7.2, asks for.
        let others = std::mem::take(request.headers_mut());
        request.headers_mut().insert(HOST, host);
        request.headers_mut().extend(others);
        *request.uri_mut() = path;
    }
}

/// Connects, with TLS if the endpoint is secure, and spawns the task that drives the connection. `room` is given back
/// when the connection is gone.
pub(super) async fn open(
    to: &Endpoint,
    tls: &Tls,
    room: OwnedSemaphorePermit,
    tasks: (&TaskTracker, &CancellationToken),
) -> Result<Connection, String> {
    let stream = TcpStream::connect(to.address.as_str()).await.map_err(|error| format!("cannot connect: {error}"))?;
    // Without it the last part of a large body may wait for an acknowledgement; refused only by a socket that is gone.
    let _ = stream.set_nodelay(true);
    if !to.secure {
        return one(stream, room, tasks).await;
    }
    let stream = tls.connect(to.address.host(), stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice()) {
        many(stream, room, tasks).await
    } else {
        one(stream, room, tasks).await
    }
}

async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    room: OwnedSemaphorePermit,
    tasks: (&TaskTracker, &CancellationToken),
) -> Result<Connection, String> {
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    drive(connection, room, tasks);
    Ok(Connection::One(sender))
}

async fn many(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    room: OwnedSemaphorePermit,
    tasks: (&TaskTracker, &CancellationToken),
) -> Result<Connection, String> {
    let executor = Owned { tasks: tasks.0.clone(), cancel: tasks.1.clone() };
    let mut builder = http2::Builder::new(executor);
    builder.max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    drive(connection, room, tasks);
    Ok(Connection::Many(sender))
}

fn drive<C>(connection: C, room: OwnedSemaphorePermit, (tasks, cancel): (&TaskTracker, &CancellationToken))
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    let cancel = cancel.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            // Whoever waits for an answer is told of an error; an idle connection may end as it likes.
            _ = connection => {}
        }
        drop(room);
    });
}

/// Spawns the tasks that a connection of HTTP/2 has for its streams, among those that the client joins.
#[derive(Clone)]
struct Owned {
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Owned {
    fn execute(&self, future: F) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let _ = cancel.run_until_cancelled(future).await;
        });
    }
}
