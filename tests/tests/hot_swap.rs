//! A handler is replaced under load, started with the host, and taken from the cache after a restart: no event is lost
//! on the way.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hostel_api::manifest::Manifest;
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::Host;
use hostel_tests::{sample, times};

fn version(number: u32) -> impl FnOnce(&mut Manifest) {
    move |manifest| manifest.version = format!("{number}.0.0")
}

#[tokio::test(flavor = "multi_thread")]
async fn swapping_versions_under_load_loses_nothing() {
    const PUBLISHERS: usize = 8;

    let swaps = times(20, 200);
    let host = Arc::new(Host::start().await);
    host.deploy(&sample("rust/hello"), version(0)).await;
    let (stop, published) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let publish = || {
        let (host, stop, published) = (Arc::clone(&host), Arc::clone(&stop), Arc::clone(&published));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let settled = host.publish_and_wait("greetings.swap", "hi").await;
                let [only] = &settled.subscriptions[..] else { panic!("{settled:?}") };
                assert_eq!((only.outcome, only.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
                published.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let publishers: Vec<_> = (0..PUBLISHERS).map(|_| tokio::spawn(publish())).collect();
    for number in 1..=swaps {
        let seen = published.load(Ordering::Relaxed);
        host.deploy(&sample("rust/hello"), version(number)).await;
        // Each version serves for a while before the next one comes.
        while published.load(Ordering::Relaxed) < seen + 20 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.expect("every event was handled at its first attempt");
    }
    let published = published.load(Ordering::Relaxed);
    let subscriptions = host.client.subscriptions().await.expect("listed");
    assert_eq!((subscriptions[0].delivered, subscriptions[0].acked), (published, published));
    assert_eq!(host.client.handler("hello").await.expect("deployed").version, format!("{swaps}.0.0"));
}

#[tokio::test]
async fn the_same_manifest_again_changes_nothing() {
    let host = Host::start().await;
    let first = host.deploy(&sample("rust/hello"), version(1)).await;
    let again = host.deploy(&sample("rust/hello"), version(1)).await;
    assert_eq!(first, again, "not even the time of deployment");
}

#[tokio::test]
async fn a_version_that_is_refused_leaves_the_old_one_serving() {
    let host = Host::start().await;
    let old = host.deploy(&sample("rust/hello"), version(1)).await;
    let unknown = format!("sha256:{}", "0".repeat(64));
    let mut manifest = Manifest::from_toml(
        &format!("name = 'hello'\ncomponent = '{unknown}'\nsubscriptions = [{{ pattern = 'greetings.>' }}]"),
        "handler.toml",
    )
    .expect("a good manifest");
    host.client.deploy(&manifest).await.expect_err("the component was never uploaded");
    manifest.component.clone_from(&old.component);
    manifest.limits.memory = Some("64KiB".parse().expect("a size"));
    let refusal = host.client.deploy(&manifest).await.expect_err("the guest needs more at its start").to_string();
    assert!(refusal.contains("memory"), "{refusal}");
    assert_eq!(host.client.handler("hello").await.expect("deployed"), old);
    let settled = host.publish_and_wait("greetings.still", "hi").await;
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack);
}

#[tokio::test]
async fn a_new_version_hears_its_own_patterns_only() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let pattern = |manifest: &mut Manifest| manifest.subscriptions[0].pattern = "other.topic".to_owned();
    host.deploy(&sample("rust/hello"), pattern).await;
    assert!(host.publish_and_wait("greetings.old", "hi").await.subscriptions.is_empty());
    assert_eq!(host.publish_and_wait("other.topic", "hi").await.subscriptions.len(), 1);
    assert_eq!(host.client.subscriptions().await.expect("listed").len(), 1);
}

#[tokio::test]
async fn handlers_in_the_config_serve_from_the_start() {
    let manifest = sample("rust/hello");
    let host = Host::start_with(&format!("handlers = ['{}']", manifest.display())).await;
    let settled = host.publish_and_wait("greetings.first", "hi").await;
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack);
}

#[tokio::test]
async fn compiled_code_outlives_the_host_and_damaged_code_is_compiled_again() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let code = compiled(&host);
    let written = || std::fs::metadata(&code).and_then(|file| file.modified()).expect("there");
    let first = written();
    let (_, data) = host.stop().await;

    let host = Host::start_in(data, "").await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    assert_eq!(first, written(), "taken from the cache and not compiled again");
    let (_, data) = host.stop().await;

    let whole = std::fs::read(&code).expect("there");
    std::fs::write(&code, &whole[..whole.len() / 2]).expect("cut");
    let host = Host::start_in(data, "").await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let settled = host.publish_and_wait("greetings.again", "hi").await;
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack);
    assert_eq!(std::fs::read(&code).expect("there").len(), whole.len(), "whole again");
}

/// The one file of compiled code below the host's data.
fn compiled(host: &Host) -> PathBuf {
    let mut folders = vec![host.data().join("data/cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "cwasm") {
                return entry;
            }
        }
    }
    panic!("nothing was compiled");
}
