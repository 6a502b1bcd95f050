//! This host among others: its place in each go-micro network that it is part of.
//!
//! go-micro knows no tenants, and neither do its registries. So a tenant whose topics go-micro's services are to reach has
//! a [`place`] of its own: a registry that no other tenant of this host has, and a listener. The tenant of the ingress has
//! one always; others have one if the config says so.

mod identity;
mod peers;
mod place;
mod registry;
mod unknown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use hostel_api::problem::Code;
use hostel_broker::http::node::Addressed;
use hostel_broker::http::peers::State;
use hostel_event::name::Tenant;
use hostel_event::port::{Broker, Clock, Observe, Registry};
use hostel_event::subscription::Subscription;
use hostel_event::topic::Topic;
use hostel_registry::cached::Cached;

use crate::config::Config;
use crate::config::load::Mistake;

use place::{Place, Spot};

/// What the network needs.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    /// Where the ingress listens: first its main listener, then the further ones in the order of the config.
    pub(crate) listens: &'a [SocketAddr],
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
    /// That of the tenant of the ingress, whose registry the admin API shows.
    main: Place,
    /// Those of others.
    further: Vec<Place>,
}

impl Network {
    /// Takes this host's places. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A registry cannot be used, or the host cannot be told from others.
    pub(crate) fn start(parts: &Parts<'_>) -> Result<Self, Mistake> {
        let host = identity::of(&parts.config.data_dir)?;
        let mut places = Vec::new();
        for spot in spots(parts)? {
            places.push(Place::take(parts, host, spot)?);
        }
        let mut places = places.into_iter();
        match places.next() {
            Some(main) => Ok(Self { main, further: places.collect() }),
            None => unreachable!("the main listener is always among them"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.main).chain(&self.further)
    }

    /// The registry of the tenant of the ingress, its answers kept where asking costs.
    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        self.main.registry()
    }

    /// What keeps that registry's answers, where that is worth while.
    pub(crate) fn cached(&self) -> Option<&Arc<Cached>> {
        self.main.cached()
    }

    /// These subscriptions of this host run from now on, and no others.
    pub(crate) fn announce<'a>(&self, subscriptions: impl Iterator<Item = &'a Subscription>) {
        let all: Vec<&Subscription> = subscriptions.collect();
        for place in self.all() {
            place.announce(all.iter().copied());
        }
    }

    /// Whom a message is for that came to the listener of a tenant and was addressed to a node on a topic; `None` if it
    /// is no node of this tenant.
    pub(crate) fn resolve(&self, tenant: &Tenant, node_id: &str, topic: &Topic) -> Option<Addressed> {
        self.all().find(|place| place.tenant() == tenant)?.resolve(node_id, topic)
    }

    /// A message came for a node that is not ours.
    pub(crate) fn unknown_node(&self, node_id: &str, peer: SocketAddr) {
        self.main.unknown_node(node_id, peer);
    }

    /// Waits until events go to the peers that are there, or cannot be found out to be. Cancelling is safe.
    pub(crate) async fn ready(&self) {
        join_all(self.all().map(Place::ready)).await;
    }

    /// The peers and how they are doing; `None` where this host keeps to itself.
    pub(crate) fn peers(&self) -> Option<State> {
        self.all().filter_map(Place::peers).reduce(|mut all, state| {
            all.peers.extend(state.peers);
            all.orphans.extend(state.orphans);
            State { beyond: all.beyond + state.beyond, malformed: all.malformed + state.malformed, ..all }
        })
    }

    /// Takes this host's nodes out of the registries, so that nothing more is sent here. Takes two seconds at most.
    pub(crate) async fn leave(&self) {
        join_all(self.all().map(Place::leave)).await;
    }

    /// Lets what is for peers that answer arrive, for as long as `patience` lasts, and ends what is left; says how many
    /// events were not delivered. Not safe to cancel.
    pub(crate) async fn close(&self, patience: Duration) -> usize {
        join_all(self.all().map(|place| place.close(patience))).await.into_iter().sum()
    }
}

/// Where the host has a place: at its main listener, and at others that go-micro's services reach.
fn spots<'a>(parts: &Parts<'a>) -> Result<Vec<Spot<'a>>, Mistake> {
    let config = parts.config;
    let (&main, further) = parts
        .listens
        .split_first()
        .ok_or_else(|| Mistake { code: Code::Internal, text: "there is no listener to be reached at".to_owned() })?;
    let mut spots = vec![Spot {
        tenant: tenant("ingress", &config.ingress.tenant)?,
        listens: main,
        advertise: &config.peers.advertise,
        registry: &config.registry,
        table: "registry".to_owned(),
    }];
    for (at, (listener, &listens)) in config.ingress.listeners.iter().zip(further).enumerate() {
        let (true, Some(registry)) = (listener.go_micro, &listener.registry) else { continue };
        spots.push(Spot {
            tenant: tenant(&format!("ingress.listeners[{at}]"), &listener.tenant)?,
            listens,
            advertise: &listener.advertise,
            registry,
            table: format!("ingress.listeners[{at}].registry"),
        });
    }
    Ok(spots)
}

/// Checked when the config was read; checked again rather than believed.
fn tenant(table: &str, text: &str) -> Result<Tenant, Mistake> {
    Tenant::new(text)
        .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("`{table}.tenant`: {error}") })
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
