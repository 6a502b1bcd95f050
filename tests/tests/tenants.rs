//! Tenants side by side: each way across the wall is answered like what does not exist, and what is exported is heard as
//! far as it is.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

use hostel_api::client::{Client, ClientError, Force, Item, LogQuery, Owner};
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::raw::{Answer, exchange, request};
use hostel_tests::sample;

const TOKEN: &str = "[access]\nrequire = 'token'\n";

fn document(text: &str) -> TenantDocument {
    TenantDocument::from_toml(text, "tenant.toml").expect("a good document")
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Problem { problem, .. }) => problem.code.clone(),
        other => panic!("a problem is expected: {other:?}"),
    }
}

/// A host with tenant acme, that has everything that a tenant can have, and tenant globex with its admin's token.
async fn two_tenants() -> (Host, Client, String, String) {
    let mut host = Host::start_with(TOKEN).await;
    let first = host.operator_token();
    let operator = host.client_with("acme", &first);
    let mut tokens = Vec::new();
    for tenant in ["acme", "globex"] {
        operator.put_tenant(tenant, &TenantDocument::default()).await.expect("created");
        let request =
            TokenRequest { name: "admin".to_owned(), scopes: vec!["admin".to_owned()], ..TokenRequest::default() };
        let of = host.client_with(tenant, &first);
        tokens.push(of.create_token(Owner::Tenant, &request).await.expect("made").secret);
    }
    let acme = host.client_with("acme", &tokens[0]);
    host.client = acme.clone();
    host.deploy(&sample("rust/hello"), |_| ()).await;
    (host, acme, tokens[0].clone(), tokens[1].clone())
}

async fn ask(host: &Host, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let answer = exchange(host.admin, &request(method, path, &[("Authorization", &bearer)], b"")).await;
    answer.unwrap_or_else(|| panic!("{method} {path}: no answer"))
}

