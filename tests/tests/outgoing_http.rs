//! HTTP requests of handlers to a server of the test, in a whole host: what goes out, and what does not.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostel_api::client::{Item, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::unit::{ByteSize, Span};
use hostel_api::view::{SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Bytes of an answer that no handler gets.
const TOO_LARGE: usize = 17 * 1024 * 1024;

/// Answers by path, and tells what it was asked.
struct Server {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
    /// Hears of each connection that the other side has closed.
    closed: mpsc::UnboundedReceiver<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (ask, asked) = mpsc::unbounded_channel();
        let (close, closed) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, ask.clone(), close.clone()));
            }
        });
        Self { address, asked, connections, closed }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.asked.recv()).await.expect("in time").expect("it runs")
    }
}

async fn serve(mut stream: TcpStream, asked: mpsc::UnboundedSender<String>, closed: mpsc::UnboundedSender<()>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
    };
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => request.extend_from_slice(buffer.get(..read).expect("it read no more")),
            _ => return,
        }
    }
    let request = String::from_utf8(request).expect("text");
    let path = request.split(' ').nth(1).expect("a path").to_owned();
    // The test may have ended.
    let _ = asked.send(request);
    let answer = match path.as_str() {
        "/moved" => "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/large" => format!("HTTP/1.1 200 OK\r\nContent-Length: {TOO_LARGE}\r\n\r\n{}", "x".repeat(TOO_LARGE)),
        "/endless" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(TOO_LARGE)),
        "/broken" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned(),
        "/silent" => {
            // Nothing comes; the end of the stream does, once the host has given up.
            let _ = stream.read(&mut buffer).await;
            let _ = closed.send(());
            return;
        }
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn fetching(allowed: &[String], change: impl FnOnce(&mut Manifest)) -> Host {
    let host = Host::start_with("[runtime]\nprivate_addresses = ['127.0.0.0/8']").await;
    let manifest = |manifest: &mut Manifest| {
        manifest.http = allowed.to_vec();
        let retry = &mut manifest.subscriptions.first_mut().expect("one").retry;
        retry.attempts = std::num::NonZeroU32::new(1);
        change(manifest);
    };
    host.deploy(&sample("rust/fetch"), manifest).await;
    host
}

