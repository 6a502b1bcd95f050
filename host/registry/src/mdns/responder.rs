//! Our own nodes: what to say of them, when, and to whom. Decides without waiting and knows no socket: the time and
//! what was heard go in, packets come out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use simple_dns::{QTYPE, SimpleDnsError, TYPE};

use hostel_event::port::{Node, RegistryError, Service};
use hostel_event::time::Moment;

use crate::mdns::packet::{self, Answer, Asked, Instance};
use crate::mdns::{name, text};
use crate::{shape, telemetry};

/// How often a name is probed before it is announced (RFC 6762, section 8.1).
const PROBES: u32 = 3;

/// Between two probes lie up to so many milliseconds, at random (RFC 6762, section 8.1).
const PROBE_GAP: u64 = 250;

/// When a node is announced again after the first time, as go-micro does.
const ANNOUNCED_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// The service under which go-micro lists services.
pub(crate) const SERVICES: &str = "_services";

/// The port that go-micro gives to what it lists.
const SERVICES_PORT: u16 = 9999;

/// The name under which DNS-SD lists kinds of services (RFC 6763, section 9).
const KINDS: &str = "_services._dns-sd._udp";

/// What the responder is told at the start.
pub(crate) struct Identity {
    /// What names end in.
    pub(crate) domain: String,
    /// The name of the machine.
    pub(crate) host: String,
    /// The most nodes; further ones are refused.
    pub(crate) nodes: usize,
    /// Randomness, for the gaps between probes and their ids.
    pub(crate) entropy: fn() -> u64,
}

/// Our own nodes.
pub(crate) struct Responder {
    identity: Identity,
    /// By name on the wire.
    nodes: BTreeMap<String, Own>,
    /// By service, what answers to the service's name.
    services: BTreeMap<String, Listed>,
    /// What is to be done when. The number tells apart what is due at the same moment.
    agenda: BTreeMap<Due, (String, Task)>,
    planned: u64,
}

type Due = (Moment, u64);

/// A node and what is answered to whoever asks for its service.
type Written = (Instance, Vec<u8>);

struct Own {
    instance: Instance,
    answer: Vec<u8>,
    service: Service,
    /// Where its end stands in the agenda: once, however often it is registered again.
    expires: Due,
    /// Counts what was announced under this name, so that what was planned for an earlier node is not done for this.
    generation: u64,
    /// Of its probes, which all have one.
    id: u16,
}

struct Listed {
    names: BTreeSet<String>,
    /// How go-micro lists it.
    instance: Instance,
}

#[derive(Clone, Copy)]
enum Task {
    Probe { generation: u64, left: u32 },
    Announce { generation: u64 },
    Expire,
}

/// A packet for everyone, and what it is about.
pub(crate) type Packets = Vec<Result<Vec<u8>, SimpleDnsError>>;

impl Responder {
    pub(crate) fn new(identity: Identity) -> Self {
        let (nodes, services, agenda) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { identity, nodes, services, agenda, planned: 0 }
    }

    /// How many nodes are ours.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Takes a service's nodes in, all or none. What is to be said of them is due at once.
    pub(crate) fn register(&mut self, service: &Service, ttl: Duration, now: Moment) -> Result<(), RegistryError> {
        shape::check(service, ttl)?;
        let refused = |reason: String| RegistryError::Refused { service: service.name.clone(), reason };
        let listed = self.listing(&service.name)?;
        if service.version.is_empty() {
            return Err(refused("it has no version, and go-micro sees no service without one by mDNS".to_owned()));
        }
        let instances: Vec<Written> =
            service.nodes.iter().map(|node| self.instance(service, node)).collect::<Result<_, _>>()?;
        let strangers = instances.iter().filter(|(one, _)| !self.nodes.contains_key(&one.name)).count();
        if strangers > self.identity.nodes.saturating_sub(self.nodes.len()) {
            return Err(refused(format!("{} nodes are announced by mDNS, which is the limit", self.nodes.len())));
        }
        if !self.services.contains_key(&service.name) {
            self.services.insert(service.name.clone(), Listed { names: BTreeSet::new(), instance: listed });
        }
        for (instance, node) in instances.into_iter().zip(&service.nodes) {
            let service = Service { nodes: vec![node.clone()], ..service.clone() };
            self.keep(instance, service, now.after(ttl), now);
        }
        Ok(())
    }

    /// The wildcard under which go-micro finds the service's name.
    fn listing(&self, service: &str) -> Result<Instance, RegistryError> {
        Ok(Instance {
            name: name::of_node(service, SERVICES, &self.identity.domain)?,
            host: self.identity.host.clone(),
            address: (Ipv4Addr::UNSPECIFIED, SERVICES_PORT).into(),
            text: Vec::new(),
        })
    }

