//! Row group 3: what ten thousand known remote nodes cost. How long a publish is routed past them, and what memory they
//! take, each against the same broker that knows few of them, or none.
//!
//! The parts are the server's: a memory registry, the memory broker, and the peers that put each remote node on the
//! broker as a subscription. Nothing is posted to a node: the event is for one local subscription, which the broker
//! finds among all others. Memory is that of a process of its own, in which nothing else happens.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::mpsc;
use uuid::Uuid;

use hostel_broker::choice::Choice;
use hostel_broker::http::client::{self, Client};
use hostel_broker::http::node::Identity;
use hostel_broker::http::peers::{self, Peers};
use hostel_broker::http::wire::{BROADCAST_VERSION, Generation};
use hostel_broker::memory;
use hostel_event::delivery::{Delivery, Settlement};
use hostel_event::id::{Entropy, Ids};
use hostel_event::key_value::Effects;
use hostel_event::message::Event;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::outcome::Attempt;
use hostel_event::pattern::Pattern;
use hostel_event::port::{Broker, Clock, Metadata, Node, Observe, Registry, Service, Settled, Sink};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::topic::Topic;
use hostel_registry::memory as registry;

use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::spine::{self, MachineClock};

/// The name of the subcommand that tells what memory nodes take.
pub(crate) const COMMAND: &str = "remote-nodes";

/// Nodes: many, few, and none.
const COUNTS: [usize; 3] = [10_000, 10, 0];
/// More than this group ever keeps.
const BYTES: usize = 1 << 28;
/// Far longer than the group is measured.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Measures the group.
pub(crate) fn measure(scale: &Scale) -> Result<Group> {
    let route = |nodes: usize| format!("in process: publish to one local subscription, {nodes} remote nodes known");
    let memory = |nodes: usize| format!("resident memory, {nodes} remote nodes known and served");
    let registered = |nodes: usize| format!("resident memory, {nodes} remote nodes in the registry alone");
    let [many, few, none] = COUNTS;
    let row = |subject: String, limit: String| Row { subject, limit };
    let rows = vec![
        row(route(many), route(none)),
        row(route(many), route(few)),
        row(memory(many), memory(none)),
        row(memory(many), registered(many)),
    ];
    let rigs = match rows.iter().any(|row| scale.wants(&row.subject)) {
        true => COUNTS.map(|nodes| Rig::new(nodes, true).map(|rig| (nodes, rig))).into_iter().collect::<Result<_>>()?,
        false => Vec::new(),
    };
    let mut contenders = Vec::new();
    for (nodes, rig) in &rigs {
        contenders.push(Contender::new(&route(*nodes), scale.routed, |events| rig.route(events)));
    }
    for (name, nodes, served) in
        [(memory(none), none, true), (registered(many), many, false), (memory(many), many, true)]
    {
        contenders.push(Contender::of(&name, Unit::Mebibytes, 1, move |_| resident_of_another(nodes, served)));
    }
    let group = round::measure(scale, contenders, rows);
    Ok(group.ended(rigs.into_iter().try_for_each(|(_, rig)| rig.close())))
}

/// The subcommand: knows so many nodes and prints the memory that this process then has.
#[expect(clippy::print_stdout, reason = "whoever starts this reads it")]
pub(crate) fn tell(nodes: usize, served: bool) -> Result<()> {
    let rig = Rig::new(nodes, served)?;
    println!("{}", resident("self")?);
    rig.close()
}

/// What [`tell`] says in a process of its own, in MiB.
fn resident_of_another(nodes: usize, served: bool) -> Result<f64> {
    let program = env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg(COMMAND).arg(nodes.to_string());
    if served {
        command.arg("--served");
    }
    let output = command.output().context("cannot start this program again")?;
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "`{COMMAND} {nodes}` failed: {talk}");
    let kibibytes: f64 = said.trim().parse().with_context(|| format!("`{COMMAND} {nodes}` said {said:?}"))?;
    Ok(kibibytes / 1024.0)
}

