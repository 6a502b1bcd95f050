//! Peers over real connections on the loopback.

mod hostile;
mod restart;
pub(crate) mod support;

use hostel_event::delivery::Settlement;
use hostel_event::key_value::Effects;
use hostel_event::message::ROUTE_HEADER;
use hostel_event::port::Settled;
use hostel_event::time::Moment;

use crate::conformance::Collector;

use super::*;

use support::*;

const BROADCAST: &str = crate::http::wire::BROADCAST_VERSION;

#[tokio::test]
async fn a_message_reaches_a_remote_node_as_go_micro_posts_it() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    assert_eq!(rig.publish_with("jobs", "hello", &[("X-Quote", "a\"<b>&é")]).await, 1);
    until("it is settled", || rig.settled() == 1).await;
    let [got] = &one.got()[..] else { panic!("{:?}", one.got()) };
    assert_eq!((got.uri.as_str(), got.body.as_str()), ("/?id=jobs-1", "hello"));
    assert_eq!(got.headers["Micro-Topic"], "jobs");
    assert_eq!(got.headers["X-Quote"], "a\"<b>&é");
    assert_eq!(got.headers[ROUTE_HEADER], HOST.to_string());
    let attempts = rig.witness.attempts.lock().clone();
    assert_eq!((attempts[0].number, attempts[0].version.as_str()), (1, "jobs-1"));
    assert_eq!(rig.witness.settled.lock()[0].1, Settled::Ack);
    assert_eq!((rig.broker.bytes(), rig.peers.waiting_bytes()), (0, 0));
    assert_eq!(rig.close().await, 0);
}

