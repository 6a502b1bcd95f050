//! What of this host stands in the registry: which nodes it has there for its subscriptions, and the way back from a
//! node's id to the subscriptions it stands for. Names and ids only; who registers them and when is decided elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use hostel_event::name::{QueueGroup, Tenant};
use hostel_event::port::{Metadata, Node, Service};
use hostel_event::subscription::{Audience, Place, Subscription};
use hostel_event::topic::Topic;

use super::wire::{BROADCAST_VERSION, Generation};

/// The most bytes that a queue's name in the registry may have. Arbitrary; a label of DNS has 63.
const QUEUE_LIMIT: usize = 1024;

/// Who this host is among its peers. Kept from one run to the next, its nodes keep their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity(Uuid);

impl Identity {
    /// The identity that a UUID of the host makes.
    #[must_use]
    pub const fn new(host: Uuid) -> Self {
        Self(host)
    }

    /// The id of the node that stands for a topic's subscriptions in a queue group, or in none.
    ///
    /// It is `<topic>-<uuid>` as with go-micro, and the UUID (version 5) is made of the host, the tenant, the queue and
    /// the topic: the same for all that one node stands for, and another for each that must be told apart.
    #[must_use]
    pub fn node_id(self, tenant: &Tenant, queue: Option<&QueueGroup>, topic: &Topic) -> String {
        // None of the three can hold NUL, and no queue group is empty.
        let name = format!("{tenant}\0{}\0{topic}", queue.map_or("", QueueGroup::as_str));
        format!("{topic}-{}", Uuid::new_v5(&self.0, name.as_bytes()))
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How this host's nodes are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// `host:port` at which peers reach the ingress.
    pub address: &'a str,
    /// Whether it takes TLS only.
    pub secure: bool,
    /// For which generations of go-micro; each has a service of its own.
    pub generations: &'a [Generation],
}

/// The nodes of this host, by id.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    by_id: HashMap<Arc<str>, Stand>,
}

/// What a node stands for.
#[derive(Debug, Clone)]
struct Stand {
    tenant: Tenant,
    topic: Topic,
    queue: Option<QueueGroup>,
}

/// Whom a message addressed to a node of this host is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// Whose topic it is.
    pub tenant: Tenant,
    /// Which of the subscriptions to the topic are meant.
    pub audience: Audience,
}

impl Nodes {
    /// One node for each topic and queue group, or for the topic's subscriptions in none. Subscriptions with wildcards
    /// have none, since go-micro's topics are exact, and remote ones are others' nodes. Nor has a queue group of a tenant
    /// that imports the topic: on the wire it could not be told from one of the same name of the tenant whose topic it is.
    pub fn new<'a>(identity: Identity, subscriptions: impl IntoIterator<Item = &'a Subscription>) -> Self {
        let mut by_id = HashMap::new();
        for subscription in subscriptions {
            let Subscription { source, pattern, place, queue, .. } = subscription;
            let (Place::Local, Some(topic)) = (place, pattern.as_topic()) else { continue };
            if subscription.is_imported() && queue.is_some() {
                continue;
            }
            let id = identity.node_id(source, queue.as_ref(), &topic);
            by_id.insert(id.into(), Stand { tenant: source.clone(), topic, queue: queue.clone() });
        }
        Self { by_id }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Each node as it stands in the registry, one service entry for each as go-micro has it, ordered by id.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement<'_>) -> Vec<Service> {
        let mut nodes: Vec<(&Arc<str>, &Stand)> = self.by_id.iter().collect();
        nodes.sort_unstable_by_key(|(id, _)| *id);
        let entries = nodes.into_iter().flat_map(|(id, stand)| {
            announcement.generations.iter().map(move |&generation| entry(id, stand, generation, announcement))
        });
        entries.collect()
    }

    /// Whom a message is for that was addressed to node `id` on `topic`; `None` if no such node is there.
    #[must_use]
    pub fn resolve(&self, id: &str, topic: &Topic) -> Option<Addressed> {
        let stand = self.by_id.get(id).filter(|stand| stand.topic == *topic)?;
        Some(Addressed { tenant: stand.tenant.clone(), audience: Audience::Node { queue: stand.queue.clone() } })
    }
}