    fn instance(&self, service: &Service, node: &Node) -> Result<Written, RegistryError> {
        let refused = |reason: String| RegistryError::Refused { service: service.name.clone(), reason };
        let name = name::of_node(&node.id, &service.name, &self.identity.domain)?;
        if let Some(known) = self.nodes.get(&name).filter(|known| known.service.version != service.version) {
            return Err(refused(format!(
                "node `{}` is announced under version `{}` already, and mDNS has one version for each node; give the \
                 node of version `{}` an id of its own",
                node.id, known.service.version, service.version
            )));
        }
        let address: SocketAddr = node.address.parse().map_err(|_| {
            let example = "such as `192.0.2.7:4300` or `[2001:db8::7]:4300`";
            refused(format!("mDNS carries IP addresses with a port, {example}, and not `{}`", node.address))
        })?;
        if address.ip().is_unspecified() {
            return Err(refused(format!("nobody can reach `{address}`; give the address that others see")));
        }
        let text = text::encode(service, node).map_err(|error| refused(error.to_string()))?;
        let instance = Instance { name, host: self.identity.host.clone(), address, text };
        // What everyone asks is written once: thousand nodes are to be answered within a tenth of a second.
        let question = packet::ask(&format!("{}.{}", service.name, self.identity.domain));
        let answer = packet::answer(0, &question, Answer::Pointer(&instance));
        let answer = answer.map_err(|error| refused(error.to_string()))?;
        // The longest is the probe, where no name is shortened.
        let bytes = packet::probe(0, &instance).map_err(|error| refused(error.to_string()))?.len();
        if bytes > packet::PACKET {
            let limit = packet::PACKET;
            return Err(refused(format!(
                "with its node `{}` it takes {bytes} bytes, and mDNS carries {limit}",
                node.id
            )));
        }
        Ok((instance, answer))
    }

    fn keep(&mut self, (instance, answer): Written, service: Service, expires: Moment, now: Moment) {
        let name = instance.name.clone();
        let expires = self.plan(expires, &name, Task::Expire);
        if let Some(known) = self.nodes.get_mut(&name) {
            self.agenda.remove(&std::mem::replace(&mut known.expires, expires));
            self.renew(&name, (instance, answer), service, now);
            return;
        }
        if let Some(listed) = self.services.get_mut(&service.name) {
            listed.names.insert(name.clone());
        }
        let generation = self.planned;
        let [low, high, ..] = (self.identity.entropy)().to_be_bytes();
        let own = Own { instance, answer, service, expires, generation, id: u16::from_be_bytes([low, high]) };
        self.nodes.insert(name.clone(), own);
        self.plan(now, &name, Task::Probe { generation, left: PROBES });
    }

    /// A node that is known: announced again if it changed, and otherwise nothing is said, as go-micro.
    fn renew(&mut self, name: &str, (instance, answer): Written, service: Service, now: Moment) {
        let generation = self.planned;
        let Some(known) = self.nodes.get_mut(name).filter(|known| known.instance != instance) else { return };
        known.instance = instance;
        known.answer = answer;
        known.service = service;
        known.generation = generation;
        self.announce(name, generation, now);
    }

    fn announce(&mut self, name: &str, generation: u64, now: Moment) {
        self.plan(now, name, Task::Announce { generation });
        for later in ANNOUNCED_AGAIN {
            self.plan(now.after(later), name, Task::Announce { generation });
        }
    }

    fn plan(&mut self, at: Moment, name: &str, task: Task) -> Due {
        self.planned += 1;
        let due = (at, self.planned);
        self.agenda.insert(due, (name.to_owned(), task));
        due
    }

    /// Takes a service's nodes out and says goodbye for those that were there.
    pub(crate) fn deregister(&mut self, service: &Service) -> Packets {
        let domain = self.identity.domain.clone();
        let names = service.nodes.iter().filter_map(|node| name::of_node(&node.id, &service.name, &domain).ok());
        let of_version =
            |name: &String| self.nodes.get(name).is_some_and(|known| known.service.version == service.version);
        let names: Vec<String> = names.filter(of_version).collect();
        names.iter().filter_map(|name| self.remove(name)).map(|own| packet::announcement(&own.instance, 0)).collect()
    }

    /// Takes everything out and says goodbye for it.
    pub(crate) fn leave(&mut self) -> Packets {
        self.services.clear();
        self.agenda.clear();
        let nodes = std::mem::take(&mut self.nodes);
        nodes.values().map(|own| packet::announcement(&own.instance, 0)).collect()
    }

