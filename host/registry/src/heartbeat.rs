//! Keeps a set of nodes registered: each one again at every interval, and out again at the end or while a check fails.
//!
//! One task does it all, with a few calls to the registry at a time. What to do is decided in `plan`. A node that the
//! registry does not take is remembered and tried again at each interval, and the others go on. While the registry is
//! out of reach, one node at a time tries, after waits that double. A node whose deregistration did not get through is
//! left to its TTL.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch as signal};
use tokio::task::JoinHandle;

use hostel_event::port::{Clock, Registry, RegistryError, Service};
use hostel_event::time::Moment;

use crate::telemetry;

use plan::{Action, Kind, Plan};

/// How often nodes are registered, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long after one registration the next one follows.
    pub interval: Duration,
    /// How long a registration holds. Shorter than the interval and nodes come and go.
    pub ttl: Duration,
}

impl Settings {
    /// As go-micro's broker has it: every half minute, for a minute, so that one may be lost.
    pub const GO_MICRO: Self = Self { interval: Duration::from_secs(30), ttl: Duration::from_secs(60) };
}

/// Whether this process should be found at all; the text says why not. Asked each second on the task of the
/// heartbeat, so it must not block.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// How the nodes are doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Why the check fails, if it does; then no node is registered.
    pub failing: Option<String>,
    /// That the registry is out of reach.
    pub away: Option<Away>,
    /// Every node of the set, in the order of service, version and id.
    pub nodes: Vec<NodeState>,
}

/// The registry is out of reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Since when.
    pub since: Moment,
    /// Why, as the last attempt was told.
    pub reason: String,
}

/// How one node is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// The service's name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The node's id.
    pub node: String,
    /// Since when it is registered without a gap; `None`: it is not.
    pub registered: Option<Moment>,
    /// Why the last attempt to register it failed, if it did.
    pub error: Option<String>,
}

/// Keeps nodes registered. [`Heartbeat::close`] takes them out and waits for that; dropping it leaves them to their
/// TTL.
pub struct Heartbeat {
    shared: Arc<Shared>,
    stop: signal::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    registry: Arc<dyn Registry>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    check: Check,
    plan: Mutex<Plan>,
    /// The set has changed. One waits for it, and `notify_one` keeps a permit for that one.
    changed: Notify,
}

/// Calls to the registry at a time. Arbitrary: a thousand nodes take a second where each call takes ten milliseconds,
/// and a registry on the same machine serves others beside.
const PARALLEL: usize = 8;

/// How often the check is asked.
const CHECK: Duration = Duration::from_secs(1);

/// How long one call may take before the registry counts as out of reach. Longer than those of the adapters.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long the nodes may take to be taken out at the end. Arbitrary; what is left is forgotten after its TTL.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

type Calls = FuturesUnordered<BoxFuture<'static, (Action, Result<(), RegistryError>)>>;

impl Heartbeat {
    /// Begins with an empty set. Starts a task, so this needs a tokio runtime.
    #[must_use]
    pub fn start(registry: Arc<dyn Registry>, settings: Settings, clock: Arc<dyn Clock>, check: Check) -> Self {
        let (plan, changed) = (Mutex::new(Plan::new(settings)), Notify::new());
        let shared = Arc::new(Shared { registry, settings, clock, check, plan, changed });
        let (stop, stopped) = signal::channel(false);
        let task = tokio::spawn(beat(Arc::clone(&shared), stopped));
        Self { shared, stop, task: Mutex::new(Some(task)) }
    }

    /// Makes these the nodes to keep registered: new ones are registered now, those that are not among them taken out,
    /// and those that differ in anything but service, version and id registered again. Does not wait.
    ///
    /// A service without nodes is nothing to register. After [`Heartbeat::close`] this does nothing.
    pub fn set(&self, services: Vec<Service>) {
        self.shared.plan.lock().set(services, self.shared.clock.now());
        self.shared.changed.notify_one();
    }

    /// How the nodes are doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.plan.lock().state(self.shared.clock.now())
    }

    /// Takes all nodes out, within two seconds or not at all, and ends.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // Its only failure is a panic, which the runtime has reported.
            _ = task.await;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Shared {
    /// Begins what is to be done now, as far as there is room.
    fn begin(&self, calls: &mut Calls) {
        let now = self.clock.now();
        while calls.len() < PARALLEL {
            let Some(action) = self.plan.lock().take(now) else { return };
            calls.push(call(Arc::clone(&self.registry), self.settings.ttl, action));
        }
    }

    fn done(&self, (action, result): (Action, Result<(), RegistryError>)) {
        self.plan.lock().done(&action, result, self.clock.now());
    }

    /// How long until something is to be done that nothing else tells of.
    fn until_next(&self) -> Option<Duration> {
        self.plan.lock().wake().map(|at| at.since(self.clock.now()))
    }
}

/// Does what the plan says until told to stop, and then takes everything out.
async fn beat(shared: Arc<Shared>, mut stopped: signal::Receiver<bool>) {
    let mut calls = Calls::new();
    let mut check = tokio::time::interval(CHECK);
    check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let running = calls.len();
        tokio::select! {
            // First what stops, then what the check says, so that nothing is registered that should not be.
            biased;
            // An error means that the sender is gone, which is a reason to stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
            _ = check.tick() => {
                let said = (shared.check)();
                shared.plan.lock().checked(said, shared.clock.now());
            }
            Some(done) = calls.next() => shared.done(done),
            () = shared.changed.notified() => {}
            () = sleep(shared.until_next(), running) => {}
        }
        shared.begin(&mut calls);
    }
    shared.plan.lock().close(shared.clock.now());
    // What is not done by then is dropped with its calls.
    let closing = async {
        loop {
            shared.begin(&mut calls);
            if shared.plan.lock().is_closed() {
                return;
            }
            match calls.next().await {
                Some(done) => shared.done(done),
                None => return,
            }
        }
    };
    _ = tokio::time::timeout(CLOSE_LIMIT, closing).await;
    telemetry::heart_closed(shared.plan.lock().known());
}

/// Waits until something is due. Where all places are taken, only the end of a call can bring anything.
async fn sleep(wait: Option<Duration>, running: usize) {
    match wait {
        Some(wait) if running < PARALLEL => tokio::time::sleep(wait).await,
        _ => std::future::pending().await,
    }
}

fn call(
    registry: Arc<dyn Registry>,
    ttl: Duration,
    action: Action,
) -> BoxFuture<'static, (Action, Result<(), RegistryError>)> {
    Box::pin(async move {
        let service = action.service.clone();
        let call = match action.kind {
            Kind::Register => registry.register(service, ttl),
            Kind::Deregister => registry.deregister(service),
        };
        let result = match tokio::time::timeout(CALL_LIMIT, call).await {
            Ok(result) => result,
            Err(_) => Err(RegistryError::Unreachable(format!("no answer within {} s", CALL_LIMIT.as_secs()))),
        };
        (action, result)
    })
}

#[cfg(test)]
mod tests;
