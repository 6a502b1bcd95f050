//! Bodies of requests, read whole: up to a limit and in time.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use hostel_api::problem::Code;
use hostel_api::unit::Span;

use crate::answer::Failure;

/// How much a client may send, and how long it may take for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// Reads a body. What is announced too large is refused before any of it is read. Whatever is refused ends the
/// connection, for the rest of the body stands in the way of another request.
pub(crate) async fn read<B>(body: B, bounds: Bounds, too_large: impl Fn() -> Failure) -> Result<Bytes, Failure>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    if body.size_hint().lower() > u64::try_from(bounds.bytes).unwrap_or(u64::MAX) {
        return Err(too_large().closing());
    }
    match tokio::time::timeout(bounds.time, Limited::new(body, bounds.bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large().closing()),
        Ok(Err(error)) => {
            let text = format!("the body did not arrive whole: {}", root(&*error));
            Err(Failure::new(Code::BrokenBody, text).closing())
        }
        Err(_) => {
            let text = format!("the body did not arrive within {}", Span(bounds.time));
            Err(Failure::new(Code::RequestTooSlow, text).closing())
        }
    }
}

/// The first cause; what lies above it tells of the HTTP library's parts and of nothing else.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}
