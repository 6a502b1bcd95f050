//! `wasi:messaging/incoming-handler@0.2.0-draft`: the event is a message resource; ok is an ack, and every error asks for
//! another attempt, since that draft has no word for "never again".

use wasmtime::Store;
use wasmtime::component::{Instance, Resource, TypedFunc};

use super::{Answer, Export, event, retry};
use crate::bindings::wasi_messaging::wasi::messaging::types::Error;
use crate::capability::wasi_messaging::Held;
use crate::state::State;

type Handle = TypedFunc<(Resource<Held>,), (Result<(), Error>,)>;

pub(super) fn function(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Handle> {
    instance.get_typed_func(store, export.function)
}

pub(super) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    let handle = function(store, instance, export)?;
    let held = Held::of(event(store)?);
    let message = store.data_mut().hold(held)?;
    let (answer,) = handle.call_async(store, (message,)).await?;
    Ok(answer.or_else(|error| retry(text(error))))
}

fn text(error: Error) -> String {
    match error {
        Error::Timeout => "timeout".to_owned(),
        Error::Connection(text) => format!("connection: {text}"),
        Error::PermissionDenied(text) => format!("permission denied: {text}"),
        Error::Other(text) => text,
    }
}
