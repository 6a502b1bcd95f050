//! Bounds: windows, bytes, and what retention may drop.

use super::*;
use crate::conformance::imported;

fn big(id: &str, bytes: usize) -> Arc<Event> {
    let message = hostel_event::message::Message { body: vec![7; bytes].into(), ..Default::default() };
    Arc::new(Event { message, ..Event::clone(&event(id, "a")) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_wait_within_window_and_bytes_and_come_in_order() {
    const COUNT: usize = 100_000;
    let mut world = World::new();
    world.settings.policy.sync = Sync::Never;
    world.settings.memory = 64 * 110;
    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 50, ..subscription("a", "a") }).await;
    let publishes = (0..COUNT).map(|id| host.broker.publish(big(&id.to_string(), 100).into()));
    for chunk in publishes.collect::<Vec<_>>().chunks_mut(4096) {
        let receipts = futures_util::future::join_all(chunk.iter_mut().map(|publish| publish.as_mut())).await;
        assert!(receipts.iter().all(Result::is_ok));
    }
    let id = subscription("a", "a").id;
    assert_eq!(host.broker.unsettled(&id), Some(COUNT));
    let mut next = 0;
    let mut most = 0;
    while next < COUNT {
        let taken = std::cell::RefCell::new(Vec::new());
        until("some came", async || {
            taken.borrow_mut().append(&mut sink.take());
            !taken.borrow().is_empty()
        })
        .await;
        let taken = taken.into_inner();
        assert!(host.broker.bytes() <= world.settings.memory);
        most = most.max(taken.len());
        assert!(taken.len() <= 50);
        for delivery in &taken {
            assert_eq!(delivery.event.id.as_str(), next.to_string());
            next += 1;
        }
        let acks = taken.into_iter().map(|delivery| delivery.settle.settle(Settlement::Ack(Effects::default())));
        assert!(futures_util::future::join_all(acks).await.iter().all(Result::is_ok));
    }
    assert!(most > 1, "several at a time");
    assert_eq!(host.broker.bytes(), 0);
    host.stop().await;
    assert_eq!(world.start().await.broker.orphans()[0].unsettled, 0);
}

#[tokio::test]
async fn an_event_larger_than_all_the_room_goes_alone() {
    let mut world = World::new();
    world.settings.memory = 1000;
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    for (id, bytes) in [("1", 500), ("2", 5000), ("3", 10)] {
        host.broker.publish(big(id, bytes).into()).await.unwrap();
    }
    for id in ["1", "2", "3"] {
        let delivery = take(&sink, 1).await.remove(0);
        assert_eq!(delivery.event.id.as_str(), id);
        ack(delivery).await;
    }
    assert_eq!(host.broker.bytes(), 0);
    host.stop().await;
}

async fn publish_many(host: &Host, from: usize, count: usize) {
    let publishes = (from..from + count).map(|id| host.broker.publish(event(&id.to_string(), "a").into()));
    assert!(futures_util::future::join_all(publishes).await.iter().all(Result::is_ok));
}

fn kept(host: &Host) -> usize {
    let snapshot = host.log.snapshot();
    let topic = snapshot.topic("acme", "a").unwrap().unwrap();
    snapshot.events(&topic, Offset(0), usize::MAX).unwrap().len()
}

#[tokio::test]
async fn retention_waits_for_what_is_unsettled() {
    retention_waits(subscription("a", "a")).await;
}

#[tokio::test]
async fn retention_waits_for_an_importer_too() {
    retention_waits(imported("a", "a")).await;
}

async fn retention_waits(for_whom: Subscription) {
    let mut world = World::new();
    world.settings.policy.retention.events = Some(0);
    world.settings.policy.sync = Sync::Never;
    let host = world.start().await;
    let sink = host.subscribe(for_whom).await;
    let silent = host.subscribe(subscription("b", "other")).await;
    publish_many(&host, 0, 3000).await;
    let mut deliveries = take(&sink, 3000).await;
    let stuck = deliveries.remove(1500);
    for delivery in deliveries {
        ack(delivery).await;
    }
    // The first stretch of 1024 goes, the second holds what is unsettled: nothing at or above it goes.
    until("the first part was dropped", async || kept(&host) < 3000).await;
    tokio::time::sleep(world.settings.tick * 20).await;
    assert_eq!(kept(&host), 1500);
    ack(stuck).await;
    until("the rest was dropped", async || kept(&host) == 0).await;
    assert!(silent.take().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn retention_drops_what_is_unsettled_where_the_operator_said_so() {
    let mut world = World::new();
    world.settings.policy.retention =
        Retention { events: Some(0), unsettled: Unsettled::Drop, ..world.settings.policy.retention };
    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 1, ..subscription("a", "a") }).await;
    publish_many(&host, 0, 5).await;
    until("all was dropped", async || kept(&host) == 0).await;
    ack(take(&sink, 1).await.remove(0)).await;
    until("the others were counted", async || host.broker.counts().gone == 4).await;
    until("all is settled", async || host.broker.unsettled(&subscription("a", "a").id) == Some(0)).await;
    assert!(sink.take().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn what_is_stored_is_counted_by_tenant_until_retention_drops_it() {
    let mut world = World::new();
    world.settings.policy.retention.events = Some(0);
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    let (acme, other) = (subscription("a", "a").tenant, Tenant::new("other").unwrap());
    for id in ["1", "2"] {
        host.broker.publish(big(id, 500).into()).await.unwrap();
    }
    let stored = host.broker.stored(&acme).unwrap();
    assert!((1000..2000).contains(&stored), "{stored}");
    assert_eq!(host.broker.stored(&other), Some(0));
    for delivery in take(&sink, 2).await {
        ack(delivery).await;
    }
    until("what is settled was dropped", async || host.broker.stored(&acme) == Some(0)).await;
    host.stop().await;
}
