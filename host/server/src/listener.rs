//! A listener: accepts connections, holds each to its limits, and lets them end in good order.
//!
//! A client gets so long for a request's head and no longer, so that one who sends a byte a minute holds a connection
//! and nothing else; and there are so many connections and no more: who comes then waits in the system's own queue.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::follow::EVENT_STREAM;
use crate::telemetry;

/// How long to wait before accepting again after the system refused; it does so for want of file descriptors, and
/// those come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may leave what is sent to it unread before it is cut off. As long as it may take for a head by
/// default.
const WRITE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client that follows a stream gets to read its end when the host stops. One that reads at all needs less.
const FOLLOWER_GRACE: Duration = Duration::from_secs(1);
/// Headers of a request: what a message may have, and as many again as HTTP itself adds.
const HEADERS: usize = 160;
/// Bytes of a request's head: what a message's headers may have, and room for the request line and the rest.
const HEAD_BYTES: usize = hostel_event::headers::TOTAL_LIMIT + 16 * 1024;

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
/// `patience` is over is cut off, as everyone is when this is cancelled.
pub(crate) async fn serve<S, F>(
    listener: TcpListener,
    limits: Limits,
    service: S,
    (stop, patience): (CancellationToken, Duration),
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    // Whoever drops this future drops its connections with it.
    let _cut_with_us = cut.clone().drop_guard();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .half_close(false);
    while let Some((stream, peer, place)) = accept(&listener, &free, &stop).await {
        // Small answers go out at once and do not wait for more. A client for which that fails is gone.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let service = service.clone();
        let follows = Arc::new(AtomicBool::new(false));
        let marked = Arc::clone(&follows);
        let answer = hyper::service::service_fn(move |request| {
            let (answer, marked) = (service(request), Arc::clone(&marked));
            async move {
                let answer = answer.await;
                marked.store(is_followed(&answer), Ordering::Release);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), answer));
        let (stop, cut) = (stop.clone(), cut.clone());
        tasks.spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        telemetry::connection_failed(peer, &error);
                    }
                }
                () = cut_off(&stop, &follows) => {}
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    tasks.close();
    let ended = tokio::time::timeout(patience, async {
        graceful.shutdown().await;
        tasks.wait().await;
    });
    if ended.await.is_err() {
        cut.cancel();
        tasks.wait().await;
    }
}

/// Resolves some time after the stop for a client that follows a stream, and never for any other. The stream itself
/// ends at the stop; who does not even read that would keep the host from ending.
async fn cut_off(stop: &CancellationToken, follows: &AtomicBool) {
    stop.cancelled().await;
    tokio::time::sleep(FOLLOWER_GRACE).await;
    if !follows.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
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
