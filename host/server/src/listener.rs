//! A listener: accepts connections, holds each to its limits, and lets them end in good order.
//!
//! A client gets so long for a request's head and no longer, so that one who sends a byte a minute holds a connection
//! and nothing else; and there are so many connections and no more: who comes then waits in the system's own queue.
//! Over TLS a client chooses HTTP/1.1 or HTTP/2; in the clear it is HTTP/1.1.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::access::certificate::Fingerprint;
use crate::follow::EVENT_STREAM;
use crate::telemetry;
use crate::tls::Tls;

/// How long to wait before accepting again after the system refused; it does so for want of file descriptors, and
/// those come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may leave what is sent to it unread before it is cut off. As long as it may take for a head by
/// default.
const WRITE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client that follows a stream gets to read its end when the host stops. One that reads at all needs less.
const FOLLOWER_GRACE: Duration = Duration::from_secs(1);
/// How long a client that is refused gets to read why. As long as the one above.
const REFUSAL_GRACE: Duration = Duration::from_secs(1);
/// Headers of a request: what a message may have, and as many again as HTTP itself adds.
const HEADERS: usize = 160;
/// Bytes of a request's head: what a message's headers may have, and room for the request line and the rest.
const HEAD_BYTES: usize = hostel_event::headers::TOTAL_LIMIT + 16 * 1024;

/// How long a client over HTTP/2 may take to answer a ping. Arbitrary: longer than any network's delay.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at the same time on one connection over HTTP/2. Arbitrary, and half of what hyper takes.
const STREAMS: u32 = 100;

/// Where to listen.
pub(crate) struct Socket {
    pub(crate) listener: TcpListener,
    /// What is shown to clients; without it they speak in the clear.
    pub(crate) tls: Option<Tls>,
}

/// What a service says instead of an answer: close the connection without one. hyper does that with any error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HangUp(pub(crate) String);

/// What holds for one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many connections are open at the same time.
    pub(crate) connections: usize,
    /// How long a client may take for a request's head.
    pub(crate) head_timeout: Duration,
}

/// Serves connections until `stop`, and then until those that are open have ended, or `patience` is over.
///
/// A connection in the middle of a request finishes it; one that is idle is closed at once. Who is not done when
/// `patience` is over is cut off, as everyone is when this is cancelled. The service is told who asks: the address,
/// and in the request's extensions the [`Fingerprint`] of a certificate that was shown and is good.
pub(crate) async fn serve<S, F>(
    socket: Socket,
    limits: Limits,
    service: S,
    (stop, patience): (CancellationToken, Duration),
) where
    S: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, HangUp>> + Send + 'static,
{
    let Socket { listener, tls } = socket;
    let tls = tls.map(Arc::new);
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut open = Open::default();
    let protocol = Arc::new(Protocol::new(limits));
    while let Some((stream, peer, place)) = accept(&listener, &free, &stop).await {
        let follows = Arc::new(AtomicBool::new(false));
        let (service, marked) = (service.clone(), Arc::clone(&follows));
        let shown = Arc::new(OnceLock::new());
        let certificate = Arc::clone(&shown);
        let answer = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            if let Some(&certificate) = certificate.get() {
                request.extensions_mut().insert::<Fingerprint>(certificate);
            }
            let (answer, marked) = (service(request, peer), Arc::clone(&marked));
            async move {
                let answer = answer.await?;
                marked.store(is_followed(&answer), Ordering::Release);
                Ok::<_, HangUp>(answer)
            }
        });
        let (protocol, watcher, tls) = (Arc::clone(&protocol), graceful.watcher(), tls.clone());
        let connection = async move {
            if let Err(error) = protocol.serve(stream, (tls, &shown), answer, watcher).await {
                telemetry::connection_failed(peer, &*error);
            }
            drop(place);
        };
        open.add(connection, follows);
    }
    drop(listener);
    tokio::select! {
        () = async { tokio::join!(graceful.shutdown(), open.ended()); } => {}
        () = tokio::time::sleep(patience) => {}
    }
    open.tasks.shutdown().await;
}

