//! `Hostel-Expires` and `Hostel-Deliver-At`: from when on, and until when, an event is wanted.

use std::time::{Duration, Instant};

use hostel_api::client::{ClientError, Publication};
use hostel_api::view::SettlementOutcome;
use hostel_tests::cli::run;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;

fn with(header: &str, time: &str) -> Publication {
    Publication { headers: vec![(header.to_owned(), time.to_owned())], ..publication("hostile.do", "ok") }
}

#[tokio::test]
async fn an_event_that_expires_while_it_waits_is_never_handled() {
    const AGE: Duration = Duration::from_secs(2);

    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    host.client.pause("hostile").await.expect("paused");
    let client = host.client.clone();
    let waiting = tokio::spawn(async move { client.publish_and_wait(&with("Hostel-Expires", "2s"), PATIENCE).await });
    host.until(|one| one.waiting == 1).await;
    // Age is what this is about, so time has to pass.
    tokio::time::sleep(AGE + Duration::from_millis(100)).await;
    host.client.resume("hostile").await.expect("resumed");
    let settled = waiting.await.expect("no panic").expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("{settled:?}") };
    assert_eq!((settled.settled, only.outcome, only.attempts), (true, SettlementOutcome::Expired, 0));
    let now = host.until(|one| one.expired == 1).await;
    assert_eq!((now.delivered, now.acked, now.dead_lettered, now.waiting), (0, 0, 0, 0));
}

#[tokio::test]
async fn an_event_that_is_young_enough_is_handled() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    for time in ["1h", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.5+01:00"] {
        let settled = host.client.publish_and_wait(&with("Hostel-Expires", time), PATIENCE).await.expect("published");
        assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack, "{time}");
    }
    let ran = run(&host, &["publish", "hostile.do", "ok", "--wait", "--expires", "5m"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn a_malformed_time_is_refused_with_what_to_write() {
    let host = Host::start().await;
    for header in ["Hostel-Expires", "Hostel-Deliver-At"] {
        let refusal = host.client.publish(&with(header, "tomorrow")).await.expect_err("no time");
        let ClientError::Problem { problem, .. } = &refusal else { panic!("{refusal}") };
        let expected = format!(
            "header `{header}`: \"tomorrow\" is neither a time nor a duration; \
             write for example `2026-01-31T12:00:00Z` or `5m`"
        );
        assert_eq!((problem.code.as_str(), &problem.detail), ("E0017", &expected));
    }
    let ran = run(&host, &["publish", "hostile.do", "ok", "--deliver-at", "tomorrow"]).await;
    assert!(ran.code == Some(1) && ran.stderr.contains("write for example"), "{ran:?}");
}

#[tokio::test]
async fn an_event_for_later_is_not_handled_before_its_time() {
    const DELAY: Duration = Duration::from_secs(1);

    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    let began = Instant::now();
    let ran = run(&host, &["publish", "hostile.do", "ok", "--deliver-at", "1s"]).await;
    let expected = "kept; it is published when its time comes, for those who hear its topic then\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), expected));
    let now = host.until(|one| one.acked == 1).await;
    assert!(began.elapsed() >= DELAY, "{now:?}");

    let past = with("Hostel-Deliver-At", "2001-01-01T00:00:00Z");
    assert_eq!(host.client.publish(&past).await.expect("published").subscriptions, 1, "at once");
    let both = host.client.publish_and_wait(&past, PATIENCE).await.expect_err("contradictory").to_string();
    assert!(both.contains("`wait=settled` does not wait for an event with a `Hostel-Deliver-At` header"), "{both}");
}

#[tokio::test]
async fn a_broker_that_cannot_publish_later_says_so() {
    let host = Host::start_with("[broker]\nuse = 'memory'").await;
    let refusal = host.client.publish(&with("Hostel-Deliver-At", "1s")).await.expect_err("not kept for later");
    let ClientError::Problem { problem, .. } = &refusal else { panic!("{refusal}") };
    let expected = "header `Hostel-Deliver-At`: this host's broker publishes nothing later; leave it out";
    assert_eq!((problem.code.as_str(), problem.detail.as_str()), ("E0017", expected));
    host.client.publish(&with("Hostel-Deliver-At", "0s")).await.expect("now is not later");
}
