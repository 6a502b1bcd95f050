//! Streams that a client follows, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream ends when its client leaves or the host does. A client too slow to keep up is told how much it lost, and
//! one that is gone is found by the comment that goes out every so often.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
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
        let json = serde_json::to_string(value).ok()?;
        let mut text = format!("event: {kind}\n");
        // Ids are free of control characters, so that one cannot end the line. Writing to a string cannot fail.
        if let Some(id) = id {
            let _ = writeln!(text, "id: {id}");
        }
        let _ = write!(text, "data: {json}\n\n");
        Some(Self { text })
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
    let before: String = before.into_iter().map(|message| message.text).collect();
    let state = Follower { before: Some(before), receiver, stop, pick, lost };
    let messages = stream::unfold(state, |mut state| async move {
        let text = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), state))
    });
    let mut response = answer::with_type(StatusCode::OK, EVENT_STREAM, Body::from_stream(messages));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Follower<T, P, L> {
    /// What was there before; a comment if that is nothing, so that the client sees the stream begin.
    before: Option<String>,
    receiver: broadcast::Receiver<T>,
    stop: CancellationToken,
    pick: P,
    lost: L,
}

impl<T, P, L> Follower<T, P, L>
where
    T: Clone,
    P: Fn(&T) -> Option<Message>,
    L: Fn(u64) -> Option<Message>,
{
    /// The next text to send; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(before) = self.before.take() {
            return Some(if before.is_empty() { ": following\n\n".to_owned() } else { before });
        }
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = heartbeat => Some(": still here\n\n".to_owned()),
            text = Self::picked(&mut self.receiver, &self.pick, &self.lost) => text,
        }
    }

    /// The next message that is for this client. Cancelling loses none.
    async fn picked(receiver: &mut broadcast::Receiver<T>, pick: &P, lost: &L) -> Option<String> {
        loop {
            let message = match receiver.recv().await {
                Ok(value) => pick(&value),
                Err(RecvError::Lagged(count)) => lost(count),
                Err(RecvError::Closed) => return None,
            };
            if let Some(message) = message {
                return Some(message.text);
            }
        }
    }
}
