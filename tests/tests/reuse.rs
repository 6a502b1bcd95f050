//! Warm instances in a whole host: `reuse = N` lets an instance serve N events of its own handler and no more, and
//! nobody else's.
//!
//! The handler counts in a static: the reason of its reject says how many events its instance has seen before.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use hostel_api::client::{Client, Owner, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::{Host, PATIENCE, digest, publication};
use hostel_tests::raw::{exchange, request};
use hostel_tests::{cli, namespace, repository, sample, times};

const TOKEN: &str = "[access]\nrequire = 'token'\n";

fn hostile() -> Vec<u8> {
    let path = repository().join("target/guests/hostile.wasm");
    std::fs::read(path).expect("`cargo xtask guests` builds the sample handlers")
}

/// The handler as its manifest says, under this name and for the topic of this name.
fn manifest(name: &str, component: &str, reuse: u32) -> Manifest {
    let text = format!(
        "name = '{name}'\nversion = '1'\ncomponent = '{component}'\nreuse = {reuse}\n\
         subscriptions = [{{ pattern = '{name}', concurrency = 1, retry = {{ attempts = 1 }}, quarantine = {{ faults = 0 }} }}]"
    );
    Manifest::from_toml(&text, "handler.toml").expect("a good manifest")
}

async fn outcome(client: &Client, topic: &str, behaviour: &str) -> (SettlementOutcome, String) {
    let publication = Publication { headers: vec![("Behaviour".into(), behaviour.into())], ..publication(topic, "") };
    let settled = client.publish_and_wait(&publication, PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    (only.outcome, only.reason.clone().unwrap_or_default())
}

/// How many events the instance has seen that gets this one.
async fn before(client: &Client, topic: &str) -> u32 {
    match outcome(client, topic, "leak-check").await {
        (SettlementOutcome::Ack, _) => 0,
        (SettlementOutcome::DeadLetter, reason) => {
            let count = reason.strip_suffix(" events were here before").and_then(|count| count.parse().ok());
            count.unwrap_or_else(|| panic!("{reason}"))
        }
        other => panic!("{other:?}"),
    }
}

async fn counts(client: &Client, topic: &str, events: usize) -> Vec<u32> {
    let mut counts = Vec::new();
    for _ in 0..events {
        counts.push(before(client, topic).await);
    }
    counts
}

#[tokio::test]
async fn an_instance_serves_as_many_events_as_the_command_line_says_and_no_more() {
    let host = Host::start().await;
    let path = sample("rust/hostile");
    let path = path.to_str().expect("the repository has a plain name");
    let deploy = async |flags: &[&str]| {
        let ran = cli::run(&host, &[&["deploy", path, "--concurrency", "1"], flags].concat()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    };
    deploy(&[]).await;
    assert_eq!(counts(&host.client, "hostile.do", 4).await, [0; 4], "each event has a fresh instance");
    deploy(&["--reuse", "3"]).await;
    assert_eq!(host.client.handler("hostile").await.expect("there").reuse.map(u32::from), Some(3));
    assert_eq!(counts(&host.client, "hostile.do", 7).await, [0, 1, 2, 0, 1, 2, 0]);
    // Another version finds nothing of the one before it.
    deploy(&["--reuse", "3", "--version", "9"]).await;
    assert_eq!(counts(&host.client, "hostile.do", 2).await, [0, 1]);
    deploy(&["--reuse", "1", "--version", "9"]).await;
    assert_eq!(counts(&host.client, "hostile.do", 2).await, [0, 0]);
}

#[tokio::test]
async fn handlers_and_tenants_that_share_a_component_share_no_instance() {
    let host = Host::start_with(TOKEN).await;
    let first = host.operator_token();
    let mut clients = Vec::new();
    for tenant in ["acme", "rival"] {
        let operator = host.client_with(tenant, &first);
        operator.put_tenant(tenant, &TenantDocument::default()).await.expect("created");
        let wanted = TokenRequest { name: "admin".into(), scopes: vec!["admin".into()], ..TokenRequest::default() };
        let token = operator.create_token(Owner::Tenant, &wanted).await.expect("made").secret;
        let client = host.client_with(tenant, &token);
        let bytes = hostile();
        let digest = digest(&bytes);
        client.put_component(&digest, bytes.into()).await.expect("a good component");
        for name in ["one", "two"] {
            client.deploy(&manifest(name, &digest, 1000)).await.expect("deployed");
        }
        clients.push(client);
    }
    for round in 0..3 {
        for client in &clients {
            for topic in ["one", "two"] {
                assert_eq!(before(client, topic).await, round, "{topic}");
            }
        }
    }
}

#[tokio::test]
async fn an_instance_that_failed_serves_nothing_more() {
    let host = Host::start().await;
    let digest = host.upload(hostile()).await;
    host.client.deploy(&manifest("warm", &digest, 1000)).await.expect("deployed");
    for failure in ["trap", "abort", "exit:1"] {
        assert_eq!(counts(&host.client, "warm", 2).await, [0, 1], "before {failure}");
        assert_eq!(outcome(&host.client, "warm", failure).await.0, SettlementOutcome::DeadLetter);
    }
    assert_eq!(counts(&host.client, "warm", 2).await, [0, 1]);
    // One that said no has done nothing wrong.
    assert_eq!(outcome(&host.client, "warm", "reject").await.0, SettlementOutcome::DeadLetter);
    assert_eq!(before(&host.client, "warm").await, 2);
}

/// How many instances wait, as `/metrics` says.
async fn waiting(host: &Host) -> u32 {
    let answer = exchange(host.admin, &request("GET", "/metrics", &[], b"")).await.expect("answered");
    let value = answer.body.lines().find_map(|line| line.strip_prefix("hostel_warm_instances "));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{}", answer.body))
}

#[tokio::test]
async fn an_instance_that_waits_in_vain_is_given_back() {
    if !times(false, true) {
        let test = "an_instance_that_waits_in_vain_is_given_back";
        return namespace::skip(test, "it takes half a minute; `cargo xtask test --long` runs it");
    }
    let host = Host::start().await;
    let digest = host.upload(hostile()).await;
    host.client.deploy(&manifest("warm", &digest, 1000)).await.expect("deployed");
    assert_eq!(counts(&host.client, "warm", 2).await, [0, 1]);
    assert_eq!(waiting(&host).await, 1);
    let looking = async {
        while waiting(&host).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it is given back");
    assert_eq!(before(&host.client, "warm").await, 0, "what it held is gone");
}
