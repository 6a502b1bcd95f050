//! Effects, and what a disk that fails does to them and to publishers.

use hostel_event::delivery::SettleError;

use super::*;

/// Acknowledges with two publishes and a write.
async fn act(delivery: Delivery) -> Result<(), SettleError> {
    let publications = vec![event("first", "out").into(), event("second", "out").into()];
    let writes = vec![write("done", "yes", Expected::Absent)];
    delivery.settle.settle(Settlement::Ack(Effects { publications, writes })).await
}

#[tokio::test]
async fn effects_and_their_ack_are_all_there_or_not_at_all_whatever_the_disk_does() {
    for fault in [Fault::None, Fault::Write, Fault::Full, Fault::Sync] {
        let world = World::new();
        let host = world.start().await;
        let sink = host.subscribe(subscription("a", "a")).await;
        let out = host.subscribe(subscription("b", "out")).await;
        host.publish("1", "a").await;
        let delivery = take(&sink, 1).await.remove(0);
        world.disk.set(fault);
        let outcome = act(delivery).await;
        assert_eq!(outcome.is_ok(), fault == Fault::None, "{fault:?}: {outcome:?}");
        let delivered = out.take();
        assert_eq!(delivered.len(), if fault == Fault::None { 2 } else { 0 }, "{fault:?}");
        host.crash(&world).await;
        drop(delivered);

        let host = world.start().await;
        let unsettled = |host: &Host, name: &str, topic: &str| host.broker.unsettled(&subscription(name, topic).id);
        let found = (unsettled(&host, "a", "a"), unsettled(&host, "b", "out"), host.value("done").await);
        let (all, none) = ((Some(0), Some(2), Some("yes".to_owned())), (Some(1), Some(0), None));
        match fault {
            Fault::None => assert_eq!(found, all),
            // Whether a batch whose sync failed is there is open; in part it never is.
            Fault::Sync => assert!(found == all || found == none, "{found:?}"),
            _ => assert_eq!(found, none, "{fault:?}"),
        }
        if found == none {
            let sink = host.subscribe(subscription("a", "a")).await;
            act(take(&sink, 1).await.remove(0)).await.unwrap();
            assert_eq!(host.value("done").await.as_deref(), Some("yes"));
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn of_two_that_wrote_the_same_key_one_runs_again_and_nothing_of_it_took() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    let out = host.subscribe(subscription("b", "out")).await;
    host.publish("1", "a").await;
    host.publish("2", "a").await;
    let mut both = take(&sink, 2).await;
    retry(both.remove(0), Duration::ZERO).await;
    both.insert(0, take(&sink, 1).await.remove(0));
    act(both.remove(1)).await.unwrap();
    let conflict = act(both.remove(0)).await.unwrap_err();
    assert_eq!(conflict, SettleError::Conflict(Key::new("done").unwrap()));
    let again = take(&sink, 1).await.remove(0);
    assert_eq!((again.event.id.as_str(), &again.history), ("1", &vec![failed(1)]));
    assert_eq!(ids(&take(&out, 2).await), ["first", "second"]);
    host.stop().await;
}

#[tokio::test]
async fn effects_are_delivered_delayed_and_deduplicated_like_other_publishes() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    let out = host.subscribe(subscription("b", "out")).await;
    host.publish("1", "a").await;
    let given = Admitted { given_id: true, ..event("same", "out").into() };
    let not_before = Some(Timestamp::from_millis(START + 1000));
    let delayed = Admitted { not_before, ..event("later", "out").into() };
    let publications = vec![given.clone(), delayed, given, event("last", "out").into()];
    let delivery = take(&sink, 1).await.remove(0);
    delivery.settle.settle(Settlement::Ack(Effects { publications, writes: vec![] })).await.unwrap();
    let held = take(&out, 2).await;
    assert_eq!(ids(&held), ["same", "last"]);
    world.pass(Duration::from_secs(1));
    assert_eq!(ids(&take(&out, 1).await), ["later"]);
    host.stop().await;
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_until_there_is_space_and_loses_nothing() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(subscription("a", "a")).await;
    host.publish("1", "a").await;
    world.disk.set(Fault::Full);
    let refusal = host.broker.publish(event("2", "a").into()).await.unwrap_err();
    assert!(matches!(refusal, PublishError::Full(_)), "{refusal}");
    let delivery = take(&sink, 1).await.remove(0);
    assert!(delivery.settle.settle(Settlement::Ack(Effects::default())).await.is_err());
    world.disk.set(Fault::None);
    host.publish("3", "a").await;
    // What could not be settled comes again, a while later.
    let other = take(&sink, 1).await;
    assert_eq!(ids(&other), ["3"]);
    world.pass(Duration::from_secs(1));
    assert_eq!(ids(&take(&sink, 1).await), ["1"]);
    host.stop().await;
}

#[tokio::test]
async fn a_failed_sync_ends_publishing_until_a_restart_and_reading_goes_on() {
    let world = World::new();
    let host = world.start().await;
    host.broker.key_value().write(vec![write("k", "v", Expected::Anything)]).await.unwrap();
    world.disk.set(Fault::Sync);
    for _ in 0..2 {
        let refusal = host.broker.publish(event("1", "a").into()).await.unwrap_err();
        assert!(matches!(refusal, PublishError::Unavailable(_)), "{refusal}");
        world.disk.set(Fault::None);
    }
    assert!(host.broker.health().poisoned.is_some());
    assert!(matches!(host.broker.room_for(&event("1", "a").into()), Err(PublishError::Unavailable(_))));
    assert_eq!(host.value("k").await.as_deref(), Some("v"));
    host.stop().await;
    let host = world.start().await;
    host.publish("2", "a").await;
    host.stop().await;
}
