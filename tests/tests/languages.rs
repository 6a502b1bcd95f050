//! The sample handlers in JavaScript, TypeScript and Python in a whole host. A language whose tools are missing made no
//! component: its tests say so and check nothing.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use hostel_api::client::Item;
use hostel_api::manifest::Manifest;
use hostel_api::unit::Span;
use hostel_api::view::{EventView, SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::{namespace, sample};

/// A host with a sample deployed as its manifest says, with more time for an event: on a machine that compiles beside, a
/// first event takes longer than any other. `None`, after saying so, when the sample was not built.
async fn deployed(test: &str, name: &str) -> Option<Host> {
    let manifest = sample(name);
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let component = Manifest::from_toml(&text, "handler.toml").expect("a good manifest").component;
    let component = manifest.parent().unwrap_or(Path::new("")).join(component);
    if !component.is_file() {
        namespace::skip(test, &format!("`{name}` was not built; `cargo xtask guests` says what is missing for it"));
        return None;
    }
    let host = Host::start().await;
    host.deploy(&manifest, |manifest| manifest.limits.deadline = Some(Span(Duration::from_secs(30)))).await;
    Some(host)
}

/// Publishes, waits, and says how it went for the one subscription that hears it.
async fn handled(host: &Host, topic: &str, body: impl Into<Vec<u8>>) -> (String, SettlementView) {
    let settled = host.publish_and_wait(topic, body).await;
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    (settled.id.clone(), only.clone())
}

/// Publishes what is rejected at once, and says why.
async fn rejected(host: &Host, topic: &str, body: impl Into<Vec<u8>>) -> String {
    let (_, only) = handled(host, topic, body).await;
    assert_eq!((only.outcome, only.attempts), (SettlementOutcome::DeadLetter, 1), "{only:?}");
    only.reason.expect("a dead letter says why")
}

async fn acked(host: &Host, topic: &str, body: impl Into<Vec<u8>>) -> (String, SettlementView) {
    let (id, only) = handled(host, topic, body).await;
    assert_eq!((only.outcome, only.attempts), (SettlementOutcome::Ack, 1), "{only:?}");
    (id, only)
}

async fn says_hello(test: &str, name: &str) {
    let Some(host) = deployed(test, name).await else { return };
    let (id, only) = acked(&host, "greetings.sent.today", vec![0xff, 0, 1]).await;
    let [line] = &only.log[..] else { panic!("one line: {only:?}") };
    assert_eq!(line.text, format!("hello, event {id} on greetings.sent.today, attempt 1, with 3 bytes"));
    assert_eq!((line.level.as_str(), line.source.as_str()), ("info", "logging"));
}

/// The next event that a tail shows.
macro_rules! next {
    ($tail:expr) => {
        match tokio::time::timeout(PATIENCE, $tail.next()).await.expect("in time") {
            Some(Ok(Item::Seen(event))) => event,
            other => panic!("{other:?}"),
        }
    };
}

/// The JSON that an event carries.
fn json(event: &EventView) -> serde_json::Value {
    serde_json::from_str(event.body.as_deref().expect("text")).expect("JSON")
}

#[tokio::test]
async fn hello_in_javascript_logs_and_acknowledges_any_body() {
    says_hello("hello_in_javascript_logs_and_acknowledges_any_body", "javascript/hello").await;
}

#[tokio::test]
async fn hello_in_python_logs_and_acknowledges_any_body() {
    says_hello("hello_in_python_logs_and_acknowledges_any_body", "python/hello").await;
}

#[tokio::test]
async fn orders_are_checked_in_typescript() {
    let test = "orders_are_checked_in_typescript";
    let Some(host) = deployed(test, "typescript/validate-orders").await else { return };
    let mut valid = host.client.tail("orders.valid").await.expect("tailed");
    let order = r#"{"number":7,"customer":"ada@example.org","items":[{"sku":"PEN-0001","quantity":3,"price":0.1}]}"#;
    let (id, _) = acked(&host, "orders.received", order).await;
    let event = next!(valid);
    assert_eq!(event.id, format!("valid-{id}"));
    assert_eq!(json(&event).get("total"), Some(&serde_json::json!(0.3)));

    let reason = rejected(&host, "orders.received", r#"{"number":7,"customer":"Ada","items":[]}"#).await;
    assert_eq!(reason, "customer: Invalid email address; items: is empty");
    let reason = rejected(&host, "orders.received", "{").await;
    assert!(reason.starts_with("the body is not JSON: "), "{reason}");
}

#[tokio::test]
async fn a_csv_file_becomes_a_message_for_each_row_in_python() {
    let test = "a_csv_file_becomes_a_message_for_each_row_in_python";
    let Some(host) = deployed(test, "python/import-csv").await else { return };
    let mut rows = host.client.tail("rows.imported").await.expect("tailed");
    let (id, _) = acked(&host, "files.uploaded", "id,name\n1,Ada\n2,Grace\n").await;
    for (line, expected) in [(2, r#"{"id":"1","name":"Ada"}"#), (3, r#"{"id":"2","name":"Grace"}"#)] {
        let event = next!(rows);
        assert_eq!((event.id.as_str(), event.body.as_deref()), (format!("{id}-{line}").as_str(), Some(expected)));
    }
    let reason = rejected(&host, "files.uploaded", "id,name\n1\n").await;
    assert_eq!(reason, "line 2: 1 fields, where the header has 2");
}
