//! Retries, delays, expiry and the window in which an id is known, across restarts.

use hostel_event::id::EventId;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_retry_comes_at_its_time_with_its_history_whatever_happened_between() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    host.publish("1", "a").await;
    retry(take(&sink, 1).await.remove(0), Duration::ZERO).await;
    let second = take(&sink, 1).await.remove(0);
    assert_eq!(second.history, [failed(1)]);
    retry(second, MINUTE).await;
    host.publish("2", "a").await;
    let running = take(&sink, 1).await;
    assert_eq!(ids(&running), ["2"]);
    host.crash(&world).await;
    drop(running);

    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    ack(take(&sink, 1).await.remove(0)).await;
    world.pass(MINUTE / 2);
    host.publish("3", "a").await;
    assert_eq!(ids(&take(&sink, 1).await), ["3"], "the retry is not due");
    world.pass(MINUTE / 2);
    // What was taken above was dropped unused and may come at any moment.
    let again = std::cell::RefCell::new(Vec::new());
    until("the retry came", async || {
        again.borrow_mut().append(&mut sink.take());
        again.borrow().iter().any(|delivery: &Delivery| delivery.event.id.as_str() == "1")
    })
    .await;
    let retried = again.into_inner().into_iter().find(|delivery| delivery.event.id.as_str() == "1").unwrap();
    assert_eq!(retried.history, [failed(1), failed(2)]);
    ack(retried).await;
    host.stop().await;
    assert_eq!(world.start().await.log.snapshot().next_due().unwrap(), None, "nothing is remembered of it");
}

#[tokio::test]
async fn a_delayed_publish_comes_once_at_its_time_to_who_hears_it_then() {
    let world = World::new();
    let host = world.start().await;
    let not_before = Some(Timestamp::from_millis(START + 60_000));
    let delayed = |id: &str| Admitted { not_before, given_id: true, ..event(id, "a").into() };
    for id in ["1", "2", "1"] {
        let receipt = host.broker.publish(delayed(id)).await.unwrap();
        assert_eq!((receipt.id.as_str(), receipt.subscriptions.len()), (id, 0));
    }
    host.crash(&world).await;

    let host = world.start().await;
    let sink = host.subscribe(subscription("late", "a")).await;
    host.publish("now", "a").await;
    ack(take(&sink, 1).await.remove(0)).await;
    assert!(sink.take().is_empty());
    world.pass(MINUTE);
    let due = take(&sink, 2).await;
    assert_eq!(ids(&due), ["1", "2"]);
    for delivery in due {
        ack(delivery).await;
    }
    host.stop().await;
    let host = world.start().await;
    assert_eq!(host.log.snapshot().next_scheduled().unwrap(), None);
    assert_eq!(host.broker.orphans()[0].unsettled, 0);
    host.stop().await;
}

#[tokio::test]
async fn nothing_scheduled_is_published_before_all_subscriptions_are_there() {
    let world = World::new();
    let host = world.start().await;
    let not_before = Some(Timestamp::from_millis(START + 1));
    host.broker.publish(Admitted { not_before, ..event("1", "a").into() }).await.unwrap();
    host.stop().await;
    world.pass(MINUTE);

    let host = world.open_in(&world.path()).await;
    host.publish("2", "b").await;
    let sink = host.subscribe(subscription("a", "a")).await;
    host.broker.begin();
    assert_eq!(take(&sink, 1).await[0].event.id.as_str(), "1");
    host.stop().await;
}

#[tokio::test]
async fn an_id_that_was_given_counts_once_within_its_window_topic_and_audience() {
    let world = World::new();
    let host = world.start().await;
    let given = |id: &str, topic: &str| Admitted { given_id: true, ..event(id, topic).into() };
    let sink = host.subscribe(subscription("a", ">")).await;
    let reached = async |host: &Host, admitted: Admitted| {
        let receipt = host.broker.publish(admitted).await.unwrap();
        assert_eq!(receipt.id.as_str(), "1");
        receipt.subscriptions.len()
    };
    assert_eq!(reached(&host, given("1", "a")).await, 1);
    assert_eq!(reached(&host, given("1", "a")).await, 0);
    assert_eq!(reached(&host, given("1", "b")).await, 1);
    assert_eq!(reached(&host, event("1", "a").into()).await, 1, "an id of the host's own");
    let to_node = Admitted { audience: hostel_event::subscription::Audience::Node { queue: None }, ..given("1", "a") };
    assert_eq!(reached(&host, to_node).await, 0, "a wildcard does not stand for a node");
    let held = take(&sink, 3).await;
    host.crash(&world).await;

    let host = world.start().await;
    drop(held);
    let sink = host.subscribe(subscription("a", ">")).await;
    let held = take(&sink, 3).await;
    world.pass(MINUTE);
    assert_eq!(reached(&host, given("1", "a")).await, 0);
    world.pass(MINUTE + Duration::from_millis(1));
    assert_eq!(reached(&host, given("1", "a")).await, 1);
    drop(held);
    host.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_settled_and_counted_instead_of_delivered() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 1, ..subscription("a", "a") }).await;
    let expiring = |id: &str, after: u64| {
        let expires_at = Some(Timestamp::from_millis(START + after));
        Arc::new(Event { expires_at, ..Event::clone(&event(id, "a")) })
    };
    host.publish("1", "a").await;
    host.broker.publish(expiring("2", 1000).into()).await.unwrap();
    host.broker.publish(expiring("3", 90_000).into()).await.unwrap();
    world.pass(MINUTE);
    ack(take(&sink, 1).await.remove(0)).await;
    let third = take(&sink, 1).await.remove(0);
    assert_eq!(third.event.id.as_str(), "3");
    ack(third).await;
    host.broker.publish(expiring("4", 0).into()).await.unwrap();
    until("both were counted", async || host.broker.counts().expired == 2).await;
    until("both were told", async || sink.expired().len() == 2).await;
    assert_eq!(sink.expired().iter().map(EventId::as_str).collect::<Vec<_>>(), ["2", "4"]);
    until("both were settled", async || host.broker.unsettled(&subscription("a", "a").id) == Some(0)).await;
    host.stop().await;
    assert_eq!(world.start().await.broker.orphans()[0].unsettled, 0);
}
