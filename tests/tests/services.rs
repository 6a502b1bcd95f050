//! The registry of a host as programs and people meet it: over the admin API byte by byte, and on the command line.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use hostel_api::client::{Followed, Item};
use hostel_api::registry::{MetadataView, NodeView, ServiceAction, ServiceChangeView, ServiceView, VersionsView};
use hostel_tests::cli::{Ran, hostel, run};
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::raw::{Answer, exchange, request};
use tokio::io::{AsyncBufReadExt, BufReader};

const MINUTE: Duration = Duration::from_secs(60);
/// The service that every host is.
const ITSELF: &str = "hostel";
const SERVICES: &str = "/v1/registry/services";

async fn ask(host: &Host, method: &str, target: &str, body: &[u8]) -> Answer {
    exchange(host.admin, &request(method, target, &[], body)).await.expect("an answer")
}

fn service(name: &str, version: &str, id: &str) -> ServiceView {
    let metadata = MetadataView::from([("broker".to_owned(), "http".to_owned())]);
    let node = NodeView { id: id.to_owned(), address: "127.0.0.1:4300".to_owned(), metadata };
    ServiceView { name: name.to_owned(), version: version.to_owned(), nodes: vec![node], ..ServiceView::default() }
}

/// The next change of a service that is not the host itself.
async fn next(changes: &mut Followed<ServiceChangeView>) -> ServiceChangeView {
    loop {
        match tokio::time::timeout(PATIENCE, changes.next()).await.expect("in time").expect("goes on").expect("reads") {
            Item::Seen(change) if change.service.name == ITSELF => {}
            Item::Seen(change) => return change,
            Item::Lost(count) => unreachable!("lost {count} of a few changes"),
        }
    }
}

