//! go-micro's programs at the listener of a tenant that is not the ingress's: they reach its handlers and hear what it
//! publishes, and the tenant of the ingress is not among them.

use hostel_tests::each_go_micro;
use hostel_tests::gomicro::{Driver, Publish, Version, until};
use hostel_tests::host::{Host, publication};
use hostel_tests::raw::{exchange, request};

use crate::alone::subscribers;
use crate::{deploy_hello, subscription, until_handled};

each_go_micro!(programs_exchange_events_with_the_tenant_of_their_registry);

/// `default` has its registry in memory, and `acme` the network.
const CONFIG: &str = "[[ingress.listeners]]\nlisten = '127.0.0.1:0'\ntenant = 'acme'\ngo_micro = true\n\
                      registry = { use = 'mdns' }\n";

async fn programs_exchange_events_with_the_tenant_of_their_registry(version: Version) {
    let mut host = Host::start_with(CONFIG).await;
    deploy_hello(&host, "hello", "greetings.sent", None).await;
    let (default, acme) = (host.client.clone(), host.client_of("acme"));
    host.client = acme;
    deploy_hello(&host, "hello", "greetings.sent", None).await;

    let [mut subscriber] = subscribers(version, "greetings.sent", [None]).await;
    // The subscriber and acme, and nobody else.
    subscriber.until_listeners("greetings.sent", 2).await;
    let peers = async || default.peers().await.expect("listed").items;
    until("the host hears of it", async || peers().await.len() == 1).await;
    let peer = peers().await.remove(0);
    assert!(peer.subscription.starts_with("acme/"), "{peer:?}");
    let nodes = subscriber.listeners("greetings.sent").await;
    let (_, node) = nodes.into_iter().find(|(_, node)| node.id != peer.node).expect("acme's own");
    let listener = node.address.parse().expect("an address");
    assert_ne!(listener, host.ingress);

    let mut publisher = Driver::start(version).await;
    let sent = Publish { topic: "greetings.sent", body: b"hello 0", ..Publish::default() };
    assert_eq!(publisher.publish(&sent).await.failed, 0);
    until_handled(&host, "hello", 1).await;
    assert_eq!(subscriber.message().await.body, b"hello 0");

    // What is published for `default` stays here.
    default.publish(&publication("greetings.sent", "for nobody")).await.expect("published");
    let answer = exchange(listener, &request("POST", "/topics/greetings.sent", &[], b"from acme")).await;
    assert_eq!(answer.expect("an answer").status, 202);
    assert_eq!(subscriber.message().await.body, b"from acme");
    host.client = default;
    until("it is handled", async || subscription(&host, "hello").await.acked == 1).await;
}
