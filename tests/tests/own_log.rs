//! What handlers log, in the host's own log, for those who collect what programs write.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use hostel_tests::host::Host;
use hostel_tests::sample;
use serde_json::Value;

/// What the host says under the name `handler` while `hello` handles an event.
async fn said_of_handlers(config: &str) -> Vec<Value> {
    let host = Host::start_with(config).await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let settled = host.publish_and_wait("greetings.sent", "hi").await;
    assert!(settled.settled, "{settled:?}");
    let (said, _data) = host.stop().await;
    let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.filter(|line| line.get("target") == Some(&Value::from("handler"))).collect()
}

#[tokio::test]
async fn what_a_handler_logs_is_said_where_that_is_asked_for() {
    let said = said_of_handlers("[log]\nhandlers = true\n").await;
    assert_eq!(said.len(), 1, "{said:?}");
    let field = |name: &str| said[0].pointer(&format!("/fields/{name}")).cloned().unwrap_or_default();
    assert_eq!(said[0].get("level"), Some(&Value::from("INFO")));
    assert_eq!((field("tenant"), field("handler")), ("default".into(), "hello".into()));
    assert_eq!(field("attempt"), 1);
    let text = field("text");
    let text = text.as_str().expect("a text");
    let event = field("event");
    let event = event.as_str().expect("an id");
    assert_eq!(text, format!("hello, event {event} on greetings.sent, attempt 1, with 2 bytes"));
}

#[tokio::test]
async fn a_filter_takes_some_of_it() {
    assert!(said_of_handlers("[log]\nhandlers = true\nfilter = \"info,handler=warn\"\n").await.is_empty());
}

#[tokio::test]
async fn it_is_not_said_unasked() {
    assert!(said_of_handlers("").await.is_empty());
    assert!(said_of_handlers("[log]\nfilter = \"debug,handler=trace\"\n").await.is_empty());
    assert!(said_of_handlers("[log]\nfilter = \"info,handler[{tenant}]=info\"\n").await.is_empty());
}
