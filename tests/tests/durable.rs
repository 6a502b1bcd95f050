//! What a host with a durable broker has when it is started again.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use hostel_api::client::{DeadLetterQuery, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::view::{MessageView, SettlementOutcome, SubscriptionView};
use hostel_tests::host::{Host, PATIENCE, publication, serve};
use hostel_tests::{sample, times};

/// Has the scribe do these lines; says what it logged.
async fn told(host: &Host, lines: &[&str]) -> Vec<String> {
    let settled = host.publish_and_wait("scribe.do", lines.join("\n")).await;
    let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
    assert_eq!(only.outcome, SettlementOutcome::Ack, "{only:?}");
    only.log.iter().map(|line| line.text.clone()).collect()
}

/// Waits until the scribe's subscription is as it should be.
async fn until(host: &Host, what: &str, is_so: impl Fn(&SubscriptionView) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let subscriptions = host.client.subscriptions().await.expect("listed");
        if subscriptions.iter().any(|one| one.handler == "scribe" && is_so(one)) {
            return;
        }
        assert!(Instant::now() < deadline, "not {what}: {subscriptions:?}");
    }
}

async fn restarted(host: Host) -> Host {
    let (said, data) = host.stop().await;
    assert!(!said.contains("are lost"), "{said}");
    Host::start_in(data, "").await
}

/// It sleeps in the broker, where the dispatcher does not see it.
#[tokio::test]
async fn what_waits_for_another_attempt_is_shown() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |manifest| {
        manifest.subscriptions[0].retry.backoff = Some("1h".parse().expect("a duration"));
        manifest.subscriptions[0].retry.backoff_limit = Some("1h".parse().expect("a duration"));
    })
    .await;
    host.client.publish(&publication("scribe.do", "retry")).await.expect("published");
    until(&host, "waiting", |one| (one.delivered, one.running, one.waiting) == (1, 0, 1)).await;
}

#[tokio::test]
async fn what_is_deployed_runs_again_with_its_keys_and_its_dead_letters() {
    let host = Host::start().await;
    let before = host.deploy(&sample("rust/scribe"), |_| ()).await;
    assert_eq!(told(&host, &["set notes k one"]).await, ["done"]);
    host.publish_and_wait("scribe.do", "set notes k lost\nreject").await;
    let letters = host.client.dead_letters(10, None).await.expect("listed").items;

    let host = restarted(host).await;
    assert_eq!(host.client.handlers().await.expect("listed"), [before]);
    assert_eq!(told(&host, &["get notes k"]).await, ["one"]);
    assert_eq!(host.client.dead_letters(10, None).await.expect("listed").items, letters);
    let letter = host.client.dead_letter(&letters[0].id).await.expect("kept");
    assert_eq!((letter.reason.as_str(), letter.attempts.len()), ("rejected on demand", 1));
    host.client.redrive(&letters[0].id).await.expect("redriven");

    host.client.undeploy("scribe").await.expect("undeployed");
    let host = restarted(host).await;
    assert_eq!(host.client.handlers().await.expect("listed"), []);
    assert_eq!(host.client.subscriptions().await.expect("listed"), []);
}

#[tokio::test]
async fn an_event_that_waits_for_its_retry_gets_it_after_a_crash() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    // Longer than it takes to see it wait, and to kill the host.
    host.client
        .publish(&publication("scribe.do", "first retry 5000\nincrement notes done 1"))
        .await
        .expect("published");
    until(&host, "retried", |one| one.delivered == 1 && one.running == 0).await;
    let host = Host::start_in(host.kill().await, "").await;
    until(&host, "acknowledged", |one| one.acked == 1).await;
    assert_eq!(told(&host, &["get notes done", "increment notes done 0"]).await[1], "1");
    let letters = host.client.dead_letters(1, None).await.expect("listed");
    assert!(letters.items.is_empty(), "the second attempt was the second: {letters:?}");
}

#[tokio::test]
async fn what_waits_is_kept_and_what_was_acked_early_is_not_done_again() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |manifest| {
        manifest.subscriptions[0].concurrency = NonZeroU32::new(1);
        manifest.subscriptions[0].window = NonZeroU32::new(2);
        manifest.limits.deadline = Some("60s".parse().expect("a duration"));
    })
    .await;
    let publish = async |lines: &str| host.client.publish(&publication("scribe.do", lines)).await.expect("published");
    publish("increment notes early 1\nack\nsleep 60000").await;
    for _ in 0..20 {
        // Many more than the window: those wait in the log.
        publish("increment notes waited 1").await;
    }
    until(&host, "acknowledged early", |one| one.acked == 1).await;
    let host = Host::start_in(host.kill().await, "").await;
    until(&host, "done", |one| one.acked == 20).await;
    assert_eq!(told(&host, &["increment notes early 0", "increment notes waited 0"]).await, ["1", "20"]);
}

