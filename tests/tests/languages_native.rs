//! The sample handlers in Go and C in a whole host. A language whose tools are missing made no component: its tests say
//! so and check nothing.

use hostel_api::manifest::Manifest;
use hostel_tests::host::publication;
use hostel_tests::sample::{acked, deployed, header, rejected, says_hello};
use hostel_tests::{next, sample};

#[tokio::test]
async fn hello_in_go_logs_and_acknowledges_any_body() {
    says_hello("hello_in_go_logs_and_acknowledges_any_body", "go/hello").await;
}

#[tokio::test]
async fn hello_in_c_logs_and_acknowledges_any_body() {
    says_hello("hello_in_c_logs_and_acknowledges_any_body", "c/hello").await;
}

#[tokio::test]
async fn an_order_becomes_a_receipt_in_go() {
    let Some(host) = deployed("an_order_becomes_a_receipt_in_go", "go/render-template").await else { return };
    let mut rendered = host.client.tail("receipts.>").await.expect("tailed");
    let order = r#"{"number":"o-7","customer":"Ada <&> Co","items":[{"name":"pen","count":3,"cents":150}]}"#;
    let (settled, _) = acked(&host, &publication("orders.paid", order)).await;
    let receipt = next!(rendered);
    assert_eq!((receipt.topic.as_str(), &receipt.id), ("receipts.rendered", &format!("receipt-{}", settled.id)));
    assert_eq!(header(&receipt, "Content-Type"), Some("text/html; charset=utf-8"));
    let page = receipt.body.as_deref().expect("text");
    assert!(page.contains("Ada &lt;&amp;&gt; Co") && page.contains("<th>4.50</th>"), "{page}");

    let reason = rejected(&host, &publication("orders.paid", r#"{"number":"o-8","items":[]}"#)).await;
    assert_eq!(reason, "`customer` is missing\n`items` has 0 entries, not 1 to 1000");
    let reason = rejected(&host, &publication("orders.paid", "{")).await;
    assert!(reason.starts_with("the body is not the JSON that is expected: "), "{reason}");
}

#[tokio::test]
async fn a_picture_is_resized_in_c() {
    let Some(host) = deployed("a_picture_is_resized_in_c", "c/resize-image").await else { return };
    let mut resized = host.client.tail("images.resized").await.expect("tailed");
    // Half a megabyte in one colour: the mean of it is that colour, and a text.
    let mut picture = b"P5 1024 512 255\n".to_vec();
    picture.resize(picture.len() + 1024 * 512, b'x');
    let (settled, only) = acked(&host, &publication("images.uploaded", picture)).await;
    assert_eq!(only.log[0].text, "resized 1024x512 to 320x160");
    let event = next!(resized);
    assert_eq!(event.id, format!("resized-{}", settled.id));
    assert_eq!(header(&event, "Content-Type"), Some("image/x-portable-graymap"));
    assert_eq!(header(&event, "Original-Size"), Some("1024x512"));
    assert_eq!(event.body, Some(format!("P5 320 160 255\n{}", "x".repeat(320 * 160))));

    let reason = rejected(&host, &publication("images.uploaded", "GIF89a")).await;
    assert_eq!(reason, "the body is no binary PGM or PPM picture: it does not begin with P5 or P6");
}

#[tokio::test]
async fn a_preparation_in_c_refuses_a_malformed_config() {
    let name = "a_preparation_in_c_refuses_a_malformed_config";
    let Some(host) = deployed(name, "c/resize-image").await else { return };
    let handler = host.client.handler("resize-image").await.expect("there");
    let text = std::fs::read_to_string(sample("c/resize-image")).expect("a manifest");
    let mut manifest = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
    manifest.component = handler.component;
    manifest.config.0.insert("width".to_owned(), "12px".to_owned());
    let refused = host.client.deploy(&manifest).await.expect_err("`width` is no number").to_string();
    assert!(refused.contains("config key `width` is `12px`, not 1 to 8192"), "{refused}");
}