    fn remove(&mut self, name: &str) -> Option<Own> {
        let own = self.nodes.remove(name)?;
        if let Some(listed) = self.services.get_mut(&own.service.name) {
            listed.names.remove(name);
            if listed.names.is_empty() {
                self.services.remove(&own.service.name);
            }
        }
        // What else is planned finds nothing to do, or another generation.
        self.agenda.remove(&own.expires);
        Some(own)
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Does what is due and gives what is to be told to everyone.
    pub(crate) fn due(&mut self, now: Moment) -> Packets {
        let mut packets = Vec::new();
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (name, task) = entry.remove();
            packets.extend(self.perform(&name, task, now));
        }
        packets
    }

    fn perform(&mut self, name: &str, task: Task, now: Moment) -> Option<Result<Vec<u8>, SimpleDnsError>> {
        let own = self.nodes.get(name)?;
        match task {
            Task::Expire => {
                telemetry::node_expired(&own.service);
                let own = self.remove(name)?;
                Some(packet::announcement(&own.instance, 0))
            }
            Task::Announce { generation } => {
                (generation == own.generation).then(|| packet::announcement(&own.instance, packet::TTL))
            }
            Task::Probe { generation, .. } if generation != own.generation => None,
            Task::Probe { generation, left } => {
                let probe = packet::probe(own.id, &own.instance);
                let gap = (self.identity.entropy)() % (PROBE_GAP + 1);
                let next = now.after(Duration::from_millis(gap));
                match left {
                    0 | 1 => self.announce(name, generation, next),
                    _ => _ = self.plan(next, name, Task::Probe { generation, left: left - 1 }),
                }
                Some(probe)
            }
        }
    }

    /// Answers a question to whoever asked it. Names are compared whole and by case, as go-micro does.
    pub(crate) fn answer(&self, id: u16, asked: &Asked) -> Packets {
        // Multicast answers have no id, and unicast ones only where the asker says that it wants it.
        let id = if asked.unicast { id } else { 0 };
        let Some(what) = asked.name.strip_suffix(self.identity.domain.as_str()).and_then(|rest| rest.strip_suffix('.'))
        else {
            // Only the machine's name is outside the domain.
            return self.machine(id, asked);
        };
        let points = matches!(asked.kind, QTYPE::TYPE(TYPE::PTR) | QTYPE::ANY);
        if what == SERVICES {
            let listed = self.services.values().filter(|_| points);
            return listed.map(|listed| packet::answer(id, asked, Answer::Pointer(&listed.instance))).collect();
        }
        if what == KINDS {
            let names = self.services.keys().filter(|_| points).map(|name| format!("{name}.{}", self.identity.domain));
            return names.map(|name| packet::answer(id, asked, Answer::Service(&name))).collect();
        }
        if let Some(listed) = self.services.get(what).filter(|_| points) {
            let nodes = listed.names.iter().filter_map(|name| self.nodes.get(name));
            // As it was written when the node came, which is how it is nearly always asked.
            let as_written = id == 0 && *asked == packet::ask(&asked.name);
            let answer = |own: &Own| match as_written {
                true => Ok(own.answer.clone()),
                false => packet::answer(id, asked, Answer::Pointer(&own.instance)),
            };
            return nodes.map(answer).collect();
        }
        let listed = what.strip_suffix(SERVICES).and_then(|rest| self.services.get(rest.strip_suffix('.')?));
        let node = self.nodes.get(&asked.name).map(|own| &own.instance).or(listed.map(|listed| &listed.instance));
        let Some(answer) = node.and_then(|node| of_instance(asked.kind, node)) else { return self.machine(id, asked) };
        vec![packet::answer(id, asked, answer)]
    }

    /// The addresses that our nodes have.
    fn machine(&self, id: u16, asked: &Asked) -> Packets {
        if asked.name != self.identity.host {
            return Vec::new();
        }
        let nodes: BTreeMap<_, _> = self.nodes.values().map(|own| (own.instance.address.ip(), &own.instance)).collect();
        let wanted = nodes.into_values().filter(|node| match asked.kind {
            QTYPE::TYPE(TYPE::A) => node.address.is_ipv4(),
            QTYPE::TYPE(TYPE::AAAA) => node.address.is_ipv6(),
            _ => false,
        });
        wanted.map(|node| packet::answer(id, asked, Answer::Address(node))).collect()
    }
}

/// What a node answers to its own name.
fn of_instance(kind: QTYPE, node: &Instance) -> Option<Answer<'_>> {
    match kind {
        QTYPE::ANY => Some(Answer::Whole(node)),
        QTYPE::TYPE(TYPE::SRV) => Some(Answer::Place(node)),
        QTYPE::TYPE(TYPE::TXT) => Some(Answer::Text(node)),
        QTYPE::TYPE(TYPE::A) => node.address.is_ipv4().then_some(Answer::Address(node)),
        QTYPE::TYPE(TYPE::AAAA) => node.address.is_ipv6().then_some(Answer::Address(node)),
        _ => None,
    }
}
