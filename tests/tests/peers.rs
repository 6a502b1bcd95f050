//! Two hosts that find each other in the registry of one of them: what one publishes reaches the handlers of the other.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use hostel_api::view::SubscriptionView;
use hostel_tests::cli::run;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;

/// A host, and one that uses its registry.
async fn pair(config: &str) -> [Host; 2] {
    let keeper = Host::start_with(config).await;
    let user = Host::start_with(&uses(&keeper, config)).await;
    [keeper, user]
}

fn uses(keeper: &Host, config: &str) -> String {
    format!("[registry]\nuse = \"http\"\naddress = \"http://{}\"\n{config}", keeper.admin)
}

async fn deploy_hello(host: &Host, topic: &str, queue: Option<&str>) {
    host.deploy(&sample("rust/hello"), |manifest| {
        for subscription in &mut manifest.subscriptions {
            topic.clone_into(&mut subscription.pattern);
            subscription.queue = queue.map(str::to_owned);
        }
    })
    .await;
}

/// Waits until a host sends events of a topic to so many nodes, and so far that a new one is not left alone any more.
async fn until_served(host: &Host, topic: &str, count: usize) {
    eventually(&format!("{count} peers hear {topic}"), async || {
        let peers = host.client.peers().await.expect("listed").items;
        peers.iter().filter(|peer| peer.topic == topic).count() == count
    })
    .await;
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn subscription(host: &Host, handler: &str) -> SubscriptionView {
    let all = host.client.subscriptions().await.expect("listed");
    all.into_iter().find(|subscription| subscription.handler == handler).expect("deployed")
}

async fn publish(host: &Host, topic: &str, count: usize) {
    for _ in 0..count {
        host.client.publish(&publication(topic, "x")).await.expect("published");
    }
}

#[tokio::test]
async fn broadcast_reaches_both_hosts_once() {
    let hosts = pair("").await;
    for host in &hosts {
        deploy_hello(host, "news.today", None).await;
    }
    for host in &hosts {
        until_served(host, "news.today", 1).await;
        publish(host, "news.today", 10).await;
    }
    for host in &hosts {
        eventually("all are handled", async || subscription(host, "hello").await.acked >= 20).await;
        let SubscriptionView { delivered, acked, dead_lettered, .. } = subscription(host, "hello").await;
        assert_eq!((delivered, acked, dead_lettered), (20, 20, 0));
    }
    let shown = run(&hosts[0], &["peers"]).await;
    assert!(shown.stdout.contains("news.today-") && shown.stdout.contains("reachable"), "{shown:?}");
}

#[tokio::test]
async fn a_queue_group_shares_its_events_across_hosts() {
    let hosts = pair("").await;
    for host in &hosts {
        deploy_hello(host, "jobs.todo", Some("workers")).await;
    }
    until_served(&hosts[0], "jobs.todo", 1).await;
    publish(&hosts[0], "jobs.todo", 60).await;
    let acked = async || subscription(&hosts[0], "hello").await.acked + subscription(&hosts[1], "hello").await.acked;
    eventually("all are handled", async || acked().await >= 60).await;
    assert_eq!(acked().await, 60, "each once");
    for host in &hosts {
        assert!(subscription(host, "hello").await.acked >= 10, "each gets its share");
    }
}

#[tokio::test]
async fn a_host_that_comes_back_gets_what_it_missed() {
    let keeper = Host::start().await;
    let user = Host::start_with(&uses(&keeper, "")).await;
    deploy_hello(&user, "jobs.todo", Some("workers")).await;
    until_served(&keeper, "jobs.todo", 1).await;
    publish(&keeper, "jobs.todo", 5).await;
    eventually("the first are handled", async || subscription(&user, "hello").await.acked == 5).await;

    // It says goodbye: no node is left, and the queue group keeps its events.
    drop(user.stop().await);
    publish(&keeper, "jobs.todo", 7).await;
    let again = Host::start_with(&uses(&keeper, "")).await;
    deploy_hello(&again, "jobs.todo", Some("workers")).await;
    eventually("what was missed is handled", async || subscription(&again, "hello").await.acked == 7).await;
    assert_eq!(subscription(&again, "hello").await.delivered, 7);
}

/// Each hop takes one `publish` off the text, so it would go round for long; the limit ends it sooner.
#[tokio::test]
async fn what_goes_round_in_a_circle_comes_to_an_end() {
    let hosts = pair("[peers]\nhops = 3\n").await;
    for (host, (hears, out)) in hosts.iter().zip([("ping.sent", "pong.sent"), ("pong.sent", "ping.sent")]) {
        host.deploy(&sample("rust/scribe"), |manifest| {
            for subscription in &mut manifest.subscriptions {
                hears.clone_into(&mut subscription.pattern);
            }
            manifest.publish = vec![out.to_owned()];
            manifest.config.0.insert("out".to_owned(), out.to_owned());
        })
        .await;
    }
    until_served(&hosts[0], "pong.sent", 1).await;
    until_served(&hosts[1], "ping.sent", 1).await;
    let text = "publish ".repeat(50);
    hosts[0].client.publish(&publication("ping.sent", text)).await.expect("published");

    let letters = async || {
        let mut all = Vec::new();
        for host in &hosts {
            all.extend(host.client.dead_letters(10, None).await.expect("listed").items);
        }
        all
    };
    eventually("the circle is broken", async || !letters().await.is_empty()).await;
    let letters = letters().await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert!(letter.reason.contains("it goes in a circle: "), "{}", letter.reason);
    let handled =
        async || subscription(&hosts[0], "scribe").await.acked + subscription(&hosts[1], "scribe").await.acked;
    eventually("all four are counted", async || handled().await >= 4).await;
    assert_eq!(handled().await, 4, "where it began, and after each of three crossings");
}
