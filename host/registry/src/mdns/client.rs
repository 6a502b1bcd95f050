//! Questions to everyone, and what they answer within a tenth of a second.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use hostel_event::port::{Node, RegistryError, Service};

use crate::mdns::name;
use crate::mdns::packet::{self, Message, Told};
use crate::mdns::responder::SERVICES;
use crate::mdns::server::{Shared, service_of, unreachable};
use crate::mdns::socket::everyone;

/// Questions at the same time: each has a socket. Arbitrary; a cache in front asks for few services at once.
const AT_ONCE: usize = 16;

/// Asks.
pub(crate) struct Client {
    shared: Arc<Shared>,
    domain: String,
    wait: Duration,
    answers: usize,
    entropy: fn() -> u64,
    asking: Semaphore,
}

impl Client {
    /// A client that waits for so long and takes so many nodes from the answers to one question.
    pub(crate) fn new(
        shared: Arc<Shared>,
        domain: String,
        (wait, answers): (Duration, usize),
        entropy: fn() -> u64,
    ) -> Self {
        Self { shared, domain, wait, answers, entropy, asking: Semaphore::new(AT_ONCE) }
    }

    /// Every version of a service.
    pub(crate) async fn get(&self, service: &str) -> Result<Vec<Service>, RegistryError> {
        let mut versions: BTreeMap<String, (Service, BTreeMap<String, Node>)> = BTreeMap::new();
        for (told, from) in self.ask(service).await?.into_values() {
            match service_of(&told, &self.domain) {
                Ok(Some(found)) if found.name == service => {
                    let (_, nodes) =
                        versions.entry(found.version.clone()).or_insert_with(|| (found.clone(), BTreeMap::new()));
                    nodes.extend(found.nodes.into_iter().map(|node| (node.id.clone(), node)));
                }
                Ok(_) => {}
                Err(error) => self.shared.counters.malformed(from, &error.to_string()),
            }
        }
        if versions.is_empty() {
            return Err(RegistryError::NotFound(service.to_owned()));
        }
        let whole = |(service, nodes): (Service, BTreeMap<String, Node>)| Service {
            nodes: nodes.into_values().collect(),
            ..service
        };
        Ok(versions.into_values().map(whole).collect())
    }

    /// The names of all services, without their versions and nodes.
    pub(crate) async fn list(&self) -> Result<Vec<Service>, RegistryError> {
        let found = self.ask(SERVICES).await?;
        let names = found.keys().filter_map(|name| name::id_in(name, SERVICES, &self.domain));
        Ok(names.map(|name| Service { name: name.to_owned(), ..Service::default() }).collect())
    }

    /// Asks for what is below a name, and collects who answers, by name on the wire.
    async fn ask(&self, what: &str) -> Result<BTreeMap<String, (Told, SocketAddr)>, RegistryError> {
        let question = format!("{what}.{}", self.domain);
        // Nobody has a name that cannot be asked for.
        let id = u16::try_from((self.entropy)() & 0xffff).unwrap_or_default();
        let Ok(query) = packet::query(id, &question) else { return Ok(BTreeMap::new()) };
        let Ok(_turn) = self.asking.acquire().await else { return Ok(BTreeMap::new()) };
        let socket = self.shared.link.ask().map_err(|error| unreachable(&error))?;
        let until = Instant::now() + self.wait;
        if let Err(error) = socket.send_to(&query, everyone()).await {
            self.shared.counters.unsent(everyone(), &error);
            return Err(unreachable(&error));
        }
        let mut found = BTreeMap::new();
        let mut buffer = vec![0; packet::PACKET];
        while let Ok(received) = timeout_at(until, socket.recv_from(&mut buffer)).await {
            self.take(received, &buffer, &question, &mut found);
            if found.len() > self.answers {
                found.pop_last();
                self.shared.counters.cut(&question, self.answers);
                break;
            }
        }
        Ok(found)
    }

    /// Takes in what one packet tells.
    fn take(
        &self,
        received: io::Result<(usize, SocketAddr)>,
        buffer: &[u8],
        question: &str,
        found: &mut BTreeMap<String, (Told, SocketAddr)>,
    ) {
        let (bytes, from) = match received {
            Ok(received) => received,
            Err(error) => return self.shared.counters.unreceived(&error),
        };
        if !self.shared.link.is_near(from) {
            return self.shared.counters.foreign(from);
        }
        match packet::parse(buffer.get(..bytes).unwrap_or_default()) {
            Ok(Message::Response { told }) => {
                let below = |told: &Told| told.name.strip_suffix(question).is_some_and(|rest| rest.ends_with('.'));
                for told in told.into_iter().filter(|told| !told.leaves && below(told)) {
                    found.insert(told.name.clone(), (told, from));
                    if found.len() > self.answers {
                        return;
                    }
                }
            }
            Ok(Message::Query { .. }) => {}
            Err(error) => self.shared.counters.malformed(from, &error.to_string()),
        }
    }
}
