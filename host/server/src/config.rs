//! What the operator sets: `hostel.toml`, over it the environment, over that the flags of `hostel serve`.
//!
//! Any values are taken that have the right type; [`check`](Config::check) says what does not fit together. Reading
//! and layering are in [`load`].

pub(crate) mod access;
pub(crate) mod broker;
pub(crate) mod deploy;
pub(crate) mod load;
pub(crate) mod telemetry;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use hostel_api::unit::{ByteSize, Span};
use hostel_broker::choice::Choice;

use access::{Access, ClientCertificates, Listener, TenantEntry};
use broker::Broker;
use deploy::{Deploy, SecretSource};
use telemetry::Telemetry;

/// Everything. Each part has a table of its own in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where components, and code compiled from them, are kept.
    pub(crate) data_dir: PathBuf,
    /// How long running and waiting deliveries get to end after SIGTERM.
    pub(crate) shutdown_deadline: Span,
    /// Manifests of handlers to deploy at start, relative to the working directory.
    pub(crate) handlers: Vec<PathBuf>,
    /// Tenants that are there without being created.
    pub(crate) tenants: Vec<TenantEntry>,
    /// Who is let in.
    pub(crate) access: Access,
    /// Where events come in.
    pub(crate) ingress: Ingress,
    /// Where operators come in.
    pub(crate) admin: Admin,
    /// How handlers come without anybody sending them.
    pub(crate) deploy: Deploy,
    /// Where the tenants' secrets are, by tenant and name.
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, SecretSource>>,
    /// How much handlers may use together.
    pub(crate) runtime: Runtime,
    /// How events are kept.
    pub(crate) broker: Broker,
    /// How nodes find one another.
    pub(crate) registry: Registry,
    /// Who else events come from and go to.
    pub(crate) peers: Peers,
    /// What the host says of itself.
    pub(crate) log: Log,
    /// Who else is told.
    pub(crate) telemetry: Telemetry,
}

/// Where events come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingress {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Whose topics it serves, unless a token says otherwise.
    pub(crate) tenant: String,
    /// Further listeners, for the topics of other tenants.
    pub(crate) listeners: Vec<Listener>,
    /// Whether go-micro's endpoint takes messages from anybody though a token is required: go-micro has none to show.
    pub(crate) anonymous: bool,
    /// Whether it speaks TLS.
    pub(crate) secure: bool,
    /// The certificate chain to show, PEM; empty: one that the host makes for itself.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// The authorities that sign the certificates of its clients, PEM; empty: clients are asked for none.
    pub(crate) client_ca: PathBuf,
    /// Whether clients must show one.
    pub(crate) client_certificates: ClientCertificates,
    /// The most bytes of a message, headers and body together.
    pub(crate) message_limit: ByteSize,
    /// How long a client may take for a request's head, from when it connected or got its last answer. So this is also
    /// how long a connection may be idle.
    pub(crate) head_timeout: Span,
    /// How long a client may take for a request's body.
    pub(crate) body_timeout: Span,
    /// The longest that a publisher may wait for its event to be settled.
    pub(crate) wait_limit: Span,
    /// How many connections are open at the same time.
    pub(crate) connections: usize,
}

/// Where operators come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Whether it speaks TLS.
    pub(crate) secure: bool,
    /// The certificate chain to show, PEM; empty: one that the host makes for itself.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// The authorities that sign the certificates of its clients, PEM; empty: clients are asked for none.
    pub(crate) client_ca: PathBuf,
    /// Whether clients must show one.
    pub(crate) client_certificates: ClientCertificates,
    /// The most bytes of a component.
    pub(crate) component_limit: ByteSize,
    /// The most bytes of a bundle of files.
    pub(crate) files_limit: ByteSize,
    /// How many connections are open at the same time.
    pub(crate) connections: usize,
}

/// How much handlers may use together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// How many invocations run at the same time.
    pub(crate) invocations: usize,
    /// The largest memory that a handler may ask for.
    pub(crate) memory_limit: ByteSize,
    /// Addresses and networks that are not public and to which handlers may connect whose manifests name them.
    pub(crate) private_addresses: Vec<String>,
}

/// How nodes find one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registry {
    /// Which registry.
    #[serde(rename = "use")]
    pub(crate) kind: RegistryKind,
    /// The admin API of the host whose registry is used.
    pub(crate) address: String,
    /// A file with the token that it wants; empty: none.
    pub(crate) token_file: PathBuf,
    /// The authorities to believe it by, beside the system's, PEM; empty: the system's alone.
    pub(crate) ca: PathBuf,
    /// The certificate chain to show to it, PEM; empty: none.
    pub(crate) client_certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) client_key: PathBuf,
    /// The network interface that mDNS speaks on; empty: the one that the ingress listens on.
    pub(crate) interface: String,
    /// How long a node stays known unless it is registered again.
    pub(crate) ttl: Span,
    /// How often nodes are registered again.
    pub(crate) interval: Span,
}

impl Registry {
    /// Where it is, without the scheme.
    fn place(&self) -> &str {
        self.address.rsplit("://").next().unwrap_or_default().trim_end_matches('/')
    }

    /// Whether what goes there is encrypted.
    fn is_secure(&self) -> bool {
        self.address.starts_with("https://")
    }

    /// Whether a token goes there that others can read on its way.
    fn shows_token_to_all(&self) -> bool {
        let place = self.place();
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
        let is_own = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let shows = self.kind == RegistryKind::Http && !self.token_file.as_os_str().is_empty();
        shows && !self.is_secure() && !is_own
    }

