//! Who is let in: every route of both faces against every role, and what happens when a token goes.
//!
//! The rows are those of `hostel_api::route`, the same table that the host goes by: a route that has no row here fails
//! the test, and one that is not in that table is answered by no host.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hostel_api::client::{Client, Force, Item, Owner};
use hostel_api::problem::Problem;
use hostel_api::route::{Face, ROUTES, Route};
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::raw::{Answer, exchange, request};
use hostel_tests::sample;

const TOKEN: &str = "[access]\nrequire = 'token'\n";

fn asked(scopes: &[&str]) -> TokenRequest {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    TokenRequest { name: "test".to_owned(), scopes, ..TokenRequest::default() }
}

async fn token(operator: &Client, scopes: &[&str]) -> String {
    operator.create_token(Owner::Tenant, &asked(scopes)).await.expect("made").secret
}

async fn ask(host: &Host, face: Face, (method, path): (&str, &str), token: Option<&str>) -> Answer {
    let address = if face == Face::Admin { host.admin } else { host.ingress };
    let value = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = value.iter().map(|value| ("Authorization", value.as_str())).collect();
    let answer = exchange(address, &request(method, path, &headers, b"")).await;
    answer.unwrap_or_else(|| panic!("{method} {path}: no answer"))
}

/// What a role may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Let in: whatever it is answered then, it is none of the others.
    Yes,
    /// 401: nobody knows who asks.
    Who,
    /// 403: the scope is lacking.
    No,
    /// 404, as if it were not there.
    Hidden,
}

use May::{Hidden, No, Who, Yes};

/// The roles, in the order of the rows: nobody; of tenant acme, to which the paths belong: `publish:orders.>`,
/// `subscribe:orders.>`, `read`, `deploy`, `admin`; `admin` of tenant globex; the operator.
type Row = [May; 8];

/// Which row a route has. Here and nowhere else: a new route is decided on by a person.
fn row(route: &Route) -> Option<Row> {
    let open = [Yes; 8];
    let publish = [Who, Yes, No, No, No, Yes, Yes, Yes];
    // It belongs to the tenant of the listener, which is neither acme nor globex.
    let peer = [Who, Hidden, Hidden, Hidden, Hidden, Hidden, Hidden, Yes];
    let subscribe = [Who, No, Yes, No, No, Yes, Yes, Yes];
    let read = [Who, No, No, Yes, Yes, Yes, Hidden, Yes];
    let deploy = [Who, No, No, No, Yes, Yes, Hidden, Yes];
    let admin = [Who, No, No, No, No, Yes, Hidden, Yes];
    let operator = [Who, No, No, No, No, No, No, Yes];
    let operator_of_tenant = [Who, No, No, No, No, No, Hidden, Yes];
    Some(match (route.face, route.method, route.path) {
        (Face::Ingress, "POST", "/topics/{topic}") => publish,
        (Face::Ingress, "GET", "/topics/{pattern}/events") => subscribe,
        (Face::Ingress, "POST", "/" | "/_sub") => peer,
        (Face::Admin, "GET", "/healthz" | "/readyz" | "/v1/openapi.json" | "/v1/docs") => open,
        // Of each token what is its tenant's.
        (Face::Admin, "GET", "/metrics") => [Who, No, No, Yes, Yes, Yes, Yes, Yes],
        (Face::Admin, "GET", "/v1/usage") => operator,
        (Face::Admin, "GET", path) if path == "/v1/tenants" || path == "/v1/tokens" || path == "/v1/audit" => operator,
        (Face::Admin, "POST", "/v1/tokens") | (Face::Admin, "DELETE", "/v1/tokens/{id}") => operator,
        (Face::Admin, "GET", "/v1/peers") => operator,
        (Face::Admin, "GET" | "POST" | "DELETE", "/v1/registry/services") => operator,
        (Face::Admin, "GET", "/v1/registry/services/{name}" | "/v1/registry/watch") => operator,
        (Face::Admin, "GET", "/v1/tenants/{tenant}") => read,
        (Face::Admin, "PUT" | "DELETE", "/v1/tenants/{tenant}") => operator_of_tenant,
        (Face::Admin, method, path) => match (method, path.strip_prefix("/v1/tenants/{tenant}")?) {
            ("GET" | "POST", "/tokens") | ("DELETE", "/tokens/{id}") | ("GET", "/audit") => admin,
            ("GET", "/components/{digest}" | "/handlers" | "/handlers/{name}" | "/subscriptions" | "/logs") => read,
            ("GET", "/usage" | "/changes" | "/files/{digest}") => read,
            ("PUT", "/files/{digest}") => deploy,
            ("GET", "/dead-letters" | "/dead-letters/{id}" | "/replays" | "/subscriptions/{id}/replay") => read,
            ("DELETE", "/dead-letters") | ("POST", "/dead-letters/redrive") => deploy,
            ("POST" | "DELETE", "/subscriptions/{id}/replay") => deploy,
            ("PUT", "/components/{digest}" | "/handlers/{name}") => deploy,
            ("DELETE", "/handlers/{name}" | "/subscriptions/{id}" | "/dead-letters/{id}") => deploy,
            ("POST", "/handlers/{name}/rollback" | "/dead-letters/{id}/redrive") => deploy,
            ("POST", "/subscriptions/{id}/pause" | "/subscriptions/{id}/resume") => deploy,
            _ => return None,
        },
        _ => return None,
    })
}

