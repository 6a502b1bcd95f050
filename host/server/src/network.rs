//! This host among others: the registry it uses, its own nodes in it, and the peers that it exchanges events with.
//!
//! Which registry is a matter of the config and of [`registry`]; what a node is and what a peer gets is decided in
//! `hostel_broker::http`. Here they are put together, and told whenever other subscriptions run.

mod identity;
mod peers;
mod registry;
mod unknown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use hostel_broker::http::node::{Addressed, Announcement, Identity, Nodes};
use hostel_broker::http::peers::Peers;
use hostel_broker::http::wire::Generation;
use hostel_event::name::Tenant;
use hostel_event::port::{Broker, Clock, Metadata, Node, Observe, Registry, Service};
use hostel_event::subscription::Subscription;
use hostel_event::topic::Topic;
use hostel_registry::cached::Cached;
use hostel_registry::heartbeat::{self, Heartbeat};

use crate::config::load::Mistake;
use crate::config::{Config, PeersKind};

use registry::Registries;
use unknown::Unknown;

/// What the network needs.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    /// Whose topics the ingress serves.
    pub(crate) tenant: Tenant,
    /// Where the ingress listens.
    pub(crate) ingress: SocketAddr,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where events for peers are kept.
    pub(crate) broker: Arc<dyn Broker>,
    /// Hears what becomes of them.
    pub(crate) observe: Arc<dyn Observe>,
    /// Once it is cancelled, nobody is to send anything here any more.
    pub(crate) stop: CancellationToken,
}

/// See the module's page.
pub(crate) struct Network {
    registries: Registries,
    heartbeat: Heartbeat,
    identity: Identity,
    /// Whose subscriptions go-micro's services reach: it knows no tenants.
    tenant: Tenant,
    address: String,
    secure: bool,
    generations: &'static [Generation],
    /// The host itself, as a service.
    itself: Service,
    nodes: RwLock<Nodes>,
    /// Those that events go to; none where this host keeps to itself.
    peers: Option<Peers>,
    unknown: Unknown,
}

impl Network {
    /// Takes this host's place in the network. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The registry cannot be used, or the host cannot be told from others.
    pub(crate) fn start(parts: Parts<'_>) -> Result<Self, Mistake> {
        let Parts { config, tenant, ingress, clock, broker, observe, stop } = parts;
        let host = identity::of(&config.data_dir)?;
        let address = match config.peers.advertise.as_str() {
            "" => identity::address(ingress)?.to_string(),
            advertise => advertise.to_owned(),
        };
        let registries = Registries::open(&config.registry, ingress, host, &clock)?;
        let settings = heartbeat::Settings { interval: config.registry.interval.0, ttl: config.registry.ttl.0 };
        let check: heartbeat::Check = Arc::new(move || match stop.is_cancelled() {
            true => Err("the host is shutting down".to_owned()),
            false => Ok(()),
        });
        let heartbeat = Heartbeat::start(registries.direct(), settings, Arc::clone(&clock), check);
        let generations: &[Generation] = match (config.peers.kind, config.peers.first_generation) {
            (PeersKind::None, _) => &[],
            (PeersKind::Http, false) => &[Generation::Second],
            (PeersKind::Http, true) => &[Generation::Second, Generation::First],
        };
        let identity = Identity::new(host);
        let peers = match config.peers.kind {
            PeersKind::None => None,
            PeersKind::Http => {
                let registry = registries.direct();
                let clock = Arc::clone(&clock);
                let client = peers::client(&config.peers)?;
                let parts = hostel_broker::http::peers::Parts { broker, registry, clock, observe, client, identity };
                Some(Peers::start(parts, peers::settings(config, tenant.clone())))
            }
        };
        let network = Self {
            registries,
            heartbeat,
            identity,
            tenant,
            secure: config.ingress.secure,
            generations,
            itself: itself(&config.peers.name, host, &address, config.ingress.secure),
            address,
            nodes: RwLock::default(),
            peers,
            unknown: Unknown::new(clock),
        };
        network.announce(std::iter::empty());
        Ok(network)
    }

    /// The registry, its answers kept where asking costs.
    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        self.registries.kept()
    }

    /// What keeps the registry's answers, where that is worth while.
    pub(crate) fn cached(&self) -> Option<&Arc<Cached>> {
        self.registries.cached()
    }

    /// These subscriptions of this host run from now on, and no others.
    pub(crate) fn announce<'a>(&self, subscriptions: impl Iterator<Item = &'a Subscription>) {
        // Whoever has them: peers exchange what is on this tenant's topics.
        let ours: Vec<Arc<Subscription>> =
            subscriptions.filter(|subscription| subscription.source == self.tenant).cloned().map(Arc::new).collect();
        let nodes = Nodes::new(self.identity, ours.iter().map(|subscription| &**subscription));
        let announcement = Announcement { address: &self.address, secure: self.secure, generations: self.generations };
        let mut services = nodes.announced(&announcement);
        services.push(self.itself.clone());
        // Known here before anybody can send to it.
        *self.nodes.write() = nodes;
        self.heartbeat.set(services);
        if let Some(peers) = &self.peers {
            peers.set_local(ours);
        }
    }

    /// Whom a message is for that was addressed to a node on a topic; `None` if it is no node of this host.
    pub(crate) fn resolve(&self, node_id: &str, topic: &Topic) -> Option<Addressed> {
        self.nodes.read().resolve(node_id, topic)
    }

    /// A message came for a node that is not ours.
    pub(crate) fn unknown_node(&self, node_id: &str, peer: SocketAddr) {
        self.unknown.tell(node_id, peer);
    }

    /// Waits until events go to the peers that are there, or cannot be found out to be. Cancelling is safe.
    pub(crate) async fn ready(&self) {
        if let Some(peers) = &self.peers {
            peers.ready().await;
        }
    }

    /// The peers and how they are doing; `None` where this host keeps to itself.
    pub(crate) fn peers(&self) -> Option<hostel_broker::http::peers::State> {
        self.peers.as_ref().map(Peers::state)
    }

    /// Takes this host's nodes out of the registry, so that nothing more is sent here. Takes two seconds at most.
    pub(crate) async fn leave(&self) {
        self.heartbeat.close().await;
    }

    /// Lets what is for peers that answer arrive, for as long as `patience` lasts, and ends what is left; says how many
    /// events were not delivered. Not safe to cancel.
    pub(crate) async fn close(&self, patience: Duration) -> usize {
        self.heartbeat.close().await;
        let left = match &self.peers {
            Some(peers) => peers.close(patience).await,
            None => 0,
        };
        self.registries.close().await;
        left
    }
}

/// The host itself as a service, so that people see it come and go.
fn itself(name: &str, host: uuid::Uuid, address: &str, secure: bool) -> Service {
    let secure = if secure { "true" } else { "false" };
    let metadata = [("broker", "http"), ("secure", secure), ("server", "hostel")];
    let node = Node {
        id: format!("{name}-{host}"),
        address: address.to_owned(),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    Service {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metadata: Metadata::new(),
        endpoints: Vec::new(),
        nodes: vec![node],
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
