//! `hostel:handler/subscriber`: the host's own contract, which needs no translation.

use wasmtime::Store;
use wasmtime::component::{Instance, Resource, TypedFunc};

use super::{Answer, Export};
use crate::capability::events::Lent;
use crate::state::State;

type Handle = TypedFunc<(Resource<Lent>,), (Answer,)>;

pub(super) fn function(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Handle> {
    instance.get_typed_func(store, export.function)
}

pub(super) async fn call(store: &mut Store<State>, instance: &Instance, export: Export) -> wasmtime::Result<Answer> {
    let handle = function(store, instance, export)?;
    let (answer,) = handle.call_async(store, (Lent::resource(),)).await?;
    Ok(answer)
}
