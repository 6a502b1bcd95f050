//! A host that is told to end takes nothing new, finishes what is here, says what it could not finish, and can be
//! hurried.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use hostel_api::manifest::Manifest;
use hostel_tests::host::{Host, publication};
use hostel_tests::{raw, sample};

/// Publishes to `hostile` and returns once it runs.
async fn running(host: &Host, behaviour: &str) {
    host.client.publish(&publication("hostile.do", behaviour)).await.expect("published");
    host.until(|hostile| hostile.running > 0).await;
}

/// Lets an event take its time.
fn patient(manifest: &mut Manifest) {
    manifest.limits.deadline = Some("60s".parse().expect("a duration"));
}

/// The same, one event at a time.
fn in_turn(manifest: &mut Manifest) {
    patient(manifest);
    for subscription in &mut manifest.subscriptions {
        subscription.concurrency = std::num::NonZeroU32::new(1);
    }
}

#[tokio::test]
async fn an_idle_host_ends_at_once_and_well() {
    let host = Host::start().await;
    host.signal("TERM");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains("all deliveries ended"), "{said}");
}

/// Where nobody else has it.
#[tokio::test]
async fn what_runs_waits_and_sleeps_is_finished_first_where_it_is_not_kept() {
    let host = Host::start_with("broker.use = 'memory'").await;
    host.deploy(&sample("rust/hostile"), in_turn).await;
    running(&host, "sleep:3000").await;
    for behaviour in ["ok", "retry-until:2", "ok"] {
        host.client.publish(&publication("hostile.do", behaviour)).await.expect("published");
    }
    host.signal("TERM");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains("all deliveries ended"), "{said}");
}

#[tokio::test]
async fn what_is_kept_is_not_waited_for_and_goes_on_at_the_next_start() {
    // Far more than anybody waits for a host to end: an hour by its patience, and 500 s of work.
    let host = Host::start_with("shutdown_deadline = '1h'").await;
    host.deploy(&sample("rust/hostile"), in_turn).await;
    for _ in 0..50 {
        host.client.publish(&publication("hostile.do", "sleep:10000")).await.expect("published");
    }
    let began = host.until(|hostile| hostile.running == 1).await;
    assert_eq!((began.acked, began.waiting), (0, 49));
    let (said, data) = host.stop().await;
    assert!(said.contains("they are kept and go on at the next start"), "{said}");

    let host = Host::start_in(data, "").await;
    let again = host.until(|hostile| hostile.running == 1).await;
    // What ran was finished, and nothing else was begun.
    assert_eq!((again.acked, again.waiting), (0, 48));
}

#[tokio::test]
async fn while_it_drains_it_takes_nothing_new_and_says_that_it_is_not_ready() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), patient).await;
    running(&host, "sleep:4000").await;
    host.signal("TERM");
    let ready = raw::request("GET", "/readyz", &[], b"");
    loop {
        // The admin API is the last to go, so that one can watch.
        let answer = raw::exchange(host.admin, &ready).await.expect("still there");
        if answer.status == 503 {
            assert_eq!(answer.body, "shutting down\n");
            break;
        }
    }
    // It says so first and closes the ingress then; what comes in between is still taken, and handled.
    while host.client.publish(&publication("hostile.do", "ok")).await.is_ok() {}
    let answer = raw::exchange(host.admin, &ready).await.expect("the ingress closed before the host ended");
    assert_eq!(answer.status, 503);
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains("all deliveries ended"), "{said}");
}

#[tokio::test]
async fn a_second_signal_hurries_and_what_is_lost_is_told() {
    let host = Host::start_with("broker.use = 'memory'").await;
    host.deploy(&sample("rust/hostile"), |manifest| {
        manifest.limits.deadline = Some("1h".parse().expect("a duration"));
    })
    .await;
    running(&host, "sleep").await;
    host.signal("TERM");
    host.signal("INT");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains(r#""left":1"#), "{said}");
    assert!(said.contains("are lost with the memory broker"), "{said}");
}

#[tokio::test]
async fn patience_ends() {
    let host = Host::start_with("shutdown_deadline = '200ms'").await;
    host.deploy(&sample("rust/hostile"), |manifest| {
        manifest.limits.deadline = Some("1h".parse().expect("a duration"));
    })
    .await;
    running(&host, "sleep").await;
    host.signal("TERM");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains(r#""left":1"#), "{said}");
}

#[tokio::test]
async fn a_follower_that_does_not_read_does_not_hold_up_the_end() {
    use tokio::io::AsyncWriteExt;

    // If it did, the test would end for want of patience.
    let host = Host::start_with("shutdown_deadline = '1h'").await;
    let mut follower = tokio::net::TcpStream::connect(host.ingress).await.expect("the host listens");
    let request = raw::request("GET", "/topics/%3E/events", &[], b"");
    follower.write_all(&request).await.expect("sent");
    // More than the buffers of two sockets hold, so that the host's next write waits.
    for _ in 0..64 {
        host.client.publish(&publication("a", vec![b'x'; 512 * 1024])).await.expect("published");
    }
    host.signal("TERM");
    let (status, said) = host.ended().await;
    assert!(status.success(), "{said}");
    drop(follower);
}