/// Connections that are open, each a task of its own. Whoever drops this cuts them off. They are cut off from outside, so
/// that none of them has to look, each time that it goes on, at something that all cores share.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// Each with whether its client follows a stream; also some that have ended.
    all: Vec<(AbortHandle, Arc<AtomicBool>)>,
}

impl Open {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static, follows: Arc<AtomicBool>) {
        while self.tasks.try_join_next().is_some() {}
        // Seldom, so that it costs each connection the same however many there are.
        if self.all.len() > 2 * self.tasks.len() {
            self.all.retain(|(task, _)| !task.is_finished());
        }
        self.all.push((self.tasks.spawn(connection), follows));
    }

    /// Waits for all of them. Cuts off those that still follow a stream after some time: the stream itself has ended, and
    /// who does not even read that would keep the host from ending.
    async fn ended(&mut self) {
        let Self { tasks, all } = self;
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        let cut_off = async {
            tokio::time::sleep(FOLLOWER_GRACE).await;
            all.iter().filter(|(_, follows)| follows.load(Ordering::Acquire)).for_each(|(task, _)| task.abort());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = all_ended => {}
            () = cut_off => {}
        }
    }
}

type Failed = Box<dyn Error + Send + Sync>;

/// How connections speak, within the limits.
struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    handshake: Duration,
}

impl Protocol {
    fn new(limits: Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .half_close(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.head_timeout)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
        Self { http1, http2, handshake: limits.head_timeout }
    }

    /// Agrees with a client on TLS.
    async fn handshake<T>(&self, tls: &Tls, stream: T) -> Result<TlsStream<T>, Failed>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let agreed = tokio::time::timeout(self.handshake, tls.acceptor().accept(stream).into_fallible()).await?;
        match agreed {
            Ok(stream) => Ok(stream),
            Err((error, refused)) => {
                // Told already. Who has the time to read it before the connection closes knows why; that it does not is
                // nothing to us.
                let _ = tokio::time::timeout(REFUSAL_GRACE, end(refused)).await;
                Err(error.into())
            }
        }
    }

    /// Serves one connection to its end.
    async fn serve<S>(
        &self,
        stream: TcpStream,
        (tls, shown): (Option<Arc<Tls>>, &OnceLock<Fingerprint>),
        answer: S,
        watcher: Watcher,
    ) -> Result<(), Failed>
    where
        S: HttpService<Incoming, ResBody = Body, Error = HangUp>,
        S::Future: Send + 'static,
    {
        // Small answers go out at once and do not wait for more. A client for which that fails is gone.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Box::pin(stream);
        let Some(tls) = tls else {
            return Ok(watcher.watch(self.http1.serve_connection(TokioIo::new(stream), answer)).await?);
        };
        let stream = self.handshake(&tls, stream).await?;
        let session = stream.get_ref().1;
        let chosen = session.alpn_protocol() == Some(b"h2");
        if let Some(certificate) = session.peer_certificates().and_then(<[_]>::first) {
            // Nobody else sets it.
            let _ = shown.set(Fingerprint::of(certificate));
        }
        let stream = TokioIo::new(stream);
        match chosen {
            true => Ok(watcher.watch(self.http2.serve_connection(stream, answer)).await?),
            false => Ok(watcher.watch(self.http1.serve_connection(stream, answer)).await?),
        }
    }
}

/// Ends a connection so that what was said last arrives. A system that closes one with something unread in it throws
/// away what it has not sent, and TLS 1.3 has clients send a request before they know that they are refused.
async fn end(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut unread = [0; 1024];
    // One that fails is gone.
    if stream.shutdown().await.is_ok() {
        while matches!(stream.read(&mut unread).await, Ok(1..)) {}
    }
}

fn is_followed(answer: &Response<Body>) -> bool {
    answer.headers().get(CONTENT_TYPE).is_some_and(|media_type| media_type == EVENT_STREAM)
}

/// The next connection, once there is a place for it; `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let place = Arc::clone(free).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, place)),
                Err(error) => {
                    telemetry::accept_failed(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        next = next => next,
    }
}
