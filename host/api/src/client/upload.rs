//! A request's body, handed out in pieces, so that whoever waits can be told how much of it is on its way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The most bytes of a piece. Arbitrary: small enough to see a slow line move, large enough to cost nothing.
const PIECE: usize = 64 * 1024;

/// How many bytes of a body were handed to the connection. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Arc<AtomicU64>);

impl Sent {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Upload {
    rest: Bytes,
    sent: Sent,
}

impl Upload {
    pub(super) fn new(bytes: Bytes, sent: Sent) -> Self {
        Self { rest: bytes, sent }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.sent.0.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn all_of_it_goes_out_in_pieces_that_are_counted() {
        let bytes = Bytes::from((0..=u8::MAX).cycle().take(2 * PIECE + 1).collect::<Vec<u8>>());
        let sent = Sent::default();
        let mut upload = Upload::new(bytes.clone(), sent.clone());
        assert_eq!((upload.size_hint().exact(), sent.bytes()), (Some(bytes.len() as u64), 0));
        let first = upload.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first.len(), sent.bytes()), (PIECE, PIECE as u64));
        let rest = upload.collect().await.unwrap().to_bytes();
        assert_eq!([first, rest].concat(), bytes);
        assert_eq!(sent.bytes(), bytes.len() as u64);
    }

    #[test]
    fn nothing_has_ended_before_it_begins() {
        let upload = Upload::new(Bytes::new(), Sent::default());
        assert!(upload.is_end_stream());
        assert_eq!(upload.size_hint().exact(), Some(0));
    }
}
