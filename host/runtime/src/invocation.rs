//! One invocation: a store and an instance of its own, under one deadline, and the report of how it went.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostel_event::outcome::{Fault, FaultKind, Log, Outcome, Report, Usage};
use hostel_event::port::Call;
use hostel_event::subscription::RetryPolicy;
use parking_lot::Mutex;
use wasmtime::component::{Instance, Resource, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use crate::bindings::hostel::handler::types::Failure;
use crate::capability::events::Lent;
use crate::capability::http::Http;
use crate::component::Component;
use crate::deadline::Deadline;
use crate::fault::fault;
use crate::guest::Guest;
use crate::log::{Recorder, cut_at};
use crate::runtime::Inner;
use crate::state::State;
use crate::ticker::Active;

/// Bytes of a reason that are kept; the contract says so.
const REASON_BYTES: usize = 4096;
/// How long after the deadline a guest is dropped that did not end by itself. A guest that computes is stopped by the
/// next tick and tells where it was; what is still there after several ticks waits in a host call.
const GRACE: Duration = Duration::from_millis(20);

/// A store made for one invocation. It is gone, with all that the guest held, when this is.
pub(crate) struct Invocation<'a> {
    store: Store<State>,
    component: &'a Component,
    deadline: Arc<Deadline>,
    log: Arc<Mutex<Recorder>>,
    _active: Active<'a>,
}

/// `subscriber.handle`.
type Handle = TypedFunc<(Resource<Lent>,), (Result<(), Failure>,)>;

/// How running a guest ended when it did not return.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It trapped, or could not begin.
    Failed(wasmtime::Error),
    /// It was still in a host call after the deadline.
    Blocked,
}

impl<'a> Invocation<'a> {
    /// Makes the store; the deadline runs from here. Without a call only `init` may be run.
    pub(crate) fn new(guest: &'a Guest, call: Option<Call>) -> Self {
        let runtime: &Inner = guest.runtime();
        let limits = &guest.handler().limits;
        let deadline = Arc::new(Deadline::new(Instant::now(), limits.deadline));
        let log = Arc::new(Mutex::new(Recorder::new(limits, Arc::clone(&runtime.clock))));
        let http = Http::new(Arc::clone(guest.handler()), Arc::clone(&log), Arc::clone(&runtime.outgoing));
        let state = State::new(Arc::clone(guest.handler()), call, Arc::clone(&deadline), Arc::clone(&log), http);
        let active = runtime.ticker.activate();
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(runtime.transfer_limit);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            if store.data().deadline.has_passed() {
                return Ok(UpdateDeadline::Interrupt);
            }
            // Tokio's own yield lets its timers and sockets have a turn as well, not only the other tasks.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        Self { store, component: guest.component(), deadline, log, _active: active }
    }

    /// Runs `subscriber.handle`.
    pub(crate) async fn handle(&mut self) -> Result<Result<(), Failure>, Ended> {
        let deadline = Arc::clone(&self.deadline);
        within(&deadline, async {
            let instance = self.instantiate().await?;
            let handle = self.handle_of(&instance)?;
            let (result,) = handle.call_async(&mut self.store, (Lent::resource(),)).await?;
            Ok(result)
        })
        .await
    }

    /// Makes an instance, which shows whether one can be made and called, and runs `lifecycle.init` if there is one.
    pub(crate) async fn init(&mut self) -> Result<Result<(), String>, Ended> {
        let deadline = Arc::clone(&self.deadline);
        within(&deadline, async {
            let instance = self.instantiate().await?;
            self.handle_of(&instance)?;
            let Some(init) = self.component.init else { return Ok(Ok(())) };
            let init = instance.get_typed_func::<(), (Result<(), String>,)>(&mut self.store, init)?;
            let (result,) = init.call_async(&mut self.store, ()).await?;
            Ok(result)
        })
        .await
    }

    /// The function `handle`, if it has the type that the contract says.
    fn handle_of(&mut self, instance: &Instance) -> wasmtime::Result<Handle> {
        instance.get_typed_func(&mut self.store, self.component.handle)
    }

    async fn instantiate(&mut self) -> wasmtime::Result<Instance> {
        self.component.code.instantiate_async(&mut self.store).await
    }

    /// What the host tells of it.
    pub(crate) fn report(self, ended: Result<Result<(), Failure>, Ended>) -> Report {
        let outcome = match ended {
            Ok(Ok(())) => Outcome::Ack,
            Ok(Err(Failure::Retry(advice))) => Outcome::Retry {
                reason: reason(&advice.reason),
                after: advice.after_ms.map(|ms| Duration::from_millis(ms).min(RetryPolicy::ADVICE_LIMIT)),
            },
            Ok(Err(Failure::Reject(text))) => Outcome::Reject { reason: reason(&text) },
            Err(ended) => Outcome::Fault(self.fault(&ended)),
        };
        let log = self.finish_log();
        let peak_memory = self.store.data().limiter.peak();
        // What the guest held goes back before anyone hears of the outcome, so that the next event finds it.
        drop(self.store);
        Report { outcome, log, usage: Usage { wall: self.deadline.elapsed(), peak_memory } }
    }

    /// What kind of fault ended it.
    pub(crate) fn fault(&self, ended: &Ended) -> Fault {
        // To the millisecond: an extension counts from whenever it was asked for.
        let total = Duration::from_millis(u64::try_from(self.deadline.total().as_millis()).unwrap_or(u64::MAX));
        match ended {
            Ended::Failed(error) => {
                let mut fault = fault(error, &self.store.data().limiter);
                if fault.kind == FaultKind::Deadline {
                    fault.message = format!("the handler did not return within {total:?}; it was computing");
                }
                fault
            }
            Ended::Blocked => Fault {
                kind: FaultKind::Deadline,
                message: format!("the handler did not return within {total:?}; it was waiting in a call to the host"),
                stack: None,
            },
        }
    }

    /// Everything that it logged.
    pub(crate) fn finish_log(&self) -> Log {
        self.log.lock().finish()
    }
}

/// The part of a guest's reason that is kept.
pub(crate) fn reason(text: &str) -> String {
    cut_at(text, REASON_BYTES).to_owned()
}

/// Runs `work` to its end, or drops it some time after the deadline, wherever the deadline has been moved by then.
///
/// The timer runs on real time, as the deadline does: a guest's loop does not heed a test's clock.
async fn within<T>(deadline: &Deadline, work: impl Future<Output = wasmtime::Result<T>>) -> Result<T, Ended> {
    let mut work = pin!(work);
    loop {
        let end = deadline.instant() + GRACE;
        tokio::select! {
            biased;
            result = &mut work => return result.map_err(Ended::Failed),
            () = tokio::time::sleep_until(end.into()) => {
                if deadline.has_passed() {
                    return Err(Ended::Blocked);
                }
            }
        }
    }
}
