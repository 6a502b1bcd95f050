//! Messages between go-micro's programs and handlers: they arrive, they are what they were, and typed subscribers
//! decode them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hostel_api::client::Publication;
use hostel_api::view::EventView;
use hostel_tests::gomicro::{Driver, Publish, Subscriber, Version};
use hostel_tests::host::{Host, publication};
use hostel_tests::{each_go_micro, sample};

use crate::alone::subscribers;
use crate::{deploy_hello, header, next, start, subscription, until_handled, until_host_knows};

each_go_micro!(
    a_publish_reaches_a_handler,
    a_typed_event_reaches_a_handler,
    what_a_handler_publishes_reaches_subscribers,
    what_a_host_publishes_is_decoded,
    bodies_reach_a_handler_as_they_were,
    bodies_reach_a_subscriber_as_they_were,
    a_subscriber_behind_tls_is_reached,
);

/// A body for each trap there is: text that ends its line, protobuf, every byte, a large one, none.
fn bodies() -> Vec<Vec<u8>> {
    vec![
        b"{\"text\":\"h\xc3\xa9llo <&>\",\"number\":7}\n".to_vec(),
        protobuf("h\u{e9}llo"),
        (0..=255).collect(),
        (0..=255).cycle().take(1024 * 1024).collect(),
        Vec::new(),
    ]
}

/// A `google.protobuf.StringValue`: field 1, of a length below 128.
fn protobuf(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x0a, u8::try_from(text.len()).ok().filter(|length| *length < 128).expect("a short text")];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn body(event: &EventView) -> Vec<u8> {
    match (&event.body, &event.body_base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(text)) => BASE64.decode(text).expect("the host writes base64"),
        other => panic!("exactly one of two: {other:?}"),
    }
}

/// A go-micro program whose first publish finds the host: it was started after the host was heard of.
async fn publisher(version: Version, topic: &str, listeners: usize) -> Driver {
    let mut scout = Driver::start(version).await;
    scout.until_listeners(topic, listeners).await;
    Driver::start(version).await
}

async fn a_publish_reaches_a_handler(version: Version) {
    let host = start().await;
    deploy_hello(&host, "hello", "greetings.sent", None).await;
    let mut tail = host.client.tail("greetings.sent").await.expect("tailed");
    let mut publisher = publisher(version, "greetings.sent", 1).await;
    let sent = Publish {
        topic: "greetings.sent",
        header: &[("X-Quote", "a\"<b>&\u{e9}"), ("id", "7")],
        body: b"hello 0",
        ..Publish::default()
    };
    assert_eq!(publisher.publish(&sent).await.failed, 0);
    let event = next(&mut tail).await;
    assert_eq!((event.topic.as_str(), event.body.as_deref()), ("greetings.sent", Some("hello 0")));
    assert_eq!(header(&event, "X-Quote"), Some("a\"<b>&\u{e9}"));
    assert_eq!(header(&event, "id"), Some("7"));
    until_handled(&host, "hello", 1).await;
}

async fn a_typed_event_reaches_a_handler(version: Version) {
    let host = start().await;
    deploy_hello(&host, "hello", "greetings.sent", None).await;
    let mut tail = host.client.tail("greetings.sent").await.expect("tailed");
    let mut publisher = publisher(version, "greetings.sent", 1).await;
    for kind in ["json", "protobuf"] {
        publisher.client_publish("greetings.sent", kind, "h\u{e9}llo").await;
        let event = next(&mut tail).await;
        assert_eq!(header(&event, "Content-Type"), Some(format!("application/{kind}").as_str()));
        let text = body(&event);
        match kind {
            "json" => {
                let decoded: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                assert_eq!(decoded, serde_json::json!({ "text": "h\u{e9}llo", "number": 7 }));
            }
            _ => assert_eq!(text, protobuf("h\u{e9}llo")),
        }
    }
    until_handled(&host, "hello", 2).await;
}

