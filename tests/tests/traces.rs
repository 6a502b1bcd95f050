//! Traces: from a publisher through a handler to what it publishes, and told to a collector.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hostel_api::client::{Client, Item, Publication};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A span as a collector got it.
#[derive(Debug, Clone)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: BTreeMap<String, String>,
    failed: bool,
    nanos: u64,
}

/// A collector, and what it gets.
async fn collector() -> (SocketAddr, mpsc::Receiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = mpsc::channel(1_000);
    // Ends with the test, and with the runtime that is its own.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, sender.clone()));
        }
    });
    (address, receiver)
}

/// Takes requests on a connection until its other side closes it.
async fn serve(mut stream: TcpStream, spans: mpsc::Sender<Span>) {
    while let Some(head) = hostel_tests::raw::read_until(&mut stream, "\r\n\r\n").await {
        let head = head.to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it says its length");
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("the whole body");
        for span in read(&serde_json::from_slice(&body).expect("JSON")) {
            spans.send(span).await.expect("the test reads on");
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).await.expect("answered");
    }
}

/// The spans of a request, as OTLP's JSON has them; what it lacks fails the test.
fn read(request: &Value) -> Vec<Span> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| panic!("no list: {value}"));
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let mut spans = Vec::new();
    for resource in list(&request["resourceSpans"]) {
        let of = attributes(&resource["resource"]["attributes"]);
        assert_eq!(of.get("service.name").map(String::as_str), Some("hostel"));
        for scope in list(&resource["scopeSpans"]) {
            for span in list(&scope["spans"]) {
                let nanos = |key: &str| text(&span[key]).parse::<u64>().expect("a number as text");
                let (began, ended) = (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"));
                let one = Span {
                    trace: text(&span["traceId"]),
                    id: text(&span["spanId"]),
                    parent: span["parentSpanId"].as_str().unwrap_or_default().to_owned(),
                    name: text(&span["name"]),
                    attributes: attributes(&span["attributes"]),
                    failed: span["status"]["code"] == 2,
                    nanos: ended.checked_sub(began).expect("it ends after it began"),
                };
                let is_hex = |text: &str, length| text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit());
                assert!(is_hex(&one.trace, 32) && is_hex(&one.id, 16), "{one:?}");
                assert!((1..=5).contains(&span["kind"].as_u64().expect("a kind")), "{span}");
                spans.push(one);
            }
        }
    }
    spans
}

fn attributes(list: &Value) -> BTreeMap<String, String> {
    let pair = |attribute: &Value| {
        let value = &attribute["value"];
        let text = value["stringValue"].as_str().or(value["intValue"].as_str());
        (attribute["key"].as_str().expect("a key").to_owned(), text.expect("a text or a number as text").to_owned())
    };
    list.as_array().expect("a list").iter().map(pair).collect()
}

/// The next span of this name.
async fn next(spans: &mut mpsc::Receiver<Span>, seen: &mut Vec<Span>, name: &str) -> Span {
    loop {
        if let Some(at) = seen.iter().position(|span| span.name == name) {
            return seen.remove(at);
        }
        let came = tokio::time::timeout(PATIENCE, spans.recv()).await.expect("in time").expect("the collector lives");
        seen.push(came);
    }
}

fn traced(topic: &str, body: &str, flags: &str) -> Publication {
    let headers = vec![("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-{flags}"))];
    Publication { headers, ..publication(topic, body) }
}

async fn deploy(host: &Host) {
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    host.deploy(&sample("rust/scribe"), |manifest| {
        "reader".clone_into(&mut manifest.name);
        for subscription in &mut manifest.subscriptions {
            "scribe.out".clone_into(&mut subscription.pattern);
        }
    })
    .await;
}