fn entry(id: &str, stand: &Stand, generation: Generation, announcement: &Announcement<'_>) -> Service {
    let metadata = [
        ("broker", "http"),
        ("secure", if announcement.secure { "true" } else { "false" }),
        ("topic", stand.topic.as_str()),
    ];
    let node = Node {
        id: id.to_owned(),
        address: announcement.address.to_owned(),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    Service {
        name: generation.service().to_owned(),
        version: stand.queue.as_ref().map_or(BROADCAST_VERSION, QueueGroup::as_str).to_owned(),
        metadata: Metadata::new(),
        endpoints: Vec::new(),
        nodes: vec![node],
    }
}

/// The queue group that a service's version names: `Some(None)` is broadcast, `None` a name beyond all measure.
///
/// go-micro takes any text. One that is no queue group's name here cannot be shared with local handlers, but its nodes
/// are served all the same, under a name made of it.
pub(crate) fn queue_of(version: &str) -> Option<Option<QueueGroup>> {
    if version == BROADCAST_VERSION {
        return Some(None);
    }
    if version.len() > QUEUE_LIMIT {
        return None;
    }
    if let Ok(queue) = QueueGroup::new(version) {
        return Some(Some(queue));
    }
    let made = format!("gomicro-{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, version.as_bytes()));
    QueueGroup::new(&made).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use hostel_event::name::HandlerName;
    use hostel_event::pattern::Pattern;

    use super::*;

    const HOST: Identity = Identity::new(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001));

    fn heard(handler: &str, pattern: &str, queue: Option<&str>) -> Subscription {
        let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new(handler).unwrap());
        let queue = queue.map(|queue| QueueGroup::new(queue).unwrap());
        Subscription { queue, ..Subscription::new(&tenant, &handler, Pattern::new(pattern).unwrap()) }
    }

    fn announced(subscriptions: &[Subscription], generations: &[Generation]) -> Vec<Service> {
        let announcement = Announcement { address: "192.0.2.7:4300", secure: true, generations };
        Nodes::new(HOST, subscriptions).announced(&announcement)
    }

    #[test]
    fn a_subscription_is_announced_as_go_micro_would() {
        let services = announced(&[heard("a", "orders.created", Some("q1"))], &[Generation::Second]);
        let [service] = &services[..] else { panic!("{services:?}") };
        assert_eq!((service.name.as_str(), service.version.as_str()), ("micro.http.broker", "q1"));
        assert!(service.endpoints.is_empty() && service.metadata.is_empty());
        let [node] = &service.nodes[..] else { panic!("{service:?}") };
        assert_eq!(node.address, "192.0.2.7:4300");
        let said: Vec<(&str, &str)> =
            node.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(said, [("broker", "http"), ("secure", "true"), ("topic", "orders.created")]);
        let uuid = node.id.strip_prefix("orders.created-").unwrap();
        assert_eq!(Uuid::try_parse(uuid).unwrap().get_version_num(), 5);
        assert_eq!(uuid.len(), 36, "as long as go-micro's, so that the same topics fit into mDNS");
    }

    #[test]
    fn what_shares_a_node_is_announced_once_and_wildcards_and_remotes_never() {
        let remote = Subscription { place: Place::Remote { nodes: 1 }, ..heard("r", "jobs", None) };
        let subscriptions = [
            heard("a", "jobs", None),
            heard("b", "jobs", None),
            heard("c", "jobs", Some("q")),
            heard("d", "jobs", Some("q")),
            heard("e", "jobs", Some("other")),
            heard("f", "bills", None),
            heard("g", "jobs.*", None),
            remote,
        ];
        let services = announced(&subscriptions, &[Generation::Second]);
        let mut found: Vec<(&str, &str)> = services
            .iter()
            .map(|service| (service.nodes[0].metadata["topic"].as_str(), service.version.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [("bills", BROADCAST_VERSION), ("jobs", BROADCAST_VERSION), ("jobs", "other"), ("jobs", "q")]
        );
        let ids: HashSet<&str> = services.iter().map(|service| service.nodes[0].id.as_str()).collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn an_importer_has_a_node_of_the_tenant_whose_topic_it_is_but_none_for_a_queue_group() {
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let imported = |queue| Subscription { tenant: rival.clone(), ..heard("a", "jobs", queue) };
        let nodes = Nodes::new(HOST, &[imported(None), imported(Some("q"))]);
        let topic = Topic::new("jobs").unwrap();
        assert_eq!(nodes.len(), 1);
        let addressed = Addressed { tenant: acme.clone(), audience: Audience::Node { queue: None } };
        assert_eq!(nodes.resolve(&HOST.node_id(&acme, None, &topic), &topic), Some(addressed));
    }

    #[test]
    fn both_generations_know_the_node_by_the_same_id() {
        let services = announced(&[heard("a", "jobs", None)], &[Generation::First, Generation::Second]);
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["go.micro.http.broker", "micro.http.broker"]);
        assert_eq!(services[0].nodes, services[1].nodes);
    }

    #[test]
    fn a_node_leads_back_to_what_it_stands_for() {
        let nodes = Nodes::new(HOST, &[heard("a", "jobs", None), heard("b", "jobs", Some("q"))]);
        let (jobs, bills) = (Topic::new("jobs").unwrap(), Topic::new("bills").unwrap());
        let tenant = Tenant::new("acme").unwrap();
        for queue in [None, Some(QueueGroup::new("q").unwrap())] {
            let id = HOST.node_id(&tenant, queue.as_ref(), &jobs);
            let addressed = Addressed { tenant: tenant.clone(), audience: Audience::Node { queue } };
            assert_eq!(nodes.resolve(&id, &jobs), Some(addressed));
            assert_eq!(nodes.resolve(&id, &bills), None);
        }
        assert_eq!(nodes.resolve(&HOST.node_id(&tenant, None, &bills), &bills), None);
    }

    #[test]
    fn an_id_lasts_and_differs_by_host_and_tenant() {
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let topic = Topic::new("jobs").unwrap();
        let id = HOST.node_id(&acme, None, &topic);
        assert_eq!(id, HOST.node_id(&acme, None, &topic));
        assert_ne!(id, HOST.node_id(&rival, None, &topic));
        assert_ne!(id, Identity::new(Uuid::from_u128(1)).node_id(&acme, None, &topic));
    }

    #[test]
    fn any_queue_of_go_micros_has_a_group() {
        assert_eq!(queue_of(BROADCAST_VERSION), Some(None));
        let group = |version: &str| queue_of(version).unwrap().unwrap();
        assert_eq!(group("q-1").as_str(), "q-1");
        assert_ne!(group("a queue"), group("another/queue"));
        assert_eq!(group(""), group(""));
        assert_eq!(queue_of(&"q".repeat(QUEUE_LIMIT + 1)), None);
    }
}
