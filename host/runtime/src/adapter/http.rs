//! `wasi:http/incoming-handler` 0.2, for functions that know only HTTP: the event is a POST of a CloudEvent in binary
//! mode, and the answer's status says what becomes of it.
//!
//! What a request says and an answer means is decided in [`request`] and [`answer`]; here the guest is called, and its
//! answer read while it still writes.

mod answer;
mod request;

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::{Instance, Resource, TypedFunc};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use self::answer::{Decision, decide};
use super::{Answer, Export, event, retry};
use crate::bindings::hostel::handler::types::{Failure, PublishError};
use crate::capability::publisher::text;
use crate::state::State;

/// Bytes of an answer's body that are read: what a guest may hand to the host in one call by default. A message may have
/// fewer, which is seen to where it is published.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The header that tells a guest on which topic the event was published, and the host on which to publish the answer.
const TOPIC_HEADER: &str = "hostel-topic";

type Handle = TypedFunc<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>), ()>;
type Response = http::Response<HyperOutgoingBody>;

/// An answer that was read to its end.
pub(super) struct Read {
    /// Status and headers.
    pub(super) parts: http::response::Parts,
    /// The body.
    pub(super) body: Bytes,
}

pub(super) fn function(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Handle> {
    instance.get_typed_func(store, export.function)
}

pub(super) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    let handle = function(store, instance, export)?;
    let request = match request::of(event(store)?) {
        Ok(request) => request,
        Err(error) => return Ok(Err(Failure::Reject(error.to_string()))),
    };
    let (sender, receiver) = oneshot::channel();
    let incoming = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let outparam = store.data_mut().http().new_response_outparam(sender)?;
    let read = run(handle.call_async(&mut *store, (incoming, outparam)), read(receiver)).await?;
    let read = match read {
        Ok(read) => read,
        Err(reason) => return Ok(retry(reason)),
    };
    let now = store.data().log.lock().wall();
    match decide(&read, now) {
        Decision::Settle(answer) => Ok(answer),
        Decision::Publish { topic, message } => {
            // Outside of the match: what is admitted lives on while it is published, and the store may not.
            let admitted = store.data().admit(&topic, *message);
            let published = match admitted {
                Ok(admitted) => admitted.publish().await.map(drop),
                Err(error) => Err(error),
            };
            Ok(published.or_else(unpublished))
        }
    }
}

/// Runs a guest to its end and reads its answer meanwhile: it writes no more than fits between the two.
async fn run(
    call: impl Future<Output = wasmtime::Result<()>>,
    read: impl Future<Output = Result<Read, String>>,
) -> wasmtime::Result<Result<Read, String>> {
    let (mut call, mut read) = (pin!(call), pin!(read));
    let mut answer = None;
    loop {
        tokio::select! {
            called = &mut call => {
                called?;
                break;
            }
            read = &mut read, if answer.is_none() => answer = Some(read),
        }
    }
    // Nobody writes any more: what is not whole now will never be. Looked at without tokio's budget, which may be spent.
    let rest = || tokio::task::unconstrained(read).now_or_never();
    Ok(answer.or_else(rest).unwrap_or_else(|| Err("the handler returned before it had answered".to_owned())))
}

/// The guest's answer, or why there is none.
async fn read(receiver: oneshot::Receiver<Result<Response, ErrorCode>>) -> Result<Read, String> {
    let response = match receiver.await {
        Ok(Ok(response)) => response,
        Ok(Err(code)) => return Err(format!("the handler answered with the error {code:?}")),
        Err(_) => return Err("the handler gave no answer".to_owned()),
    };
    let (parts, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the handler did not finish its answer: {error}"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BODY_LIMIT {
            return Err(format!("the handler's answer has more than {BODY_LIMIT} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Read { parts, body: bytes.freeze() })
}

/// What became of an event whose handler did well and whose answer could not be published: without that it is not done.
fn unpublished(error: PublishError) -> Answer {
    let after = match error {
        PublishError::Overloaded(ms) => Some(Duration::from_millis(ms)),
        _ => None,
    };
    let reason = format!("the event in the handler's answer was not published: {}", text(error));
    answer::again(reason, after)
}
