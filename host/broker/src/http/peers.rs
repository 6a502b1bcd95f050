//! The other nodes of a go-micro network, and the remote subscriptions that stand for them on this host's broker.
//!
//! A queue group of remote nodes is one subscription of the broker, and so is each broadcast node; an event reaches them
//! by the same routes as local handlers. Who is there comes from the registry; the table decides what follows, one
//! task, the watcher, does it, and each subscription has a [`courier`] that posts.
//!
//! What this host registers of itself is not its part.

mod sighting;
mod table;
pub(crate) mod telemetry;
#[cfg(test)]
pub(crate) mod tests;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use hostel_event::name::{QueueGroup, Tenant};
use hostel_event::port::{Broker, Clock, Observe, Registry};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::topic::Topic;

use super::client::Client;
use super::courier::{self, Counts, Courier, Depot};
use super::node::Identity;
use super::wire::Generation;
use super::{circuit, courier::PeerState};

use table::{Rules, Table};

/// What the peers need.
#[derive(Clone)]
pub struct Parts {
    /// Where the remote subscriptions are.
    pub broker: Arc<dyn Broker>,
    /// Who is there.
    pub registry: Arc<dyn Registry>,
    /// Tells the time. Must agree with tokio's about how long a second is.
    pub clock: Arc<dyn Clock>,
    /// Hears how attempts and deliveries end.
    pub observe: Arc<dyn Observe>,
    /// Posts to nodes.
    pub client: Client,
    /// Who this host is, so that it never posts to its own nodes.
    pub identity: Identity,
}

/// How peers are found and served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose topics other nodes hear.
    pub tenant: Tenant,
    /// How often the registry is read as a whole; changes are heard of in between.
    pub refresh: Duration,
    /// Nodes that are served; what is announced beyond is counted.
    pub nodes: usize,
    /// How long a node may be missing from the registry until it is gone.
    pub gone_after: Duration,
    /// Deliveries that may wait for a remote subscription.
    pub window: usize,
    /// How events are carried. Its retention is also how long a queue group without nodes keeps its events.
    pub courier: courier::Settings,
    /// Where lots begin.
    pub seed: u64,
}

impl Settings {
    /// For a tenant as go-micro has it: a node is gone after a minute, its registration's TTL. 10 s and 20,000 nodes are
    /// arbitrary.
    #[must_use]
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            refresh: Duration::from_secs(10),
            nodes: 20_000,
            gone_after: Duration::from_secs(60),
            window: Subscription::WINDOW,
            courier: courier::Settings::default(),
            seed: 0,
        }
    }
}

/// The peers. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    settings: Settings,
    depot: Arc<Depot>,
    table: Mutex<Table>,
    /// The courier of each remote subscription.
    couriers: Mutex<BTreeMap<SubscriptionId, Entry>>,
    /// The table was told something that the task has not acted upon.
    changed: Notify,
    /// The task that watches the registry; ends before the couriers do.
    watching: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when the registry has been read for the first time.
    ready: CancellationToken,
}

#[derive(Clone)]
struct Entry {
    courier: Arc<Courier>,
    topic: Topic,
    queue: Option<QueueGroup>,
    /// Whether the broker has it.
    begun: bool,
}

/// How the nodes that answer or do not are reported to the task that watches. Holds each subscription once.
#[derive(Default)]
pub(crate) struct News {
    told: Mutex<BTreeMap<SubscriptionId, bool>>,
    notify: Notify,
}

impl News {
    /// A node of the subscription answers again, or does not.
    pub(crate) fn tell(&self, id: SubscriptionId, back: bool) {
        self.told.lock().insert(id, back);
        self.notify.notify_one();
    }

    fn take(&self) -> BTreeMap<SubscriptionId, bool> {
        std::mem::take(&mut self.told.lock())
    }
}

/// A remote node as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its id in the registry.
    pub node: String,
    /// Where it listens; several if it is known at several.
    pub addresses: Vec<String>,
    /// Whether it takes TLS only.
    pub secure: bool,
    /// What it speaks.
    pub generation: Generation,
    /// What it hears.
    pub topic: Topic,
    /// Its queue group; a broadcast node has none.
    pub queue: Option<QueueGroup>,
    /// Its subscription on the broker.
    pub subscription: SubscriptionId,
    /// Whether it answered when last asked.
    pub reachable: bool,
    /// Whether it is asked at all now.
    pub circuit: circuit::State,
    /// Whether its queue group's members on this host stand in for it.
    pub stood_in_for: bool,
    /// Events that wait for its subscription.
    pub waiting: usize,
    /// What became of the events that it was given.
    pub counts: Counts,
    /// Why the last attempt that failed did.
    pub last_error: Option<String>,
}

/// All that is known of other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The nodes that are served, ordered by subscription.
    pub peers: Vec<PeerView>,
    /// Queue groups whose nodes are all gone, and remote subscriptions none of whose nodes has been seen since a restart;
    /// and how many events wait for one to come.
    pub orphans: Vec<(SubscriptionId, usize)>,
    /// Nodes that were announced when the registry was last read and for which there was no room.
    pub beyond: usize,
    /// Announcements that were left out since something in them cannot be used.
    pub malformed: usize,
}

