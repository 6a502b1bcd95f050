//! Which registry this host uses, opened as the config says.

use std::net::SocketAddr;
use std::sync::Arc;

use uuid::Uuid;

use hostel_api::problem::Code;
use hostel_event::port::{Clock, Registry};
use hostel_registry::cached::{self, Cached};
use hostel_registry::http::Http;
use hostel_registry::mdns::{self, Mdns};
use hostel_registry::memory::{self, Memory};

use crate::config::load::Mistake;
use crate::config::{self, RegistryKind};

use super::chain;

/// Nodes that a registry of this host's own keeps. Arbitrary: at some 500 bytes each, 50 MB.
const NODES: usize = 100_000;
/// Changes that a watcher of it may be behind. As many as mDNS has.
const WATCH_BUFFER: usize = 1024;

/// The registry, and what stands before it.
pub(super) struct Registries {
    direct: Arc<dyn Registry>,
    /// Before one that is asked over the network.
    cached: Option<Arc<Cached>>,
    mdns: Option<Arc<Mdns>>,
}

impl Registries {
    /// Opens what the config names.
    ///
    /// # Errors
    /// It cannot be opened; what is in the way.
    pub(super) fn open(
        config: &config::Registry,
        ingress: SocketAddr,
        host: Uuid,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Mistake> {
        let mistake = |text: String| Mistake { code: Code::BadConfigValue, text };
        let mut mdns = None;
        let direct: Arc<dyn Registry> = match config.kind {
            RegistryKind::Memory => {
                let settings = memory::Settings { nodes: NODES, watch_buffer: WATCH_BUFFER };
                let memory: Arc<dyn Registry> = Arc::new(Memory::new(settings, Arc::clone(clock)));
                return Ok(Self { direct: memory, cached: None, mdns });
            }
            RegistryKind::Mdns => {
                let interface = interface(config, ingress)?;
                // Short, for a label of DNS has 63 bytes, and nobody else's.
                let settings = mdns::Settings::go_micro(&interface, &format!("hostel-{}", host.simple()));
                let opened = Mdns::start(settings, Arc::clone(clock), rand::random::<u64>)
                    .map_err(|error| mistake(format!("`registry.use = \"mdns\"`: {}", chain(&error))))?;
                let opened = Arc::new(opened);
                mdns = Some(Arc::clone(&opened));
                opened
            }
            RegistryKind::Http => Arc::new(
                Http::new(&config.address)
                    .map_err(|error| mistake(format!("`registry.address`: {}", chain(&error))))?,
            ),
        };
        let cached = Arc::new(Cached::start(Arc::clone(&direct), cached::Settings::GO_MICRO, Arc::clone(clock)));
        Ok(Self { direct, cached: Some(cached), mdns })
    }

    /// The registry itself.
    pub(super) fn direct(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.direct)
    }

    /// The registry with its answers kept, where asking costs.
    pub(super) fn kept(&self) -> Arc<dyn Registry> {
        match &self.cached {
            Some(cached) => Arc::<Cached>::clone(cached),
            None => Arc::clone(&self.direct),
        }
    }

    pub(super) fn cached(&self) -> Option<&Arc<Cached>> {
        self.cached.as_ref()
    }

    /// Ends the tasks of whatever was opened. Not safe to cancel.
    pub(super) async fn close(&self) {
        if let Some(cached) = &self.cached {
            cached.close().await;
        }
        if let Some(mdns) = &self.mdns {
            mdns.close().await;
        }
    }
}

/// The interface that mDNS speaks on: as the config says, or the one that the ingress listens on, or where that is all
/// of them, the first that is not loopback.
fn interface(config: &config::Registry, ingress: SocketAddr) -> Result<String, Mistake> {
    if !config.interface.is_empty() {
        return Ok(config.interface.clone());
    }
    let mistake = |text: String| Mistake { code: Code::BadConfigValue, text };
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|error| mistake(format!("cannot list the network interfaces: {error}; set `registry.interface`")))?;
    let listens = ingress.ip();
    let found = interfaces.iter().find(|interface| {
        let fits = if listens.is_unspecified() { !interface.is_loopback() } else { interface.ip() == listens };
        fits && interface.ip().is_ipv4()
    });
    found.map(|interface| interface.name.clone()).ok_or_else(|| {
        mistake(format!("no network interface with an IPv4 address goes with {ingress}; set `registry.interface`"))
    })
}
