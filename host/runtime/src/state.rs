//! What a store holds, and what its host functions find there.

use std::sync::Arc;

use hostel_event::handler::{Grants, Handler};
use hostel_event::port::Call;
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capability::files::Files;
use crate::capability::files::open::Open;
use crate::capability::http::Http;
use crate::capability::wasi;
use crate::limiter::Limiter;
use crate::log::Recorder;
use crate::meter::Meter;
use crate::outgoing::Outgoing;
use crate::provision::Provision;

/// Resources that a guest may hold at once: streams, pollables, buckets. Arbitrary; each costs the host some hundred
/// bytes.
const RESOURCES: usize = 4096;

/// The data of one store.
pub(crate) struct State {
    // What is the guest's, and stays from event to event where an instance serves several.
    /// Whose store it is.
    pub(crate) handler: Arc<Handler>,
    pub(crate) limiter: Limiter,
    /// What the guest holds of the host, of WASI and else.
    pub(crate) table: ResourceTable,
    /// Made when the guest first calls WASI; many never do.
    wasi: Option<Wasi>,
    /// The folder of files that it was told of, if it asked.
    told: Option<Files>,
    /// What it has open of them. Made when it first opens one.
    pub(crate) open: Option<Open>,
    pub(crate) outgoing: Arc<Outgoing>,
    /// What the operator has for its tenant.
    pub(crate) provision: Arc<dyn Provision>,

    // What is one event's.
    /// What it was called with; `None` while it prepares itself.
    pub(crate) call: Option<Call>,
    pub(crate) meter: Arc<Meter>,
    /// The lines of the event under way. Standard streams, which a guest may keep, write into it as well.
    pub(crate) log: Arc<Mutex<Recorder>>,
    /// Made when the guest first sends a request.
    pub(crate) http: Option<Http>,
}

/// What a guest has of WASI.
struct Wasi {
    context: WasiCtx,
    /// One count for each standard stream that the guest holds, beside this and the context's own.
    streams: Arc<()>,
    /// The counts without any stream of the guest's.
    own: usize,
}

impl State {
    pub(crate) fn new(
        handler: Arc<Handler>,
        (outgoing, provision): (Arc<Outgoing>, Arc<dyn Provision>),
        meter: Arc<Meter>,
        log: Arc<Mutex<Recorder>>,
    ) -> Self {
        let limiter = Limiter::new(handler.limits.memory);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            handler,
            limiter,
            table,
            wasi: None,
            told: None,
            open: None,
            outgoing,
            provision,
            call: None,
            meter,
            log,
            http: None,
        }
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.handler.grants
    }

    /// Forgets the event. What the guest itself keeps of it is in its memory, or still [held](Self::holds_on).
    pub(crate) fn forget(&mut self) {
        (self.call, self.http) = (None, None);
    }

    /// The files that it may read, as it asks where they are.
    pub(crate) fn files(&mut self) -> Option<Files> {
        let bundle = self.handler.grants.files?;
        self.told = self.provision.files(&self.handler.tenant, &bundle);
        self.told.clone()
    }

    /// Whether the guest holds anything of the host's but standard streams, what waits for them, and the folder of its files: a bucket, a request
    /// under way, an answer's body. With it a later event could reach what belongs to an earlier one.
    pub(crate) fn holds_on(&mut self) -> bool {
        let streams = self.wasi.as_ref().map_or(0, |wasi| Arc::strong_count(&wasi.streams) - wasi.own);
        let told = self.told.as_ref();
        // What it was told of is the same for every event, and nobody can change it.
        let is_told = |descriptor: &Descriptor| told.is_some_and(|files| files.is(descriptor));
        let held = self
            .table
            .iter_mut()
            .filter(|entry| !entry.is::<DynPollable>() && !entry.downcast_ref::<Descriptor>().is_some_and(is_told));
        held.count() > streams
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| {
            let streams = Arc::new(());
            let context = wasi::context(&self.handler.grants.environment, &self.log, &streams);
            let own = Arc::strong_count(&streams);
            Wasi { context, streams, own }
        });
        WasiCtxView { ctx: &mut wasi.context, table: &mut self.table }
    }
}