#[tokio::test]
async fn every_way_across_the_wall_is_answered_like_what_is_not_there() {
    let (host, acme, _, globex) = two_tenants().await;
    // One that goes to the dead letters, so that there is one to ask for.
    let settled =
        host.client.publish_and_wait(&publication("greetings.sent", "hi"), PATIENCE).await.expect("published");
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack);
    let handler = acme.handler("hello").await.expect("there");
    let token = acme.tokens(Owner::Tenant).await.expect("listed").remove(0).id;
    let subscription = acme.subscriptions().await.expect("listed").remove(0).id.replace('/', "%2F").replace('>', "%3E");
    let digest = &handler.component;
    let below = [
        ("GET", String::new()),
        ("GET", "/handlers".to_owned()),
        ("GET", "/handlers/hello".to_owned()),
        ("PUT", "/handlers/hello".to_owned()),
        ("DELETE", "/handlers/hello".to_owned()),
        ("POST", "/handlers/hello/rollback".to_owned()),
        ("GET", format!("/components/{digest}")),
        ("PUT", format!("/components/{digest}")),
        ("GET", "/subscriptions".to_owned()),
        ("DELETE", format!("/subscriptions/{subscription}")),
        ("POST", format!("/subscriptions/{subscription}/pause")),
        ("POST", format!("/subscriptions/{subscription}/resume")),
        ("GET", "/dead-letters".to_owned()),
        ("GET", "/dead-letters/x".to_owned()),
        ("POST", "/dead-letters/x/redrive".to_owned()),
        ("DELETE", "/dead-letters/x".to_owned()),
        ("GET", "/logs".to_owned()),
        ("GET", "/logs?follow=true".to_owned()),
        ("GET", "/usage".to_owned()),
        ("GET", "/usage?format=csv".to_owned()),
        ("GET", "/tokens".to_owned()),
        ("POST", "/tokens".to_owned()),
        ("DELETE", format!("/tokens/{token}")),
        ("GET", "/audit".to_owned()),
        ("PUT", String::new()),
        ("DELETE", String::new()),
    ];
    let long = "a".repeat(64);
    let nobodies = [
        "nobody",
        "..",
        "%2e%2e%2f",
        "..%2f..%2fetc",
        "%00",
        "",
        &long,
        "%C3%A9",
        "%ff",
        "Acme",
        "acme%2F",
        "acme%00",
        "acme%20",
    ];
    let mut expected: Option<Answer> = None;
    for (method, rest) in &below {
        for name in std::iter::once("acme").chain(nobodies) {
            // The client of this test would walk up the path, as a browser does; the host takes it as it is.
            let answer = ask(&host, method, &format!("/v1/tenants/{name}{rest}"), &globex).await;
            let expected = expected.get_or_insert_with(|| answer.clone());
            let head = |answer: &Answer| answer.head.lines().filter(|line| !line.starts_with("date:")).count();
            assert_eq!(
                (answer.status, &answer.body, head(&answer)),
                (404, &expected.body, head(expected)),
                "{method} {name}{rest}"
            );
        }
    }
    // Its own names: what cannot be there is answered like what is not.
    let missing = ask(&host, "GET", "/v1/tenants/globex/handlers/nobody", &globex).await;
    for name in ["..%2fhello", "%00", &long, "%C3%A9", "acme%2Fhello"] {
        let answer = ask(&host, "GET", &format!("/v1/tenants/globex/handlers/{name}"), &globex).await;
        assert_eq!((answer.status, answer.body.contains("E0015")), (missing.status, true), "{name}: {answer:?}");
    }
    let ids = ["..%2f", &token, "%00"];
    for id in ids {
        let answer = ask(&host, "DELETE", &format!("/v1/tenants/globex/tokens/{id}"), &globex).await;
        assert_eq!((answer.status, answer.body.contains("E0015")), (404, true), "{id}: {answer:?}");
    }
    assert_eq!(acme.handlers().await.expect("listed").len(), 1, "nothing of it came through");
    assert_eq!(acme.tokens(Owner::Tenant).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn neither_events_nor_logs_nor_dead_letters_cross() {
    let (host, acme, _, globex) = two_tenants().await;
    let globex = host.client_with("globex", &globex);
    let mut events = globex.tail(">").await.expect("followed");
    // The same topic at the same door: whose it is, the token says.
    let receipt = globex.publish(&publication("greetings.sent", "from globex")).await.expect("published");
    assert_eq!(receipt.subscriptions, 0, "acme's handler hears nothing of it");
    acme.publish_and_wait(&publication("greetings.sent", "from acme"), PATIENCE).await.expect("published");
    globex.publish(&publication("greetings.sent", "again")).await.expect("published");
    for expected in ["from globex", "again"] {
        let seen = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("goes on");
        let Item::Seen(event) = seen.expect("readable") else { panic!("nothing is lost") };
        assert_eq!(event.body.as_deref(), Some(expected));
    }
    assert!(!acme.logs(&LogQuery::default()).await.expect("read").is_empty());
    assert_eq!(globex.logs(&LogQuery::default()).await.expect("read"), []);
    assert_eq!(globex.dead_letters(10, None).await.expect("read").items, []);
    assert_eq!(globex.subscriptions().await.expect("read"), []);
    assert!(globex.handlers().await.expect("read").is_empty());
}

#[tokio::test]
async fn a_tenant_comes_has_its_limit_and_goes_with_all_it_has() {
    let mut host = Host::start().await;
    let acme = host.client_of("acme");
    assert_eq!(code(acme.handlers().await), "E0015", "nobody created it");
    let created = acme.put_tenant("acme", &document("[quota]\nhandlers = 1")).await.expect("created");
    assert!(created.created && !created.tenant.configured);
    host.client = acme.clone();
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let mut manifest = hostel_api::manifest::Manifest::from_toml(
        "name = 'second'\ncomponent = 'x'\n[[subscriptions]]\npattern = 'a'",
        "handler.toml",
    )
    .expect("good");
    manifest.component = acme.handler("hello").await.expect("there").component;
    assert_eq!(code(acme.deploy(&manifest).await), "E0050", "one is its quota");
    assert!(!acme.put_tenant("acme", &document("[quota]\nhandlers = 2")).await.expect("changed").created);
    acme.deploy(&manifest).await.expect("two are");
    assert_eq!(acme.tenant("acme").await.expect("there").handlers, 2);

    assert_eq!(code(acme.delete_tenant("acme", Force::No).await), "E0048");
    assert_eq!(code(acme.delete_tenant("default", Force::Yes).await), "E0049");
    let deleted = acme.delete_tenant("acme", Force::Yes).await.expect("deleted");
    assert_eq!(deleted.handlers, 2);
    assert_eq!(code(acme.handlers().await), "E0015");
    let (_, data) = host.stop().await;
    let host = Host::start_in(data, "").await;
    let acme = host.client_of("acme");
    assert_eq!(code(acme.tenant("acme").await), "E0015", "it stays gone");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    assert!(acme.handlers().await.expect("listed").is_empty(), "and what it had does not come back");
    let names: Vec<String> =
        acme.tenants(10, None).await.expect("listed").items.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["acme", "default"]);
    let page = acme.tenants(1, None).await.expect("listed");
    assert_eq!(page.next.as_deref(), Some("acme"));
    assert_eq!(acme.tenants(1, page.next.as_deref()).await.expect("listed").items[0].name, "default");
}

