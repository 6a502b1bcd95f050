//! What is told while it happens: how far a deployment is, and what changes of handlers.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use hostel_api::change::{ChangeKind, ChangeView};
use hostel_api::client::{ClientError, Followed, Item, Progress, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::unit::Span;
use hostel_api::view::DeployedView;
use hostel_tests::host::{Host, PATIENCE, digest, publication};
use hostel_tests::raw::{Answer, exchange, request};
use hostel_tests::{cli, repository, sample};

fn component(name: &str) -> Vec<u8> {
    let path = repository().join("target/guests").join(name);
    std::fs::read(path).expect("`cargo xtask guests` builds the sample handlers")
}

/// The sample handler of this name, with the component that is kept under this digest.
fn manifest(name: &str, digest: &str) -> Manifest {
    let text = std::fs::read_to_string(sample(name)).expect("a manifest");
    let manifest = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
    Manifest { component: digest.to_owned(), ..manifest }
}

async fn followed(host: &Host, manifest: &Manifest) -> Answer {
    let path = format!("/v1/tenants/default/handlers/{}", manifest.name);
    let body = serde_json::to_vec(manifest).expect("a manifest is JSON");
    let headers = [("Accept", "text/event-stream"), ("Content-Type", "application/json")];
    exchange(host.admin, &request("PUT", &path, &headers, &body)).await.expect("answered")
}

/// The kinds and the data of the events of a stream that has ended, whose chunks end where they do.
fn events(body: &str) -> Vec<(&str, &str)> {
    let kinds = body.lines().filter_map(|line| line.strip_prefix("event: "));
    kinds.zip(body.lines().filter_map(|line| line.strip_prefix("data: "))).collect()
}

#[tokio::test]
async fn whoever_asks_for_it_is_told_each_stage_of_a_deployment_and_then_what_came_of_it() {
    let host = Host::start().await;
    let bytes = component("conformance.wasm");
    let (progress, mut begun) = Progress::new();
    let size = bytes.len() as u64;
    let digest = digest(&bytes);
    let view = host.client.put_component_telling(&digest, bytes.into(), &progress).await.expect("a good component");
    assert_eq!((view.digest, progress.sent()), (digest.clone(), size));
    let mut stages = Vec::new();
    while let Ok(stage) = begun.try_recv() {
        stages.push(stage.stage);
    }
    assert_eq!(stages, ["check", "compile", "keep"]);

    let answer = followed(&host, &manifest("rust/conformance", &digest)).await;
    let told = events(&answer.body);
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["stage", "stage", "stage", "stage", "done"], "{}", answer.body);
    for ((_, data), stage) in told.iter().zip(["check", "load", "init", "switch"]) {
        assert!(data.starts_with(&format!(r#"{{"stage":"{stage}","elapsed_ms":"#)), "{data}");
    }
    let (_, done) = told.last().expect("it has an end");
    let done: DeployedView = serde_json::from_str(done).expect("the ordinary answer");
    assert!(done.changed && done.handler.name == "conformance-rust");
    let took: Vec<&str> = done.took.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(took, ["check", "load", "init", "switch"]);
}

#[tokio::test]
async fn a_refusal_ends_the_stream_with_the_problem_and_stands_in_the_audit_log_as_what_it_is() {
    let host = Host::start().await;
    let manifest = manifest("rust/hello", &digest(b"what nobody uploaded"));
    let answer = followed(&host, &manifest).await;
    assert_eq!(answer.status, 200, "the stream was begun");
    let told = events(&answer.body);
    let (kind, data) = told.last().expect("it has an end");
    assert!(*kind == "problem" && data.contains(r#""code":"E0015""#), "{}", answer.body);
    let (progress, _begun) = Progress::new();
    match host.client.deploy_telling(&manifest, &progress).await {
        Err(ClientError::Problem { problem, .. }) => assert_eq!(problem.code, "E0015"),
        other => panic!("a problem is expected: {other:?}"),
    }
    let audit = exchange(host.admin, &request("GET", "/v1/tenants/default/audit", &[], b"")).await.expect("answered");
    assert_eq!(audit.body.matches(r#""status":404,"code":"E0015""#).count(), 2, "{}", audit.body);
}

#[tokio::test]
async fn the_command_says_the_long_stages_in_lines_and_nothing_where_data_is_asked_for() {
    let host = Host::start().await;
    let manifest = sample("rust/hello");
    let manifest = manifest.to_str().expect("the repository has a plain name");
    let ran = cli::run(&host, &["deploy", manifest]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let [uploading, compiling, init, deployed] = &lines[..] else { panic!("{}", ran.stderr) };
    assert!(uploading.starts_with("uploading `hello` ("), "{uploading}");
    assert_eq!((*compiling, *init), ("compiling `hello`", "preparing `hello`"));
    assert!(deployed.starts_with("deployed `hello` "), "{deployed}");
    let ran = cli::run(&host, &["deploy", manifest, "--json", "--version", "2"]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}", ran.stderr);
}

async fn next(changes: &mut Followed<ChangeView>) -> ChangeView {
    match tokio::time::timeout(PATIENCE, changes.next()).await.expect("in time") {
        Some(Ok(Item::Seen(change))) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_follows_hears_of_every_change_of_a_handler() {
    let host = Host::start().await;
    let mut changes = host.client.follow_changes(Some("hostile")).await.expect("followed");
    let mut others = host.client.follow_changes(Some("other")).await.expect("followed");
    let digest = host.upload(component("hostile.wasm")).await;
    let mut first = manifest("rust/hostile", &digest);
    for subscription in &mut first.subscriptions {
        subscription.quarantine.faults = Some(1);
        subscription.quarantine.window = Some(Span(Duration::from_secs(60)));
        subscription.retry.attempts = std::num::NonZeroU32::new(1);
    }
    host.client.deploy(&first).await.expect("deployed");
    let change = next(&mut changes).await;
    assert_eq!((change.change, change.version.as_deref()), (ChangeKind::Deployed, Some("0.1.0")));
    assert_eq!((change.handler.as_str(), change.component), ("hostile", Some(digest)));

    let second = Manifest { version: "2".to_owned(), ..first };
    host.client.deploy(&second).await.expect("deployed");
    assert_eq!(next(&mut changes).await.version.as_deref(), Some("2"));
    // The same again is no change.
    assert!(!host.client.deploy(&second).await.expect("answered").changed);
    host.client.rollback("hostile").await.expect("rolled back");
    let change = next(&mut changes).await;
    assert_eq!((change.change, change.version.as_deref()), (ChangeKind::RolledBack, Some("0.1.0")));

    let trap = Publication { headers: vec![("Behaviour".into(), "trap".into())], ..publication("hostile.do", "") };
    host.client.publish_and_wait(&trap, PATIENCE).await.expect("published");
    let change = next(&mut changes).await;
    assert_eq!(change.change, ChangeKind::Quarantined);
    assert_eq!(change.subscription.as_deref(), Some("default/hostile:hostile.do"));
    assert!(change.reason.is_some_and(|reason| reason.contains("trap")));
    host.client.resume("hostile").await.expect("resumed");
    assert_eq!(next(&mut changes).await.change, ChangeKind::Resumed);
    host.client.pause("hostile").await.expect("paused");
    let change = next(&mut changes).await;
    assert_eq!((change.change, change.reason.as_deref()), (ChangeKind::Paused, Some("paused by an operator")));
    host.client.undeploy("hostile").await.expect("undeployed");
    let change = next(&mut changes).await;
    assert_eq!((change.change, change.version.as_deref()), (ChangeKind::Undeployed, Some("0.1.0")));

    let hello = host.upload(component("hello.wasm")).await;
    let other = Manifest { name: "other".to_owned(), ..manifest("rust/hello", &hello) };
    host.client.deploy(&other).await.expect("deployed");
    assert_eq!(next(&mut others).await.handler, "other", "it heard nothing of the other handler");
}

#[tokio::test]
async fn the_command_line_follows_changes() {
    let host = Host::start().await;
    let mut child = cli::hostel(&host).args(["handlers", "--follow"]).spawn().expect("the command starts");
    let mut talk = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut data = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, talk.next_line()).await.expect("in time").expect("readable");
    assert_eq!(line.as_deref(), Some("following what changes of handlers"));
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let line = tokio::time::timeout(PATIENCE, data.next_line()).await.expect("in time").expect("readable");
    let line = line.expect("a line");
    assert!(line.contains(" deployed hello 0.1.0 ("), "{line}");
    child.kill().await.expect("killed");
}

/// Asks over HTTP/2 as a client that takes in no more of an answer than the comment with which a stream begins, and never
/// reads it. The connection is open as long as the answer is kept.
async fn unread(host: &Host, request: http::Request<Full<Bytes>>) -> http::Response<Incoming> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(host.certificate("tls-admin")).expect("a certificate");
    roots.add(certificate).expect("a good one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(host.admin).await.expect("the host listens");
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("it is believed");
    let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let window = u32::try_from(": following\n\n".len()).expect("small");
    http2.initial_stream_window_size(window);
    let (mut sender, connection) = http2.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    // Ends with the answer, or with the host.
    tokio::spawn(connection);
    sender.send_request(request).await.expect("answered")
}

/// Found by a review: such a client held the lock of all deployments, and the host's end, for as long as it liked.
#[tokio::test]
async fn a_client_that_does_not_read_how_far_its_deployment_is_keeps_nobody_waiting() {
    // And so HTTP/2.
    let host = Host::start_with("admin.secure = true").await;
    let digest = host.upload(component("hello.wasm")).await;

    let mut stalled = Vec::new();
    for name in ["first", "second"] {
        let manifest = Manifest { name: name.to_owned(), ..manifest("rust/hello", &digest) };
        let body = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        let request = http::Request::put(format!("https://{}/v1/tenants/default/handlers/{name}", host.admin))
            .header("Accept", "text/event-stream")
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let response = unread(&host, request).await;
        assert_eq!(response.status(), 200);
        stalled.push(response);
    }
    let both_run = async {
        while host.client.handlers().await.expect("listed").len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, both_run).await.expect("what nobody reads of is deployed");
    host.client.deploy(&manifest("rust/hello", &digest)).await.expect("deployed beside them");
    host.client.undeploy("first").await.expect("undeployed beside them");

    host.signal("TERM");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains("all deliveries ended"), "{said}");
    drop(stalled);
}
