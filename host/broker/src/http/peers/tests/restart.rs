//! What remote subscriptions get that a durable broker has kept since before a restart.

use hostel_event::id::{EventId, Ids};
use hostel_event::message::{Event, Message};
use hostel_event::time::Timestamp;
use hostel_log::log::Log;

use crate::durable::{self, Durable};
use crate::http::client;

use super::*;

/// A host with a durable broker.
struct Host {
    broker: Durable,
    log: Arc<Log>,
    registry: Arc<Told>,
    peers: Peers,
}

impl Host {
    async fn start(folder: &std::path::Path, settings: Settings) -> Self {
        let reserve = hostel_log::settings::Settings { reserve: 0, ..hostel_log::settings::Settings::default() };
        let log = Arc::new(Log::open(folder, reserve).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(Real(std::time::Instant::now()));
        let ids = Ids::new(Arc::clone(&clock), || [7; 10]);
        let rules = durable::settings::Settings::default();
        let broker = Durable::open(Arc::clone(&log), rules, Arc::clone(&clock), ids).await.unwrap();
        let registry = Arc::new(Told::default());
        let parts = Parts {
            broker: Arc::new(broker.clone()),
            registry: Arc::<Told>::clone(&registry),
            clock,
            observe: Arc::new(Witness::default()),
            client: Client::new(client::Settings::default()).unwrap(),
            identity: Identity::new(HOST),
        };
        let peers = Peers::start(parts, settings);
        peers.ready().await;
        broker.begin();
        Self { broker, log, registry, peers }
    }

    async fn publish(&self, body: &str) -> Vec<String> {
        let event = Event {
            id: EventId::new(body).unwrap(),
            tenant: Tenant::new("acme").unwrap(),
            topic: Topic::new("jobs").unwrap(),
            published_at: Timestamp::from_millis(1),
            expires_at: None,
            message: Message { body: body.to_owned().into(), ..Message::default() },
        };
        let receipt = self.broker.publish(Arc::new(event).into()).await.unwrap();
        let mut reached: Vec<String> = receipt.subscriptions.iter().map(ToString::to_string).collect();
        reached.sort();
        reached
    }

    async fn come(&self, version: &str, id: &str, address: &str) {
        self.registry.come(node("jobs", version, id, address));
        until("the node is known", || self.peers.state().peers.iter().any(|peer| peer.node == id)).await;
    }

    async fn stop(self) {
        self.peers.close(Duration::ZERO).await;
        self.broker.close().await;
        self.log.close();
    }
}

#[tokio::test]
async fn nodes_that_are_away_over_a_restart_get_what_was_published_before_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let away = Subscriber::start().await;
    away.stop().await;
    let expected = ["acme/@node.jobs-1:jobs", "acme/@queue.q:jobs"];
    let host = Host::start(folder.path(), quick()).await;
    host.come(BROADCAST, "jobs-1", &away.address).await;
    host.come("q", "jobs-2", &away.address).await;
    assert_eq!(host.publish("before").await, expected);
    host.stop().await;

    let host = Host::start(folder.path(), quick()).await;
    assert_eq!(host.broker.absent(), []);
    assert_eq!(host.publish("after").await, expected);
    let (one, member) = (Subscriber::start().await, Subscriber::start().await);
    host.come(BROADCAST, "jobs-1", &one.address).await;
    host.come("q", "jobs-3", &member.address).await;
    until("both have got both", || one.count() == 2 && member.count() == 2).await;
    assert_eq!(one.bodies(), ["before", "after"]);
    let mut shared = member.bodies();
    shared.sort();
    assert_eq!(shared, ["after", "before"]);
    host.stop().await;
}

#[tokio::test]
async fn a_node_that_is_not_seen_after_a_restart_is_gone_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let away = Subscriber::start().await;
    away.stop().await;
    let host = Host::start(folder.path(), quick()).await;
    host.come(BROADCAST, "jobs-1", &away.address).await;
    host.publish("before").await;
    host.stop().await;

    let host = Host::start(folder.path(), Settings { gone_after: Duration::from_secs(3), ..quick() }).await;
    let id = SubscriptionId::remote(
        &Tenant::new("acme").unwrap(),
        "node.jobs-1",
        &hostel_event::pattern::Pattern::new("jobs").unwrap(),
    );
    assert_eq!(host.broker.unsettled(&id), Some(1));
    until("it is gone", || host.broker.unsettled(&id).is_none()).await;
    assert!(host.publish("after").await.is_empty());
    host.stop().await;
}
