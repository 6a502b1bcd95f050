//! What a store holds for one invocation, and what its host functions find there.

use std::sync::Arc;

use hostel_event::handler::{Grants, Handler};
use hostel_event::port::Call;
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capability::http::Http;
use crate::capability::wasi;
use crate::deadline::Deadline;
use crate::limiter::Limiter;
use crate::log::Recorder;

/// Resources that a guest may hold at once: streams, pollables, buckets. Arbitrary; each costs the host some hundred
/// bytes.
const RESOURCES: usize = 4096;

/// The data of one store.
pub(crate) struct State {
    /// Whose invocation it is.
    pub(crate) handler: Arc<Handler>,
    /// What it was called with; `None` while it prepares itself.
    pub(crate) call: Option<Call>,
    pub(crate) limiter: Limiter,
    pub(crate) deadline: Arc<Deadline>,
    pub(crate) log: Arc<Mutex<Recorder>>,
    pub(crate) http: Http,
    /// Made when the guest first calls WASI; many never do.
    wasi: Option<WasiCtx>,
    /// What the guest holds of the host, of WASI and else.
    pub(crate) table: ResourceTable,
}

impl State {
    pub(crate) fn new(
        handler: Arc<Handler>,
        call: Option<Call>,
        deadline: Arc<Deadline>,
        log: Arc<Mutex<Recorder>>,
        http: Http,
    ) -> Self {
        let limiter = Limiter::new(handler.limits.memory);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self { handler, call, limiter, deadline, log, http, wasi: None, table }
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.handler.grants
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| wasi::context(&self.log));
        WasiCtxView { ctx, table: &mut self.table }
    }
}