/// All the way: a go-micro program publishes, a handler in its sandbox answers with a publish of its own, and other
/// go-micro programs hear that, raw and typed.
async fn what_a_handler_publishes_reaches_subscribers(version: Version) {
    let [mut raw] = subscribers(version, "students.welcomed", [None]).await;
    let mut typed = Driver::start(version).await;
    typed.serve(&[Subscriber { topic: "students.welcomed", queue: Some("mail"), kind: "json" }]).await;
    let host = start().await;
    host.deploy(&sample("rust/student-registrations"), |_| ()).await;
    until_host_knows(&host, version.broker(), "students.welcomed", 2).await;
    let mut publisher = publisher(version, "students.registered", 1).await;
    let registration = br#"{"name":"Ada Lovelace","email":"ada@example.org","course":"CS-101"}"#;
    let sent = Publish {
        topic: "students.registered",
        header: &[("Content-Type", "application/json")],
        body: registration,
        ..Publish::default()
    };
    publisher.publish(&sent).await;

    let message = raw.message().await;
    let welcome: serde_json::Value = serde_json::from_slice(&message.body).expect("JSON");
    assert_eq!(welcome.get("text"), Some(&"Welcome to CS-101, Ada Lovelace!".into()));
    assert_eq!(message.header("Content-Type"), Some("application/json"));
    let decoded = typed.decoded().await;
    assert_eq!(decoded.greeting.text, "Welcome to CS-101, Ada Lovelace!");
    until_handled(&host, "student-registrations", 1).await;
}

async fn what_a_host_publishes_is_decoded(version: Version) {
    let mut service = Driver::start(version).await;
    service
        .serve(&[
            Subscriber { topic: "typed.json", queue: None, kind: "json" },
            Subscriber { topic: "typed.protobuf", queue: Some("q"), kind: "protobuf" },
        ])
        .await;
    let host = start().await;
    let bodies =
        [("json", b"{\"text\":\"h\xc3\xa9llo\",\"number\":7}\n".to_vec()), ("protobuf", protobuf("h\u{e9}llo"))];
    for (kind, body) in bodies {
        let topic = format!("typed.{kind}");
        until_host_knows(&host, version.broker(), &topic, 1).await;
        let headers =
            vec![("Content-Type".to_owned(), format!("application/{kind}")), ("X-Trace".to_owned(), "t-1".to_owned())];
        let sent = Publication { headers, ..publication(&topic, body) };
        host.client.publish(&sent).await.expect("published");
        let decoded = service.decoded().await;
        assert_eq!((decoded.kind.as_str(), decoded.greeting.text.as_str()), (kind, "h\u{e9}llo"));
        assert_eq!(decoded.greeting.number, if kind == "json" { 7 } else { 0 });
        let trace = decoded.header.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-trace"));
        assert_eq!(trace.map(|(_, value)| value.as_str()), Some("t-1"), "{:?}", decoded.header);
    }
}

async fn bodies_reach_a_handler_as_they_were(version: Version) {
    let host = start().await;
    deploy_hello(&host, "hello", "greetings.sent", None).await;
    let mut tail = host.client.tail("greetings.sent").await.expect("tailed");
    let mut publisher = publisher(version, "greetings.sent", 1).await;
    for sent in bodies() {
        publisher.publish(&Publish { topic: "greetings.sent", body: &sent, ..Publish::default() }).await;
        let event = next(&mut tail).await;
        assert!(body(&event) == sent, "{} bytes are not the {} that were sent", body(&event).len(), sent.len());
    }
    until_handled(&host, "hello", 5).await;
}

async fn bodies_reach_a_subscriber_as_they_were(version: Version) {
    let [mut subscriber] = subscribers(version, "greetings.sent", [None]).await;
    let host = start().await;
    until_host_knows(&host, version.broker(), "greetings.sent", 1).await;
    for sent in bodies() {
        host.client.publish(&publication("greetings.sent", sent.clone())).await.expect("published");
        let message = subscriber.message().await;
        assert!(message.body == sent, "{} bytes are not the {} that were sent", message.body.len(), sent.len());
    }
}

/// Its certificate is made up when it starts, as go-micro does, so the host has to be told to trust any.
async fn a_subscriber_behind_tls_is_reached(version: Version) {
    let mut subscriber = Driver::start_with(version, &["--secure"]).await;
    subscriber.subscribe("greetings.sent", None).await;
    let trusting = Host::start_with(&format!("{}\n[peers]\ntrust_any_certificate = true\n", crate::CONFIG)).await;
    until_host_knows(&trusting, version.broker(), "greetings.sent", 1).await;
    trusting.client.publish(&publication("greetings.sent", "over TLS")).await.expect("published");
    let message = subscriber.message().await;
    assert_eq!(message.body, b"over TLS");
    // The other way round: this publisher posts in the clear, since that is what the host registers.
    deploy_hello(&trusting, "hello", "greetings.answered", None).await;
    let mut publisher = publisher(version, "greetings.answered", 1).await;
    publisher.publish(&Publish { topic: "greetings.answered", body: b"hi", ..Publish::default() }).await;
    until_handled(&trusting, "hello", 1).await;
    assert_eq!(subscription(&trusting, "hello").await.dead_lettered, 0);
}
