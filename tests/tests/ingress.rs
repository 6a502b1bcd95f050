//! The ingress takes any message, tells how it went, and holds out against clients that send too much, too slowly or
//! nonsense.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use hostel_api::client::{ClientError, Followed, Item, Publication};
use hostel_api::problem::Problem;
use hostel_api::view::{EventView, PublishedView, SettledView, SettlementOutcome, text_or_base64};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::raw::{Answer, exchange, read_one, read_until, request};
use hostel_tests::sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A broker that has a bound in memory, and for which the same id is another event.
const MEMORY: &str = "broker.use = 'memory'";

async fn connect(host: &Host) -> TcpStream {
    TcpStream::connect(host.ingress).await.expect("the host listens")
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("the connection is open");
}

async fn seen(events: &mut Followed<EventView>) -> EventView {
    let item = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("the stream goes on");
    match item.expect("readable") {
        Item::Seen(event) => event,
        Item::Lost(count) => unreachable!("lost {count}, though it reads along"),
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn problem(answer: &Answer) -> Problem {
    serde_json::from_str(&answer.body).expect("a problem")
}

/// Asserts that an answer is this refusal, and that the connection does not go on after it.
fn assert_refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    let problem = problem(answer);
    assert_eq!((answer.status, problem.code.as_str(), problem.detail.as_str()), (status, code, detail));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
}

#[tokio::test]
async fn what_is_sent_is_what_is_seen() {
    let host = Host::start().await;
    let mut events = host.client.tail("things.>").await.unwrap();
    let mut check = async |headers: &[(&str, &str)], body: &[u8], expected: &[(&str, &str)]| {
        let answer = exchange(host.ingress, &request("POST", "/topics/things.sent", headers, body)).await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        let published: PublishedView = serde_json::from_str(&answer.body).unwrap();
        let event = seen(&mut events).await;
        assert_eq!((event.id, event.topic), (published.id.clone(), "things.sent".to_owned()));
        assert_eq!((event.body, event.body_base64), text_or_base64(body));
        assert_eq!(event.headers, pairs(expected));
        published.id
    };
    check(&[], b"", &[]).await;
    check(&[], "grün 😀\0\n".as_bytes(), &[]).await;
    let all: Vec<u8> = (0..=255).collect();
    let binary = [("Content-Type", "application/x-thing; v=1")];
    check(&binary, &all, &binary).await;
    let kept = [("X-Twice", "1"), ("X-Twice", "2"), ("X-Name", "Jürgen 😀"), ("Traceparent", "00-1"), ("X-Empty", "")];
    let expected =
        [("X-Twice", "1"), ("X-Twice", "2"), ("X-Name", "Jürgen 😀"), ("Traceparent", "00-1"), ("X-Empty", "")];
    check(&kept, b"x", &expected).await;
    let of_the_request = [
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "en"),
        ("Authorization", "Bearer secret"),
        ("Cookie", "session=secret"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic secret"),
        ("Proxy-Connection", "close"),
        ("TE", "trailers"),
        ("Trailer", "X-Sum"),
        ("X-Kept", "yes"),
    ];
    check(&of_the_request, b"x", &[("X-Kept", "yes")]).await;
    assert_eq!(check(&[("Hostel-Id", "order 7/ä"), ("X-A", "b")], b"x", &[("X-A", "b")]).await, "order 7/ä");
    let most: Vec<(String, String)> = (0..128).map(|number| (format!("X-{number}"), "v".repeat(400))).collect();
    let most: Vec<(&str, &str)> = most.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    check(&most, b"x", &most).await;
}

#[tokio::test]
async fn a_body_may_come_in_each_way_that_http_has() {
    let host = Host::start().await;
    let mut events = host.client.tail("things.sent").await.unwrap();

    let chunked =
        b"POST /topics/things.sent HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\
                    \r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
    assert_eq!(exchange(host.ingress, chunked).await.unwrap().status, 202);
    let event = seen(&mut events).await;
    assert_eq!((event.body.as_deref(), event.headers), (Some("hello, world"), vec![]));

    let old = b"POST /topics/things.sent HTTP/1.0\r\nContent-Length: 3\r\n\r\nold";
    let answer = exchange(host.ingress, old).await.unwrap();
    assert_eq!(answer.status, 202);
    assert!(answer.head.starts_with("http/1.0 "), "{}", answer.head);
    assert_eq!(seen(&mut events).await.body.as_deref(), Some("old"));

    let mut patient = connect(&host).await;
    let head = b"POST /topics/things.sent HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    send(&mut patient, head).await;
    assert_eq!(read_until(&mut patient, "\r\n\r\n").await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut patient, b"patient").await;
    assert_eq!(read_one(&mut patient).await.unwrap().status, 202);
    assert_eq!(seen(&mut events).await.body.as_deref(), Some("patient"));
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let host = Host::start().await;
    let mut events = host.client.tail("things.sent").await.unwrap();
    let mut stream = connect(&host).await;
    let post = |body: &str| {
        format!("POST /topics/things.sent HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    send(&mut stream, post("one").as_bytes()).await;
    assert_eq!(read_one(&mut stream).await.unwrap().status, 202);
    // The next two at once, without waiting for the first of them.
    send(&mut stream, (post("two") + &post("three")).as_bytes()).await;
    assert_eq!(read_one(&mut stream).await.unwrap().status, 202);
    assert_eq!(read_one(&mut stream).await.unwrap().status, 202);
    // A refusal of what has no body left to read does not end it.
    send(&mut stream, b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(read_one(&mut stream).await.unwrap().status, 404);
    send(&mut stream, post("four").as_bytes()).await;
    assert_eq!(read_one(&mut stream).await.unwrap().status, 202);
    for body in ["one", "two", "three", "four"] {
        assert_eq!(seen(&mut events).await.body.as_deref(), Some(body));
    }
}

#[tokio::test]
async fn a_stream_of_events_is_what_browsers_read() {
    let host = Host::start().await;
    let mut stream = connect(&host).await;
    send(&mut stream, b"GET /topics/things.*/events HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let head = read_until(&mut stream, "\r\n\r\n").await.unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    assert!(read_until(&mut stream, ": following\n\n").await.is_some());
    for topic in ["other.sent", "things.sent"] {
        let publication = Publication {
            topic: topic.to_owned(),
            id: Some("e-1".to_owned()),
            headers: pairs(&[("X-A", "b")]),
            body: "a\nb".into(),
        };
        host.client.publish(&publication).await.unwrap();
    }
    let text = read_until(&mut stream, "\n\n").await.unwrap();
    let (_, message) = text.split_once("event: ").unwrap();
    let (head, data) = message.split_once("data: ").unwrap();
    assert_eq!(head, "event\nid: e-1\n");
    let event: EventView = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!((event.id.as_str(), event.topic.as_str()), ("e-1", "things.sent"));
    assert_eq!((event.headers, event.body.as_deref()), (pairs(&[("X-A", "b")]), Some("a\nb")));
}

#[tokio::test]
async fn the_answer_tells_how_it_went() {
    let host = Host::start_with(MEMORY).await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    let post = async |target: &str, body: &str| {
        // Who waits is told of the event with this id, which must not be one that nobody waited for.
        let id = if target.contains("wait=") { "e-1" } else { "e-0" };
        let answer = exchange(host.ingress, &request("POST", target, &[("Hostel-Id", id)], body.as_bytes())).await;
        let answer = answer.expect("an answer");
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        (answer.status, answer.body)
    };
    let settled = async |target: &str, body: &str| {
        let (status, body) = post(target, body).await;
        assert_eq!(status, 200, "{body}");
        let settled: SettledView = serde_json::from_str(&body).expect("a settlement");
        assert_eq!(settled.id, "e-1");
        settled
    };
    let kept = r#"{"id":"e-0","topic":"greetings.sent","subscriptions":1}"#;
    assert_eq!(post("/topics/greetings.sent", "hi").await, (202, kept.to_owned()));
    let kept = r#"{"id":"e-0","topic":"nobody.hears","subscriptions":0}"#;
    assert_eq!(post("/topics/nobody.hears", "hi").await, (202, kept.to_owned()));
    let nobody = settled("/topics/nobody.hears?wait=settled", "hi").await;
    assert!(nobody.settled && nobody.subscriptions.is_empty(), "{nobody:?}");

    let view = settled("/topics/greetings.sent?wait=settled", "hi").await;
    let one = &view.subscriptions[0];
    assert!(view.settled);
    assert_eq!((one.subscription.as_str(), one.handler.as_str()), ("default/hello:greetings.>", "hello"));
    assert_eq!((one.outcome, one.reason.as_deref(), one.attempts), (SettlementOutcome::Ack, None, 1));
    let log: Vec<_> = one.log.iter().map(|line| (line.level.as_str(), line.text.as_str())).collect();
    assert_eq!(log, [("info", "hello, event e-1 on greetings.sent, attempt 1, with 2 bytes")]);

    let view = settled("/topics/hostile.do?wait=settled&timeout=30s", "reject").await;
    let one = &view.subscriptions[0];
    let rejected = (SettlementOutcome::DeadLetter, Some("rejected on demand"), 1);
    assert_eq!((one.outcome, one.reason.as_deref(), one.attempts), rejected);
    assert!(view.settled);

    let view = settled("/topics/hostile.do?wait=settled&timeout=30s", "retry").await;
    let one = &view.subscriptions[0];
    assert_eq!((view.settled, one.outcome, one.attempts), (true, SettlementOutcome::DeadLetter, 2));
    assert!(one.reason.as_deref().is_some_and(|reason| reason.contains("retried on demand")), "{one:?}");

    let view = settled("/topics/hostile.do?wait=settled&timeout=100ms", "sleep:900").await;
    let one = &view.subscriptions[0];
    assert_eq!((view.settled, one.outcome, one.attempts), (false, SettlementOutcome::Pending, 0));
}

#[tokio::test]
async fn every_subscription_is_told_of_by_itself() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    host.deploy(&sample("rust/hello"), |manifest| manifest.subscriptions[0].pattern = "hostile.>".to_owned()).await;
    let mut view = host.publish_and_wait("hostile.do", "reject").await;
    view.subscriptions.sort_by(|one, other| one.handler.cmp(&other.handler));
    let told: Vec<_> = view.subscriptions.iter().map(|one| (one.handler.as_str(), one.outcome)).collect();
    assert_eq!(told, [("hello", SettlementOutcome::Ack), ("hostile", SettlementOutcome::DeadLetter)]);
}

#[tokio::test]
async fn too_large_a_body_is_refused() {
    let host = Host::start().await;
    let text = "the body has more than 1048576 bytes, the host's `ingress.message_limit`";
    // Announced, and refused before it is sent.
    let announced = b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n";
    assert_refused(&exchange(host.ingress, announced).await.unwrap(), 413, "E0016", text);
    // Not announced, and refused once it is too much, while the rest is still being sent.
    let mut chunked = b"POST /topics/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    chunked.extend(chunk.repeat(17));
    assert_refused(&exchange(host.ingress, &chunked).await.unwrap(), 413, "E0016", text);
    // Body and headers count together.
    let full = vec![b'x'; 1024 * 1024];
    assert_eq!(exchange(host.ingress, &request("POST", "/topics/a", &[], &full)).await.unwrap().status, 202);
    let over = exchange(host.ingress, &request("POST", "/topics/a", &[("X-A", "b")], &full)).await.unwrap();
    let expected = (413, "E0016", "the message has 1048580 bytes, more than 1048576");
    let problem = problem(&over);
    assert_eq!((over.status, problem.code.as_str(), problem.detail.as_str()), expected);
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let host = Host::start().await;
    let post = async |headers: &[(&str, &str)]| {
        exchange(host.ingress, &request("POST", "/topics/a", headers, b"")).await.expect("an answer")
    };
    let many = |count| vec![("x-a", "b"); count];
    assert_refused(&post(&many(129)).await, 431, "E0017", "a message has at most 128 headers");
    let long = "x".repeat(65_536);
    let text = "the headers of a message have at most 65536 bytes";
    assert_refused(&post(&[("x-a", &long)]).await, 431, "E0017", text);
    // Beyond that the HTTP library itself refuses, without a body.
    let bare = |answer: Answer| (answer.status, answer.body);
    assert_eq!(bare(post(&many(1000)).await), (431, String::new()));
    assert_eq!(bare(post(&[("x-a", &"x".repeat(1_000_000))]).await), (431, String::new()));
    let path = format!("/topics/{}", "a".repeat(70_000));
    let answer = exchange(host.ingress, &request("POST", &path, &[], b"")).await.unwrap();
    assert_eq!(bare(answer), (414, String::new()));
    assert_eq!(post(&[]).await.status, 202);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let host = Host::start().await;
    let check = async |bytes: &[u8]| {
        let answer = exchange(host.ingress, bytes).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{}", bytes.escape_ascii());
    };
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    check(b"hello there\r\n\r\n").await;
    check(b"POST /topics/a HTTP/9.9\r\n\r\n").await;
    check(b"POST /topics/a HTTP/1.1\r\nno colon\r\n\r\n").await;
    check(b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n").await;
    check(b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi").await;
    let broken = b"POST /topics/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n";
    let answer = exchange(host.ingress, broken).await.unwrap();
    assert_eq!((answer.status, problem(&answer).code.as_str()), (400, "E0023"));
    assert!(problem(&answer).detail.starts_with("the body did not arrive whole: "), "{}", answer.body);
}

#[tokio::test]
async fn a_client_that_is_slow_is_cut_off() {
    let host = Host::start_with("[ingress]\nhead_timeout = '300ms'\nbody_timeout = '300ms'").await;

    let began = Instant::now();
    let mut slow = connect(&host).await;
    let mut byte = [0];
    // One byte of the head every 20 ms, until the host has enough.
    for sent in b"POST /topics/a HTTP/1.1\r\nX-Endless: ".iter().chain(std::iter::repeat(&b'x')) {
        let closed = slow.write_all(&[*sent]).await.is_err();
        let read = tokio::time::timeout(Duration::from_millis(20), slow.read(&mut byte)).await;
        if closed || read.is_ok() {
            // Nothing was asked yet that could be answered.
            assert!(matches!(read, Ok(Ok(0) | Err(_))), "an answer came");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "not cut off");
    }
    assert!(began.elapsed() >= Duration::from_millis(250), "cut off after {:?}", began.elapsed());

    let half = b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = exchange(host.ingress, half).await.unwrap();
    assert_refused(&answer, 408, "E0020", "the body did not arrive within 300ms");

    // A connection on which nothing is asked any more is closed without a word.
    let mut idle = connect(&host).await;
    send(&mut idle, b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(read_one(&mut idle).await.unwrap().status, 202);
    let end = tokio::time::timeout(PATIENCE, idle.read(&mut byte)).await.expect("closed in time");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn one_connection_too_many_waits_its_turn() {
    let host = Host::start_with("[ingress]\nconnections = 2").await;
    let post = b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let (mut first, mut second, mut third) = (connect(&host).await, connect(&host).await, connect(&host).await);
    for stream in [&mut first, &mut second] {
        send(stream, post).await;
        assert_eq!(read_one(stream).await.unwrap().status, 202);
    }
    send(&mut third, post).await;
    // It is open and has no answer, while the other two still have theirs.
    let early = tokio::time::timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    send(&mut first, post).await;
    assert_eq!(read_one(&mut first).await.unwrap().status, 202);
    drop(first);
    assert_eq!(read_one(&mut third).await.unwrap().status, 202);
}

#[tokio::test]
async fn a_full_window_asks_to_come_again() {
    let host = Host::start_with(MEMORY).await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let deploy = async || {
        host.deploy(&sample("rust/hostile"), |manifest| {
            manifest.subscriptions[0].window = NonZeroU32::new(2);
            manifest.limits.deadline = Some("60s".parse().expect("a duration"));
        })
        .await;
    };
    deploy().await;
    for _ in 0..2 {
        assert_eq!(host.client.publish(&publication("hostile.do", "sleep")).await.unwrap().subscriptions, 1);
    }
    let answer = exchange(host.ingress, &request("POST", "/topics/hostile.do", &[], b"ok")).await.unwrap();
    let problem = problem(&answer);
    let expected = (429, "E0018", "subscription `default/hostile:hostile.do` is full");
    assert_eq!((answer.status, problem.code.as_str(), problem.detail.as_str()), expected);
    assert!(problem.hint.contains("Retry-After"), "{problem:?}");
    let after = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    assert!(after.and_then(|after| after.parse::<u64>().ok()).is_some_and(|after| after >= 1), "{}", answer.head);
    let refused = host.client.publish(&publication("hostile.do", "ok")).await.unwrap_err();
    assert!(matches!(refused, ClientError::Problem { retry_after: Some(_), .. }), "{refused:?}");
    // Nobody else's window is full, and there is room again once this one's events are gone.
    host.publish_and_wait("greetings.sent", "hi").await;
    host.client.undeploy("hostile").await.unwrap();
    deploy().await;
    let settled = host.publish_and_wait("hostile.do", "ok").await;
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack);
}

/// Events of 16 KiB: more than the sockets of the slow follower and the 1,024 events that the host holds for it take.
const EVENTS: usize = 2000;
/// As many as a follower may be behind without losing any, with room to spare.
const BATCH: usize = 200;

#[tokio::test]
async fn a_slow_follower_loses_events_and_holds_up_nobody() {
    let host = Host::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(host.ingress).await.unwrap();
    send(&mut slow, b"GET /topics/%3E/events HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(read_until(&mut slow, ": following\n\n").await.is_some());
    let mut quick = host.client.tail(">").await.unwrap();
    let body = "x".repeat(16 * 1024);
    for batch in (0..EVENTS).step_by(BATCH) {
        for _ in 0..BATCH {
            host.client.publish(&publication("things.sent", body.as_str())).await.unwrap();
        }
        for _ in 0..BATCH {
            assert_eq!(seen(&mut quick).await.body.as_deref(), Some(body.as_str()), "after {batch}");
        }
    }
    let mut received = Vec::new();
    let lost = loop {
        let read = slow.read_buf(&mut received);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("it goes on").unwrap();
        assert_ne!(read, 0, "the stream ended");
        let text = String::from_utf8_lossy(received.get(received.len().saturating_sub(4 * read)..).unwrap_or_default());
        if let Some((_, rest)) = text.split_once("event: lost\ndata: {\"events\":")
            && let Some((count, _)) = rest.split_once('}')
        {
            break count.parse::<usize>().unwrap();
        }
    };
    assert!((1..EVENTS).contains(&lost), "{lost}");
    // What it does not read is not kept for it.
    assert!(host.resident() < 400 * 1024 * 1024, "{} bytes", host.resident());
}

#[tokio::test]
async fn a_stream_ends_when_the_host_does() {
    let host = Host::start().await;
    let mut events = host.client.tail(">").await.unwrap();
    host.client.publish(&publication("things.sent", "last")).await.unwrap();
    assert_eq!(seen(&mut events).await.body.as_deref(), Some("last"));
    host.signal("TERM");
    let end = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
}
