//! How a component's export is called, one file for each world: the event becomes what that world's function takes, and
//! what it returns becomes what Hostel's own contract would have returned.
//!
//! What such a component imports is in `capability`. Which world a component fits is found in `world`.

pub(crate) mod http;
mod subscriber;
mod wasi_messaging;
mod wasmcloud;
mod wasmcloud_async;

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance};

use hostel_event::port::Call;

use crate::bindings::hostel::handler::types::{Failure, RetryAdvice};
use crate::state::State;
use crate::world::World;

/// The function by which a component is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    /// Whose function it is.
    pub(crate) world: World,
    /// Where it is.
    pub(crate) function: ComponentExportIndex,
}

/// What calling a component comes to, in the words of Hostel's contract.
pub(crate) type Answer = Result<(), Failure>;

/// Looks whether the function has the type that its world says.
///
/// # Errors
/// What differs.
pub(crate) fn check(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<()> {
    match export.world {
        World::Handler => subscriber::function(store, instance, export).map(drop),
        World::WasmcloudMessagingAsync => wasmcloud_async::function(store, instance, export).map(drop),
        World::WasmcloudMessaging => wasmcloud::function(store, instance, export).map(drop),
        World::WasiMessaging => wasi_messaging::function(store, instance, export).map(drop),
        World::WasiHttp => http::function(store, instance, export).map(drop),
    }
}

/// Calls the function with the event that the store was made for.
///
/// # Errors
/// The guest's trap, or what the host could not do for it.
pub(crate) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    // Hostel's own stays flat: it is the usual one. The others are larger, and boxed.
    match export.world {
        World::Handler => subscriber::call(store, instance, export).await,
        World::WasmcloudMessagingAsync => Box::pin(wasmcloud_async::call(store, instance, export)).await,
        World::WasmcloudMessaging => Box::pin(wasmcloud::call(store, instance, export)).await,
        World::WasiMessaging => Box::pin(wasi_messaging::call(store, instance, export)).await,
        World::WasiHttp => Box::pin(http::call(store, instance, export)).await,
    }
}

/// What the store was made for.
fn event(store: &Store<State>) -> wasmtime::Result<&Call> {
    store.data().call.as_ref().ok_or_else(|| wasmtime::Error::msg("there is no event to call the handler with"))
}

/// Another attempt, after the subscription's backoff.
fn retry(reason: impl Into<String>) -> Answer {
    Err(Failure::Retry(RetryAdvice { reason: reason.into(), after_ms: None }))
}