    /// Whether another may be the same, as far as the config tells. One in the host's memory is nobody else's.
    fn may_be(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (RegistryKind::Mdns, RegistryKind::Mdns) => {
                // Without a name it is whichever the listener is on.
                self.interface == other.interface || self.interface.is_empty() || other.interface.is_empty()
            }
            (RegistryKind::Http, RegistryKind::Http) => self.place().eq_ignore_ascii_case(other.place()),
            _ => false,
        }
    }
}

/// Which registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RegistryKind {
    /// This host's own, offered on its admin API.
    Memory,
    /// The local network, by go-micro's multicast format.
    Mdns,
    /// Another host's.
    Http,
}

/// Who else events come from and go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    /// By which broker.
    #[serde(rename = "use")]
    pub(crate) kind: PeersKind,
    /// The service under which this host itself is registered.
    pub(crate) name: String,
    /// Where peers reach the ingress, as `host:port`; empty: the address that it listens on.
    pub(crate) advertise: String,
    /// Whether go-micro's first generation, v1, is spoken to as well.
    pub(crate) first_generation: bool,
    /// How one node of a queue group is chosen.
    pub(crate) selector: Selector,
    /// What answers a message for a node id that is not ours.
    pub(crate) unknown_id: UnknownId,
    /// How long a peer that posted waits for its message to be handled before it is answered all the same.
    pub(crate) answer_after: Span,
    /// How long a connection to a peer may take.
    pub(crate) connect_timeout: Span,
    /// How long a peer may take for its answer.
    pub(crate) request_timeout: Span,
    /// How long events are kept for a queue group whose nodes are all away.
    pub(crate) retention: Span,
    /// Events at the same time to one node.
    pub(crate) concurrency: usize,
    /// The most nodes known.
    pub(crate) nodes: usize,
    /// Hosts that an event may cross.
    pub(crate) hops: usize,
    /// A file of certificates to trust beside the system's; empty: none.
    pub(crate) certificate_authorities: PathBuf,
    /// Trust whatever certificate a peer shows, as go-micro v2 does.
    pub(crate) trust_any_certificate: bool,
    /// The certificate chain to show to peers that ask for one, PEM; empty: none.
    pub(crate) client_certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) client_key: PathBuf,
}

/// By which broker events are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PeersKind {
    /// go-micro's HTTP broker.
    Http,
    /// None: this host keeps to itself.
    None,
}

/// How one node of a queue group is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Selector {
    /// By lot, as go-micro does.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the least to do.
    LeastLoaded,
}

impl Selector {
    /// The broker's word for it.
    pub(crate) const fn choice(self) -> Choice {
        match self {
            Self::Random => Choice::Random,
            Self::RoundRobin => Choice::RoundRobin,
            Self::LeastLoaded => Choice::LeastLoaded,
        }
    }
}

/// What answers a message for a node id that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownId {
    /// 200, as go-micro does.
    Accept,
    /// 404.
    Refuse,
}

/// What the host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// Which lines, in the words of `tracing`: `info`, `hostel_dispatch=debug,info`.
    pub(crate) filter: String,
    /// In which shape.
    pub(crate) format: LogFormat,
    /// Whether what handlers log appears as well.
    pub(crate) handlers: bool,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

const MIB: u64 = 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".hostel"),
            shutdown_deadline: Span(Duration::from_secs(30)),
            handlers: Vec::new(),
            tenants: Vec::new(),
            access: Access::default(),
            ingress: Ingress::default(),
            admin: Admin::default(),
            deploy: Deploy::default(),
            secrets: BTreeMap::new(),
            runtime: Runtime::default(),
            broker: Broker::default(),
            registry: Registry::default(),
            peers: Peers::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Default for Ingress {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4300)),
            tenant: "default".to_owned(),
            listeners: Vec::new(),
            anonymous: false,
            secure: false,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            client_certificates: ClientCertificates::Required,
            message_limit: ByteSize(MIB),
            // Longer than a minute: who publishes every 10, 30 or 60 seconds keeps its connection, and does not meet
            // its end at the very moment when the next request is on its way.
            head_timeout: Span(Duration::from_secs(75)),
            body_timeout: Span(Duration::from_secs(30)),
            wait_limit: Span(Duration::from_secs(60)),
            connections: 1024,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4301)),
            secure: false,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            client_certificates: ClientCertificates::Required,
            component_limit: ByteSize(64 * MIB),
            files_limit: ByteSize(64 * MIB),
            connections: 128,
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            invocations: hostel_runtime::Settings::invocations_here(),
            memory_limit: ByteSize(hostel_runtime::Settings::MEMORY_LIMIT as u64),
            private_addresses: Vec::new(),
        }
    }
}

impl Default for Registry {
    /// TTL and interval are go-micro's.
    fn default() -> Self {
        Self {
            kind: RegistryKind::Memory,
            address: String::new(),
            token_file: PathBuf::new(),
            ca: PathBuf::new(),
            client_certificate: PathBuf::new(),
            client_key: PathBuf::new(),
            interface: String::new(),
            ttl: Span(Duration::from_secs(60)),
            interval: Span(Duration::from_secs(30)),
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            kind: PeersKind::Http,
            name: "hostel".to_owned(),
            advertise: String::new(),
            first_generation: true,
            selector: Selector::Random,
            unknown_id: UnknownId::Accept,
            // Two attempts of a handler with the default deadline.
            answer_after: Span(Duration::from_secs(10)),
            connect_timeout: Span(Duration::from_secs(5)),
            // go-micro's handlers run within the request, and its own clients give a call 30 s.
            request_timeout: Span(Duration::from_secs(30)),
            retention: Span(Duration::from_secs(24 * 60 * 60)),
            // One keeps the order.
            concurrency: 1,
            nodes: 20_000,
            hops: 16,
            certificate_authorities: PathBuf::new(),
            trust_any_certificate: false,
            client_certificate: PathBuf::new(),
            client_key: PathBuf::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text, handlers: false }
    }
}
