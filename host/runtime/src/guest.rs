//! A guest: one version of a handler, ready to run. Implements the port [`Invoke`].

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_core::future::BoxFuture;
use hostel_event::handler::{Handler, Limits};
use hostel_event::name::Version;
use hostel_event::outcome::{Fault, FaultKind, Log, Report};
use hostel_event::port::{Call, Invoke};
use wasmtime::Engine;

use crate::aside::Habit;
use crate::component::Component;
use crate::invocation::{Invocation, reason};
use crate::meter::Meter;
use crate::runtime::Inner;
use crate::warm::Pool;

/// The most time that `init` gets. Arbitrary: enough for Python to import what it needs, and short beside what waits for it:
/// the next deployment of its tenant, and at a start all other handlers.
const INIT: Duration = Duration::from_secs(60);

/// A component together with one handler's limits and grants.
pub struct Guest {
    runtime: Arc<Inner>,
    component: Arc<Component>,
    handler: Arc<Handler>,
    /// How many events an instance serves.
    reuse: NonZeroU32,
    /// Instances that wait for another event. They are this version's alone and go with it.
    warm: Arc<Pool>,
    /// Whether its events begin aside.
    pub(crate) habit: Habit,
    /// See [`Guest::denied`].
    denied: AtomicU64,
    /// Itself, for what goes on aside.
    this: Weak<Self>,
}

/// The limits under which `init` runs.
fn of_init(limits: &Limits) -> Limits {
    Limits { deadline: limits.deadline.min(INIT), ..limits.clone() }
}

/// Why a handler could not be made ready, and what it logged on the way.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct InitFailure {
    /// What went wrong.
    #[source]
    pub error: InitError,
    /// What it logged; a panic's text stands here.
    pub log: Log,
}

/// Why a handler could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Its `lifecycle.init` returned an error.
    #[error("handler's init failed: {0}")]
    Refused(String),
    /// It asked for more memory than its limit before its first event.
    #[error("handler exceeds its limits before its first event: {}", .0.message)]
    Limits(Fault),
    /// It trapped or ran out of time before its first event.
    #[error("handler failed before its first event: {}", .0.message)]
    Fault(Fault),
}

impl Guest {
    pub(crate) fn new(runtime: Arc<Inner>, component: Arc<Component>, handler: Arc<Handler>) -> Arc<Self> {
        // More than run at the same time are never wanted.
        let most = handler.subscriptions.iter().map(|subscription| subscription.concurrency).sum::<usize>().max(1);
        let warm = Arc::new(Pool::new(Arc::clone(&runtime.warm), most));
        // What an asynchronous guest began may go on after it has returned, and would go on in another event's time.
        let is_concurrent = !Engine::same(component.code.engine(), &runtime.engine);
        let reuse = if is_concurrent { NonZeroU32::MIN } else { handler.reuse };
        let (habit, denied) = (Habit::new(), AtomicU64::new(0));
        Arc::new_cyclic(|this| {
            let this = Weak::clone(this);
            Self { runtime, component, handler, reuse, warm, habit, denied, this }
        })
    }

    pub(crate) fn runtime(&self) -> &Inner {
        &self.runtime
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn handler(&self) -> &Arc<Handler> {
        &self.handler
    }

    pub(crate) fn warm(&self) -> &Arc<Pool> {
        &self.warm
    }

    /// How many calls of it were denied for want of a grant, in all invocations that have ended.
    #[must_use]
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    pub(crate) fn count_denied(&self, calls: u32) {
        if calls > 0 {
            self.denied.fetch_add(u64::from(calls), Ordering::Relaxed);
        }
    }

    /// How many events an instance serves.
    pub(crate) fn reuse(&self) -> NonZeroU32 {
        self.reuse
    }

    /// Whether an instance serves more than one event.
    pub(crate) fn serves_several(&self) -> bool {
        self.reuse.get() > 1
    }

    /// Makes an instance of its own and runs its `lifecycle.init` if it exports one, under the handler's limits, and for at most
    /// a minute. To be called once before the first event, so that what can never run is refused and not retried. Returns what it logged.
    ///
    /// Cancelling ends the guest where it stands.
    ///
    /// # Errors
    /// [`InitFailure`] when it returned an error, or did not return.
    pub async fn init(&self) -> Result<Log, Box<InitFailure>> {
        let guest = self.itself();
        // Nobody waits for it but who deploys.
        let work = async move {
            let turn = guest.runtime.turns.begin(&guest.handler.tenant).await;
            let meter = Arc::new(Meter::aside(&of_init(&guest.handler.limits), turn));
            let mut invocation = Invocation::fresh(&guest, meter);
            let error = match invocation.init().await {
                Ok(Ok(())) => return Ok(invocation.finish_log()),
                Ok(Err(text)) => InitError::Refused(reason(&text)),
                Err(ended) => match invocation.fault(&ended) {
                    fault if fault.kind == FaultKind::Memory => InitError::Limits(fault),
                    fault => InitError::Fault(fault),
                },
            };
            Err(Box::new(InitFailure { error, log: invocation.finish_log() }))
        };
        // Boxed: a store with all that wasmtime keeps across a suspension is large.
        self.runtime.aside.run(Box::pin(work)).await
    }

    fn itself(&self) -> Arc<Self> {
        // Nobody has a guest but in an `Arc`, and whoever calls it holds that.
        self.this.upgrade().unwrap_or_else(|| unreachable!("a guest is called while somebody holds it"))
    }

    /// Serves an event on the thread that polls this, until it proves to take long.
    async fn serve(&self, call: Call) -> Report {
        let guest = self.itself();
        let meter = Arc::new(Meter::new(&self.handler.limits));
        let mut serving = Box::pin(serve(guest, Arc::clone(&meter), call));
        let served = poll_fn(|context| match serving.as_mut().poll(context) {
            Poll::Ready(report) => Poll::Ready(Some(report)),
            Poll::Pending if meter.is_long() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match served.await {
            Some(report) => report,
            None => self.runtime.aside.run(serving).await,
        }
    }

    /// Serves an event aside from its beginning.
    async fn serve_aside(&self, call: Call) -> Report {
        let guest = self.itself();
        let work = async move {
            // Before the deadline begins: what its neighbours compute is not its doing.
            let turn = guest.runtime.turns.begin(&guest.handler.tenant).await;
            let meter = Arc::new(Meter::aside(&guest.handler.limits, turn));
            serve(guest, meter, call).await
        };
        self.runtime.aside.run(Box::pin(work)).await
    }
}

impl Invoke for Guest {
    fn version(&self) -> &Version {
        &self.handler.version
    }

    fn memory(&self) -> usize {
        self.handler.limits.memory
    }

    fn invoke(&self, call: Call) -> BoxFuture<'_, Report> {
        if self.habit.is_bad() { Box::pin(self.serve_aside(call)) } else { Box::pin(self.serve(call)) }
    }
}

async fn serve(guest: Arc<Guest>, meter: Arc<Meter>, call: Call) -> Report {
    let mut invocation = Invocation::new(&guest, meter);
    let ended = invocation.handle(call).await;
    invocation.report(ended)
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("handler", &self.handler.name)
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_gets_what_the_manifest_says_and_no_more_than_a_minute() {
        let limits = |seconds| Limits { deadline: Duration::from_secs(seconds), ..Limits::default() };
        assert_eq!(of_init(&limits(5)), limits(5));
        assert_eq!(of_init(&limits(3_600)), limits(60));
    }
}
