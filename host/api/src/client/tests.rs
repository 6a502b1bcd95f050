//! The client against a listener that answers what the test says, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::problem::{Code, Problem};

/// Serves one connection and one request: reads it whole, answers `answer`, closes. Gives the request back.
async fn serve(answer: &str) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !is_whole(&request) {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ended early");
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (client(&url), served)
}

fn client(url: &str) -> Client {
    let target = Target { admin: url.to_owned(), ingress: url.to_owned(), tenant: "acme".to_owned() };
    Client::new(&target).unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn answer(status: &str, head: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{head}connection: close\r\n\r\n{body}", body.len())
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

fn publication() -> Publication {
    Publication {
        topic: "orders.created".to_owned(),
        id: Some("7".to_owned()),
        headers: vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "é".to_owned())],
        body: Bytes::from_static(b"hello"),
    }
}

#[tokio::test]
async fn publishing_sends_headers_id_and_body() {
    let (client, served) =
        serve(&answer("202 Accepted", "", r#"{"id":"7","topic":"orders.created","subscriptions":2}"#)).await;
    let published = client.publish(&publication()).await.unwrap();
    assert_eq!(published, PublishedView { id: "7".to_owned(), topic: "orders.created".to_owned(), subscriptions: 2 });
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /topics/orders.created HTTP/1.1\r\n"), "{request}");
    for line in ["x-a: 1\r\n", "x-a: é\r\n", "hostel-id: 7\r\n", "\r\n\r\nhello"] {
        assert!(request.contains(line), "{line:?} in {request}");
    }
    // Whatever else was sent would become a header of the message.
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names.iter().filter(|name| !belongs_to_request(name)).count(), 3, "{names:?}");
}

#[tokio::test]
async fn waiting_asks_for_the_outcome() {
    let body = r#"{"id":"7","topic":"orders.created","settled":true,"subscriptions":[]}"#;
    let (client, served) = serve(&answer("200 OK", "", body)).await;
    let settled = client.publish_and_wait(&publication(), Duration::from_secs(2)).await.unwrap();
    assert!(settled.settled);
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /topics/orders.created?wait=settled&timeout=2000ms HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn headers_that_http_would_keep_are_refused_before_anything_is_sent() {
    let client = client("http://127.0.0.1:1");
    let refused = async |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        client.publish(&Publication { headers, ..publication() }).await.unwrap_err().to_string()
    };
    let kept = "belongs to the request and would not become one of the message";
    assert_eq!(refused("Content-Length", "5").await, format!("header `Content-Length` {kept}"));
    assert_eq!(refused("Accept-Language", "en").await, format!("header `Accept-Language` {kept}"));
    assert_eq!(refused(":topic", "a").await, "header name \":topic\" cannot travel over HTTP");
    assert_eq!(refused("a", "x\ny").await, "the value of header `a` has a control character");
}

#[tokio::test]
async fn a_problem_comes_whole_with_the_time_to_wait() {
    let body = r#"{"type":"urn:hostel:error:E0018","title":"overloaded","status":429,"detail":"`a/b:c` is full","code":"E0018","hint":"wait"}"#;
    let (client, _served) = serve(&answer("429 Too Many Requests", "retry-after: 3\r\n", body)).await;
    match client.publish(&publication()).await.unwrap_err() {
        ClientError::Problem { problem, retry_after } => {
            assert_eq!((problem.code.as_str(), problem.detail.as_str()), ("E0018", "`a/b:c` is full"));
            assert_eq!(retry_after, Some(Duration::from_secs(3)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_component_that_is_not_there_is_no_error() {
    let body = r#"{"type":"urn:hostel:error:E0015","title":"","status":404,"detail":"","code":"E0015","hint":""}"#;
    let (client, served) = serve(&answer("404 Not Found", "", body)).await;
    assert_eq!(client.component("sha256:ab").await.unwrap(), None);
    assert!(served.await.unwrap().starts_with("GET /v1/tenants/acme/components/ab HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_answer_of_something_else_is_malformed() {
    let (client, _served) = serve(&answer("502 Bad Gateway", "", "<html>no</html>")).await;
    let text = client.handlers().await.unwrap_err().to_string();
    assert!(
        text.ends_with(
            "/v1/tenants/acme/handlers was answered with status 502 Bad Gateway and `<html>no</html>`; \
         is a Hostel host of this version there?"
        ),
        "{text}"
    );

    let (client, _served) = serve(&answer("200 OK", "", "{}")).await;
    let text = client.handlers().await.unwrap_err().to_string();
    assert!(text.contains("was answered with JSON that does not fit (missing field `items`"), "{text}");
}

#[tokio::test]
async fn nobody_there_says_the_address() {
    // A port that was just given up: nothing listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(&format!("http://{address}")).ready().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("no host answers at http://{address}"));
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_apart() {
    let (client, _served) = serve("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await;
    let error = client.handlers().await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let silent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // From here on nothing but timers can happen, so that the paused clock runs ahead to the time limit.
        tokio::time::pause();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let error = client.handlers().await.unwrap_err();
    assert!(matches!(error, ClientError::TooSlow { limit: CALL_LIMIT, .. }), "{error:?}");
    silent.abort();
}

#[tokio::test]
async fn tailing_gives_events_and_what_was_lost() {
    let event = r#"{"id":"7","topic":"a","published_at":"2026-01-01T00:00:00.000Z","headers":[["A","b"]],"body":"x","body_base64":null}"#;
    let stream = format!(
        "{STREAM}: ping\n\nevent: event\nid: 7\ndata: {event}\n\nevent: new\ndata: 1\n\n\
         event: lost\ndata: {{\"events\":3}}\n\nevent: event\ndata: {{}}\n\n"
    );
    let (client, served) = serve(&stream).await;
    let mut events = client.tail("orders.>").await.unwrap();
    match events.next().await.unwrap().unwrap() {
        Item::Seen(event) => assert_eq!((event.id.as_str(), event.body.as_deref()), ("7", Some("x"))),
        other @ Item::Lost(_) => panic!("{other:?}"),
    }
    assert_eq!(events.next().await.unwrap().unwrap(), Item::Lost(3));
    let error = events.next().await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("the stream of events was answered with a message that does not fit"));
    assert!(events.next().await.is_none());
    assert!(served.await.unwrap().starts_with("GET /topics/orders.%3E/events HTTP/1.1\r\n"));
}

#[tokio::test]
async fn following_logs_ends_when_the_host_ends_it() {
    let (client, served) = serve(&format!("{STREAM}event: lost\ndata: {{\"lines\":2}}\n\n")).await;
    let query = LogQuery { handler: Some("hello".to_owned()), limit: Some(5) };
    let mut lines = client.follow_logs(&query).await.unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap(), Item::Lost(2));
    assert!(lines.next().await.is_none());
    let request = served.await.unwrap();
    assert!(request.starts_with("GET /v1/tenants/acme/logs?handler=hello&limit=5&follow=true HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_given_up_however_often_one_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !is_whole(&request) {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(STREAM.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let mut changes = client.watch_services(Some("a b")).await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let error = loop {
        if let Ok(item) = tokio::time::timeout(Duration::from_secs(1), changes.next()).await {
            break item.unwrap().unwrap_err();
        }
    };
    assert!(error.to_string().starts_with("the stream of changes of services took longer than 45 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(46));
    assert!(changes.next().await.is_none());
    silent.abort();
}

#[tokio::test]
async fn services_are_registered_with_a_ttl_that_has_its_unit() {
    let (client, served) = serve("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let service = crate::registry::ServiceView { name: "s".to_owned(), ..Default::default() };
    client.register(&service, Duration::from_millis(1500)).await.unwrap();
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /v1/registry/services?ttl=1s%20500ms HTTP/1.1\r\n"), "{request}");
    let body = r#"{"name":"s","version":"","metadata":null,"endpoints":null,"nodes":null}"#;
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn what_is_no_stream_is_not_followed() {
    let (client, _served) = serve(&answer("200 OK", "content-type: text/html\r\n", "<html>")).await;
    let text = client.tail("a").await.unwrap_err().to_string();
    assert!(text.contains("was answered with `text/html` instead of a stream of events"), "{text}");
}

#[tokio::test]
async fn an_upload_that_is_followed_tells_its_stages_and_gives_what_came_of_it() {
    let done = r#"{"digest":"sha256:ab","bytes":5,"world":"w","known":false}"#;
    let told = r#"{"stage":"compile","elapsed_ms":7}"#;
    let body =
        format!(": following\n\nevent: stage\ndata: {told}\n\nevent: newer\ndata: ?\n\nevent: done\ndata: {done}\n\n");
    let (client, served) = serve(&format!("{STREAM}{body}")).await;
    let (progress, mut begun) = Progress::new();
    let view = client.put_component_telling("ab", Bytes::from_static(b"hello"), &progress).await.unwrap();
    assert_eq!((view.bytes, progress.sent()), (5, 5));
    let stage = begun.try_recv().unwrap();
    assert_eq!((stage.stage.as_str(), stage.elapsed_ms), ("compile", 7));
    assert!(begun.try_recv().is_err());
    let request = served.await.unwrap();
    assert!(request.starts_with("PUT /v1/tenants/acme/components/ab HTTP/1.1\r\n"), "{request}");
    for line in ["accept: text/event-stream\r\n", "content-length: 5\r\n", "\r\n\r\nhello"] {
        assert!(request.contains(line), "{line:?} in {request}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_its_last_event_is_one_that_broke_off() {
    let (client, _served) = serve(&format!("{STREAM}: following\n\n")).await;
    let (progress, _begun) = Progress::new();
    let error = client.put_component_telling("ab", Bytes::new(), &progress).await.unwrap_err();
    assert_eq!(
        error.with_cause(),
        "the stream of the upload broke off: the host ended it before it said what came of it"
    );
}

#[tokio::test]
async fn a_problem_that_ends_a_stream_is_the_error_that_it_says() {
    let problem = Problem::new(Code::InitFailed, "it would not");
    let body = format!("event: problem\ndata: {}\n\n", serde_json::to_string(&problem).unwrap());
    let (client, _served) = serve(&format!("{STREAM}{body}")).await;
    let (progress, _begun) = Progress::new();
    match client.put_component_telling("ab", Bytes::new(), &progress).await {
        Err(ClientError::Problem { problem, .. }) => assert_eq!(problem.code, "E0008"),
        other => panic!("a problem is expected: {other:?}"),
    }
}