#[tokio::test]
async fn a_service_in_go_micros_json_is_registered_found_and_taken_out() {
    let host = Host::start().await;
    // As the etcd registry of go-micro v6 writes it.
    let json = r#"{"name":"micro.http.broker","version":"q1","metadata":null,"endpoints":null,"nodes":[{"metadata":{"broker":"http","secure":"false","topic":"foo"},"id":"foo-1","address":"127.0.0.1:33625"}]}"#;
    let answer = ask(&host, "POST", &format!("{SERVICES}?ttl=60s"), json.as_bytes()).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));

    let kept = r#"{"name":"micro.http.broker","version":"q1","metadata":null,"endpoints":null,"nodes":[{"id":"foo-1","address":"127.0.0.1:33625","metadata":{"broker":"http","secure":"false","topic":"foo"}}]}"#;
    let answer = ask(&host, "GET", &format!("{SERVICES}/micro.http.broker"), b"").await;
    assert_eq!((answer.status, answer.body), (200, format!(r#"{{"items":[{kept}],"stale":null}}"#)));
    let answer = ask(&host, "GET", SERVICES, b"").await;
    let listed = answer.body.starts_with(r#"{"items":[{"name":"#) && answer.body.contains(kept);
    assert!(answer.status == 200 && listed, "{answer:?}");

    for _ in 0..2 {
        let answer = ask(&host, "DELETE", SERVICES, json.as_bytes()).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    let answer = ask(&host, "GET", &format!("{SERVICES}/micro.http.broker"), b"").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains(r#""detail":"service `micro.http.broker` not found","code":"E0015""#), "{answer:?}");
}

#[tokio::test]
async fn names_that_would_change_a_path_are_names_all_the_same() {
    let host = Host::start().await;
    for name in ["a/b", "..", "a?b=c", "é %2F"] {
        host.client.register(&service(name, "1", "a"), MINUTE).await.expect("registers");
        let found = host.client.service(name).await.expect("is found");
        assert_eq!(found, VersionsView { items: vec![service(name, "1", "a")], stale: None });
    }
}

#[tokio::test]
async fn a_watch_tells_what_comes_changes_and_goes() {
    let host = Host::start().await;
    let mut all = host.client.watch_services(None).await.expect("watches");
    let mut one = host.client.watch_services(Some("b")).await.expect("watches");
    let (a, b) = (service("a", "1", "a-1"), service("b", "", "b-1"));
    host.client.register(&a, MINUTE).await.expect("registers");
    host.client.register(&b, Duration::from_secs(1)).await.expect("registers");
    let change = |action, service: &ServiceView| ServiceChangeView { action, service: service.clone() };
    for (watch, expected) in [(&mut all, vec![&a, &b]), (&mut one, vec![&b])] {
        for service in expected {
            assert_eq!(next(watch).await, change(ServiceAction::Create, service));
        }
        // Nobody registers it again.
        assert_eq!(next(watch).await, change(ServiceAction::Delete, &b));
    }
    let mut moved = a.clone();
    moved.nodes.iter_mut().for_each(|node| node.address = "127.0.0.1:4301".to_owned());
    host.client.register(&moved, MINUTE).await.expect("registers");
    assert_eq!(next(&mut all).await, change(ServiceAction::Update, &moved));
    host.client.deregister(&moved).await.expect("deregisters");
    assert_eq!(next(&mut all).await, change(ServiceAction::Delete, &moved));
    // The end of the host ends the watch in good order.
    host.signal("TERM");
    while let Some(item) = tokio::time::timeout(PATIENCE, all.next()).await.expect("in time") {
        let item = item.expect("ends in good order");
        assert!(matches!(&item, Item::Seen(change) if change.service.name == ITSELF), "{item:?}");
    }
    host.ended().await;
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused_with_its_reason() {
    let host = Host::start().await;
    let good = serde_json::to_string(&service("s", "1", "a")).expect("JSON");
    let check = async |target: &str, body: &str, status: u16, code: &str, says: &str| {
        let answer = ask(&host, "POST", &format!("{SERVICES}{target}"), body.as_bytes()).await;
        let told = answer.body.contains(&format!(r#""code":"{code}""#)) && answer.body.contains(says);
        assert!(answer.status == status && told, "{target} {says}: {answer:?}");
    };
    check("", &good, 400, "E0022", "parameter `ttl` is missing; say for how long").await;
    check("?ttl=60", &good, 400, "E0022", "parameter `ttl`: `60` is not a duration").await;
    check("?ttl=999ms", &good, 400, "E0022", "parameter `ttl` is 999ms; it must be from 1s to 1day").await;
    check("?ttl=2d", &good, 400, "E0022", "parameter `ttl` is 2days; it must be from 1s to 1day").await;
    check("?tll=1s", &good, 400, "E0022", "unknown parameter `tll`; did you mean `ttl`?").await;
    check("?ttl=1m", "{", 400, "E0012", "").await;
    check("?ttl=1m", "[]", 400, "E0012", "an array where an object is expected").await;
    check("?ttl=1m", r#"{"name":"s","nodes":"a"}"#, 400, "E0012", "nodes").await;
    check("?ttl=1m", r#"{"name":"s","nodes":null}"#, 422, "E0024", "cannot register service `s`: it has no nodes")
        .await;
    check("?ttl=1m", r#"{"nodes":[{"id":"a","address":"b:1"}]}"#, 422, "E0024", "it has no name").await;
    let mut many = service("s", "1", "a");
    many.nodes =
        (0..257).map(|n| NodeView { id: n.to_string(), address: "b:1".to_owned(), ..NodeView::default() }).collect();
    let many = serde_json::to_string(&many).expect("JSON");
    check("?ttl=1m", &many, 422, "E0024", "service `s` has 257 nodes, more than 256").await;
    let long = good.replace("\"http\"", &format!("{:?}", "x".repeat(65 * 1024)));
    check("?ttl=1m", &long, 422, "E0024", "bytes, more than 65536").await;
    let huge = good.replace("\"http\"", &format!("{:?}", "x".repeat(1024 * 1024)));
    check("?ttl=1m", &huge, 413, "E0016", "the service has more than 1048576 bytes").await;
    let deep = format!(
        r#"{{"name":"s","endpoints":[{{"name":"e","request":{}null{}}}]}}"#,
        r#"{"values":["#.repeat(5000),
        "]}".repeat(5000)
    );
    check("?ttl=1m", &deep, 400, "E0012", "recursion").await;
    let known = host.client.services().await.expect("lists");
    assert!(known.iter().all(|service| service.name == ITSELF), "nothing of it is registered: {known:?}");
    assert_eq!(ask(&host, "PUT", SERVICES, b"").await.status, 405);
    assert_eq!(ask(&host, "GET", "/v1/registry/watch?name=s", b"").await.status, 400);
}

async fn done(host: &Host, arguments: &[&str]) -> (String, String) {
    let Ran { code, stdout, stderr } = run(host, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

#[tokio::test]
async fn services_are_listed_and_shown_on_the_command_line() {
    let host = Host::start().await;
    for one in [service("greeter", "2", "g-2"), service("greeter", "1", "g-1"), service("other", "", "o")] {
        host.client.register(&one, MINUTE).await.expect("registers");
    }
    let greeters = "\
SERVICE  VERSION  NODE  ADDRESS         METADATA
greeter  1        g-1   127.0.0.1:4300  broker=http
greeter  2        g-2   127.0.0.1:4300  broker=http
";
    let squeezed = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(ITSELF));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let (stdout, stderr) = done(&host, &["services"]).await;
    let all = format!("{greeters}other - o 127.0.0.1:4300 broker=http\n");
    assert_eq!((squeezed(&stdout), stderr.as_str()), (squeezed(&all), ""));
    let (stdout, _) = done(&host, &["services", "greeter"]).await;
    assert_eq!(squeezed(&stdout), squeezed(greeters));
    let (stdout, _) = done(&host, &["services", "--json"]).await;
    let list: Vec<ServiceView> = serde_json::from_str(&stdout).expect("one document of JSON");
    assert_eq!(list.iter().filter(|service| service.name != ITSELF).count(), 3);
    let (stdout, _) = done(&host, &["services", "other", "--json"]).await;
    let one: VersionsView = serde_json::from_str(&stdout).expect("one document of JSON");
    assert_eq!(one, VersionsView { items: vec![service("other", "", "o")], stale: None });

    let ran = run(&host, &["services", "greeter", "watch"]).await;
    let expected = "error: `greeter` stands before `watch`; write `hostel services watch greeter`\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(2), expected));
    let ran = run(&host, &["services", "nobody"]).await;
    let expected = "error[E0015]: service `nobody` not found\nhint: `hostel services` lists those that are there\n";
    assert!(ran.code == Some(1) && ran.stderr.starts_with(expected), "{ran:?}");
}

#[tokio::test]
async fn services_are_watched_on_the_command_line() {
    let host = Host::start().await;
    let mut lines = Vec::new();
    for arguments in [&["services", "watch"][..], &["services", "--json", "watch", "greeter"]] {
        let mut child = hostel(&host).args(arguments).spawn().expect("the command starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let said = tokio::time::timeout(PATIENCE, stderr.next_line()).await.expect("in time").expect("readable");
        assert!(said.is_some_and(|line| line.starts_with("watching ")), "{arguments:?}");
        let stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        lines.push((child, stdout));
    }
    let greeter = service("greeter", "1", "g");
    host.client.register(&service("other", "", "o"), MINUTE).await.expect("registers");
    host.client.register(&greeter, MINUTE).await.expect("registers");
    host.client.deregister(&greeter).await.expect("deregisters");
    let mut seen = Vec::new();
    for ((_, stdout), count) in lines.iter_mut().zip([3, 2]) {
        let mut seen_here = Vec::new();
        while seen_here.len() < count {
            let line = tokio::time::timeout(PATIENCE, stdout.next_line()).await.expect("in time").expect("readable");
            let line = line.expect("a line");
            if !line.starts_with("create hostel ") {
                seen_here.push(line);
            }
        }
        seen.append(&mut seen_here);
    }
    let node = "g 127.0.0.1:4300 broker=http";
    let json = |action: &str| {
        let service = serde_json::to_string(&greeter).expect("JSON");
        format!(r#"{{"action":"{action}","service":{service}}}"#)
    };
    let expected = [
        "create other - o 127.0.0.1:4300 broker=http".to_owned(),
        format!("create greeter 1 {node}"),
        format!("delete greeter 1 {node}"),
        json("create"),
        json("delete"),
    ];
    assert_eq!(seen, expected);
}
