//! One invocation: one event in a sandbox, under one deadline, and the report of how it went.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hostel_event::outcome::{Fault, FaultKind, Log, Outcome, Report, Usage};
use hostel_event::port::Call;
use hostel_event::subscription::RetryPolicy;
use tokio::time::Sleep;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::adapter::{self, Answer};
use crate::aside::Burden;
use crate::bindings::hostel::handler::types::{Failure, RetryAdvice};
use crate::component::Component;
use crate::fault::fault;
use crate::guest::Guest;
use crate::log::cut_at;
use crate::meter::Meter;
use crate::sandbox::Sandbox;
use crate::state::State;
use crate::ticker::Active;

/// Bytes of a reason that are kept; the contract says so.
const REASON_BYTES: usize = 4096;
/// How long after the deadline a guest is dropped that did not end by itself. A guest that computes is stopped by the
/// next tick and tells where it was; what is still there after several ticks waits in a host call.
const GRACE: Duration = Duration::from_millis(20);

/// A sandbox while it serves one event. Dropped before its report, it ends the guest where it stands.
pub(crate) struct Invocation<'a> {
    guest: &'a Guest,
    sandbox: Sandbox,
    meter: Arc<Meter>,
    /// Last, so that what runs is counted until all of it is given back.
    _active: Active<'a>,
}

/// How running a guest ended when it did not return.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It trapped, or could not begin.
    Failed(wasmtime::Error),
    /// It was still in a host call after the deadline.
    Blocked,
}

impl<'a> Invocation<'a> {
    /// Takes a warm sandbox if there is one, or makes one; the deadline runs from here.
    pub(crate) fn new(guest: &'a Guest, meter: Arc<Meter>) -> Self {
        let runtime = guest.runtime();
        // Before a sandbox is taken, so that it is counted all the time.
        let active = runtime.ticker.activate();
        let warm = if guest.serves_several() { guest.warm().take() } else { None };
        let Some(mut sandbox) = warm else { return Self::make(guest, (meter, active)) };
        sandbox.begin(runtime, Arc::clone(&meter));
        Self { guest, sandbox, meter, _active: active }
    }

    /// Makes a sandbox; the deadline runs from here.
    pub(crate) fn fresh(guest: &'a Guest, meter: Arc<Meter>) -> Self {
        Self::make(guest, (meter, guest.runtime().ticker.activate()))
    }

