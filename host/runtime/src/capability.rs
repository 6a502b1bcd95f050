//! What a guest can reach, one file for each capability. What is not linked here does not exist for a guest; what a
//! linked function grants is decided by the handler's grants.

pub(crate) mod config;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod key_value;
pub(crate) mod logging;
pub(crate) mod publisher;
pub(crate) mod stdio;
pub(crate) mod wasi;
pub(crate) mod wasi_messaging;
pub(crate) mod wasmcloud;
pub(crate) mod wasmcloud_async;

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{self, Imports};
use crate::capability::files::place::Places;
use crate::engine::Calls;
use crate::state::State;

/// Links everything that is in [`OFFERED`](crate::offer::OFFERED), and what is asynchronous for an engine that can do
/// with it.
pub(crate) fn linker(engine: &Engine, calls: Calls, places: &Arc<Places>) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::link(&mut linker, places)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::wasmcloud::Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::wasi_messaging::Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    if calls == Calls::Concurrent {
        bindings::wasmcloud_async::Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    }
    Ok(linker)
}
