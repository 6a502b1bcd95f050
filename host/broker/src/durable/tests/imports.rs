//! What is remembered of subscriptions over a restart: whose topics they hear, that they are paused, that they ended.

use hostel_event::port::{Pause, PausedBy};

use super::*;
use crate::conformance::imported;

#[tokio::test]
async fn an_importer_gets_what_it_has_not_settled_after_a_restart_and_finds_its_dead_letters() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(imported("a", "x.*")).await;
    for id in ["1", "2", "3"] {
        host.publish(id, "x.1").await;
    }
    let mut held = take(&sink, 3).await;
    ack(held.remove(1)).await;
    let given_up = Settlement::DeadLetter { reason: "no".to_owned(), history: vec![] };
    held.remove(1).settle.settle(given_up).await.unwrap();
    host.crash(&world).await;
    drop(held);

    let host = world.open_in(&world.path()).await;
    let absent = host.broker.absent();
    let described: Vec<_> =
        absent.iter().map(|one| (one.id.as_str(), one.tenant.as_str(), one.source.as_str())).collect();
    assert_eq!(described, [("rival/a:@acme/x.*", "rival", "acme")]);
    assert_eq!(host.broker.unsettled(&imported("a", "x.*").id), Some(1));
    let sink = host.subscribe(imported("a", "x.*")).await;
    host.broker.begin();
    assert_eq!(host.broker.absent(), []);
    let again = take(&sink, 1).await.remove(0);
    assert_eq!((again.event.id.as_str(), &again.event.tenant), ("1", &tenant("acme")));
    ack(again).await;
    let letters = host.broker.dead_letters();
    assert!(letters.list(&tenant("acme"), None, 10).is_empty());
    let found = letters.list(&tenant("rival"), None, 10);
    assert_eq!((found.len(), found[0].event.id.as_str(), &found[0].event.tenant), (1, "3", &tenant("acme")));
    letters.redrive(&tenant("rival"), &found[0].id).await.unwrap();
    let redriven = take(&sink, 1).await.remove(0);
    assert_eq!((redriven.event.id.as_str(), &redriven.event.tenant), ("3", &tenant("acme")));
    ack(redriven).await;

    let span = hostel_event::port::Span {
        from: hostel_event::port::Start::Earliest,
        to: hostel_event::port::Start::Latest,
        rate: None,
    };
    host.broker.replay().unwrap().replay(&imported("a", "x.*").id, span).await.unwrap();
    let replayed = take(&sink, 4).await;
    assert_eq!(ids(&replayed), ["1", "2", "3", "3"], "with what was redriven");
    host.stop().await;
}

#[tokio::test]
async fn a_pause_is_found_after_a_restart_before_anything_is_delivered() {
    let world = World::new();
    let one = subscription("a", "a");
    let pause = |by, reason: &str| Pause { by, since: Timestamp::from_millis(START), reason: reason.to_owned() };
    let host = world.start().await;
    let _sink = host.subscribe(one.clone()).await;
    host.broker.keep_pause(&one.id, Some(pause(PausedBy::Operator, "a repair"))).await.unwrap();
    host.broker.keep_pause(&one.id, Some(pause(PausedBy::Quarantine, "it traps"))).await.unwrap();
    host.crash(&world).await;

    let host = world.open_in(&world.path()).await;
    assert_eq!(host.broker.kept_pause(&one.id), Some(pause(PausedBy::Quarantine, "it traps")));
    let _sink = host.subscribe(one.clone()).await;
    assert_eq!(host.broker.kept_pause(&one.id), Some(pause(PausedBy::Quarantine, "it traps")));
    host.broker.keep_pause(&one.id, None).await.unwrap();
    host.crash(&world).await;

    let host = world.start().await;
    assert_eq!(host.broker.kept_pause(&one.id), None);
    host.stop().await;
}

#[tokio::test]
async fn one_that_has_not_come_back_can_be_ended_and_leaves_what_it_has_to_its_queue_group() {
    let world = World::new();
    let host = world.start().await;
    let _gone = host.subscribe(member("a", "jobs", "q")).await;
    let _alone = host.subscribe(subscription("b", "jobs")).await;
    for id in ["1", "2", "3"] {
        host.publish(id, "jobs").await;
    }
    host.crash(&world).await;

    let host = world.open_in(&world.path()).await;
    let heir = host.subscribe(member("c", "jobs", "q")).await;
    let ended = host.broker.unsubscribe(&member("a", "jobs", "q").id).await.unwrap();
    assert_eq!((ended.discarded, ended.handed_over), (0, 3));
    let ended = host.broker.unsubscribe(&subscription("b", "jobs").id).await.unwrap();
    assert_eq!((ended.discarded, ended.handed_over), (3, 0));
    host.broker.begin();
    let held = take(&heir, 3).await;
    assert_eq!(ids(&held), ["1", "2", "3"]);
    assert_eq!(host.broker.absent(), []);
    let again = host.broker.unsubscribe(&subscription("b", "jobs").id).await;
    assert_eq!(again, Err(SubscribeError::Unknown(subscription("b", "jobs").id)));
    until("they were forgotten", async || host.log.snapshot().documents(Kind::Subscription, "").unwrap().len() == 1)
        .await;
    host.stop().await;
}

#[tokio::test]
async fn another_queue_group_of_a_subscription_is_remembered() {
    let world = World::new();
    let host = world.start().await;
    let _sink = host.subscribe(member("a", "jobs", "old")).await;
    host.broker.resubscribe(Arc::new(member("a", "jobs", "new"))).await.unwrap();
    host.stop().await;
    let host = world.start().await;
    assert_eq!(host.broker.absent()[0].queue, member("a", "jobs", "new").queue);
    host.stop().await;
}