/// The host is killed at many moments of an undeployment. Whenever that is, the next one has the handler whole with what
/// waits for it, or nothing of it.
#[tokio::test]
async fn an_undeployment_is_done_whole_or_not_at_all_whenever_the_host_dies() {
    let mut host = Host::start().await;
    for round in 0..times(6, 60) {
        host.deploy(&sample("rust/scribe"), |_| ()).await;
        host.client.pause("scribe").await.expect("paused");
        for _ in 0..5 {
            host.client.publish(&publication("scribe.do", "ack")).await.expect("published");
        }
        until(&host, "waiting", |one| one.waiting == 5).await;
        let undeploying = tokio::spawn({
            let client = host.client.clone();
            async move { client.undeploy("scribe").await }
        });
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        host = Host::start_in(host.kill().await, "").await;
        // Whether it was answered does not matter here.
        let _ = undeploying.await;
        let (handlers, subscriptions) = (host.client.handlers().await, host.client.subscriptions().await);
        let (handlers, subscriptions) = (handlers.expect("listed"), subscriptions.expect("listed"));
        match handlers.len() {
            0 => assert!(subscriptions.is_empty(), "{subscriptions:?}"),
            _ => until(&host, "waiting still", |one| one.waiting == 5 && !one.absent).await,
        }
        if !handlers.is_empty() {
            host.client.undeploy("scribe").await.expect("undeployed");
        }
    }
}

#[tokio::test]
async fn the_same_id_twice_is_one_event() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    let message = Publication { id: Some("o-1".to_owned()), ..publication("scribe.do", "increment notes n 1") };
    assert_eq!(host.client.publish(&message).await.expect("published").subscriptions, 1);
    assert_eq!(host.client.publish(&message).await.expect("seen before").subscriptions, 0);
    let host = restarted(host).await;
    assert_eq!(host.client.publish(&message).await.expect("seen before").subscriptions, 0);
    assert_eq!(told(&host, &["increment notes n 0"]).await, ["1"]);
}

#[tokio::test]
async fn a_handler_that_cannot_run_again_is_told_and_the_others_run() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    let hello = host.deploy(&sample("rust/hello"), |_| ()).await;
    let (_, data) = host.stop().await;
    let digest = hello.component.trim_start_matches("sha256:");
    std::fs::remove_file(data.path().join(format!("data/components/default/{digest}.wasm"))).expect("kept there");

    let host = Host::start_in(data, "").await;
    let handlers = host.client.handlers().await.expect("listed");
    let states: Vec<_> = handlers.iter().map(|one| (one.name.as_str(), one.failed.as_deref())).collect();
    let reason = format!("no component `sha256:{digest}`; upload it first");
    assert_eq!(states, [("hello", Some(reason.as_str())), ("scribe", None)]);
    assert_eq!(told(&host, &["get notes k"]).await, ["none"]);
    let absent =
        |views: Vec<SubscriptionView>| views.into_iter().filter(|one| one.absent).map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(absent(host.client.subscriptions().await.expect("listed")), ["default/hello:greetings.>"]);

    host.deploy(&sample("rust/hello"), |_: &mut Manifest| ()).await;
    assert!(host.client.handler("hello").await.expect("there").failed.is_none());
    assert!(absent(host.client.subscriptions().await.expect("listed")).is_empty());
    assert_eq!(host.publish_and_wait("greetings.sent", "hi").await.subscriptions.len(), 1);
}

#[tokio::test]
async fn dead_letters_are_found_by_what_they_say_edited_and_dropped() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    for lines in ["reject", "trap", "reject"] {
        host.publish_and_wait("scribe.do", lines).await;
    }
    let found =
        async |wanted: DeadLetterQuery| host.client.search_dead_letters(&wanted, 10, None).await.expect("listed").items;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(DeadLetterQuery { reason: text("On Demand"), ..DeadLetterQuery::default() }).await.len(), 2);
    assert_eq!(found(DeadLetterQuery { handler: text("scribe"), ..DeadLetterQuery::default() }).await.len(), 3);
    assert_eq!(found(DeadLetterQuery { handler: text("other"), ..DeadLetterQuery::default() }).await.len(), 0);
    assert_eq!(found(DeadLetterQuery { topic: text("scribe.*"), ..DeadLetterQuery::default() }).await.len(), 3);
    assert_eq!(found(DeadLetterQuery { until: text("1h"), ..DeadLetterQuery::default() }).await.len(), 0);
    let all = found(DeadLetterQuery { since: text("1h"), ..DeadLetterQuery::default() }).await;
    assert_eq!(all.len(), 3);

    host.client.drop_dead_letter(&all[1].id).await.expect("dropped");
    let message = MessageView { headers: Vec::new(), body: text("set notes k edited"), body_base64: None };
    host.client.redrive_as(&all[0].id, &message).await.expect("redriven");
    until(&host, "acknowledged", |one| one.acked == 1).await;
    assert_eq!(told(&host, &["get notes k"]).await, ["edited"]);
    let host = restarted(host).await;
    let left = host.client.dead_letters(10, None).await.expect("listed").items;
    assert_eq!(left.iter().map(|letter| &letter.id).collect::<Vec<_>>(), [&all[2].id]);
}

#[tokio::test]
async fn two_hosts_do_not_share_a_data_directory() {
    let host = Host::start().await;
    let second = serve(host.data()).output();
    let second = tokio::time::timeout(PATIENCE, second).await.expect("ends in time").expect("ran");
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("E0038") && said.contains("is used by another host that runs"), "{said}");
}
