//! `order_by`: what has a header's value in common is handled in order, and the rest beside it.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use hostel_api::client::{LogQuery, Publication};
use hostel_api::manifest::{Manifest, Retry};
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;

fn by_customer(manifest: &mut Manifest) {
    let only = manifest.subscriptions.first_mut().expect("a subscription");
    only.order_by = Some("header:Customer".to_owned());
    only.retry = Retry {
        attempts: std::num::NonZeroU32::new(3),
        backoff: Some("1ms".parse().expect("a duration")),
        backoff_limit: None,
    };
}

fn of_customer(topic: &str, customer: &str, body: &str) -> Publication {
    Publication { headers: vec![("customer".to_owned(), customer.to_owned())], ..publication(topic, body) }
}

const CUSTOMERS: [&str; 4] = ["ann", "bob", "cid", "dan"];
const EVENTS: usize = 25;
const ALL: u64 = (CUSTOMERS.len() * EVENTS) as u64;

/// The events of all customers, of which each fifth fails at first. Each logs the how-manieth of its customer it was.
async fn publish(host: &Host) {
    for number in 0..EVENTS {
        for customer in CUSTOMERS {
            let again = if number % 5 == 0 { "first retry\n" } else { "" };
            let body = format!("{again}increment notes {customer} 1");
            let id = Some(format!("{customer}-{number}"));
            let publication = Publication { id, ..of_customer("scribe.do", customer, &body) };
            host.client.publish(&publication).await.expect("published");
        }
    }
}

async fn assert_in_order(host: &Host) {
    let done = host.until(|one| one.acked == ALL).await;
    assert_eq!((done.retried, done.dead_lettered, done.waiting), (ALL / 5, 0, 0));
    let lines = host.client.logs(&LogQuery { handler: None, limit: Some(1_000) }).await.expect("the log");
    assert_eq!(lines.len() as u64, ALL);
    for line in lines {
        let (_, number) = line.event.rsplit_once('-').expect("an id of this test");
        let place = number.parse::<usize>().expect("a number") + 1;
        assert_eq!(line.text, place.to_string(), "{line:?}");
    }
}

#[tokio::test]
async fn each_customers_events_are_handled_in_the_order_of_publishing_also_when_some_are_retried() {
    for broker in ["durable", "memory"] {
        let host = Host::start_with(&format!("[broker]\nuse = '{broker}'")).await;
        host.deploy(&sample("rust/scribe"), by_customer).await;
        publish(&host).await;
        assert_in_order(&host).await;
    }
}

#[tokio::test]
async fn the_order_survives_a_restart() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), by_customer).await;
    host.client.pause("scribe").await.expect("paused");
    publish(&host).await;
    host.until(|one| one.waiting == ALL).await;
    let (_, data) = host.stop().await;

    let host = Host::start_in(data, "").await;
    host.client.resume("scribe").await.expect("resumed");
    assert_in_order(&host).await;
}

#[tokio::test]
async fn a_customer_whose_event_waits_for_a_retry_holds_up_nobody_else() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), by_customer).await;
    for body in ["retry-after:3600000", "ok"] {
        host.client.publish(&of_customer("hostile.do", "ann", body)).await.expect("published");
    }
    host.until(|one| one.sleeping == 1).await;
    let other = host.client.publish_and_wait(&of_customer("hostile.do", "bob", "ok"), PATIENCE).await;
    assert_eq!(other.expect("published").subscriptions[0].outcome, SettlementOutcome::Ack);
    // Those without the header have an order of their own.
    assert_eq!(host.publish_and_wait("hostile.do", "ok").await.subscriptions[0].outcome, SettlementOutcome::Ack);
    let now = host.until(|one| one.acked == 2).await;
    assert_eq!((now.sleeping, now.waiting, now.delivered), (1, 1, 3), "ann's second waits behind her first");
}

#[tokio::test]
async fn a_dead_letter_lets_the_next_of_its_customer_go() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hostile"), by_customer).await;
    for body in ["trap", "reject", "early-ack-then-trap"] {
        host.client.publish(&of_customer("hostile.do", "ann", body)).await.expect("published");
    }
    let last = host.client.publish_and_wait(&of_customer("hostile.do", "ann", "ok"), PATIENCE).await;
    assert_eq!(last.expect("published").subscriptions[0].outcome, SettlementOutcome::Ack);
    let now = host.until(|one| one.acked == 2 && one.dead_lettered == 2).await;
    assert_eq!((now.waiting, now.running, now.sleeping, now.delivered), (0, 0, 0, 6));
}

#[tokio::test]
async fn an_order_by_anything_else_is_refused() {
    let host = Host::start().await;
    let text = std::fs::read_to_string(sample("rust/hello")).expect("a manifest");
    let mut manifest = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
    manifest.component = format!("sha256:{}", "0".repeat(64));
    manifest.subscriptions[0].order_by = Some("body".to_owned());
    let refusal = host.client.deploy(&manifest).await.expect_err("no such order").to_string();
    let expected = "`subscriptions[0].order_by`: `body` is not `header:` and a header's name";
    assert!(refusal.contains(expected), "{refusal}");
}