/// A path for a route: of tenant acme, and otherwise of what is not there.
fn path(route: &Route) -> String {
    let names = [("{tenant}", "acme"), ("{topic}", "orders.created"), ("{pattern}", "orders.created")];
    let path = names.iter().fold(route.path.to_owned(), |path, (name, text)| path.replace(name, text));
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "nothing" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn was(answer: &Answer) -> May {
    let problem: Option<Problem> = serde_json::from_str(&answer.body).ok();
    let detail = problem.map(|problem| problem.detail).unwrap_or_default();
    match answer.status {
        401 => Who,
        403 => No,
        404 if detail == "there is no such tenant" => Hidden,
        _ => Yes,
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() {
    let host = Host::start_with(TOKEN).await;
    let first = host.operator_token();
    let operator = host.client_with("acme", &first);
    for tenant in ["acme", "globex"] {
        operator.put_tenant(tenant, &TenantDocument::default()).await.expect("created");
    }
    let mut roles: Vec<Option<String>> = vec![None];
    for scope in ["publish:orders.>", "subscribe:orders.>", "read", "deploy", "admin"] {
        roles.push(Some(token(&operator, &[scope]).await));
    }
    roles.push(Some(token(&host.client_with("globex", &first), &["admin"]).await));
    roles.push(Some(first));
    for route in ROUTES {
        let Some(row) = row(route) else { panic!("{route:?} has no row: say here whom it lets in") };
        let is_stream = ["/events", "/watch", "/changes"].iter().any(|end| route.path.ends_with(end));
        let deletes_tenant = route.method == "DELETE" && route.path == "/v1/tenants/{tenant}";
        for (role, (token, expected)) in roles.iter().zip(row).enumerate() {
            // What ends by itself is asked byte by byte; a stream does not end, and a tenant that went is gone.
            if expected == Yes && (is_stream || deletes_tenant) {
                continue;
            }
            let path = path(route);
            let answer = ask(&host, route.face, (route.method, &path), token.as_deref()).await;
            assert_eq!(was(&answer), expected, "role {role}: {} {path}: {answer:?}", route.method);
            if expected == Who {
                assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
            }
        }
    }
    let deleted = operator.delete_tenant("acme", Force::No).await.expect("the operator may");
    assert_eq!(deleted.tokens, 5);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_answered_like_none() {
    let host = Host::start_with(TOKEN).await;
    let first = host.operator_token();
    let handlers = ("GET", "/v1/tenants/default/handlers");
    let none = ask(&host, Face::Admin, handlers, None).await;
    assert_eq!(none.status, 401);
    let mut wrong = first.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    for token in [wrong.as_str(), "nonsense", "", &first.to_uppercase(), &format!("{first}0")] {
        let answer = ask(&host, Face::Admin, handlers, Some(token)).await;
        assert_eq!((answer.status, &answer.body), (401, &none.body), "{token}");
    }
    for path in
        ["/v1/tenants/nobody/handlers", "/v1/nothing", "/", "/v1/tenants/..%2f/handlers", "/v1/tenants/%ff/logs"]
    {
        let answer = ask(&host, Face::Admin, ("GET", path), None).await;
        assert_eq!((answer.status, &answer.body), (401, &none.body), "{path}");
    }
    assert_eq!(ask(&host, Face::Admin, handlers, Some(&first)).await.status, 200);
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_and_lets_nobody_in() {
    let host = Host::start_with(TOKEN).await;
    let operator = host.client_with("default", &host.operator_token());
    let created = operator.create_token(Owner::Tenant, &asked(&["subscribe:orders.>", "read"])).await.expect("made");
    let reader = host.client_with("default", &created.secret);
    let mut events = reader.tail("orders.*").await.expect("followed");
    let mut logs = reader.follow_logs(&hostel_api::client::LogQuery::default()).await.expect("followed");
    operator.publish(&publication("orders.created", "1")).await.expect("published");
    let seen =
        tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("goes on").expect("readable");
    assert!(matches!(seen, Item::Seen(event) if event.topic == "orders.created"));

    operator.revoke_token(Owner::Tenant, &created.token.id).await.expect("revoked");
    let began = Instant::now();
    let ended = async {
        while let Some(Ok(_)) = events.next().await {}
        while let Some(Ok(_)) = logs.next().await {}
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the streams end");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    let answer = ask(&host, Face::Admin, ("GET", "/v1/tenants/default/handlers"), Some(&created.secret)).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_and_its_streams_with_it() {
    let host = Host::start_with(TOKEN).await;
    let operator = host.client_with("default", &host.operator_token());
    let expires_in = Some("5s".parse().expect("a span"));
    let request = TokenRequest { expires_in, ..asked(&["subscribe:>"]) };
    let created = operator.create_token(Owner::Tenant, &request).await.expect("made");
    let mut events = host.client_with("default", &created.secret).tail(">").await.expect("followed");
    let ended = async { while let Some(Ok(_)) = events.next().await {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the stream ends");
    let answer = ask(&host, Face::Ingress, ("GET", "/topics/a/events"), Some(&created.secret)).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn tokens_survive_a_restart_and_revoked_ones_stay_so() {
    let host = Host::start_with(TOKEN).await;
    let operator = host.client_with("default", &host.operator_token());
    let kept = operator.create_token(Owner::Tenant, &asked(&["read"])).await.expect("made");
    let gone = operator.create_token(Owner::Tenant, &asked(&["read"])).await.expect("made");
    operator.revoke_token(Owner::Tenant, &gone.token.id).await.expect("revoked");
    let (said, data) = host.stop().await;
    for secret in [&kept.secret, &gone.secret] {
        assert!(!said.contains(secret.as_str()), "a token stands in the log lines");
        assert!(!contains(data.path(), secret), "a token lies on the disk");
    }
    let host = Host::start_in(data, TOKEN).await;
    let handlers = ("GET", "/v1/tenants/default/handlers");
    assert_eq!(ask(&host, Face::Admin, handlers, Some(&kept.secret)).await.status, 200);
    assert_eq!(ask(&host, Face::Admin, handlers, Some(&gone.secret)).await.status, 401);
}

/// Whether any file below a folder holds a text.
fn contains(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => contains(&path, text),
        false => std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|some| some == text.as_bytes())),
    })
}

#[tokio::test]
async fn go_micros_endpoint_is_shut_unless_it_is_left_open() {
    let post = request("POST", "/?id=nobody", &[("Micro-Topic", "a")], b"{}");
    let shut = Host::start_with(TOKEN).await;
    assert_eq!(exchange(shut.ingress, &post).await.expect("an answer").status, 401);
    let open = Host::start_with(&format!("{TOKEN}[ingress]\nanonymous = true\n")).await;
    assert_ne!(exchange(open.ingress, &post).await.expect("an answer").status, 401);
    assert_eq!(ask(&open, Face::Ingress, ("POST", "/topics/a"), None).await.status, 401, "that one alone");
}

#[tokio::test]
async fn who_changed_what_is_written_down() {
    let mut host = Host::start_with(TOKEN).await;
    let operator = host.client_with("acme", &host.operator_token());
    operator.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    let secret = token(&operator, &["deploy"]).await;
    let reader = token(&operator, &["read"]).await;
    host.client = host.client_with("acme", &secret);
    host.deploy(&sample("rust/hello"), |_| ()).await;
    host.client.pause("hello").await.expect("paused");
    host.client_with("acme", &reader).undeploy("hello").await.expect_err("it may not");
    host.client.undeploy("hello").await.expect("undeployed");
    ask(&host, Face::Admin, ("DELETE", "/v1/tenants/acme/handlers/hello"), None).await;

    let lines = operator.audit(Owner::Tenant, 100, None).await.expect("read").items;
    let mut told: Vec<_> =
        lines.iter().map(|line| (line.action.as_str(), line.target.as_deref(), line.code.as_deref())).collect();
    told.reverse();
    let component = told.iter().position(|(action, ..)| *action == "component.put").expect("uploaded");
    assert!(told[component].1.is_some_and(|digest| digest.len() >= 64), "{told:?}");
    told.remove(component);
    let expected = [
        ("tenant.put", None, None),
        ("token.create", None, None),
        ("token.create", None, None),
        ("deploy", Some("hello"), None),
        ("pause", Some("hello"), None),
        ("undeploy", None, Some("E0047")),
        ("undeploy", Some("hello"), None),
    ];
    assert_eq!(told, expected, "one without a token is not written down");
    let deployed = lines.iter().find(|line| line.action == "deploy").expect("there");
    assert_eq!((deployed.name.as_deref(), deployed.status), (Some("test"), 200));
    assert!(
        deployed.detail.as_deref().is_some_and(|detail| detail.starts_with("version 0.1.0, sha256:")),
        "{deployed:?}"
    );
    let all = operator.audit(Owner::Host, 2, None).await.expect("read");
    let older = operator.audit(Owner::Host, 100, all.next.as_deref()).await.expect("read");
    assert_eq!(all.items.len() + older.items.len(), lines.len());
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        *by.entry(line.by.as_str()).or_default() += 1;
    }
    assert_eq!(by.len(), 3, "{by:?}");
}
