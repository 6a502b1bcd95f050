//! go-micro's endpoint at a further listener: a tenant with a registry of its own, and nothing of another's in it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::time::Duration;

use hostel_api::client::Client;
use hostel_api::registry::NodeView;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::raw::{exchange, request};
use hostel_tests::sample;

const TOPIC: &str = "orders.created";

/// A host with two tenants in two go-micro networks: `default` in that of its own registry, `acme` in another host's.
struct Stage {
    /// The other host, whose handlers are acme's partners.
    partner: Host,
    host: Host,
    acme: Client,
}

async fn stage(config: &str) -> Stage {
    let partner = Host::start().await;
    let mut host = Host::start_with(&with_acme(&partner, config)).await;
    let (default, acme) = (host.client.clone(), host.client_of("acme"));
    hello(&host).await;
    host.client = acme.clone();
    hello(&host).await;
    host.client = default;
    Stage { partner, host, acme }
}

/// The config of a host at which acme has its place with the partner.
fn with_acme(partner: &Host, config: &str) -> String {
    format!(
        "{config}\n[[ingress.listeners]]\nlisten = '127.0.0.1:0'\ntenant = 'acme'\ngo_micro = true\n\
         registry = {{ use = 'http', address = 'http://{}' }}\n",
        partner.admin
    )
}

async fn hello(host: &Host) {
    host.deploy(&sample("rust/hello"), |manifest| {
        for subscription in &mut manifest.subscriptions {
            TOPIC.clone_into(&mut subscription.pattern);
        }
    })
    .await;
}

/// The nodes of the topic in a host's registry that listen at another address than this.
async fn nodes_but_at(host: &Host, own: SocketAddr) -> Vec<NodeView> {
    let Ok(services) = host.client.service("micro.http.broker").await else { return Vec::new() };
    let nodes = services.items.into_iter().flat_map(|service| service.nodes);
    nodes.filter(|node| node.id.starts_with(TOPIC) && node.address != own.to_string()).collect()
}

