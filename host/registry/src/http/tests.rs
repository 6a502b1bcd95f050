//! The adapter against listeners that answer what the test says, byte by byte. `tests/tests/registry.rs` runs it
//! against a host.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use hostel_event::port::ChangeKind;

use super::*;
use crate::conformance::service;

/// A host that does what the test says.
struct Host {
    listener: TcpListener,
    registry: Http,
}

impl Host {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Http::new(&listener.local_addr().unwrap().to_string()).unwrap();
        Self { listener, registry }
    }

    /// Takes a connection and the head of a request on it.
    async fn asked(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }

    /// Answers one request and closes. Gives back what was asked for.
    async fn answer(&self, status: &str, body: &str) -> String {
        let (mut stream, head) = self.asked().await;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        head.lines().next().unwrap_or_default().to_owned()
    }

    /// Answers one request with the beginning of a stream.
    async fn stream(&self) -> (TcpStream, String) {
        let (mut stream, head) = self.asked().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: following\n\n").await.unwrap();
        (stream, head.lines().next().unwrap_or_default().to_owned())
    }
}

fn problem(code: Code, detail: &str) -> (String, String) {
    let body = format!(
        r#"{{"type":"t","title":"t","status":{},"detail":"{detail}","code":"{code}","hint":"h"}}"#,
        code.status()
    );
    (format!("{} x", code.status()), body)
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_call_is_one_request() {
    let host = Host::start().await;
    let one = service("svc.a", "1", "a");
    let (done, asked) = tokio::join!(host.registry.register(one.clone(), MINUTE), host.answer("204 No Content", ""));
    assert_eq!((done, asked.as_str()), (Ok(()), "POST /v1/registry/services?ttl=1m HTTP/1.1"));
    let (done, asked) = tokio::join!(host.registry.deregister(one.clone()), host.answer("204 No Content", ""));
    assert_eq!((done, asked.as_str()), (Ok(()), "DELETE /v1/registry/services HTTP/1.1"));
    let json = serde_json::to_string(&view::write(one.clone())).unwrap();
    let body = format!(r#"{{"items":[{json}],"stale":{{"asked_at":"t","reason":"r"}}}}"#);
    let (found, asked) = tokio::join!(host.registry.get("a/b"), host.answer("200 OK", &body));
    assert_eq!((found, asked.as_str()), (Ok(vec![one.clone()]), "GET /v1/registry/services/a%2Fb HTTP/1.1"));
    let body = format!(r#"{{"items":[{json}]}}"#);
    let (found, asked) = tokio::join!(host.registry.list(), host.answer("200 OK", &body));
    assert_eq!((found, asked.as_str()), (Ok(vec![one]), "GET /v1/registry/services HTTP/1.1"));
}

#[tokio::test]
async fn what_cannot_be_known_is_not_sent() {
    // A port that was just given up: nothing listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let registry = Http::new(&address).unwrap();
    let refused = registry.register(service("", "1", "a"), MINUTE).await;
    assert!(matches!(refused, Err(RegistryError::Refused { .. })), "{refused:?}");
    assert_eq!(registry.get("").await, Err(RegistryError::NotFound(String::new())));
}

#[tokio::test]
async fn what_a_host_says_is_an_error_of_the_port() {
    let host = Host::start().await;
    let check = async |code, detail: &str, expected: RegistryError| {
        let (status, body) = problem(code, detail);
        let (done, _) =
            tokio::join!(host.registry.register(service("s", "1", "a"), MINUTE), host.answer(&status, &body));
        assert_eq!(done, Err(expected));
    };
    let refused = |reason: &str| RegistryError::Refused { service: "s".to_owned(), reason: reason.to_owned() };
    let unreachable = |reason: &str| RegistryError::Unreachable(reason.to_owned());
    check(Code::ServiceRefused, "cannot register service `s`: too long", refused("too long")).await;
    check(Code::MalformedQuery, "the TTL is too long", refused("the TTL is too long")).await;
    check(Code::NotFound, "service `s` not found", RegistryError::NotFound("s".to_owned())).await;
    check(Code::RegistryUnreachable, "cannot reach the registry: it is away", unreachable("it is away")).await;
    check(Code::UnknownPath, "there is nothing", unreachable("there is nothing")).await;
}

#[tokio::test]
async fn a_host_that_answers_nonsense_or_not_at_all_is_out_of_reach() {
    let host = Host::start().await;
    let (found, _) = tokio::join!(host.registry.list(), host.answer("200 OK", "<html>"));
    assert!(matches!(found, Err(RegistryError::Unreachable(_))), "{found:?}");
    drop(host.listener);
    let Err(RegistryError::Unreachable(reason)) = host.registry.list().await else { panic!("there is nobody") };
    assert!(reason.starts_with("no host answers at http://127.0.0.1:"), "{reason}");
    assert!(host.registry.watch(None).await.is_err());
}

#[tokio::test]
async fn an_address_is_checked_when_it_is_given() {
    assert!(Http::new("localhost:4301").is_ok());
    assert!(Http::new("http://localhost:4301").is_ok());
    let error = Http::new("ftp://localhost:4301").unwrap_err();
    assert_eq!(error.to_string(), "cannot use `ftp://localhost:4301` as the address of a registry");
    assert!(Http::new("not an address").is_err());
}

#[tokio::test]
async fn a_watch_that_breaks_is_begun_again_and_says_that_changes_were_lost() {
    let host = Host::start().await;
    let (watch, (mut stream, asked)) = tokio::join!(host.registry.watch(Some("s")), host.stream());
    let mut watch = watch.unwrap();
    assert_eq!(asked, "GET /v1/registry/watch?service=s HTTP/1.1");
    let one = service("s", "1", "a");
    let json = serde_json::to_string(&view::write(one.clone())).unwrap();
    let text =
        format!("event: create\ndata: {json}\n\nevent: lost\ndata: {{\"changes\":7}}\n\nevent: new\ndata: 1\n\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(watch.next().await, Some(Change { kind: ChangeKind::Create, service: one.clone() }));
    assert_eq!(watch.lost(), 0);

    // The host goes and comes back; in between it answers, but not with a stream.
    drop(stream);
    let (gone, ()) = tokio::join!(watch.next(), async {
        host.answer("503 x", "").await;
        let (mut stream, _) = host.stream().await;
        stream.write_all(format!("event: delete\ndata: {json}\n\n").as_bytes()).await.unwrap();
    });
    assert_eq!(gone, Some(Change { kind: ChangeKind::Delete, service: one }));
    assert_eq!(watch.lost(), 7 + 3, "what the host lost, the break, the attempt in vain and the return");
}

#[tokio::test]
async fn giving_up_waiting_for_a_change_loses_none() {
    let host = Host::start().await;
    let (watch, (mut stream, _)) = tokio::join!(host.registry.watch(None), host.stream());
    let mut watch = watch.unwrap();
    let one = service("s", "1", "a");
    let json = serde_json::to_string(&view::write(one.clone())).unwrap();
    let text = format!("event: update\ndata: {json}\n\n");
    let (first, second) = text.split_at(text.len() / 2);
    stream.write_all(first.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
    assert!(early.is_err(), "half a message is none");
    stream.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(watch.next().await, Some(Change { kind: ChangeKind::Update, service: one }));
}
