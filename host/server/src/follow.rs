//! Streams that a client follows, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream ends when its client leaves or the host does. A client too slow to keep up is told how much it lost, and
//! one that is gone is found by the comment that goes out every so often.

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::answer;

/// How often a comment goes out when there is nothing else. Arbitrary: below the minute after which common proxies
/// close what is silent.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The media type of a stream that is followed.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// One message of a stream.
pub(crate) struct Message {
    text: String,
}

impl Message {
    /// A message of this kind with a value as JSON; `None` if it cannot be written, which plain records always can.
    pub(crate) fn json<T: Serialize>(kind: &str, id: Option<&str>, value: &T) -> Option<Self> {
        Some(Self::of(kind, id, &serde_json::to_string(value).ok()?))
    }

    /// The same with a value that was written before, in one line.
    pub(crate) fn written(kind: &str, json: &str) -> Self {
        Self::of(kind, None, json)
    }

    fn of(kind: &str, id: Option<&str>, json: &str) -> Self {
        let mut text = format!("event: {kind}\n");
        // Ids are free of control characters, so that one cannot end the line. Writing to a string cannot fail.
        if let Some(id) = id {
            let _ = writeln!(text, "id: {id}");
        }
        let _ = write!(text, "data: {json}\n\n");
        Self { text }
    }

    /// As it goes out.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Answers with what was there before, then with what comes.
///
/// `pick` makes a message of what it is to show; `lost` makes one of how many it could not keep up with.
pub(crate) fn follow<T, P, L>(
    before: Vec<Message>,
    (receiver, stop): (broadcast::Receiver<T>, CancellationToken),
    pick: P,
    lost: L,
) -> Response<Body>
where
    T: Clone + Send + 'static,
    P: Fn(&T) -> Option<Message> + Send + Sync + 'static,
    L: Fn(u64) -> Option<Message> + Send + Sync + 'static,
{
    stream(before, Broadcast { receiver, pick, lost }, stop)
}

/// What feeds a stream.
pub(crate) trait Source: Send + 'static {
    /// Waits for the next message; `None` at the end. Cancelling loses none.
    fn next(&mut self) -> impl Future<Output = Option<Message>> + Send;
}

/// Answers with what was there before, then with what the source gives until it or the host ends.
pub(crate) fn stream<S: Source>(before: Vec<Message>, source: S, stop: CancellationToken) -> Response<Body> {
    let before: String = before.into_iter().map(Message::into_text).collect();
    let state = Follower { before: Some(before), source, stop };
    let messages = futures_util::stream::unfold(state, |mut state| async move {
        let text = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), state))
    });
    let mut response = answer::with_type(StatusCode::OK, EVENT_STREAM, Body::from_stream(messages));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Follower<S> {
    /// What was there before; a comment if that is nothing, so that the client sees the stream begin.
    before: Option<String>,
    source: S,
    stop: CancellationToken,
}

impl<S: Source> Follower<S> {
    /// The next text to send; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(before) = self.before.take() {
            return Some(if before.is_empty() { ": following\n\n".to_owned() } else { before });
        }
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = heartbeat => Some(": still here\n\n".to_owned()),
            message = self.source.next() => message.map(Message::into_text),
        }
    }
}

/// Values that all followers get, as messages for one of them.
struct Broadcast<T, P, L> {
    receiver: broadcast::Receiver<T>,
    pick: P,
    lost: L,
}

impl<T, P, L> Source for Broadcast<T, P, L>
where
    T: Clone + Send + 'static,
    P: Fn(&T) -> Option<Message> + Send + Sync + 'static,
    L: Fn(u64) -> Option<Message> + Send + Sync + 'static,
{
    async fn next(&mut self) -> Option<Message> {
        loop {
            let message = match self.receiver.recv().await {
                Ok(value) => (self.pick)(&value),
                Err(RecvError::Lagged(count)) => (self.lost)(count),
                Err(RecvError::Closed) => return None,
            };
            if message.is_some() {
                return message;
            }
        }
    }
}
