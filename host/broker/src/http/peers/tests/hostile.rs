//! Peers that do not behave: each costs itself only.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::http::client;

use super::*;

/// Takes connections and says these bytes on each once something has come in, then closes, or never says anything more.
struct Rude {
    address: String,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    /// Says the same again and again.
    Repeat,
}

impl Rude {
    async fn start(bytes: &'static [u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (all, connections) = (stop.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Some(Ok((mut stream, _))) = all.run_until_cancelled(listener.accept()).await {
                let stop = all.clone();
                connections.spawn(async move {
                    let talk = async {
                        let mut request = [0; 1024];
                        if stream.read(&mut request).await.is_err() {
                            return;
                        }
                        loop {
                            // Whoever hangs up has heard enough.
                            if stream.write_all(bytes).await.is_err() {
                                return;
                            }
                            match then {
                                Then::Close => return,
                                Then::Hang => std::future::pending().await,
                                Then::Repeat => {}
                            }
                        }
                    };
                    let _ = stop.run_until_cancelled(talk).await;
                });
            }
        });
        Self { address, stop, tasks }
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn impatient() -> client::Settings {
    client::Settings { answer_limit: Duration::from_secs(1), ..client::Settings::default() }
}

/// A node that gives no answer costs an event its attempts; a node beside it is served meanwhile.
async fn check(bytes: &'static [u8], then: Then, expected: &str) {
    let mut settings = quick();
    settings.courier.unanswered = 3;
    let (rig, rude, good) =
        (Rig::with(settings, impatient()), Rude::start(bytes, then).await, Subscriber::start().await);
    rig.come(BROADCAST, "jobs-rude", &rude.address).await;
    rig.come(BROADCAST, "jobs-good", &good.address).await;
    rig.publish("jobs", "1").await;
    until("the good one is served", || good.count() == 1).await;
    until("the event is given up", || rig.settled() == 2).await;
    let reasons = rig.dead_letters();
    let start = format!("gave up after 3 attempts without an answer: {}", rude.address);
    assert!(reasons[0].starts_with(&start) && reasons[0].contains(expected), "{reasons:?}");
    let letter = rig.broker.dead_letters().list(&Tenant::new("acme").unwrap(), None, 1).remove(0);
    assert_eq!(letter.history.len(), 3);
    assert_eq!(rig.close().await, 0);
    rude.stop().await;
}

#[tokio::test]
async fn one_that_closes_without_an_answer_does_not_hold_an_event_for_ever() {
    check(b"", Then::Close, "closed").await;
}

#[tokio::test]
async fn garbage_is_no_answer() {
    check(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Then::Close, "invalid HTTP version").await;
}

#[tokio::test]
async fn one_that_never_answers_runs_into_the_limit() {
    check(b"", Then::Hang, "no answer within 1s").await;
}

#[tokio::test]
async fn endless_headers_are_bounded() {
    check(b"HTTP/1.1 200 OK\r\nX: y\r\nX: y\r\n", Then::Hang, "no answer within 1s").await;
    check(&HEADERS, Then::Repeat, "large").await;
}

/// A head that never ends.
static HEADERS: [u8; 4096] = {
    let mut bytes = [b'x'; 4096];
    let start = b"HTTP/1.1 200 OK\r\nX: ";
    let mut at = 0;
    while at < start.len() {
        bytes[at] = start[at];
        at += 1;
    }
    bytes
};

#[tokio::test]
async fn an_endless_body_is_cut_and_the_answer_stands() {
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let (rig, rude) = (Rig::new(quick()), Rude::start(head, Then::Repeat).await);
    rig.come(BROADCAST, "jobs-rude", &rude.address).await;
    rig.publish("jobs", "1").await;
    rig.publish("jobs", "2").await;
    until("both are settled", || rig.settled() == 2).await;
    assert!(rig.dead_letters().is_empty());
    rig.close().await;
    rude.stop().await;
}

#[tokio::test]
async fn redirects_are_not_followed_and_count_as_failures() {
    let elsewhere = Subscriber::start().await;
    let location = format!("http://{}/", elsewhere.address);
    let redirect = || answer(307, &[("Location", &location)], "");
    let (rig, one) = (Rig::new(quick()), Subscriber::scripted(vec![redirect(), redirect(), redirect()]).await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    rig.publish("jobs", "1").await;
    until("it is given up", || rig.settled() == 1).await;
    assert_eq!((one.count(), elsewhere.count()), (3, 0));
    assert_eq!(rig.dead_letters(), ["gave up after 3 attempts: answered with status 307 Temporary Redirect"]);
    rig.close().await;
}

#[tokio::test]
async fn an_answered_failure_is_tried_again_in_order_and_then_dead_lettered_with_its_history() {
    let no = || answer(500, &[], r#"{"detail":"Topic not found"}"#);
    let (rig, one) =
        (Rig::new(quick()), Subscriber::scripted(vec![no(), answer(200, &[], ""), no(), no(), no()]).await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    for body in ["1", "2", "3"] {
        rig.publish("jobs", body).await;
    }
    until("all are settled", || rig.settled() == 3).await;
    assert_eq!(one.bodies(), ["1", "1", "2", "2", "2", "3"]);
    let letter = rig.broker.dead_letters().list(&Tenant::new("acme").unwrap(), None, 1).remove(0);
    let expected = r#"answered with status 500 Internal Server Error: {"detail":"Topic not found"}"#;
    assert_eq!(letter.reason, format!("gave up after 3 attempts: {expected}"));
    assert_eq!(letter.history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(letter.history[2].report.outcome.reason(), Some(&*format!("node `jobs-1` {expected}")));
    assert!(rig.view("jobs-1").unwrap().reachable, "who answers is there");
    rig.close().await;
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let busy = answer(503, &[("Retry-After", "1")], "");
    let (rig, one) = (Rig::new(quick()), Subscriber::scripted(vec![busy]).await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    let began = std::time::Instant::now();
    rig.publish("jobs", "1").await;
    until("it is settled", || rig.settled() == 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(one.count(), 2);
    rig.close().await;
}

#[tokio::test]
async fn a_failing_event_does_not_hold_up_a_queue_group() {
    let later = answer(503, &[("Retry-After", "3600")], "");
    let (rig, one) = (Rig::new(quick()), Subscriber::scripted(vec![later]).await);
    rig.come("q", "jobs-1", &one.address).await;
    for body in ["1", "2", "3"] {
        rig.publish("jobs", body).await;
    }
    until("the others are settled", || rig.settled() == 2).await;
    assert_eq!(one.bodies(), ["1", "2", "3"]);
    assert_eq!(rig.peers.close(Duration::from_millis(10)).await, 1);
}

#[tokio::test]
async fn a_registry_that_shows_a_hundred_thousand_nodes_is_bounded_and_others_are_served() {
    let (rig, one) = (Rig::new(Settings { nodes: 1000, ..quick() }), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    let mut flood = node("flood", BROADCAST, "flood", "127.0.0.1:1");
    let one_node = flood.nodes[0].clone();
    flood.nodes = (0..100_000)
        .map(|number| hostel_event::port::Node { id: format!("flood-{number}"), ..one_node.clone() })
        .collect();
    rig.registry.come(flood);
    until("it is counted", || rig.peers.state().beyond == 99_001).await;
    assert_eq!(rig.peers.state().peers.len(), 1000);
    rig.publish("jobs", "1").await;
    until("it is settled", || rig.settled() == 1).await;
    assert_eq!(one.bodies(), ["1"]);
    rig.close().await;
}
