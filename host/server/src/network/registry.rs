//! Which registry this host uses, opened as the config says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use hostel_api::client::{Certificate, Tls};
use hostel_api::problem::Code;
use hostel_event::port::{Clock, Registry};
use hostel_registry::cached::{self, Cached};
use hostel_registry::http::{Http, Security};
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
    /// Opens what a table of the config names.
    ///
    /// # Errors
    /// It cannot be opened; what is in the way.
    pub(super) fn open(
        config: &config::Registry,
        table: &str,
        (listens, host): (SocketAddr, Uuid),
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
                let interface = interface(config, table, listens)?;
                // Short, for a label of DNS has 63 bytes, and nobody else's.
                let settings = mdns::Settings::go_micro(&interface, &format!("hostel-{}", host.simple()));
                let opened = Mdns::start(settings, Arc::clone(clock), rand::random::<u64>)
                    .map_err(|error| mistake(format!("`{table}.use = \"mdns\"`: {}", chain(&error))))?;
                let opened = Arc::new(opened);
                mdns = Some(Arc::clone(&opened));
                opened
            }
            RegistryKind::Http => Arc::new(
                Http::with(&config.address, &security(config, table)?)
                    .map_err(|error| mistake(format!("`{table}.address`: {}", chain(&error))))?,
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

/// What another host is to know of this one.
fn security(config: &config::Registry, table: &str) -> Result<Security, Mistake> {
    let given = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    let token = given(&config.token_file).map(|path| {
        let text = std::fs::read_to_string(&path).map_err(|error| Mistake {
            code: Code::FileUnreadable,
            text: format!("`{table}.token_file`: cannot read `{}`: {error}", path.display()),
        });
        text.map(|text| text.trim().to_owned())
    });
    let certificate = given(&config.client_certificate).zip(given(&config.client_key));
    let certificate = certificate.map(|(chain, key)| Certificate { chain, key });
    Ok(Security { token: token.transpose()?, tls: Tls { authorities: given(&config.ca), certificate } })
}

/// The interface that mDNS speaks on: as the config says, or the one that the listener is on, or where that is all of
/// them, the first that is not loopback.
fn interface(config: &config::Registry, table: &str, listener: SocketAddr) -> Result<String, Mistake> {
    if !config.interface.is_empty() {
        return Ok(config.interface.clone());
    }
    let mistake = |text: String| Mistake { code: Code::BadConfigValue, text };
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|error| mistake(format!("cannot list the network interfaces: {error}; set `{table}.interface`")))?;
    let listens = listener.ip();
    let found = interfaces.iter().find(|interface| {
        let fits = if listens.is_unspecified() { !interface.is_loopback() } else { interface.ip() == listens };
        fits && interface.ip().is_ipv4()
    });
    found.map(|interface| interface.name.clone()).ok_or_else(|| {
        mistake(format!("no network interface with an IPv4 address goes with {listener}; set `{table}.interface`"))
    })
}