impl Peers {
    /// Begins to look for peers and to serve them. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(parts: Parts, settings: Settings) -> Self {
        let depot = Arc::new(Depot {
            client: parts.client.clone(),
            clock: Arc::clone(&parts.clock),
            observe: Arc::clone(&parts.observe),
            settings: settings.courier,
            host: parts.identity.to_string(),
            scale: Arc::new(AtomicUsize::new(0)),
            news: News::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            cancel: CancellationToken::new(),
            left: Notify::new(),
        });
        let rules =
            Rules { nodes: settings.nodes, gone_after: settings.gone_after, retention: settings.courier.retention };
        let mut table = Table::new(settings.tenant.clone(), parts.identity, rules);
        table.recall(&parts.broker.absent());
        let shared = Arc::new(Shared {
            parts,
            settings,
            depot,
            table: Mutex::new(table),
            couriers: Mutex::default(),
            changed: Notify::new(),
            watching: TaskTracker::new(),
            stop: CancellationToken::new(),
            ready: CancellationToken::new(),
        });
        shared.watching.spawn(watcher::watch(Arc::clone(&shared)));
        Self { shared }
    }

    /// Waits until the registry has been read once, or could not be, and events go to the nodes that it showed. Safe to
    /// cancel.
    pub async fn ready(&self) {
        self.shared.ready.cancelled().await;
    }

    /// Tells which subscriptions this host has. A queue group with members here is not kept waiting for nodes that do
    /// not answer: what waits for those is handed over by the broker. So tell of a subscription after the broker has
    /// begun it, and of its end before the broker ends it; otherwise there may be nobody to hand over to.
    pub fn set_local(&self, subscriptions: Vec<Arc<Subscription>>) {
        self.shared.table.lock().set_local(subscriptions);
        self.shared.changed.notify_one();
    }

    /// Every remote node as it stands.
    #[must_use]
    pub fn state(&self) -> State {
        let entries: Vec<Entry> = self.shared.couriers.lock().values().cloned().collect();
        let (mut peers, mut orphans) = (Vec::new(), Vec::new());
        for entry in entries {
            let (nodes, tally) = (entry.courier.peers(), entry.courier.tally());
            if nodes.is_empty() {
                orphans.push((entry.courier.subscription().id.clone(), tally.waiting));
            }
            peers.extend(nodes.into_iter().map(|node| view(&entry, node, tally.waiting)));
        }
        let census = self.shared.table.lock().census();
        State { peers, orphans, beyond: census.beyond, malformed: census.malformed }
    }

    /// Bytes of all events that wait for remote nodes.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.shared.depot.scale.load(Ordering::Acquire)
    }

    /// Stops looking for peers, lets what is on its way arrive, and with a broker that is not durable also what waits
    /// for nodes that answer, for as long as `patience` lasts. Then everything ends; connections too. Says how many
    /// events were left. Nothing may be published after this. Not safe to cancel.
    pub async fn close(&self, patience: Duration) -> usize {
        let Shared { depot, watching, stop, .. } = &*self.shared;
        stop.cancel();
        watching.close();
        watching.wait().await;
        // In vain only if it takes too long, which the count says.
        let _ = tokio::time::timeout(patience, self.shared.idle()).await;
        depot.cancel.cancel();
        depot.tasks.close();
        depot.tasks.wait().await;
        let couriers: Vec<Entry> = std::mem::take(&mut *self.shared.couriers.lock()).into_values().collect();
        let unsettled = couriers.iter().map(|entry| entry.courier.let_go()).sum();
        depot.client.close().await;
        telemetry::closed(unsettled, patience);
        unsettled
    }
}

impl Shared {
    /// Waits until nothing is on its way, and unless the broker is durable until nothing waits for a node that answers.
    async fn idle(&self) {
        let durable = self.parts.broker.guarantees().durable;
        loop {
            let mut left = std::pin::pin!(self.depot.left.notified());
            // Enabled before the look, so that what leaves between the look and the wait is noticed.
            left.as_mut().enable();
            let idle = |entry: &Entry| {
                if durable { entry.courier.tally().in_flight == 0 } else { entry.courier.is_idle() }
            };
            if self.couriers.lock().values().all(idle) {
                return;
            }
            left.await;
        }
    }
}

fn view(entry: &Entry, node: PeerState, waiting: usize) -> PeerView {
    PeerView {
        node: node.target.id.to_string(),
        addresses: node.target.addresses.iter().map(ToString::to_string).collect(),
        secure: node.target.secure,
        generation: node.target.generation,
        topic: entry.topic.clone(),
        queue: entry.queue.clone(),
        subscription: entry.courier.subscription().id.clone(),
        reachable: node.reachable,
        circuit: node.circuit,
        stood_in_for: !entry.begun,
        waiting,
        counts: node.counts,
        last_error: node.last_error,
    }
}