/// The resident memory of a process in KiB; `self` is this one.
pub(crate) fn resident(process: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no `VmRSS` in the status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A broker that knows nodes, with one subscription of its own.
struct Rig {
    tokio: tokio::runtime::Runtime,
    broker: memory::Memory,
    /// Keeps the nodes; the peers have read them.
    _registry: registry::Memory,
    peers: Option<Peers>,
    /// Deliveries to the local subscription. One event is under way at a time.
    deliveries: tokio::sync::Mutex<mpsc::Receiver<Delivery>>,
    event: Arc<Event>,
}

impl Rig {
    /// With so many nodes in the registry, and served if so said.
    fn new(nodes: usize, served: bool) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::new());
        let ids = Ids::new(Arc::clone(&clock), rand::random::<Entropy>);
        let settings = memory::Settings {
            bytes: BYTES,
            dead_letters: 1,
            dead_letter_bytes: BYTES,
            key_value_bytes: BYTES,
            choice: Choice::LeastLoaded,
            seed: 1,
        };
        let broker = memory::Memory::new(settings, Arc::clone(&clock), ids.clone());
        let tenant = Tenant::new("bench")?;
        let kept = registry::Memory::new(registry::Settings { nodes: nodes + 1, watch_buffer: 64 }, Arc::clone(&clock));
        tokio.block_on(register(&kept, nodes))?;
        let parts = peers::Parts {
            broker: Arc::new(broker.clone()),
            registry: Arc::new(kept.clone()),
            clock: Arc::clone(&clock),
            observe: Arc::new(Nobody),
            client: Client::new(client::Settings::default())?,
            identity: Identity::new(Uuid::from_u128(1)),
        };
        let peers = tokio.block_on(async {
            if !served {
                return Ok(None);
            }
            let peers = Peers::start(parts, peers::Settings::new(tenant.clone()));
            tokio::time::timeout(Scale::PATIENCE, peers.ready()).await.context("the peers were not ready in time")?;
            let known = peers.state().peers.len();
            ensure!(known == nodes, "{known} of {nodes} nodes are served");
            Ok(Some(peers))
        })?;
        let (sink, deliveries) = mpsc::channel(1);
        let publication = spine::publication(&tenant)?;
        let topic = topic("bench")?;
        let local = Subscription::new(&tenant, &HandlerName::new("hello")?, Pattern::new(topic.as_str())?);
        tokio.block_on(broker.subscribe(Arc::new(local), Arc::new(Local(sink))))?;
        let event = Arc::new(Event {
            id: ids.event(),
            tenant,
            topic,
            published_at: clock.wall(),
            expires_at: None,
            message: publication.message,
        });
        Ok(Self { tokio, broker, _registry: kept, peers, deliveries: tokio::sync::Mutex::new(deliveries), event })
    }

    /// Publishes and settles, one after the other, on this thread.
    fn route(&self, events: usize) -> Result<Duration> {
        self.tokio.block_on(async {
            let mut deliveries = self.deliveries.lock().await;
            let began = Instant::now();
            for _ in 0..events {
                let receipt = self.broker.publish(Arc::clone(&self.event).into()).await?;
                ensure!(receipt.subscriptions.len() == 1, "it went to {} subscriptions", receipt.subscriptions.len());
                let Some(delivery) = deliveries.recv().await else { bail!("the subscription has ended") };
                delivery.settle.settle(Settlement::Ack(Effects::default())).await?;
            }
            Ok(began.elapsed())
        })
    }

    fn close(self) -> Result<()> {
        let left = match self.peers {
            Some(peers) => self.tokio.block_on(peers.close(Scale::PATIENCE)),
            None => 0,
        };
        ensure!(left == 0, "{left} events wait for remote nodes");
        Ok(())
    }
}

/// Each node hears a topic of its own, so that the broker has a subscription for each, and is announced as go-micro
/// does it: an entry for each.
async fn register(kept: &registry::Memory, nodes: usize) -> Result<()> {
    for number in 0..nodes {
        let topic = topic(&format!("customer-{number:05}"))?;
        let said = [("broker", "http"), ("secure", "false"), ("topic", topic.as_str())];
        let node = Node {
            id: format!("{topic}-{}", Uuid::from_u128(number as u128)),
            // Nobody listens, and nobody is asked.
            address: format!("127.0.0.1:{}", 1 + number % 60_000),
            metadata: said.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let service = Service {
            name: Generation::Second.service().to_owned(),
            version: BROADCAST_VERSION.to_owned(),
            metadata: Metadata::new(),
            endpoints: Vec::new(),
            nodes: vec![node],
        };
        kept.register(service, TTL).await?;
    }
    Ok(())
}

/// Of the same shape for all, so that the local subscription's is found among those of the nodes.
fn topic(customer: &str) -> Result<Topic> {
    Ok(Topic::new(&format!("orders.of-{customer}.created"))?)
}

/// Passes deliveries on.
struct Local(mpsc::Sender<Delivery>);

impl Sink for Local {
    fn deliver(&self, delivery: Delivery) {
        // There is room for the one that is under way.
        let _ = self.0.try_send(delivery);
    }

    fn forget(&self, _: &SubscriptionId) -> usize {
        0
    }

    fn expired(&self, _: &SubscriptionId, _: &Arc<Event>) {}
}

/// Hears of everything and remembers nothing.
struct Nobody;

impl Observe for Nobody {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self, _: &Tenant) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {}

    fn settled(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Settled) {}
}