    fn make(guest: &'a Guest, (meter, active): (Arc<Meter>, Active<'a>)) -> Self {
        let runtime = guest.runtime();
        runtime.warm.make_room(|| runtime.ticker.active());
        let sandbox = Sandbox::new(runtime, guest.component(), guest.handler(), Arc::clone(&meter));
        Self { guest, sandbox, meter, _active: active }
    }

    /// Calls the guest with an event, in an instance that is made and prepared before if there is none.
    pub(crate) async fn handle(&mut self, event: Call) -> Result<Answer, Ended> {
        let (guest, sandbox) = (self.guest, &mut self.sandbox);
        within(&self.meter, async {
            let instance = match sandbox.instance {
                Some(instance) => instance,
                None => {
                    let instance = sandbox.instantiate(guest.component()).await?;
                    // The contract: an instance that serves one event was prepared when the handler was deployed.
                    if guest.serves_several()
                        && let Err(text) = init(&mut sandbox.store, guest.component(), &instance).await?
                    {
                        sandbox.discard();
                        let reason = format!("the handler's init failed in a new instance: {text}");
                        return Ok(Err(Failure::Retry(RetryAdvice { reason, after_ms: None })));
                    }
                    sandbox.made();
                    instance
                }
            };
            sandbox.serve(event);
            adapter::call(&mut sandbox.store, &instance, guest.component().export).await
        })
        .await
    }

    /// Makes an instance, which shows whether one can be made and called, and runs `lifecycle.init` if there is one.
    pub(crate) async fn init(&mut self) -> Result<Result<(), String>, Ended> {
        let (component, sandbox) = (self.guest.component(), &mut self.sandbox);
        within(&self.meter, async {
            let instance = sandbox.instantiate(component).await?;
            adapter::check(&mut sandbox.store, &instance, component.export)?;
            init(&mut sandbox.store, component, &instance).await
        })
        .await
    }

    /// What the host tells of it. Keeps the sandbox warm for another event, if it may serve one.
    pub(crate) fn report(mut self, ended: Result<Answer, Ended>) -> Report {
        let has_returned = ended.is_ok();
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
        let limiter = &self.sandbox.store.data().limiter;
        let (peak_memory, growth) = (limiter.peak(), limiter.growth());
        self.guest.habit.learn(Burden { is_long: self.meter.is_long(), growth });
        // What the guest held goes back before anyone hears of the outcome, so that the next event finds it.
        if has_returned && self.sandbox.may_serve_another(self.guest.reuse()) {
            self.guest.warm().put(self.sandbox);
        } else {
            drop(self.sandbox);
        }
        let Meter { deadline, cpu, traffic, .. } = &*self.meter;
        // What giving it back took is the guest's doing too.
        let wall = deadline.elapsed();
        let usage = Usage {
            wall,
            cpu: cpu.at_end(wall),
            peak_memory,
            bytes_in: traffic.bytes_in(),
            bytes_out: traffic.bytes_out(),
            calls: traffic.calls(),
        };
        Report { outcome, log, usage }
    }

    /// What kind of fault ended it.
    pub(crate) fn fault(&self, ended: &Ended) -> Fault {
        // To the millisecond: an extension counts from whenever it was asked for.
        let total = Duration::from_millis(u64::try_from(self.meter.deadline.total().as_millis()).unwrap_or(u64::MAX));
        match ended {
            Ended::Failed(error) => {
                let mut fault = fault(error, &self.sandbox.store.data().limiter);
                if fault.kind == FaultKind::Deadline {
                    fault.message = match self.meter.cpu.limit().filter(|_| self.meter.cpu.is_spent()) {
                        Some(limit) => format!("the handler computed for longer than its CPU time of {limit:?}"),
                        None => format!("the handler did not return within {total:?}; it was computing"),
                    };
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

    /// Everything that it logged. To be called once; what it was denied is counted then.
    pub(crate) fn finish_log(&self) -> Log {
        self.guest.count_denied(self.meter.traffic.denied());
        self.sandbox.store.data().log.lock().finish()
    }
}

/// Runs `lifecycle.init` if there is one.
async fn init(
    store: &mut Store<State>,
    component: &Component,
    instance: &Instance,
) -> wasmtime::Result<Result<(), String>> {
    let Some(init) = component.init else { return Ok(Ok(())) };
    let init = instance.get_typed_func::<(), (Result<(), String>,)>(&mut *store, init)?;
    let (result,) = init.call_async(store, ()).await?;
    Ok(result)
}

/// The part of a guest's reason that is kept.
pub(crate) fn reason(text: &str) -> String {
    cut_at(text, REASON_BYTES).to_owned()
}

/// Runs `work` to its end, or drops it some time after the deadline, wherever the deadline has been moved by then.
/// Counts its processor time.
///
/// The timer runs on real time, as the deadline does: a guest's loop does not heed a test's clock.
async fn within<T>(meter: &Meter, work: impl Future<Output = wasmtime::Result<T>>) -> Result<T, Ended> {
    let mut work = pin!(work);
    // Most guests never wait, and need none.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        loop {
            meter.cpu.enter();
            let polled = work.as_mut().poll(context);
            meter.left_thread();
            if let Poll::Ready(result) = polled {
                return Poll::Ready(result.map_err(Ended::Failed));
            }
            meter.cpu.leave();
            if meter.is_standing_back() && meter.deadline.has_passed() {
                // It computes, on a thread that had no core for it: it goes on for a moment, and is stopped.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // At the deadline it is polled once more, so that one that waits for its turn goes on and is stopped.
            let grace = if meter.deadline.has_passed() { GRACE } else { Duration::ZERO };
            let end = meter.deadline.instant() + grace;
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end.into())));
            if timer.deadline() != end.into() {
                timer.as_mut().reset(end.into());
            }
            ready!(timer.as_mut().poll(context));
            if !grace.is_zero() && meter.deadline.has_passed() {
                return Poll::Ready(Err(Ended::Blocked));
            }
        }
    })
    .await
}
