//! Conformance, and what survives an end and a start.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms() {
    let world = World::new();
    let count = AtomicUsize::new(0);
    conformance::all(async || {
        let folder = world.folder.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        world.start_in(&folder).await.broker
    })
    .await;
}

#[tokio::test]
async fn exactly_what_is_unsettled_comes_again_after_a_restart() {
    let world = World::new();
    let host = world.start().await;
    let sink = host.subscribe(Subscription { window: 3, ..subscription("a", "a.*") }).await;
    let other = host.subscribe(subscription("b", "a.1")).await;
    for id in 0..8 {
        host.publish(&id.to_string(), if id % 2 == 0 { "a.1" } else { "a.2" }).await;
    }
    let mut running = take(&sink, 3).await;
    ack(running.remove(1)).await;
    let fourth = take(&sink, 1).await;
    assert_eq!(ids(&fourth), ["3"]);
    assert_eq!(take(&other, 4).await.len(), 4);
    drop(running);
    assert_eq!(ids(&take(&sink, 2).await), ["0", "2"], "dropped unused");
    host.stop().await;

    let host = world.start().await;
    let orphans = host.broker.orphans();
    let counts: Vec<(&str, usize)> = orphans.iter().map(|one| (one.subscription.as_str(), one.unsettled)).collect();
    assert_eq!(counts, [("acme/a:a.*", 7), ("acme/b:a.1", 4)]);
    let sink = host.subscribe(subscription("a", "a.*")).await;
    assert_eq!(ids(&take(&sink, 7).await), ["0", "2", "3", "4", "5", "6", "7"]);
    let b = subscription("b", "a.1");
    assert_eq!(host.broker.drop_orphan(&b.id).await, Ok(4));
    let sink = host.subscribe(b).await;
    host.publish("8", "a.1").await;
    assert_eq!(ids(&take(&sink, 1).await), ["8"]);
    assert_eq!(host.broker.orphans(), []);
    host.stop().await;
}
