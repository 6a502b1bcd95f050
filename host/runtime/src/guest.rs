//! A guest: one version of a handler, ready to run. Implements the port [`Invoke`].

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use hostel_event::handler::Handler;
use hostel_event::name::Version;
use hostel_event::outcome::{Fault, FaultKind, Log, Report};
use hostel_event::port::{Call, Invoke};
use wasmtime::Engine;

use crate::component::Component;
use crate::invocation::{Invocation, reason};
use crate::runtime::Inner;
use crate::warm::Pool;

/// A component together with one handler's limits and grants.
pub struct Guest {
    runtime: Arc<Inner>,
    component: Arc<Component>,
    handler: Arc<Handler>,
    /// How many events an instance serves.
    reuse: NonZeroU32,
    /// Instances that wait for another event. They are this version's alone and go with it.
    warm: Arc<Pool>,
    /// See [`Guest::denied`].
    denied: AtomicU64,
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
    pub(crate) fn new(runtime: Arc<Inner>, component: Arc<Component>, handler: Arc<Handler>) -> Self {
        // More than run at the same time are never wanted.
        let most = handler.subscriptions.iter().map(|subscription| subscription.concurrency).sum::<usize>().max(1);
        let warm = Arc::new(Pool::new(Arc::clone(&runtime.warm), most));
        // What an asynchronous guest began may go on after it has returned, and would go on in another event's time.
        let is_concurrent = !Engine::same(component.code.engine(), &runtime.engine);
        let reuse = if is_concurrent { NonZeroU32::MIN } else { handler.reuse };
        Self { runtime, component, handler, reuse, warm, denied: AtomicU64::new(0) }
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

    /// Makes an instance of its own and runs its `lifecycle.init` if it exports one, under the handler's limits. To be called once
    /// before the first event, so that what can never run is refused and not retried. Returns what it logged.
    ///
    /// Cancelling ends the guest where it stands.
    ///
    /// # Errors
    /// [`InitFailure`] when it returned an error, or did not return.
    pub async fn init(&self) -> Result<Log, Box<InitFailure>> {
        // Boxed: a store with all that wasmtime keeps across a suspension is large.
        Box::pin(async {
            let mut invocation = Invocation::fresh(self);
            let error = match invocation.init().await {
                Ok(Ok(())) => return Ok(invocation.finish_log()),
                Ok(Err(text)) => InitError::Refused(reason(&text)),
                Err(ended) => match invocation.fault(&ended) {
                    fault if fault.kind == FaultKind::Memory => InitError::Limits(fault),
                    fault => InitError::Fault(fault),
                },
            };
            Err(Box::new(InitFailure { error, log: invocation.finish_log() }))
        })
        .await
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
        Box::pin(async move {
            // Before the deadline begins: what its neighbours compute is not its doing.
            let turn = self.runtime.turns.begin(&self.handler.tenant).await;
            let mut invocation = Invocation::new(self);
            invocation.begin_turn(turn);
            let ended = invocation.handle(call).await;
            invocation.report(ended)
        })
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("handler", &self.handler.name)
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}
