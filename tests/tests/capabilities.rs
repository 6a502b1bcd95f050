//! What a handler may do beyond computing: what its manifest names and the operator allows; what is denied says what to
//! add, and is counted.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hostel_api::manifest::Manifest;
use hostel_api::unit::ByteSize;
use hostel_api::view::{SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{cli, sample};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn ask(host: &Host, topic: &str, body: &str) -> SettlementView {
    let settled = host.client.publish_and_wait(&publication(topic, body), PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
    only.clone()
}

async fn hostile(change: impl FnOnce(&mut Manifest)) -> Host {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), change).await;
    host
}

#[tokio::test]
async fn denied_calls_are_counted() {
    let host = hostile(|_| ()).await;
    for expected in 1..=2 {
        let view = ask(&host, "hostile.do", "denied-publish").await;
        let reason = view.reason.expect("a reason");
        assert!(reason.contains(r#"add `publish = ["forbidden.topic"]` to handler.toml"#), "{reason}");
        assert_eq!(host.client.handler("hostile").await.expect("deployed").denied, expected);
    }
    let shown = cli::run(&host, &["handlers", "hostile"]).await;
    assert!(shown.stdout.lines().any(|line| line.starts_with("denied ") && line.ends_with("2 calls")), "{shown:?}");
}

#[tokio::test]
async fn an_invocation_publishes_no_more_than_its_limits() {
    let host = hostile(|manifest| {
        manifest.limits.published_events = Some(3);
        manifest.limits.published_bytes = Some(ByteSize(2_000));
        for subscription in &mut manifest.subscriptions {
            subscription.retry.attempts = NonZeroU32::new(1);
        }
    })
    .await;
    let check = async |behaviour: &str, expected: Result<(), &str>| {
        let view = ask(&host, "hostile.do", behaviour).await;
        let reason = view.reason.clone().unwrap_or_default();
        match expected {
            Ok(()) => assert_eq!(view.outcome, SettlementOutcome::Ack, "{view:?}"),
            Err(text) => assert!(view.outcome == SettlementOutcome::DeadLetter && reason.contains(text), "{view:?}"),
        }
    };
    check("publish:3", Ok(())).await;
    let events = "may publish at most 3 events in one invocation; its limit is `published_events` in `[limits]`";
    check("publish:4", Err(events)).await;
    let bytes = "may publish at most 2000 bytes of events in one invocation; its limit is `published_bytes`";
    check("huge-publish:2001", Err(bytes)).await;
    check("publish:3", Ok(())).await;
}

#[tokio::test]
async fn the_environment_is_what_the_manifest_sets() {
    let host = hostile(|manifest| {
        manifest.environment.0.insert("GREETING".to_owned(), "hello there".to_owned());
    })
    .await;
    let view = ask(&host, "hostile.do", "list-environment").await;
    assert_eq!(view.reason.as_deref(), Some(r#"arguments [], environment [("GREETING", "hello there")]"#));
}

/// Answers after a while, and tells how many connections it had at the same time.
async fn slow_server() -> (std::net::SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (open, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (Arc::clone(&all), Arc::clone(&most));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            highest.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            tokio::spawn(answer(stream, open));
        }
    });
    (address, all, most)
}

async fn answer(mut stream: TcpStream, open: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer).await;
    // What others would use, were they let in beside.
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Once it is answered, the other side may have closed it and come again before this side knows.
    open.fetch_sub(1, Ordering::SeqCst);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    let _ = stream.shutdown().await;
}

async fn fetching(config: &str, address: std::net::SocketAddr) -> Host {
    let host = Host::start_with(config).await;
    let naming = |manifest: &mut Manifest| {
        manifest.http = vec![format!("http://{address}")];
        manifest.limits.deadline = Some("20s".parse().expect("a duration"));
        for subscription in &mut manifest.subscriptions {
            subscription.retry.attempts = NonZeroU32::new(1);
        }
    };
    host.deploy(&sample("rust/fetch"), naming).await;
    host
}

#[tokio::test]
async fn an_address_that_is_not_public_is_opened_by_the_operator_alone() {
    let (address, all, _) = slow_server().await;
    for (config, is_open) in [
        ("", false),
        ("[runtime]\nprivate_addresses = ['192.0.2.0/24', '::1']", false),
        ("[runtime]\nprivate_addresses = ['127.0.0.0/8']", true),
    ] {
        let before = all.load(Ordering::Relaxed);
        let host = fetching(config, address).await;
        let view = ask(&host, "fetch.asked", &format!("http://{address}/x")).await;
        assert_eq!(view.outcome == SettlementOutcome::Ack, is_open, "{config}: {view:?}");
        assert_eq!(all.load(Ordering::Relaxed) - before, usize::from(is_open));
        let note = "the operator must add \"127.0.0.1\" to `runtime.private_addresses` in hostel.toml if it is meant";
        assert_eq!(view.log.iter().any(|line| line.text.ends_with(note)), !is_open, "{view:?}");
        let denied = host.client.handler("fetch").await.expect("deployed").denied;
        assert_eq!(denied, u64::from(!is_open));
    }
}

#[tokio::test]
async fn a_tenant_has_as_many_connections_as_its_quota_says() {
    let (address, all, most) = slow_server().await;
    let config = "[runtime]\nprivate_addresses = ['127.0.0.1']\n\
                  [[tenants]]\nname = 'default'\nquota = { connections = 2 }";
    let host = fetching(config, address).await;
    let url = format!("http://{address}/x");
    let views = [ask(&host, "fetch.asked", &url), ask(&host, "fetch.asked", &url), ask(&host, "fetch.asked", &url)];
    let more = [ask(&host, "fetch.asked", &url), ask(&host, "fetch.asked", &url), ask(&host, "fetch.asked", &url)];
    let [a, b, c] = views;
    let [d, e, f] = more;
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    for view in [a, b, c, d, e, f] {
        assert_eq!(view.outcome, SettlementOutcome::Ack, "it waits and is not refused: {view:?}");
    }
    assert_eq!(all.load(Ordering::Relaxed), 6);
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?}");
}