#[tokio::test]
async fn what_is_exported_is_heard_until_it_is_withdrawn() {
    let config = "[[ingress.listeners]]\nlisten = '127.0.0.1:0'\ntenant = 'shop'\n";
    let mut host = Host::start_with(config).await;
    let (shop, billing) = (host.client_of("default"), host.client_of("billing"));
    billing.put_tenant("billing", &TenantDocument::default()).await.expect("created");
    host.client = billing.clone();
    let text = std::fs::read_to_string(sample("rust/hello")).expect("a manifest");
    let mut manifest = hostel_api::manifest::Manifest::from_toml(&text, "handler.toml").expect("good");
    let folder = sample("rust/hello");
    let component = folder.parent().expect("a folder").join(&manifest.component);
    manifest.component = host.upload(std::fs::read(component).expect("built")).await;
    manifest.subscriptions[0].from = Some("default".to_owned());
    assert_eq!(code(billing.deploy(&manifest).await), "E0051", "nobody exported it");
    let mut unknown = manifest.clone();
    unknown.subscriptions[0].from = Some("nobody".to_owned());
    assert_eq!(code(billing.deploy(&unknown).await), "E0051", "and whoever does not exist exports as little");

    let exporting = document("[[exports]]\ntopics = ['greetings.>']\nto = ['billing']");
    shop.put_tenant("default", &exporting).await.expect("changed");
    let deployed = billing.deploy(&manifest).await.expect("deployed").handler;
    assert_eq!(deployed.subscriptions[0].from.as_deref(), Some("default"));
    shop.publish(&publication("greetings.sent", "hi")).await.expect("published");
    host.until(|subscription| subscription.acked == 1).await;
    assert_eq!(shop.logs(&LogQuery::default()).await.expect("read"), [], "what billing's handler says is billing's");

    shop.put_tenant("default", &TenantDocument::default()).await.expect("changed");
    let receipt = shop.publish(&publication("greetings.sent", "hi")).await.expect("published");
    assert_eq!(receipt.subscriptions, 0, "nobody hears it any more");
    let handler = billing.handler("hello").await.expect("there");
    assert_eq!((handler.subscriptions.len(), handler.ended.len()), (0, 1));
    assert!(handler.ended[0].reason.contains("does not export it"), "{handler:?}");
    let (_, data) = host.stop().await;
    let host = Host::start_in(data, config).await;
    let billing = host.client_of("billing");
    assert_eq!(billing.handler("hello").await.expect("there").ended.len(), 1, "nor after a restart");
}
