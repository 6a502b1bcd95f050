//! The sample handlers in JavaScript, TypeScript and Python in a whole host. A language whose tools are missing made no
//! component: its tests say so and check nothing.

use hostel_tests::host::publication;
use hostel_tests::next;
use hostel_tests::sample::{acked, deployed, json, rejected, says_hello};

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
    let (settled, _) = acked(&host, &publication("orders.received", order)).await;
    let event = next!(valid);
    assert_eq!(event.id, format!("valid-{}", settled.id));
    assert_eq!(json(&event).get("total"), Some(&serde_json::json!(0.3)));

    let reason = rejected(&host, &publication("orders.received", r#"{"number":7,"customer":"Ada","items":[]}"#)).await;
    assert_eq!(reason, "customer: Invalid email address; items: is empty");
    let reason = rejected(&host, &publication("orders.received", "{")).await;
    assert!(reason.starts_with("the body is not JSON: "), "{reason}");
}

#[tokio::test]
async fn a_csv_file_becomes_a_message_for_each_row_in_python() {
    let test = "a_csv_file_becomes_a_message_for_each_row_in_python";
    let Some(host) = deployed(test, "python/import-csv").await else { return };
    let mut rows = host.client.tail("rows.imported").await.expect("tailed");
    let (settled, _) = acked(&host, &publication("files.uploaded", "id,name\n1,Ada\n2,Grace\n")).await;
    for (line, expected) in [(2, r#"{"id":"1","name":"Ada"}"#), (3, r#"{"id":"2","name":"Grace"}"#)] {
        let event = next!(rows);
        assert_eq!(
            (event.id.as_str(), event.body.as_deref()),
            (format!("{}-{line}", settled.id).as_str(), Some(expected))
        );
    }
    let reason = rejected(&host, &publication("files.uploaded", "id,name\n1\n")).await;
    assert_eq!(reason, "line 2: 1 fields, where the header has 2");
}
