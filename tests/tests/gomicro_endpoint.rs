//! go-micro's endpoint, asked what a real go-micro subscriber was asked: `tests/fixtures/gomicro/http-probe.v2.txt` has
//! the requests and what go-micro v2 answered. The interop tests ask with real programs; these compare bytes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::{repository, sample};

const TOPIC: &str = "go.micro.topic.foo";
/// The node in the capture.
const CAPTURED: &str = "go.micro.topic.foo-51bc880d-7255-4b38-a304-4d2398ee923e";

/// One request of the capture, and its answer.
struct Probe {
    name: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn probes(generation: &str) -> Vec<Probe> {
    let path = repository().join(format!("tests/fixtures/gomicro/http-probe.{generation}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut probes = Vec::new();
    for block in text.split("## ").skip(1) {
        let mut lines = block.lines();
        let name = lines.next().unwrap().to_owned();
        let mut bytes = |prefix: &str| literal(lines.next().unwrap().strip_prefix(prefix).unwrap());
        probes.push(Probe { name, request: bytes("> "), answer: bytes("< ") });
    }
    probes
}

/// The bytes of a Python literal.
fn literal(text: &str) -> Vec<u8> {
    let quote = text.chars().nth(1).unwrap();
    let inner = text.strip_prefix('b').unwrap().trim_matches(quote);
    let mut bytes = Vec::new();
    let mut rest = inner.chars();
    while let Some(one) = rest.next() {
        if one != '\\' {
            bytes.push(u8::try_from(one).unwrap());
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => u8::try_from(other).unwrap(),
        });
    }
    bytes
}

/// Sends a request and reads until the other side closes, or says nothing more.
async fn ask(ingress: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(ingress).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // Some requests keep their connection: their answer is whole when its length has come.
    while !is_whole(&answer) {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("an answer in time");
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
        }
    }
    answer
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let text = text.strip_prefix("http/1.1 100 continue\r\n\r\n").unwrap_or(&text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
}

/// An answer without what may differ: the date, the case and order of header names, and go-micro's own closing.
fn comparable(answer: &[u8]) -> String {
    // The capture notes what happened after the answer.
    let text = String::from_utf8_lossy(answer).replace("[timeout: connection stays open]", "").replace("[EOF]", "");
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().to_owned();
    let mut headers: Vec<String> = lines.map(str::to_lowercase).collect();
    headers.retain(|line| !line.starts_with("date: ") && !line.starts_with("connection: "));
    headers.sort();
    format!("{status}\n{}\n\n{body}", headers.join("\n"))
}

/// The id of the node that stands for the topic.
async fn node_id(host: &Host) -> String {
    let looking = async {
        loop {
            // A deployment does not wait until it is registered.
            if let Ok(services) = host.client.service("micro.http.broker").await {
                let mut nodes = services.items.into_iter().flat_map(|service| service.nodes);
                if let Some(node) = nodes.find(|node| node.id.starts_with(TOPIC)) {
                    return node.id;
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("a node of the topic")
}

async fn host_with_hello(config: &str) -> (Host, String) {
    let host = Host::start_with(config).await;
    host.deploy(&sample("rust/hello"), |manifest| {
        for subscription in &mut manifest.subscriptions {
            subscription.pattern = TOPIC.to_owned();
        }
    })
    .await;
    let id = node_id(&host).await;
    (host, id)
}

/// What is answered otherwise than by go-micro, and why.
fn is_left_out(probe: &str) -> bool {
    // go-micro panics on `null`; an answer serves everybody better.
    probe == "JSON null"
        // hyper answers with a body and headers of its own; nobody's publisher sends it.
        || probe == "h2c preface"
}

#[tokio::test]
async fn every_request_is_answered_as_go_micro_answers_it() {
    let (host, id) = host_with_hello("").await;
    let mut compared = 0;
    for Probe { name, request, answer } in probes("v2") {
        // Of long requests the capture has only the beginning.
        if is_left_out(&name) || !is_whole(&request) {
            continue;
        }
        let text = String::from_utf8(request).unwrap();
        let escaped = |id: &str| id.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let text = text.replace(CAPTURED, &id).replace(&escaped(CAPTURED), &escaped(&id));
        let ours = ask(host.ingress, text.as_bytes()).await;
        assert_eq!(comparable(&ours), comparable(&answer), "{name}");
        compared += 1;
    }
    assert!(compared > 30, "{compared} probes");
}

#[tokio::test]
async fn null_is_answered_like_a_message_without_a_topic() {
    let (host, id) = host_with_hello("").await;
    let request = format!("POST /?id={id} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nnull");
    let answer = String::from_utf8(ask(host.ingress, request.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("\"detail\":\"Topic not found\""), "{answer}");
}

fn post(id: &str, topic: &str) -> Vec<u8> {
    let body = format!("{{\"Header\":{{\"Micro-Topic\":\"{topic}\"}},\"Body\":\"aGVsbG8=\"}}");
    format!("POST /?id={id} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_message_for_nobody_is_logged_and_can_be_refused() {
    let (host, _) = host_with_hello("[peers]\nunknown_id = 'refuse'").await;
    let answer = ask(host.ingress, &post("nobody-at-all", TOPIC)).await;
    assert!(comparable(&answer).starts_with("HTTP/1.1 404 "), "{}", comparable(&answer));
    let (log, _) = host.stop().await;
    let line = log.lines().find(|line| line.contains("unknown node")).expect("a line about it");
    assert!(line.contains("nobody-at-all") && line.contains(r#""peer":"127.0.0.1:"#), "{line}");
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_answered() {
    let host = Host::start_with("broker.use = 'memory'").await;
    host.deploy(&sample("rust/hostile"), |manifest| {
        for subscription in &mut manifest.subscriptions {
            subscription.pattern = TOPIC.to_owned();
            subscription.window = NonZero::new(1);
        }
    })
    .await;
    let id = node_id(&host).await;
    // It sleeps until its deadline, and the window holds no other.
    let body = "{\"Header\":{\"Micro-Topic\":\"go.micro.topic.foo\"},\"Body\":\"c2xlZXA=\"}";
    let request = format!("POST /?id={id} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut first = TcpStream::connect(host.ingress).await.unwrap();
    first.write_all(request.as_bytes()).await.unwrap();
    let taken = async {
        while host.client.subscriptions().await.unwrap().iter().all(|subscription| subscription.running == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the first message is taken");
    let refused = async {
        loop {
            let answer = ask(host.ingress, &post(&id, "go.micro.topic.foo")).await;
            if answer.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the connection ends without an answer");
    let (log, _) = host.stop().await;
    assert!(log.contains("a peer's message was not kept"), "{log}");
}

#[tokio::test]
async fn the_nodes_come_and_go_with_the_subscriptions() {
    let (host, id) = host_with_hello("").await;
    assert!(id.starts_with(&format!("{TOPIC}-")));
    host.client.undeploy("hello").await.unwrap();
    let gone = async {
        while host.client.service("micro.http.broker").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the node leaves");
}
