//! Replays: what comes again, in which order, and across restarts.

use hostel_event::id::EventId;
use hostel_event::port::{Replay, ReplayError, Span, Start};

use super::*;

const ALL: Span = Span { from: Start::Earliest, to: Start::Latest, rate: None };

fn replay(host: &Host) -> &dyn Replay {
    host.broker.replay().unwrap()
}

async fn is_over(host: &Host) {
    until("the replay is over", async || replay(host).replays().is_empty()).await;
}

#[tokio::test]
async fn a_new_subscription_gets_what_was_before_it_in_order_and_still_what_comes() {
    let world = World::new();
    let host = world.start().await;
    for id in 0..20 {
        host.publish(&id.to_string(), ["x.1", "y", "x.2"][id % 3]).await;
        world.pass(Duration::from_secs(1));
    }
    let sink = host.subscribe(subscription("a", "x.*")).await;
    let id = subscription("a", "x.*").id;
    replay(&host).replay(&id, ALL).await.unwrap();
    assert_eq!(replay(&host).replay(&id, ALL).await, Err(ReplayError::UnderWay(id.clone())));
    let expected: Vec<String> = (0..20).filter(|id| id % 3 != 1).map(|id| id.to_string()).collect();
    let replayed = take(&sink, expected.len()).await;
    assert_eq!(ids(&replayed), expected);
    host.publish("new", "x.3").await;
    let new = take(&sink, 1).await.remove(0);
    assert_eq!(new.event.id.as_str(), "new");
    ack(new).await;
    for delivery in replayed {
        ack(delivery).await;
    }
    is_over(&host).await;
    let from = Start::Time(Timestamp::from_millis(START + 15_000));
    replay(&host).replay(&id, Span { from, ..ALL }).await.unwrap();
    let replayed = take(&sink, 4).await;
    assert_eq!(ids(&replayed), ["15", "17", "18", "new"]);
    replay(&host).end_replay(&id).await.unwrap();
    for delivery in replayed {
        ack(delivery).await;
    }
    assert_eq!(replay(&host).end_replay(&id).await, Err(ReplayError::Unknown(id)));
    until("nothing of it is left", async || host.log.snapshot().documents(Kind::Subscription, "").unwrap().len() == 1)
        .await;
    host.stop().await;
}

#[tokio::test]
async fn a_replay_goes_on_after_a_crash_with_what_is_not_settled() {
    let mut world = World::new();
    world.settings.policy.retention.events = Some(0);
    let host = world.open_in(&world.path()).await;
    let sink = host.subscribe(Subscription { window: 8, ..subscription("a", "a") }).await;
    let keeper = host.subscribe(subscription("b", "a")).await;
    for id in 0..6 {
        host.publish(&id.to_string(), "a").await;
    }
    for delivery in take(&sink, 6).await {
        ack(delivery).await;
    }
    let id = subscription("a", "a").id;
    replay(&host).replay(&id, ALL).await.unwrap();
    // A quarter of the window is the replay's.
    let mut two = take(&sink, 2).await;
    retry(two.remove(0), Duration::from_secs(60)).await;
    ack(two.remove(0)).await;
    let third = take(&sink, 1).await;
    assert_eq!(ids(&third), ["2"]);
    host.crash(&world).await;
    drop((third, keeper));

    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 100, ..subscription("a", "a") }).await;
    let held = take(&sink, 4).await;
    assert_eq!(ids(&held), ["2", "3", "4", "5"]);
    for delivery in held {
        ack(delivery).await;
    }
    world.pass(Duration::from_secs(60));
    let retried = take(&sink, 1).await.remove(0);
    assert_eq!((retried.event.id.as_str(), retried.history.len()), ("0", 1));
    ack(retried).await;
    is_over(&host).await;
    host.broker.unsubscribe(&id).await.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn a_replay_keeps_to_its_rate() {
    let world = World::new();
    let host = world.start().await;
    for id in 0..10 {
        host.publish(&id.to_string(), "a").await;
    }
    let sink = host.subscribe(subscription("a", "a")).await;
    let rate = std::num::NonZeroU32::new(2);
    replay(&host).replay(&subscription("a", "a").id, Span { rate, ..ALL }).await.unwrap();
    let ticks = world.settings.tick * 20;
    tokio::time::sleep(ticks).await;
    assert!(sink.take().is_empty());
    let mut held = Vec::new();
    for _ in 0..5 {
        world.pass(Duration::from_secs(1));
        held.extend(take(&sink, 2).await);
        tokio::time::sleep(ticks).await;
        assert!(sink.take().is_empty());
    }
    assert_eq!(ids(&held), (0..10).map(|id| id.to_string()).collect::<Vec<_>>());
    host.stop().await;
}