/// acme's node, as its partner sees it.
async fn node_of_acme(stage: &Stage) -> NodeView {
    eventually("acme's node is registered", async || {
        !nodes_but_at(&stage.partner, stage.partner.ingress).await.is_empty()
    })
    .await;
    let mut nodes = nodes_but_at(&stage.partner, stage.partner.ingress).await;
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    nodes.remove(0)
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn acked(client: &Client) -> u64 {
    let all = client.subscriptions().await.expect("listed");
    all.iter().filter(|one| one.handler == "hello").map(|one| one.acked).sum()
}

/// Posts a message as go-micro does, and says how that was answered.
async fn post(address: SocketAddr, (path, header): (&str, &str), node: &str) -> u16 {
    let body = format!("{{\"Header\":{{\"{header}\":\"{TOPIC}\"}},\"Body\":\"aGVsbG8=\"}}");
    let bytes = request("POST", &format!("{path}?id={node}"), &[("Content-Type", "application/json")], body.as_bytes());
    exchange(address, &bytes).await.expect("an answer").status
}

const SECOND: (&str, &str) = ("/", "Micro-Topic");
const FIRST: (&str, &str) = ("/_sub", ":topic");

#[tokio::test]
async fn what_go_micro_posts_to_a_tenant_s_listener_reaches_that_tenant_and_no_other() {
    let stage = stage("[peers]\nunknown_id = 'refuse'").await;
    let Stage { host, acme, .. } = &stage;
    let node = node_of_acme(&stage).await;
    let listener: SocketAddr = node.address.parse().expect("an address");
    assert_ne!(listener, host.ingress);
    for generation in [SECOND, FIRST] {
        assert_eq!(post(listener, generation, &node.id).await, 200);
    }
    eventually("both are handled", async || acked(acme).await == 2).await;
    assert_eq!(acked(&host.client).await, 0);

    // The node of one tenant is nobody at the listener of the other.
    let services = host.client.service("micro.http.broker").await.expect("its own registry").items;
    let own: Vec<_> =
        services.iter().flat_map(|service| &service.nodes).map(|node| (&node.id, &node.address)).collect();
    let [(main, address)] = own[..] else { panic!("acme's is not among them: {own:?}") };
    assert_eq!(*address, host.ingress.to_string());
    assert_eq!(post(host.ingress, SECOND, &node.id).await, 404);
    assert_eq!(post(listener, SECOND, main).await, 404);
    assert_eq!(post(host.ingress, SECOND, main).await, 200);
    eventually("it is handled", async || acked(&host.client).await == 1).await;
    assert_eq!(acked(acme).await, 2);
}

#[tokio::test]
async fn a_tenant_exchanges_events_with_the_peers_in_its_own_registry() {
    let stage = stage("").await;
    let Stage { partner, host, acme } = &stage;
    hello(partner).await;
    node_of_acme(&stage).await;
    let heard = async |host: &Host| host.client.peers().await.expect("listed").items;
    eventually("the partner is heard of", async || heard(host).await.len() == 1).await;
    eventually("acme is heard of", async || heard(partner).await.len() == 1).await;
    let peers = heard(host).await;
    assert!(peers.iter().all(|peer| peer.subscription.starts_with("acme/")), "{peers:?}");

    acme.publish(&publication(TOPIC, "from acme")).await.expect("by the main listener it is of `default`");
    host.client.publish(&publication(TOPIC, "from default")).await.expect("published");
    partner.client.publish(&publication(TOPIC, "from the partner")).await.expect("published");
    eventually("acme hears its partner", async || acked(acme).await == 1).await;
    eventually("both are of `default`", async || acked(&host.client).await == 2).await;
    eventually("the partner hears itself", async || acked(&partner.client).await == 1).await;
    assert_eq!(acked(&partner.client).await, 1, "nothing of `default` goes there");

    // What acme publishes goes to its partner: by its listener, which no client here knows but by the registry.
    let node = node_of_acme(&stage).await;
    let listener: SocketAddr = node.address.parse().expect("an address");
    let answer = exchange(listener, &request("POST", &format!("/topics/{TOPIC}"), &[], b"from acme")).await;
    assert_eq!(answer.expect("an answer").status, 202);
    eventually("both hear it", async || (acked(acme).await, acked(&partner.client).await) == (2, 2)).await;
    assert_eq!(acked(&host.client).await, 2);
}

#[tokio::test]
async fn the_endpoint_of_a_tenant_is_shut_where_a_token_is_required_and_it_is_not_opened() {
    let partner = Host::start().await;
    for (anonymous, expected) in [("", 401), ("anonymous = true\n", 200)] {
        let config = with_acme(&partner, "[access]\nrequire = 'token'") + anonymous;
        let mut host = Host::start_with(&config).await;
        host.client = host.client_with("acme", &host.operator_token());
        hello(&host).await;
        let nodes = async || nodes_but_at(&partner, partner.ingress).await;
        eventually("its node is registered", async || nodes().await.len() == 1).await;
        let node = nodes().await.remove(0);
        let listener: SocketAddr = node.address.parse().expect("an address");
        assert_eq!(post(listener, SECOND, &node.id).await, expected, "{anonymous}");
        // It takes its node with it.
        host.stop().await;
        eventually("its node is gone", async || nodes().await.is_empty()).await;
    }
}

#[tokio::test]
async fn a_host_uses_the_registry_of_one_that_requires_tokens() {
    let keeper = Host::start_with("[access]\nrequire = 'token'").await;
    let operator = keeper.client_with("default", &keeper.operator_token());
    let file = keeper.data().join("data/operator-token");
    let config = format!("[registry]\nuse = 'http'\naddress = 'http://{}'\n", keeper.admin);
    let user = Host::start_with(&format!("{config}token_file = '{}'", file.display())).await;
    hello(&user).await;
    eventually("the keeper sends there", async || operator.peers().await.expect("listed").items.len() == 1).await;
    operator.publish(&publication(TOPIC, "x")).await.expect("published");
    eventually("it is handled", async || acked(&user.client).await == 1).await;
    let seen = user.client.services().await.expect("let in");
    assert_eq!(seen, operator.services().await.expect("listed"));

    // Without a token it is told what it lacks.
    let stranger = Host::start_with(&config).await;
    let error = stranger.client.services().await.expect_err("it is not let in").to_string();
    assert!(error.starts_with("cannot reach the registry: ") && error.contains("token"), "{error}");
}
