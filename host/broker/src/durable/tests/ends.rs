//! The end of a subscription, across restarts.

use super::*;

#[tokio::test]
async fn a_backlog_goes_to_the_other_member_and_what_runs_follows_when_it_comes_back() {
    let world = World::new();
    let host = world.start().await;
    let ending = Subscription { window: 2, ..member("a", "jobs", "q") };
    let sink = host.subscribe(ending.clone()).await;
    for id in 0..200 {
        host.publish(&id.to_string(), "jobs").await;
    }
    let mut running = take(&sink, 2).await;
    let heir = host.subscribe(member("b", "jobs", "q")).await;
    let ended = host.broker.unsubscribe(&ending.id).await.unwrap();
    assert_eq!((ended.discarded, ended.handed_over), (0, 198));
    let mut expected: Vec<String> = (2..200).map(|id: u32| id.to_string()).collect();
    let held = take(&heir, 198).await;
    assert_eq!(ids(&held), expected);
    ack(running.remove(0)).await;
    let again = host.subscribe(ending.clone()).await;
    let history = vec![failed(1)];
    running.remove(0).settle.settle(Settlement::Retry { after: Duration::ZERO, history }).await.unwrap();
    let came = std::cell::RefCell::new(Vec::new());
    until("what ran went to one of the group", async || {
        came.borrow_mut().append(&mut heir.take());
        came.borrow_mut().append(&mut again.take());
        !came.borrow().is_empty()
    })
    .await;
    let came = came.into_inner();
    assert_eq!(ids(&came), ["1"]);
    assert!(came[0].history.is_empty(), "attempts are counted anew");
    host.crash(&world).await;
    drop((held, came));

    let host = world.start().await;
    let orphans = host.broker.orphans();
    assert_eq!(orphans.iter().map(|one| one.unsettled).sum::<usize>(), 199, "{orphans:?}");
    let heir = host.subscribe(member("b", "jobs", "q")).await;
    let again = host.subscribe(ending).await;
    expected.push("1".to_owned());
    expected.sort();
    let came = std::cell::RefCell::new(Vec::new());
    until("all came", async || {
        for delivery in heir.take().into_iter().chain(again.take()) {
            came.borrow_mut().push(delivery.event.id.to_string());
            ack(delivery).await;
        }
        came.borrow().len() >= 199
    })
    .await;
    let mut came = came.into_inner();
    came.sort();
    assert_eq!(came, expected);
    host.stop().await;
}

#[tokio::test]
async fn what_an_ended_member_ran_at_a_crash_goes_to_the_others_after_it() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(member("a", "jobs", "q")).await;
    host.publish("1", "jobs").await;
    let running = take(&sink, 1).await;
    let heir = host.subscribe(member("b", "jobs", "q")).await;
    host.broker.unsubscribe(&member("a", "jobs", "q").id).await.unwrap();
    host.crash(&world).await;
    drop((running, heir));

    let host = world.open_in(&world.path()).await;
    let heir = host.subscribe(member("b", "jobs", "q")).await;
    host.broker.begin();
    assert_eq!(ids(&take(&heir, 1).await), ["1"]);
    host.stop().await;
}

#[tokio::test]
async fn nothing_stays_of_a_subscription_that_ended_without_heirs() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 1, ..subscription("a", "a") }).await;
    for id in ["1", "2", "3"] {
        host.publish(id, "a").await;
    }
    let running = take(&sink, 1).await.remove(0);
    let ended = host.broker.unsubscribe(&subscription("a", "a").id).await.unwrap();
    assert_eq!((ended.discarded, ended.handed_over), (2, 0));
    assert_eq!(host.log.snapshot().documents(Kind::Subscription, "").unwrap().len(), 1, "one still runs");
    ack(running).await;
    until("it was forgotten", async || host.log.snapshot().documents(Kind::Subscription, "").unwrap().is_empty()).await;
    host.stop().await;
    let host = world.start().await;
    assert_eq!(host.broker.orphans(), []);
    let sink = host.subscribe(subscription("a", "a")).await;
    host.publish("4", "a").await;
    assert_eq!(ids(&take(&sink, 1).await), ["4"]);
    host.stop().await;
}