fn beginning(start: Start) -> Subscription {
    Subscription { start, ..subscription("a", "x.*") }
}

#[tokio::test]
async fn a_new_subscription_that_starts_early_gets_every_event_once_while_others_are_published() {
    let world = World::new();
    let host = Arc::new(world.start().await);
    for id in 0..50 {
        host.publish(&id.to_string(), "x.1").await;
    }
    let publisher = {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            for id in 50..250 {
                host.publish(&id.to_string(), "x.2").await;
            }
        })
    };
    until("publishing is under way", async || host.log.snapshot().next_offset().unwrap().0 > 80).await;
    let sink = host.subscribe(beginning(Start::Earliest)).await;
    publisher.await.unwrap();
    let all = take(&sink, 250).await;
    let mut found: Vec<u32> = all.iter().map(|delivery| delivery.event.id.as_str().parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..250).collect::<Vec<_>>());
    for delivery in all {
        ack(delivery).await;
    }
    is_over(&host).await;
    Arc::into_inner(host).unwrap().stop().await;

    let host = world.start().await;
    let sink = host.subscribe(beginning(Start::Earliest)).await;
    host.publish("new", "x.1").await;
    assert_eq!(ids(&take(&sink, 1).await), ["new"], "it does not start over");
    host.stop().await;
}

#[tokio::test]
async fn a_new_subscription_starts_at_a_time() {
    let world = World::new();
    let host = world.start().await;
    for id in 0..10 {
        host.publish(&id.to_string(), "x.1").await;
        world.pass(Duration::from_secs(1));
    }
    let sink = host.subscribe(beginning(Start::Time(Timestamp::from_millis(START + 7000)))).await;
    assert_eq!(ids(&take(&sink, 3).await), ["7", "8", "9"]);
    host.stop().await;
}

/// As if the host had died after the subscription was kept and before it was known what is for it alone.
#[tokio::test]
async fn the_start_of_a_new_subscription_survives_a_crash_before_it_began() {
    let world = World::new();
    let host = world.start().await;
    for id in 0..3 {
        host.publish(&id.to_string(), "x.1").await;
    }
    host.subscribe(beginning(Start::Earliest)).await;
    let documents = host.log.snapshot().documents(Kind::Subscription, "").unwrap();
    let known = documents.iter().map(|document| record::read_known(&document.bytes).unwrap());
    let mut known: Vec<_> = known.filter(|known| known.replay.is_some()).collect();
    let mut known = known.pop().unwrap();
    known.replay = Some(replay::OPEN);
    let mut batch = Batch::new();
    batch.put_document(Kind::Subscription, joining::document_key(known.number), record::known(&known));
    host.log.commit(batch, Sync::Always).await.unwrap();
    host.crash(&world).await;

    let host = world.open_in(&world.path()).await;
    assert_eq!(replay(&host).replays()[0].end, host.log.snapshot().next_offset().unwrap().0);
    let sink = host.subscribe(beginning(Start::Earliest)).await;
    host.broker.begin();
    let replayed = take(&sink, 3).await;
    assert_eq!(ids(&replayed), ["0", "1", "2"]);
    host.publish("new", "x.1").await;
    assert_eq!(ids(&take(&sink, 1).await), ["new"]);
    host.stop().await;
}

#[tokio::test]
async fn the_place_of_an_event_is_found_by_its_id() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "x.*")).await;
    let mut generated = Vec::new();
    for number in 0..200_u64 {
        let id = EventId::generate(host.broker.shared.clock.wall(), &counted());
        host.publish(id.as_str(), ["x.1", "y", "x.2"][usize::try_from(number % 3).unwrap()]).await;
        generated.push(id);
        world.pass(Duration::from_micros(500 * (number % 5)));
    }
    let of = subscription("a", "x.*").id;
    for (offset, id) in (1_u64..).zip(&generated) {
        let expected = (offset % 3 != 2).then_some(offset);
        assert_eq!(replay(&host).find(&of, id).await, Ok(expected), "{id}");
    }
    let given = Admitted { given_id: true, ..event("o-1", "x.1").into() };
    host.broker.publish(given).await.unwrap();
    host.publish("o-2", "x.1").await;
    let find = async |id: &str| replay(&host).find(&of, &EventId::new(id).unwrap()).await;
    assert_eq!(find("o-1").await, Ok(Some(201)));
    assert_eq!(find("o-2").await, Ok(None), "neither a time in it nor seen before");
    drop(sink);
    host.stop().await;
}
