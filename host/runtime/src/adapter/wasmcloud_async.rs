//! `wasmcloud:messaging/handler@0.3.0`: the same as a broker message whose body is a stream, to an asynchronous function.
//! Here `retry` and `reject` mean what they say, and `other` is a reject, as that version asks for.

use wasmtime::component::{Instance, TypedFunc};
use wasmtime::{AsContextMut, Store};

use super::{Answer, Export, event, retry};
use crate::bindings::hostel::handler::types::Failure;
use crate::bindings::wasmcloud_async::wasmcloud::messaging::types::{BrokerMessage, HandleMessageError};
use crate::capability::wasmcloud_async::broker_message;
use crate::state::State;

type HandleMessage = TypedFunc<(BrokerMessage,), (Result<(), HandleMessageError>,)>;

pub(super) fn function(
    store: &mut Store<State>,
    instance: &Instance,
    export: Export,
) -> wasmtime::Result<HandleMessage> {
    instance.get_typed_func(store, export.function)
}

pub(super) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    let handle = function(store, instance, export)?;
    let event = std::sync::Arc::clone(&event(store)?.event);
    let message = broker_message(store.as_context_mut(), &event)?;
    let called = store.run_concurrent(async |guest| handle.call_concurrent(guest, (message,)).await).await?;
    let (answer,) = called?;
    Ok(answer.or_else(|error| match error {
        HandleMessageError::Retry => retry("the handler asked for another attempt"),
        HandleMessageError::Reject => Err(Failure::Reject("the handler rejected the event".to_owned())),
        HandleMessageError::Other(text) => Err(Failure::Reject(text)),
    }))
}
