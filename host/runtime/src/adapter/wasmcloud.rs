//! `wasmcloud:messaging/handler@0.2.0`: the event is a broker message; ok is an ack, and an error asks for another
//! attempt, since that version has no word for "never again".

use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

use super::{Answer, Export, event, retry};
use crate::bindings::wasmcloud::wasmcloud::messaging::types::BrokerMessage;
use crate::capability::wasmcloud::broker_message;
use crate::state::State;

type HandleMessage = TypedFunc<(BrokerMessage,), (Result<(), String>,)>;

pub(super) fn function(
    store: &mut Store<State>,
    instance: &Instance,
    export: Export,
) -> wasmtime::Result<HandleMessage> {
    instance.get_typed_func(store, export.function)
}

pub(super) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    let handle = function(store, instance, export)?;
    let message = broker_message(&event(store)?.event);
    let (answer,) = handle.call_async(store, (message,)).await?;
    Ok(answer.or_else(retry))
}