#[tokio::test]
async fn the_first_generation_is_posted_to_in_its_own_way() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    let first = hostel_event::port::Service {
        name: "go.micro.http.broker".to_owned(),
        ..node("jobs", BROADCAST, "jobs-1", &one.address)
    };
    rig.registry.come(first);
    rig.until_known("jobs-1").await;
    rig.publish("jobs", "hello").await;
    until("it is there", || one.count() == 1).await;
    assert_eq!((one.got()[0].uri.as_str(), one.got()[0].headers[":topic"].as_str()), ("/_sub?id=jobs-1", "jobs"));
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broadcast_node_gets_each_message_in_order_over_one_connection() {
    let rig = Rig::new(quick());
    let nodes = [Subscriber::start().await, Subscriber::start().await];
    for (number, one) in nodes.iter().enumerate() {
        rig.come(BROADCAST, &format!("jobs-{number}"), &one.address).await;
    }
    let all = numbers(300);
    for body in &all {
        assert_eq!(rig.publish("jobs", body).await, 2);
    }
    until("all are settled", || rig.settled() == 600).await;
    for one in &nodes {
        assert_eq!(one.bodies(), all);
        assert_eq!(one.connections(), 1);
    }
    assert_eq!(rig.close().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_group_shares_its_messages_and_each_comes_once() {
    let rig = Rig::new(quick());
    let nodes = [Subscriber::start().await, Subscriber::start().await, Subscriber::start().await];
    for (number, one) in nodes.iter().enumerate() {
        rig.come("q", &format!("jobs-{number}"), &one.address).await;
    }
    let all = numbers(300);
    for body in &all {
        assert_eq!(rig.publish("jobs", body).await, 1);
    }
    until("all are settled", || rig.settled() == 300).await;
    let mut got: Vec<String> = nodes.iter().flat_map(Subscriber::bodies).collect();
    got.sort();
    assert_eq!(got, all);
    // The last to come may have missed many, and still each has the same chance of the rest.
    assert!(nodes.iter().all(|one| one.count() > 10), "{:?}", nodes.each_ref().map(Subscriber::count));
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_a_dead_node_of_a_group_goes_to_another_at_once() {
    let rig = Rig::new(quick());
    let (dead, alive) = (Subscriber::start().await, Subscriber::start().await);
    rig.come("q", "jobs-dead", &dead.address).await;
    rig.come("q", "jobs-alive", &alive.address).await;
    dead.stop().await;
    let all = numbers(50);
    for body in &all {
        rig.publish("jobs", body).await;
    }
    until("all are settled", || rig.settled() == 50).await;
    let mut got = alive.bodies();
    got.sort();
    assert_eq!(got, all);
    assert!(rig.dead_letters().is_empty());
    until("the dead one is known as such", || !rig.view("jobs-dead").unwrap().reachable).await;
    assert!(rig.view("jobs-dead").unwrap().last_error.unwrap().contains("cannot connect"));
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_node_that_was_down_gets_what_it_missed_in_order() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    rig.publish("jobs", "before").await;
    until("the first is settled", || rig.settled() == 1).await;
    one.stop().await;
    let missed = numbers(200);
    for body in &missed {
        rig.publish("jobs", body).await;
    }
    until("the node is given up for now", || {
        rig.view("jobs-1").is_some_and(|peer| peer.circuit != circuit::State::Closed)
    })
    .await;
    let again = Subscriber::start_with(&one.address, Vec::new(), None).await;
    until("all are settled", || rig.settled() == 201).await;
    assert_eq!(again.bodies(), missed);
    assert!(rig.dead_letters().is_empty());
    rig.close().await;
}

#[tokio::test]
async fn a_restarted_subscriber_takes_over_what_its_predecessor_missed() {
    let (rig, old) = (Rig::new(quick()), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-old", &old.address).await;
    old.stop().await;
    let missed = numbers(20);
    for body in &missed {
        rig.publish("jobs", body).await;
    }
    until("it is missed", || rig.view("jobs-old").is_some_and(|peer| !peer.reachable)).await;
    let new = Subscriber::start().await;
    rig.registry.come(node("jobs", BROADCAST, "jobs-new", &new.address));
    until("all are settled", || rig.settled() == 20).await;
    assert_eq!(new.bodies(), missed);
    let uris: Vec<String> = new.got().into_iter().map(|got| got.uri).collect();
    assert!(uris.iter().all(|uri| uri == "/?id=jobs-new"), "{uris:?}");
    assert_eq!(rig.publish("jobs", "after").await, 1, "one node, one delivery");
    until("the next is settled too", || rig.settled() == 21).await;
    rig.close().await;
}

#[tokio::test]
async fn a_goodbye_discards_what_waited_for_a_broadcast_node() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    one.stop().await;
    rig.publish("jobs", "1").await;
    rig.publish("jobs", "2").await;
    until("it is missed", || rig.view("jobs-1").is_some_and(|peer| !peer.reachable)).await;
    rig.registry.leave("jobs-1");
    until("both are discarded", || rig.settled() == 2).await;
    assert!(rig.witness.settled.lock().iter().all(|(_, settled)| *settled == Settled::Discarded));
    assert_eq!(rig.publish("jobs", "3").await, 0);
    assert_eq!((rig.broker.bytes(), rig.dead_letters().len()), (0, 0));
    assert_eq!(rig.close().await, 0);
}

#[tokio::test]
async fn a_queue_group_without_nodes_keeps_its_events_until_one_comes() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    rig.come("q", "jobs-1", &one.address).await;
    one.stop().await;
    rig.registry.leave("jobs-1");
    until("it is orphaned", || !rig.peers.state().orphans.is_empty()).await;
    let all = numbers(20);
    for body in &all {
        assert_eq!(rig.publish("jobs", body).await, 1);
    }
    let two = Subscriber::start().await;
    rig.registry.come(node("jobs", "q", "jobs-2", &two.address));
    until("all are settled", || rig.settled() == 20).await;
    let mut got = two.bodies();
    got.sort();
    assert_eq!(got, all);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_this_host_get_what_remote_ones_do_not_answer_for_and_give_it_back() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    let local = Arc::new(crate::conformance::member("local", "jobs", "q"));
    let sink = Arc::new(Collector::default());
    rig.come("q", "jobs-1", &one.address).await;
    one.stop().await;
    let shared: Arc<dyn hostel_event::port::Sink> = Arc::<Collector>::clone(&sink);
    // Published before the local member begins: all of them wait for the remote node.
    for body in numbers(10) {
        rig.publish("jobs", &body).await;
    }
    rig.broker.subscribe(Arc::clone(&local), shared).await.unwrap();
    rig.peers.set_local(vec![local]);
    until("all are handed over", || sink_count(&sink) == 10).await;
    let deliveries = sink.take();
    assert!(rig.dead_letters().is_empty());
    for delivery in deliveries {
        delivery.settle.settle(Settlement::Ack(Effects::default())).await.unwrap();
    }
    until("the local member stands in", || rig.view("jobs-1").is_some_and(|peer| peer.stood_in_for)).await;

    let again = Subscriber::start_with(&one.address, Vec::new(), None).await;
    until("the remote node is back", || rig.view("jobs-1").is_some_and(|peer| !peer.stood_in_for)).await;
    for body in numbers(100) {
        rig.publish("jobs", &body).await;
    }
    until("each has come once", || again.count() + sink_count(&sink) == 100).await;
    assert!(again.count() > 10, "{}", again.count());
    rig.close().await;
}

fn sink_count(sink: &Collector) -> usize {
    let taken = sink.take();
    let count = taken.len();
    sink.put_back(taken);
    count
}

#[tokio::test]
async fn own_nodes_are_never_posted_to() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    let topic = Topic::new("jobs").unwrap();
    let own = Identity::new(HOST).node_id(&Tenant::new("acme").unwrap(), None, &topic);
    rig.registry.come(node("jobs", BROADCAST, &own, &one.address));
    rig.come(BROADCAST, "jobs-other", &one.address).await;
    assert_eq!(rig.publish("jobs", "1").await, 1);
    until("the other got it", || one.count() == 1).await;
    assert_eq!(one.got()[0].uri, "/?id=jobs-other");
    rig.close().await;
}

#[tokio::test]
async fn one_node_at_two_addresses_gets_each_message_once_and_the_second_serves_when_the_first_is_dead() {
    let rig = Rig::new(quick());
    let (first, second) = (Subscriber::start().await, Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &second.address).await;
    rig.registry.come(node("jobs", BROADCAST, "jobs-1", &first.address));
    until("both are known", || rig.view("jobs-1").is_some_and(|peer| peer.addresses.len() == 2)).await;
    for body in numbers(10) {
        assert_eq!(rig.publish("jobs", &body).await, 1);
    }
    until("all are settled", || rig.settled() == 10).await;
    assert_eq!((first.count(), second.count()), (10, 0), "the newest address first");
    first.stop().await;
    rig.publish("jobs", "more").await;
    until("the other address serves", || second.count() == 1).await;
    rig.close().await;
}

#[tokio::test]
async fn an_event_that_goes_in_a_circle_ends_as_a_dead_letter_with_its_route() {
    let mut settings = quick();
    settings.courier.hops = 3;
    let (rig, one) = (Rig::new(settings), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    rig.publish_with("jobs", "1", &[(ROUTE_HEADER, "a, b")]).await;
    rig.publish_with("jobs", "2", &[(ROUTE_HEADER, "a, b, c")]).await;
    until("both are settled", || rig.settled() == 2).await;
    assert_eq!(one.got()[0].headers[ROUTE_HEADER], format!("a, b, {HOST}"));
    let expected = "the event has left 3 hosts already, and 3 is the limit; it goes in a circle: a, b, c";
    assert_eq!(rig.dead_letters(), [expected]);
    assert_eq!(one.count(), 1);
    rig.close().await;
}

#[tokio::test]
async fn a_dead_peer_never_makes_publishers_wait() {
    let mut settings = quick();
    settings.window = 32;
    let (rig, one) = (Rig::new(settings), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    one.stop().await;
    rig.publish("jobs", "first").await;
    until("it is missed", || rig.view("jobs-1").is_some_and(|peer| !peer.reachable)).await;
    for (at, body) in numbers(100).iter().enumerate() {
        rig.publish("jobs", body).await;
        // Two of the 32 places are for what is being given up.
        until("the oldest made room", || rig.dead_letters().len() + 30 >= at + 2).await;
    }
    let again = Subscriber::start_with(&one.address, Vec::new(), None).await;
    until("all are settled", || rig.settled() == 101).await;
    let reasons = rig.dead_letters();
    assert_eq!(reasons.len() + again.count(), 101);
    assert!(reasons.iter().all(|reason| reason.contains("newer events needed the room")), "{reasons:?}");
    assert_eq!(again.bodies(), numbers(100)[100 - again.count()..], "the newest are kept, in order");
    rig.close().await;
}

#[tokio::test]
async fn bytes_that_wait_for_dead_peers_are_bounded() {
    let mut settings = quick();
    settings.courier.backlog_bytes = 10_000;
    let (rig, one) = (Rig::new(settings), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    one.stop().await;
    rig.publish("jobs", "first").await;
    until("it is missed", || rig.view("jobs-1").is_some_and(|peer| !peer.reachable)).await;
    for number in 0..50 {
        rig.publish_with("jobs", &number.to_string(), &[("X-Large", &"x".repeat(1000))]).await;
        until("it is bounded", || rig.peers.waiting_bytes() <= 10_000).await;
    }
    assert!(rig.dead_letters().len() >= 40);
    rig.close().await;
}

#[tokio::test]
async fn what_waits_for_longer_than_the_retention_becomes_a_dead_letter() {
    let mut settings = quick();
    settings.courier.retention = Duration::from_millis(50);
    let (rig, one) = (Rig::new(settings), Subscriber::start().await);
    rig.come("q", "jobs-1", &one.address).await;
    one.stop().await;
    for body in numbers(5) {
        rig.publish("jobs", &body).await;
    }
    until("all are given up", || rig.dead_letters().len() == 5).await;
    assert_eq!(rig.dead_letters()[0], "no node took it within 50ms");
    rig.registry.leave("jobs-1");
    until("the group is forgotten", || rig.peers.state().orphans.is_empty() && rig.view("jobs-1").is_none()).await;
    until("nobody gets it any more", || rig.peers.shared.couriers.lock().is_empty()).await;
    assert_eq!(rig.publish("jobs", "late").await, 0);
    rig.close().await;
}

#[tokio::test]
async fn nodes_stay_while_the_registry_is_away_and_it_is_read_again() {
    let (rig, one) = (Rig::new(quick()), Subscriber::start().await);
    rig.come(BROADCAST, "jobs-1", &one.address).await;
    rig.registry.away.store(true, Ordering::SeqCst);
    let before = rig.registry.readings.load(Ordering::SeqCst);
    until("it is read again", || rig.registry.readings.load(Ordering::SeqCst) > before + 2).await;
    assert_eq!(rig.publish("jobs", "1").await, 1);
    until("it is settled", || rig.settled() == 1).await;
    rig.close().await;
}

#[tokio::test]
async fn closing_delivers_what_waits_for_nodes_that_answer_and_counts_the_rest() {
    let rig = Rig::new(quick());
    let (alive, dead) = (Subscriber::start().await, Subscriber::start().await);
    rig.come(BROADCAST, "jobs-alive", &alive.address).await;
    rig.come(BROADCAST, "jobs-dead", &dead.address).await;
    dead.stop().await;
    for body in numbers(50) {
        rig.publish("jobs", &body).await;
    }
    assert_eq!(rig.close().await, 50);
    assert_eq!(alive.bodies(), numbers(50));
    assert_eq!(rig.peers.shared.depot.tasks.len() + rig.peers.shared.watching.len(), 0, "every task is joined");
    assert!(rig.peers.shared.depot.tasks.is_closed());
    assert_eq!((rig.peers.waiting_bytes(), rig.broker.bytes()), (0, 0), "nothing is held any more");
}
