//! A body that tells how large each of its pieces is. It is otherwise the body that it was made of: its size, where it is
//! known, decides how it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

struct Counted<F> {
    body: WasiBody,
    tell: F,
}

/// The same body, which tells of each piece that goes through it.
pub(super) fn body(body: WasiBody, tell: impl Fn(usize) + Send + Unpin + 'static) -> WasiBody {
    Counted { body, tell }.boxed_unsync()
}

impl<F: Fn(usize) + Unpin> Body for Counted<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            (self.tell)(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_keeps_its_size_and_tells_it_as_it_goes() {
        let told = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&told);
        let plain = Full::new(Bytes::from_static(b"seven b")).map_err(|never| match never {}).boxed_unsync();
        let counted = body(plain, move |bytes| {
            heard.fetch_add(bytes, Ordering::Relaxed);
        });
        // Without it a request would be sent in chunks.
        assert_eq!(counted.size_hint().exact(), Some(7));
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert_eq!(counted.collect().await.unwrap().to_bytes(), "seven b");
        assert_eq!(told.load(Ordering::Relaxed), 7);
    }
}
