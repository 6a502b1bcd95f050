//! A sandbox: a store, and the instance of one guest in it. It serves one event, or several one after the other.

use std::num::NonZeroU32;
use std::sync::Arc;

use hostel_event::handler::Handler;
use hostel_event::port::Call;
use parking_lot::Mutex;
use wasmtime::component::Instance;
use wasmtime::{Store, UpdateDeadline};

use crate::component::Component;
use crate::log::Recorder;
use crate::meter::Meter;
use crate::runtime::Inner;
use crate::state::State;

/// One guest's sandbox. It is gone, with all that the guest held, when this is.
pub(crate) struct Sandbox {
    pub(crate) store: Store<State>,
    /// Made by the first event.
    pub(crate) instance: Option<Instance>,
    /// Events that it was given.
    served: u32,
}

impl Sandbox {
    /// Makes the store, for an event that is measured by `meter`.
    pub(crate) fn new(runtime: &Inner, component: &Component, handler: &Arc<Handler>, meter: Arc<Meter>) -> Self {
        let log = Arc::new(Mutex::new(Recorder::new(&handler.limits, Arc::clone(&runtime.clock))));
        let outside = (Arc::clone(&runtime.outgoing), Arc::clone(&runtime.provision));
        let state = State::new(Arc::clone(handler), outside, meter, log);
        let mut store = Store::new(component.code.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(runtime.transfer_limit);
        store.set_epoch_deadline(1);
        let turns = Arc::clone(&runtime.turns);
        store.epoch_deadline_callback(move |store| {
            let state = store.data();
            if state.meter.is_over() {
                return Ok(UpdateDeadline::Interrupt);
            }
            state.meter.stands_back();
            if !state.meter.was_found() {
                // It may have begun just before the tick: others first, once.
                return Ok(UpdateDeadline::YieldCustom(1, Box::pin(others_first(Arc::clone(&state.meter)))));
            }
            let next = Arc::clone(&turns).next(state.handler.tenant.clone(), Arc::clone(&state.meter));
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(next)))
        });
        Self { store, instance: None, served: 0 }
    }

    /// Begins another event in the same instance: nothing that the host holds of the last one is left.
    pub(crate) fn begin(&mut self, runtime: &Inner, meter: Arc<Meter>) {
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.forget();
        state.limiter.begin();
        // In its old place: the guest's standard streams lead there.
        *state.log.lock() = Recorder::new(&state.handler.limits, Arc::clone(&runtime.clock));
        state.meter = meter;
    }

    /// Makes the instance. A failure on the way to [`made`](Self::made) leaves the sandbox unfit for further events.
    pub(crate) async fn instantiate(&mut self, component: &Component) -> wasmtime::Result<Instance> {
        let instance = component.code.instantiate_async(&mut self.store).await?;
        self.instance = Some(instance);
        Ok(instance)
    }

    /// The instance is ready for its first event.
    pub(crate) fn made(&mut self) {
        self.store.data_mut().limiter.made();
    }

    /// The instance is not to serve any event.
    pub(crate) fn discard(&mut self) {
        self.instance = None;
    }

    /// Puts the event where the guest finds it.
    pub(crate) fn serve(&mut self, call: Call) {
        self.served = self.served.saturating_add(1);
        let state = self.store.data_mut();
        state.meter.traffic.got(call.event.message.bytes());
        state.call = Some(call);
    }

    /// The linear memory that the guest holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().limiter.memory()
    }

    /// Whether the instance may serve one more event after one that it returned from; forgets that one.
    pub(crate) fn may_serve_another(&mut self, limit: NonZeroU32) -> bool {
        if self.instance.is_none() || self.served >= limit.get() {
            return false;
        }
        let state = self.store.data_mut();
        state.forget();
        !state.limiter.is_worn() && !state.holds_on()
    }
}

/// Gives the thread back once, to whatever else there is.
async fn others_first(meter: Arc<Meter>) {
    // Tokio's own yield lets its timers and sockets have a turn as well, not only the other tasks.
    tokio::task::yield_now().await;
    meter.went_on();
}
