//! `wasmcloud:messaging/consumer@0.3.0`: publishing, and asking for one answer, for asynchronous components written for
//! wasmCloud. Bodies are streams, which are read whole before anything is published.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, HasSelf, Source, StreamConsumer, StreamReader, StreamResult};
use wasmtime::{AsContextMut, StoreContextMut};

use hostel_event::headers::Headers;
use hostel_event::message::{Event, Message};
use hostel_event::outcome::Level;
use hostel_event::port::{PublishError, RequestError};
use hostel_event::reply::REPLY_TO_HEADER;

use crate::bindings::hostel::handler::types as contract;
use crate::bindings::wasmcloud_async::wasmcloud::messaging::consumer::{Host, HostWithStore};
use crate::bindings::wasmcloud_async::wasmcloud::messaging::types;
use crate::bindings::wasmcloud_async::wasmcloud::messaging::types::{BrokerMessage, Error};
use crate::capability::publisher::{Admitted, text};
use crate::state::State;

/// Bytes of a body that are read: what a guest may hand to the host in one call by default. A message may have fewer,
/// which is seen to where it is published.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

type Guest = Accessor<State, HasSelf<State>>;
type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl types::Host for State {}

impl Host for State {}

impl HostWithStore<State> for HasSelf<State> {
    async fn request(
        guest: &Guest,
        subject: String,
        body: StreamReader<u8>,
        timeout_ms: Option<u32>,
    ) -> Answer<BrokerMessage> {
        let Some(body) = read(guest, body).await? else { return Ok(Err(Error::MessageTooLarge)) };
        let message = Message { headers: Headers::new(), body };
        let admitted = match guest.with(|mut store| admit(store.get(), &subject, message)) {
            Ok(admitted) => admitted,
            Err(error) => return Ok(Err(error)),
        };
        // Without a timeout of its own it waits until the handler's deadline ends it.
        let patience = timeout_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.into()));
        let answers = match admitted.ask(NonZeroUsize::MIN, patience).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(unanswered(&error))),
        };
        let Some(answer) = answers.first() else { return Ok(Err(Error::Timeout)) };
        guest.with(|mut store| {
            store.get().meter.traffic.got(answer.message.bytes());
            broker_message(store.as_context_mut(), answer).map(Ok)
        })
    }

    async fn publish(guest: &Guest, message: BrokerMessage) -> Answer<()> {
        let BrokerMessage { subject, body, reply_to } = message;
        let Some(body) = read(guest, body).await? else { return Ok(Err(Error::MessageTooLarge)) };
        let mut headers = Headers::new();
        if let Some(Err(error)) = reply_to.map(|topic| headers.append(REPLY_TO_HEADER, &topic)) {
            return Ok(Err(Error::Other(error.to_string())));
        }
        match guest.with(|mut store| admit(store.get(), &subject, Message { headers, body })) {
            Ok(admitted) => Ok(admitted.publish().await.map(drop).map_err(refusal)),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// An event as such components know it. Its other headers have no place there.
pub(crate) fn broker_message(store: StoreContextMut<'_, State>, event: &Event) -> wasmtime::Result<BrokerMessage> {
    Ok(BrokerMessage {
        subject: event.topic.as_str().to_owned(),
        body: StreamReader::new(store, event.message.body.to_vec())?,
        reply_to: event.message.headers.get(REPLY_TO_HEADER).map(ToOwned::to_owned),
    })
}

/// Checks what the guest wants to publish, and what it may. Where its error has no place for a reason, the log has it.
fn admit(state: &State, topic: &str, message: Message) -> Result<Admitted, Error> {
    state.admit(topic, message).map_err(|error| {
        if let contract::PublishError::Denied(text) = &error {
            state.log.lock().note(Level::Warn, text);
        }
        refusal(error)
    })
}

fn refusal(error: contract::PublishError) -> Error {
    match error {
        contract::PublishError::Denied(_) => Error::AccessDenied,
        contract::PublishError::TooLarge(_) => Error::MessageTooLarge,
        contract::PublishError::Overloaded(_) => Error::QuotaExceeded,
        contract::PublishError::Failed(_) => Error::BrokerUnavailable,
        contract::PublishError::Invalid(_) => Error::Other(text(error)),
    }
}

fn unanswered(error: &RequestError) -> Error {
    match error {
        RequestError::Timeout(_) => Error::Timeout,
        RequestError::TooMany(_)
        | RequestError::Publish(PublishError::Overloaded { .. } | PublishError::Quota { .. }) => Error::QuotaExceeded,
        RequestError::Publish(PublishError::TooLarge { .. }) => Error::MessageTooLarge,
        other => Error::Other(other.to_string()),
    }
}

/// Reads a stream of the guest's to its end; `None` if it is longer than may be.
async fn read(guest: &Guest, stream: StreamReader<u8>) -> wasmtime::Result<Option<Bytes>> {
    let (whole, done) = oneshot::channel();
    guest.with(|store| stream.pipe(store, Reader { bytes: BytesMut::new(), whole: Some(whole) }))?;
    // The reader says what it has when it is dropped, at the stream's end or because it takes no more.
    Ok(done.await.unwrap_or_default())
}

/// Collects what a guest writes, as far as it may be kept.
struct Reader {
    bytes: BytesMut,
    whole: Option<oneshot::Sender<Option<Bytes>>>,
}

impl Reader {
    fn tell(&mut self, bytes: Option<Bytes>) {
        if let Some(whole) = self.whole.take() {
            // Whoever waited may be gone, and wants nothing then.
            let _ = whole.send(bytes);
        }
    }
}

impl<D> StreamConsumer<D> for Reader {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let remaining = source.remaining();
        let count = remaining.len();
        if self.bytes.len() + count > BODY_LIMIT {
            self.tell(None);
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        self.bytes.extend_from_slice(remaining);
        source.mark_read(count);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes).freeze();
        self.tell(Some(bytes));
    }
}
