//! A handler that keeps failing is not called any more, its events wait, and another version takes them on; an operator
//! may pause a handler as well.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;

use hostel_api::manifest::{Manifest, Quarantine, Retry};
use hostel_api::view::{PauseBy, SettlementOutcome, SubscriptionView};
use hostel_tests::cli::run;
use hostel_tests::host::{Host, publication};
use hostel_tests::sample;

/// Quarantined after four faults; patient with its events.
fn guarded(version: &str) -> impl FnOnce(&mut Manifest) {
    move |manifest| {
        version.clone_into(&mut manifest.version);
        "worker".clone_into(&mut manifest.name);
        let subscription = manifest.subscriptions.first_mut().expect("a subscription");
        "work.do".clone_into(&mut subscription.pattern);
        subscription.concurrency = NonZeroU32::new(1);
        let brief = Some("1ms".parse().expect("a duration"));
        subscription.retry = Retry { attempts: NonZeroU32::new(100), backoff: brief, backoff_limit: brief };
        subscription.quarantine = Quarantine { faults: Some(4), window: Some("60s".parse().expect("a duration")) };
    }
}

async fn publish(host: &Host, body: &str, count: usize) {
    for _ in 0..count {
        host.client.publish(&publication("work.do", body)).await.expect("published");
    }
}

/// Five events that make version 2 trap, until it is quarantined.
async fn quarantined(host: &Host) -> SubscriptionView {
    host.deploy(&sample("rust/hostile"), guarded("2.0.0")).await;
    publish(host, "trap", 5).await;
    host.until(|one| one.pause.is_some() && one.running == 0 && one.sleeping == 0 && one.waiting == 5).await
}

#[tokio::test]
async fn a_handler_that_keeps_trapping_is_quarantined_and_a_better_version_loses_nothing() {
    let host = Host::start().await;
    let view = quarantined(&host).await;
    let pause = view.pause.expect("looked for");
    assert_eq!(pause.by, PauseBy::Quarantine);
    let expected = "4 faults within 1m and no ack between them, the last a trap: ";
    assert!(pause.reason.starts_with(expected), "{pause:?}");
    assert_eq!((view.delivered, view.acked, view.dead_lettered), (4, 0, 0));
    let ran = run(&host, &["subscriptions"]).await;
    assert!(ran.stdout.contains(&format!("quarantined since {} because {expected}", pause.since)), "{ran:?}");

    publish(&host, "hi", 1).await;
    host.deploy(&sample("rust/hello"), guarded("3.0.0")).await;
    let view = host.until(|one| one.acked == 6).await;
    assert_eq!((view.pause, view.dead_lettered, view.waiting), (None, 0, 0));
    let (said, _) = host.stop().await;
    let warned = said.lines().filter(|line| line.contains("WARN") && line.contains("subscription quarantined"));
    assert_eq!(warned.count(), 1, "{said}");
}

#[tokio::test]
async fn a_rollback_brings_back_the_version_before_and_ends_the_quarantine() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), guarded("1.0.0")).await;
    let nothing = run(&host, &["rollback", "worker"]).await;
    assert!(nothing.code == Some(1) && nothing.stderr.contains("has had no other version"), "{nothing:?}");
    quarantined(&host).await;

    let ran = run(&host, &["rollback", "worker"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("rolled back `worker` to version 1.0.0 ("), "{ran:?}");
    let view = host.until(|one| one.acked == 5).await;
    assert_eq!((view.pause, view.dead_lettered), (None, 0));
    assert_eq!(host.client.handler("worker").await.expect("deployed").version, "1.0.0");
    // And back again.
    assert_eq!(host.client.rollback("worker").await.expect("rolled back").handler.version, "2.0.0");
}

#[tokio::test]
async fn a_resumed_handler_is_called_again_and_judged_anew() {
    let host = Host::start().await;
    quarantined(&host).await;
    let ran = run(&host, &["resume", "worker"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "resumed `default/worker:work.do`\n"));
    let view = host.until(|one| one.pause.is_some() && one.waiting == 5).await;
    assert_eq!((view.delivered, view.dead_lettered), (8, 0), "four more faults");
}

#[tokio::test]
async fn a_handler_that_may_fault_is_never_quarantined() {
    let host = Host::start().await;
    let tolerant = |manifest: &mut Manifest| {
        guarded("1.0.0")(manifest);
        manifest.subscriptions[0].quarantine = Quarantine { faults: Some(0), window: None };
        manifest.subscriptions[0].retry.attempts = NonZeroU32::new(20);
    };
    host.deploy(&sample("rust/hostile"), tolerant).await;
    let settled = host.publish_and_wait("work.do", "trap").await;
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::DeadLetter);
    assert_eq!(settled.subscriptions[0].attempts, 20);
}

#[tokio::test]
async fn an_operator_pauses_a_handler_and_its_events_wait() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), guarded("1.0.0")).await;
    let ran = run(&host, &["pause", "default/worker:work.do"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "paused `default/worker:work.do`; 0 events waiting\n"));
    publish(&host, "hi", 3).await;
    let view = host.until(|one| one.waiting == 3).await;
    assert_eq!(view.pause.expect("paused").by, PauseBy::Operator);
    // A deployment is no order to go on.
    host.deploy(&sample("rust/hello"), guarded("2.0.0")).await;
    assert!(host.until(|_| true).await.pause.is_some());
    run(&host, &["resume", "worker"]).await;
    assert_eq!(host.until(|one| one.acked == 3).await.pause, None);

    let unknown = run(&host, &["pause", "nobody"]).await;
    assert!(unknown.code == Some(1) && unknown.stderr.contains("no subscription or handler `nobody`"), "{unknown:?}");
}

#[tokio::test]
async fn a_host_that_ends_does_not_wait_for_what_is_paused() {
    let host = Host::start_with("shutdown_deadline = '55s'\nbroker = { use = 'memory' }").await;
    host.deploy(&sample("rust/hello"), guarded("1.0.0")).await;
    host.client.pause("worker").await.expect("paused");
    publish(&host, "hi", 1).await;
    host.until(|one| one.waiting == 1).await;
    let began = std::time::Instant::now();
    host.stop().await;
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_paused_stays_paused_when_the_host_is_started_again() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), guarded("1.0.0")).await;
    host.client.pause("worker").await.expect("paused");
    publish(&host, "hi", 2).await;
    let before = host.until(|one| one.waiting == 2).await.pause.expect("paused");

    let (_, data) = host.stop().await;
    let host = Host::start_in(data, "").await;
    let after = host.until(|one| one.waiting == 2).await.pause.expect("still paused");
    assert_eq!((after.by, after.since, after.reason), (before.by, before.since, before.reason));
    host.client.resume("worker").await.expect("resumed");
    host.until(|one| one.acked == 2).await;

    // What was resumed stays so, too, also after a crash.
    let host = Host::start_in(host.kill().await, "").await;
    assert_eq!(host.until(|_| true).await.pause, None);
}