#[tokio::test]
async fn a_trace_goes_from_the_publisher_through_the_handler_to_what_it_publishes() {
    let (address, mut spans) = collector().await;
    let host = Host::start_with(&format!("[telemetry]\notlp = 'http://{address}'\n")).await;
    deploy(&host).await;
    // Nobody is told of one whose publisher does not want it.
    let quiet = traced("scribe.do", "publish get notes quiet", "00");
    host.client.publish_and_wait(&quiet, PATIENCE).await.expect("published");
    host.client.publish_and_wait(&traced("scribe.do", "publish reject", "01"), PATIENCE).await.expect("published");

    let mut seen = Vec::new();
    let mut span = async |name: &str| next(&mut spans, &mut seen, name).await;
    let published = span("publish scribe.do").await;
    assert_eq!((published.trace.as_str(), published.parent.as_str()), (TRACE, PARENT));
    assert_eq!(published.attributes["messaging.destination.name"], "scribe.do");
    let handled = span("process scribe").await;
    assert_eq!((&handled.trace, &handled.parent), (&published.trace, &published.id));
    assert!(!handled.failed && handled.nanos > 0, "{handled:?}");
    let about = ["hostel.tenant", "hostel.handler", "hostel.subscription", "hostel.attempt", "hostel.outcome"];
    assert_eq!(
        about.map(|name| handled.attributes[name].as_str()),
        ["default", "scribe", "default/scribe:scribe.do", "1", "ack"]
    );
    let settled = span("settle scribe").await;
    assert_eq!((&settled.parent, settled.attributes["hostel.outcome"].as_str()), (&published.id, "ack"));
    let caused = span("publish scribe.out").await;
    assert_eq!((&caused.trace, &caused.parent), (&published.trace, &handled.id), "caused by the attempt");
    let rejected = span("process reader").await;
    assert_eq!((&rejected.parent, rejected.failed), (&caused.id, true));
    let given_up = span("settle reader").await;
    assert_eq!((given_up.attributes["hostel.outcome"].as_str(), given_up.failed), ("dead_letter", true));

    // An event that brings no trace begins one of its own.
    host.publish_and_wait("scribe.do", "get notes a").await;
    let begun = span("publish scribe.do").await;
    assert_eq!(begun.parent, "");
    assert_ne!(begun.trace, TRACE);
    assert_eq!(span("process scribe").await.parent, begun.id);
    assert!(seen.iter().all(|span| span.trace == begun.trace), "one of each: {seen:?}");

    // What waits to be sent is sent at the end.
    host.publish_and_wait("scribe.do", "trap").await;
    host.stop().await;
    let ended = next(&mut spans, &mut seen, "publish scribe.do").await;
    let first = next(&mut spans, &mut seen, "process scribe").await;
    assert_eq!((first.parent, first.attributes["hostel.outcome"].as_str()), (ended.id, "trap"));
}

#[tokio::test]
async fn without_a_collector_the_header_goes_on_all_the_same() {
    let host = Host::start().await;
    deploy(&host).await;
    let mut events = host.client.tail("scribe.out").await.expect("followed");
    host.client.publish(&traced("scribe.do", "publish hi", "01")).await.expect("published");
    host.client.publish(&publication("scribe.do", "publish hi")).await.expect("published");
    let mut parents = Vec::new();
    for _ in 0..2 {
        let seen = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("goes on");
        let Item::Seen(event) = seen.expect("readable") else { panic!("nothing is lost") };
        let header = event.headers.iter().find(|(name, _)| name == "traceparent");
        parents.push(header.map(|(_, value)| value.clone()));
    }
    parents.sort();
    let [None, Some(parent)] = &parents[..] else { panic!("who brings none begins none: {parents:?}") };
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains(PARENT), "the cause is the attempt, not what caused that: {parent}");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up_and_what_it_missed_is_counted() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let host = Host::start_with(&format!("[telemetry]\notlp = 'http://{closed}'\n")).await;
    deploy(&host).await;
    host.publish_and_wait("scribe.do", "get notes a").await;
    let counted = async { while failed(&host.client).await == 0 {} };
    tokio::time::timeout(PATIENCE, counted).await.expect("given up in time");
    host.publish_and_wait("scribe.do", "get notes a").await;
    let (said, _) = host.stop().await;
    assert!(said.contains("the collector of traces did not take spans"), "{said}");
    assert!(said.contains("all deliveries ended"), "{said}");
}

async fn failed(client: &Client) -> u64 {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let page = client.metrics().await.expect("told");
    let line = page.lines().find_map(|line| line.strip_prefix("hostel_spans_total{fate=\"failed\"} "));
    line.and_then(|count| count.parse().ok()).expect("a number")
}
