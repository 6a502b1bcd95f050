//! Real go-micro programs, of three generations, and a host that they take for one of theirs.
//!
//! Each test runs in a network namespace of its own; where that is not allowed, or go-micro cannot be built, it says so
//! and checks nothing. The names of `Driver`'s methods are go-micro's own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod alone;
mod losses;
mod messages;
mod queues;
mod registry;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};

use hostel_api::client::{Followed, Item};
use hostel_api::registry::ServiceView;
use hostel_api::view::{EventView, SubscriptionView};
use hostel_tests::gomicro::{Driver, Message, until};
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::sample;

/// Found by go-micro's programs and finding them; takes a body of 1 MiB with headers.
const CONFIG: &str = "[registry]\nuse = \"mdns\"\n\n[ingress]\nmessage_limit = \"2MiB\"\n";

async fn start() -> Host {
    Host::start_with(CONFIG).await
}

/// Deploys the sample `hello` under a name of its own, for one exact topic.
async fn deploy_hello(host: &Host, name: &str, topic: &str, queue: Option<&str>) {
    host.deploy(&sample("rust/hello"), |manifest| {
        name.clone_into(&mut manifest.name);
        let [subscription] = &mut manifest.subscriptions[..] else { panic!("`hello` has one subscription") };
        topic.clone_into(&mut subscription.pattern);
        subscription.queue = queue.map(str::to_owned);
    })
    .await;
}

/// The one subscription of a handler.
async fn subscription(host: &Host, handler: &str) -> SubscriptionView {
    let subscriptions = host.client.subscriptions().await.expect("listed");
    subscriptions.into_iter().find(|subscription| subscription.handler == handler).expect("deployed")
}

/// Waits until a handler has handled so many, each at the first attempt.
async fn until_handled(host: &Host, handler: &str, count: u64) {
    until(&format!("{count} handled"), async || subscription(host, handler).await.acked >= count).await;
    let SubscriptionView { acked, delivered, retried, dead_lettered, .. } = subscription(host, handler).await;
    assert_eq!((acked, delivered, retried, dead_lettered), (count, count, 0, 0));
}

/// Waits until the host knows so many nodes of go-micro's that hear a topic.
async fn until_host_knows(host: &Host, broker: &str, topic: &str, count: usize) {
    let known = async || {
        let versions = host.client.service(broker).await.map(|versions| versions.items).unwrap_or_default();
        let own = host.ingress.to_string();
        let nodes = versions.iter().flat_map(|service| &service.nodes).filter(|node| node.address != own);
        nodes.filter(|node| node.metadata.get("topic").is_some_and(|text| text == topic)).count()
    };
    until(&format!("the host knows {count} nodes that hear {topic}"), async || known().await == count).await;
}

/// The next event that a tail shows.
async fn next(tail: &mut Followed<EventView>) -> EventView {
    match tokio::time::timeout(PATIENCE, tail.next()).await.expect("in time") {
        Some(Ok(Item::Seen(event))) => event,
        other => panic!("{other:?}"),
    }
}

fn header<'a>(event: &'a EventView, name: &str) -> Option<&'a str> {
    event.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The next change of this kind that concerns a topic's brokers as the watcher knows them. An announcement is heard more
/// than once, and a host makes one for each generation of go-micro.
async fn change(watcher: &mut Driver, action: &str, topic: &str) -> ServiceView {
    loop {
        let (seen, service) = watcher.change().await;
        let concerns = service.nodes.iter().any(|node| node.metadata.get("topic").is_some_and(|own| own == topic));
        if seen == action && service.name == watcher.version().broker() && concerns {
            return service;
        }
    }
}

/// The numbers of messages, and how often each that came more than once did.
fn numbers(messages: &[Message]) -> (BTreeSet<u64>, BTreeMap<u64, usize>) {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(message.number()).or_insert(0) += 1;
    }
    let numbers = counts.keys().copied().collect();
    counts.retain(|_, count| *count > 1);
    (numbers, counts)
}
