//! Whose a subscription is, whose topics it hears, and what is remembered of it for its owner.

#![expect(clippy::missing_panics_doc, reason = "these are assertions, run by tests only")]

use hostel_event::port::{Pause, PausedBy};

use super::*;

/// Whose topics a subscription hears is its source's; the event stays its publisher's.
pub async fn an_importer_hears_what_another_tenant_publishes(broker: &dyn Broker) {
    let importer = subscribed(broker, imported("a", "orders.*")).await;
    let own = subscribed(broker, Subscription { tenant: tenant("rival"), ..subscription("a", "orders.*") }).await;
    let receipt = broker.publish(event("1", "orders.created").into()).await.expect("room");
    let mut reached: Vec<&str> = receipt.subscriptions.iter().map(SubscriptionId::as_str).collect();
    reached.sort_unstable();
    assert_eq!(reached, ["acme/a:orders.*", "rival/a:@acme/orders.*"]);
    let delivery = importer.expect(1).await.remove(0);
    assert_eq!((delivery.event.id.as_str(), &delivery.event.tenant), ("1", &tenant("acme")));
    assert_eq!(ids(&own.expect(1).await), ["1"]);
    let foreign = Arc::new(Event { tenant: tenant("rival"), ..Event::clone(&event("2", "orders.created")) });
    assert!(broker.publish(foreign.into()).await.expect("room").subscriptions.is_empty());
    settle(delivery, ack()).await;
    broker.unsubscribe(&imported("a", "orders.*").id).await.expect("it is there");
    let receipt = broker.publish(event("3", "orders.created").into()).await.expect("room");
    assert_eq!(receipt.subscriptions.len(), 1);
}

/// The dead letters of an imported event are found by who imported it, and by nobody else.
pub async fn what_an_importer_gives_up_is_its_own(broker: &dyn Broker) {
    let sink = subscribed(broker, imported("a", "a")).await;
    for id in ["1", "2"] {
        broker.publish(event(id, "a").into()).await.expect("room");
        let delivery = sink.expect(1).await.remove(0);
        let history = vec![failed_attempt()];
        settle(delivery, Settlement::DeadLetter { reason: "no".to_owned(), history }).await;
    }
    let (owner, source, letters) = (tenant("rival"), tenant("acme"), broker.dead_letters());
    let found = letters.list(&owner, None, 10);
    let shown: Vec<_> = found.iter().map(|letter| (letter.event.id.as_str(), letter.event.tenant.as_str())).collect();
    assert_eq!(shown, [("2", "acme"), ("1", "acme")]);
    assert_eq!(found[0].subscription, imported("a", "a").id);
    let filter = Filter { subscription: Some(imported("a", "a").id), ..Filter::default() };
    assert_eq!(letters.search(&owner, &filter, Some(&found[0].id), 10), [Arc::clone(&found[1])]);
    assert!(letters.list(&source, None, 10).is_empty());
    assert_eq!(letters.get(&source, &found[0].id), None);
    assert_eq!(letters.get(&owner, &found[0].id).as_ref(), Some(&found[0]));
    assert!(letters.redrive(&source, &found[0].id).await.is_err());
    assert!(letters.discard(&source, &found[0].id).await.is_err());
    letters.redrive(&owner, &found[0].id).await.expect("it is there");
    let again = sink.expect(1).await.remove(0);
    assert_eq!((again.event.id.as_str(), &again.event.tenant), ("2", &source));
    letters.discard(&owner, &found[1].id).await.expect("it is there");
    assert!(letters.list(&owner, None, 10).is_empty());
}

/// A queue group is its owner's: one of the same name of whose topics it hears is another.
pub async fn queue_groups_of_two_owners_are_two_groups(broker: &dyn Broker) {
    let queue = Some(QueueGroup::new("q").expect("a good name"));
    let of_rival = |handler: &str| Subscription { queue: queue.clone(), ..imported(handler, "jobs") };
    let first = subscribed(broker, of_rival("a")).await;
    let second = subscribed(broker, of_rival("b")).await;
    let own = subscribed(broker, member("a", "jobs", "q")).await;
    for number in 0..20 {
        let receipt = broker.publish(event(&number.to_string(), "jobs").into()).await.expect("room");
        assert_eq!(receipt.subscriptions.len(), 2);
    }
    // Held, since a broker that redelivers would bring them again.
    let _held = own.expect(20).await;
    let mut held = Vec::new();
    for turn in 0..TURNS {
        held.append(&mut first.take());
        held.append(&mut second.take());
        if held.len() >= 20 {
            break;
        }
        let_it_run(turn).await;
    }
    assert_eq!(held.len(), 20);
    let of_first = held.iter().filter(|delivery| delivery.subscription == of_rival("a").id).count();
    // Back with whoever was to run them, so that they wait when it ends.
    let (mine, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| one.subscription == of_rival("a").id);
    first.put_back(mine);
    let ended = broker.unsubscribe(&of_rival("a").id).await.expect("it is there");
    assert_eq!((ended.discarded, ended.handed_over), (0, of_first));
    assert_eq!(second.expect(of_first).await.len(), of_first);
    assert!(own.take().is_empty(), "the other group got nothing of it");
    drop(others);
}

/// What is remembered of a pause is what was said last, and goes with the subscription.
pub async fn a_pause_is_remembered_as_long_as_the_subscription(broker: &dyn Broker) {
    let one = subscription("a", "a");
    let pause = Pause { by: PausedBy::Operator, since: Timestamp::from_millis(3), reason: "a repair".to_owned() };
    let unknown = broker.keep_pause(&one.id, Some(pause.clone())).await;
    assert_eq!(unknown, Err(SubscribeError::Unknown(one.id.clone())));
    let sink = subscribed(broker, one.clone()).await;
    assert_eq!(broker.kept_pause(&one.id), None);
    broker.keep_pause(&one.id, Some(pause.clone())).await.expect("it is there");
    assert_eq!(broker.kept_pause(&one.id), Some(pause.clone()));
    broker.publish(event("1", "a").into()).await.expect("room");
    settle(sink.expect(1).await.remove(0), ack()).await;
    broker.resubscribe(Arc::new(Subscription { window: 7, ..one.clone() })).await.expect("it is there");
    assert_eq!(broker.kept_pause(&one.id), Some(pause.clone()));
    broker.keep_pause(&one.id, None).await.expect("it is there");
    assert_eq!(broker.kept_pause(&one.id), None);
    broker.keep_pause(&one.id, Some(pause)).await.expect("it is there");
    broker.unsubscribe(&one.id).await.expect("it is there");
    assert_eq!(broker.kept_pause(&one.id), None);
    let _sink = subscribed(broker, one.clone()).await;
    assert_eq!(broker.kept_pause(&one.id), None, "it begins anew");
}
