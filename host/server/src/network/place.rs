//! This host's place in one go-micro network: the registry it uses there, its own nodes in it, and the peers that it
//! exchanges a tenant's events with.
//!
//! Which registry is a matter of the config and of [`registry`](super::registry); what a node is and what a peer gets is
//! decided in `hostel_broker::http`. Here they are put together, and told whenever other subscriptions run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use uuid::Uuid;

use hostel_broker::http::node::{Addressed, Announcement, Identity, Nodes};
use hostel_broker::http::peers::Peers;
use hostel_broker::http::wire::Generation;
use hostel_event::name::Tenant;
use hostel_event::port::{Metadata, Node, Registry, Service};
use hostel_event::subscription::Subscription;
use hostel_event::topic::Topic;
use hostel_registry::cached::Cached;
use hostel_registry::heartbeat::{self, Heartbeat};

use crate::config::load::Mistake;
use crate::config::{self, PeersKind};

use super::registry::Registries;
use super::unknown::Unknown;
use super::{Parts, identity, peers};

/// Where a place is.
pub(super) struct Spot<'a> {
    /// Whose topics are served there.
    pub(super) tenant: Tenant,
    /// The address of the listener.
    pub(super) listens: SocketAddr,
    /// Where peers reach it, if not there.
    pub(super) advertise: &'a str,
    /// Which registry is used.
    pub(super) registry: &'a config::Registry,
    /// Where the config says so.
    pub(super) table: String,
}

/// See the module's page.
pub(super) struct Place {
    registries: Registries,
    heartbeat: Heartbeat,
    identity: Identity,
    /// Whose subscriptions go-micro's services reach.
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

impl Place {
    /// Takes a place. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The registry cannot be used, or the listener not be reached.
    pub(super) fn take(parts: &Parts<'_>, host: Uuid, spot: Spot<'_>) -> Result<Self, Mistake> {
        let Spot { tenant, listens, advertise, registry, table } = spot;
        let (config, clock) = (parts.config, Arc::clone(&parts.clock));
        let address = match advertise {
            "" => identity::address(listens)?.to_string(),
            advertise => advertise.to_owned(),
        };
        let registries = Registries::open(registry, &table, (listens, host), &clock)?;
        let settings = heartbeat::Settings { interval: registry.interval.0, ttl: registry.ttl.0 };
        let stop = parts.stop.clone();
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
                let settings = peers::settings(&config.peers, registry, tenant.clone());
                let parts = hostel_broker::http::peers::Parts {
                    broker: Arc::clone(&parts.broker),
                    registry: registries.direct(),
                    clock: Arc::clone(&clock),
                    observe: Arc::clone(&parts.observe),
                    client: peers::client(&config.peers)?,
                    identity,
                };
                Some(Peers::start(parts, settings))
            }
        };
        let place = Self {
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
        place.announce(std::iter::empty());
        Ok(place)
    }

    /// Whose topics are served here.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The registry, its answers kept where asking costs.
    pub(super) fn registry(&self) -> Arc<dyn Registry> {
        self.registries.kept()
    }

    /// What keeps the registry's answers, where that is worth while.
    pub(super) fn cached(&self) -> Option<&Arc<Cached>> {
        self.registries.cached()
    }

    /// These subscriptions of this host run from now on, and no others.
    pub(super) fn announce<'a>(&self, subscriptions: impl Iterator<Item = &'a Subscription>) {
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
    pub(super) fn resolve(&self, node_id: &str, topic: &Topic) -> Option<Addressed> {
        self.nodes.read().resolve(node_id, topic)
    }

    /// A message came for a node that is not ours.
    pub(super) fn unknown_node(&self, node_id: &str, peer: SocketAddr) {
        self.unknown.tell(node_id, peer);
    }

    /// Waits until events go to the peers that are there, or cannot be found out to be. Cancelling is safe.
    pub(super) async fn ready(&self) {
        if let Some(peers) = &self.peers {
            peers.ready().await;
        }
    }

    /// The peers and how they are doing; `None` where this host keeps to itself.
    pub(super) fn peers(&self) -> Option<hostel_broker::http::peers::State> {
        self.peers.as_ref().map(Peers::state)
    }

    /// Takes this host's nodes out of the registry, so that nothing more is sent here. Takes two seconds at most.
    pub(super) async fn leave(&self) {
        self.heartbeat.close().await;
    }

    /// Lets what is for peers that answer arrive, for as long as `patience` lasts, and ends what is left; says how many
    /// events were not delivered. Not safe to cancel.
    pub(super) async fn close(&self, patience: Duration) -> usize {
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
fn itself(name: &str, host: Uuid, address: &str, secure: bool) -> Service {
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