async fn ask(host: &Host, publication: &Publication) -> SettlementView {
    let settled = host.client.publish_and_wait(publication, PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
    only.clone()
}

/// Asks for what will not be had, and returns why and what the host noted.
async fn refused(host: &Host, publication: &Publication) -> (String, Vec<String>) {
    let view = ask(host, publication).await;
    assert_eq!(view.outcome, SettlementOutcome::DeadLetter, "{view:?}");
    let notes = view.log.iter().filter(|line| line.source == "host").map(|line| line.text.clone()).collect();
    (view.reason.expect("a reason"), notes)
}

fn asking(url: &str) -> Publication {
    publication("fetch.asked", url)
}

fn asking_with(url: &str, headers: &[(&str, &str)]) -> Publication {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Publication { headers, ..asking(url) }
}

#[tokio::test]
async fn an_allowed_request_goes_out_and_its_answer_comes_back() {
    let mut server = Server::start().await;
    let host = fetching(&[server.url("")], |_| ()).await;
    let mut tail = host.client.tail("fetch.answered").await.expect("tailed");
    let view = ask(&host, &asking(&server.url("/some/path?query=1"))).await;
    assert_eq!(view.outcome, SettlementOutcome::Ack, "{view:?}");
    let request = server.next().await;
    assert!(request.starts_with("GET /some/path?query=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("host: {}\r\n", server.address)), "{request}");
    match tokio::time::timeout(PATIENCE, tail.next()).await.expect("in time") {
        Some(Ok(Item::Seen(event))) => assert_eq!(event.body.as_deref(), Some("hello")),
        other => panic!("{other:?}"),
    }

    let body = "b".repeat(20_000);
    let view = ask(&host, &asking_with(&server.url("/post"), &[("Method", "POST"), ("Send", &body)])).await;
    assert_eq!(view.outcome, SettlementOutcome::Ack, "{view:?}");
    let request = server.next().await;
    assert!(request.starts_with("POST /post HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\n{body}")));
}

#[tokio::test]
async fn what_the_manifest_does_not_name_is_denied_with_the_line_to_add() {
    let server = Server::start().await;
    let other = Server::start().await;
    let host = fetching(&[format!("GET,HEAD {}", server.url("/v1"))], |_| ()).await;
    let check = async |publication: &Publication, tried: &str, origin: &str| {
        let (reason, notes) = refused(&host, publication).await;
        assert!(reason.ends_with("was denied: add its server to `http` in handler.toml"), "{reason}");
        let note = format!("handler `fetch` may not send {tried}; add `http = [\"{origin}\"]` to handler.toml");
        assert_eq!(notes, [note]);
    };
    let (origin, url) = (server.url(""), server.url("/v1/x"));
    check(&asking_with(&url, &[("Method", "POST")]), &format!("POST to {url}"), &origin).await;
    for path in ["/v2", "/v10", "/", "/v1/../v2", "/v1/%2e%2e/v2"] {
        let url = server.url(path);
        check(&asking(&url), &format!("GET to {url}"), &origin).await;
    }
    check(&asking(&other.url("/v1")), &format!("GET to {}", other.url("/v1")), &other.url("")).await;
    let secure = format!("https://{}", server.address);
    check(&asking(&format!("{secure}/v1")), &format!("GET to {secure}/v1"), &secure).await;
    assert_eq!((server.connections(), other.connections()), (0, 0), "nothing went out");
    assert_eq!(ask(&host, &asking(&url)).await.outcome, SettlementOutcome::Ack);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_denied_unless_the_address_is_named() {
    let server = Server::start().await;
    let port = server.address.port();
    // A name to the manifest and an address to the system's resolver, which reads it as 127.0.0.1.
    let name = format!("http://127.1:{port}");
    let host = fetching(std::slice::from_ref(&name), |_| ()).await;
    let (reason, notes) = refused(&host, &asking(&name)).await;
    assert!(reason.contains("was denied"), "{reason}");
    let note = format!(
        "handler `fetch` may not connect to 127.0.0.1, to which `127.1` leads: the address is not public; add \
         \"http://127.0.0.1:{port}\" to `http` in handler.toml if it is meant"
    );
    assert_eq!(notes, [note]);
    assert_eq!(server.connections(), 0);

    let host = fetching(&[name.clone(), server.url("")], |_| ()).await;
    assert_eq!(ask(&host, &asking(&name)).await.outcome, SettlementOutcome::Ack);
    let host = fetching(&[format!("http://localhost:{port}")], |_| ()).await;
    let url = format!("http://LOCALHOST:{port}/x");
    assert_eq!(ask(&host, &asking(&url)).await.outcome, SettlementOutcome::Ack, "it names this machine itself");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_others() {
    let mut server = Server::start().await;
    let host = fetching(&[server.url("")], |_| ()).await;
    let view = ask(&host, &asking(&server.url("/moved"))).await;
    assert_eq!(view.log.first().map(|line| line.text.as_str()), Some("answered 302 with 0 bytes"));
    assert!(server.next().await.starts_with("GET /moved "));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_wait_for_an_answer_ends_with_the_deadline_and_so_does_its_connection() {
    let mut server = Server::start().await;
    let deadline = Duration::from_millis(300);
    let host = fetching(&[server.url("")], |manifest| manifest.limits.deadline = Some(Span(deadline))).await;
    let began = Instant::now();
    let (reason, _) = refused(&host, &asking(&server.url("/silent"))).await;
    assert!(began.elapsed() >= deadline);
    assert!(reason.contains("did not return within 300ms; it was waiting in a call to the host"), "{reason}");
    tokio::time::timeout(PATIENCE, server.closed.recv()).await.expect("in time").expect("closed");
}

#[tokio::test]
async fn a_bad_answer_is_a_failure_that_says_which() {
    let server = Server::start().await;
    // Room for all that the host lets through, and for copying it while it grows.
    let roomy = |manifest: &mut Manifest| manifest.limits.memory = Some(ByteSize(256 << 20));
    let host = fetching(&[server.url(""), "http://127.0.0.1:1".to_owned()], roomy).await;
    let check = async |url: &str, expected: &str| {
        let (reason, _) = refused(&host, &asking(url)).await;
        assert!(reason.contains("the request failed: ") && reason.contains(expected), "{url}: {reason}");
    };
    check(&server.url("/large"), "HttpResponseBodySize").await;
    check(&server.url("/endless"), "body size exceeds limit: 16777216 bytes").await;
    check(&server.url("/broken"), "error reading a body from connection").await;
    check("http://127.0.0.1:1", "ConnectionRefused").await;
}
