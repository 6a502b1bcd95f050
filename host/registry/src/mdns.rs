//! The registry on the local network, by go-micro's multicast format: a go-micro program finds our nodes and we find
//! its, and neither knows the difference. `docs/wire/mdns.md` shows the bytes.
//!
//! A node is known to others while this process answers for it: until its TTL is over, it is deregistered, or the
//! registry closes. What is not here: IPv6 multicast (go-micro hears both, and addresses of nodes may be IPv6),
//! answers to one question that are spread over several packets, and the metadata of a service as a whole, for which
//! the format has no place.

mod client;
mod counts;
mod heard;
mod name;
mod packet;
mod responder;
mod server;
mod socket;
mod text;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use hostel_event::port::{Clock, Registry, RegistryError, Service, Watch};

pub use counts::Counts;

use crate::telemetry;
use crate::watch::Hub;

use client::Client;
use counts::Counters;
use heard::Heard;
use responder::{Identity, Responder};
use server::{Command, Server, Shared};
use socket::Link;

/// Where and how to speak mDNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the network interface, such as `eth0`. It needs an IPv4 address.
    pub interface: String,
    /// The name of this machine, which the addresses of its nodes go by.
    pub host: String,
    /// What names end in; `micro` for go-micro.
    pub domain: String,
    /// How long answers are waited for.
    pub wait: Duration,
    /// The most nodes of our own.
    pub nodes: usize,
    /// The most nodes taken from the answers to one question, and remembered of those that announce themselves.
    pub others: usize,
    /// Changes that a watcher may be behind before it loses the oldest.
    pub watch_buffer: usize,
}

impl Settings {
    /// What go-micro does, on an interface of a machine. The bounds are ours: 10,000 nodes are more than answer within
    /// the tenth of a second, and a burst of 1,024 changes is more than a network of that size has.
    #[must_use]
    pub fn go_micro(interface: &str, host: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            host: host.to_owned(),
            domain: "micro".to_owned(),
            wait: Duration::from_millis(100),
            nodes: 10_000,
            others: 10_000,
            watch_buffer: 1024,
        }
    }
}

/// Why the registry did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system does not tell its interfaces.
    #[error("cannot list the network interfaces")]
    Interfaces(#[source] io::Error),
    /// There is no such interface with an IPv4 address.
    #[error("no network interface `{name}` with an IPv4 address; there are {known}")]
    NoInterface {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// DNS cannot carry the machine's name or the domain.
    #[error("cannot use `{name}` in mDNS names: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The socket could not be opened.
    #[error("cannot listen for mDNS on interface `{interface}`, UDP port {port}", port = socket::PORT)]
    Listen {
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The mDNS registry. It owns a socket and the task that serves it: [`Mdns::close`] says goodbye for all nodes, ends
/// the task and waits for it; dropping ends the task without a goodbye, and others believe in the nodes until their
/// caches run out.
pub struct Mdns {
    client: Client,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Commands that wait for the task. Arbitrary: who finds no place waits.
const COMMANDS: usize = 64;

impl Mdns {
    /// Opens the socket and starts the task, so this needs a tokio runtime. `entropy` gives randomness for the ids of
    /// questions and the gaps between probes; nothing secret hangs on it.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>, entropy: fn() -> u64) -> Result<Self, StartError> {
        for name in [&settings.host, &settings.domain] {
            name::check(name).map_err(|reason| StartError::Name { name: name.clone(), reason })?;
        }
        let link = Link::find(&settings.interface)?;
        let listen = |source| StartError::Listen { interface: settings.interface.clone(), source };
        let socket = link.listen().map_err(listen)?;
        telemetry::mdns_started(&link.name, link.address);
        let hub = Hub::new(settings.watch_buffer);
        let shared = Arc::new(Shared { link, hub, counters: Counters::default(), clock });
        let (host, nodes) = (settings.host, settings.nodes);
        let responder = Responder::new(Identity { domain: settings.domain.clone(), host, nodes, entropy });
        let server = Server {
            socket: Arc::new(socket),
            answering: JoinSet::new(),
            responder,
            heard: Heard::new(settings.others),
            remembered: settings.others,
            domain: settings.domain.clone(),
            shared: Arc::clone(&shared),
        };
        let (commands, obeyed) = mpsc::channel(COMMANDS);
        let task = Mutex::new(Some(tokio::spawn(server::serve(server, obeyed))));
        let bounds = (settings.wait, settings.others);
        let client = Client::new(Arc::clone(&shared), settings.domain, bounds, entropy);
        Ok(Self { client, shared, commands, task })
    }

    /// What was ignored, cut or failed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Says goodbye for all nodes, ends the task and waits for it. Nothing can be registered afterwards, and
    /// watches end.
    pub async fn close(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            // Either fails only where the task has ended already.
            _ = self.commands.send(Command::Close).await;
            _ = task.await;
        }
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), RegistryError>>) -> Command,
    ) -> Result<(), RegistryError> {
        let closed = || RegistryError::Unreachable("the mDNS registry is closed".to_owned());
        let (done, result) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Registry for Mdns {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(self.command(move |done| Command::Register { service, ttl, done }))
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(self.command(move |done| Command::Deregister { service, done }))
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        let name = name.to_owned();
        Box::pin(async move { self.client.get(&name).await })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        Box::pin(self.client.list())
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        let watch: Box<dyn Watch> = Box::new(self.shared.hub.watch(name));
        Box::pin(std::future::ready(Ok(watch)))
    }
}

#[cfg(test)]
mod tests;
