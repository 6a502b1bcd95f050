//! What the table decides, without any network.

use uuid::Uuid;

use hostel_event::name::HandlerName;
use hostel_event::port::{Metadata, Node};

use super::*;

const RULES: Rules = Rules { nodes: 100, gone_after: Duration::from_secs(60), retention: Duration::from_secs(3600) };
const V2: Generation = Generation::Second;

fn identity() -> Identity {
    Identity::new(Uuid::from_u128(7))
}

fn table(rules: Rules) -> Table {
    Table::new(Tenant::new("acme").unwrap(), identity(), rules)
}

fn at(seconds: u64) -> Moment {
    Moment::new(Duration::from_secs(seconds))
}

fn entry(version: &str, id: &str, address: &str) -> Service {
    let metadata = [("broker", "http"), ("secure", "false"), ("topic", "jobs")];
    let metadata: Metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Service {
        version: version.to_owned(),
        nodes: vec![Node { id: id.to_owned(), address: address.to_owned(), metadata }],
        ..Service::default()
    }
}

fn broadcast(id: &str, address: &str) -> Service {
    entry("ff.http.broadcast", id, address)
}

fn nobody(_: &SubscriptionId) -> bool {
    false
}

/// Reads, and says in short what follows.
fn read(table: &mut Table, seconds: u64, services: &[Service]) -> Vec<String> {
    table.read(at(seconds), V2, services, &nobody);
    table.expire(at(seconds));
    short(table)
}

fn short(table: &mut Table) -> Vec<String> {
    let nodes = |targets: &[Target]| {
        let node = |target: &Target| {
            let addresses: Vec<&str> = target.addresses.iter().map(Address::as_str).collect();
            format!("{}@{}", target.id, addresses.join("|"))
        };
        targets.iter().map(node).collect::<Vec<_>>().join(" ")
    };
    let line = |change: &Change| match change {
        Change::Set { id, targets, begun: true, .. } => format!("{id} = {}", nodes(targets)),
        Change::Set { id, targets, .. } => format!("{id} rests = {}", nodes(targets)),
        Change::End { id, why } => format!("{id} ends: {why:?}"),
    };
    table.changes().iter().map(line).collect()
}

fn member(queue: &str, pattern: &str) -> Arc<Subscription> {
    let handler = HandlerName::new("h").unwrap();
    let local = Subscription::new(&Tenant::new("acme").unwrap(), &handler, Pattern::new(pattern).unwrap());
    Arc::new(Subscription { queue: Some(QueueGroup::new(queue).unwrap()), ..local })
}

#[test]
fn a_queue_group_is_one_subscription_and_each_broadcast_node_one_of_its_own() {
    let mut table = table(RULES);
    let services = [
        entry("q", "jobs-1", "h1:1"),
        entry("q", "jobs-2", "h2:1"),
        entry("other", "jobs-3", "h3:1"),
        broadcast("jobs-4", "h4:1"),
        broadcast("jobs-5", "h4:2"),
    ];
    assert_eq!(
        read(&mut table, 0, &services),
        [
            "acme/@node.jobs-4:jobs = jobs-4@h4:1",
            "acme/@node.jobs-5:jobs = jobs-5@h4:2",
            "acme/@queue.other:jobs = jobs-3@h3:1",
            "acme/@queue.q:jobs = jobs-1@h1:1 jobs-2@h2:1",
        ]
    );
    assert!(read(&mut table, 10, &services).is_empty(), "what is known is no news");
}

#[test]
fn one_node_in_several_places_is_one_peer() {
    let mut table = table(RULES);
    let services = [broadcast("jobs-1", "h:1"), broadcast("jobs-1", "192.0.2.1:1"), entry("q", "jobs-1", "h:9")];
    let expected = ["acme/@node.jobs-1:jobs = jobs-1@h:1"];
    assert_eq!(read(&mut table, 0, &services[..1]), expected);
    assert_eq!(read(&mut table, 1, &services), ["acme/@node.jobs-1:jobs = jobs-1@h:1|192.0.2.1:1"]);
    table.read(at(2), Generation::First, &services, &nobody);
    assert!(short(&mut table).is_empty(), "the other generation's service names it too");
    let many: Vec<Service> = (1..20).map(|port| broadcast("jobs-1", &format!("h:{port}"))).collect();
    read(&mut table, 3, &many);
    let kept = read(&mut table, 4, &[broadcast("jobs-1", "new:1")]);
    assert_eq!(kept, ["acme/@node.jobs-1:jobs = jobs-1@new:1|h:1|192.0.2.1:1|h:2"], "the newest first, four at most");
}

#[test]
fn a_node_that_changes_its_queue_moves() {
    let mut table = table(RULES);
    read(&mut table, 0, &[entry("q", "jobs-1", "h:1"), entry("q", "jobs-2", "h:2")]);
    let moved = read(&mut table, 1, &[entry("p", "jobs-1", "h:1"), entry("q", "jobs-2", "h:2")]);
    assert_eq!(moved, ["acme/@queue.p:jobs = jobs-1@h:1", "acme/@queue.q:jobs = jobs-2@h:2"]);
}

#[test]
fn own_nodes_and_other_brokers_are_no_peers() {
    let mut table = table(RULES);
    let (tenant, topic) = (Tenant::new("acme").unwrap(), Topic::new("jobs").unwrap());
    let group = QueueGroup::new("q").unwrap();
    let mut foreign = broadcast("jobs-1", "h:1");
    foreign.nodes[0].metadata.insert("broker".to_owned(), "nats".to_owned());
    let services = [
        broadcast(&identity().node_id(&tenant, None, &topic), "h:1"),
        entry("q", &identity().node_id(&tenant, Some(&group), &topic), "h:1"),
        foreign,
    ];
    assert!(read(&mut table, 0, &services).is_empty());
    assert_eq!(table.census(), Census::default());
}

#[test]
fn a_broadcast_node_goes_after_a_minute_unseen_and_at_once_with_a_goodbye() {
    let mut table = table(RULES);
    let (one, two) = (broadcast("jobs-1", "h:1"), broadcast("jobs-2", "h:2"));
    read(&mut table, 0, &[one.clone(), two.clone()]);
    assert!(read(&mut table, 100, std::slice::from_ref(&one)).is_empty(), "first missed now");
    assert!(read(&mut table, 150, &[one.clone(), two]).is_empty());
    assert!(read(&mut table, 160, std::slice::from_ref(&one)).is_empty());
    assert!(read(&mut table, 219, std::slice::from_ref(&one)).is_empty());
    assert_eq!(read(&mut table, 220, std::slice::from_ref(&one)), ["acme/@node.jobs-2:jobs ends: Gone"]);
    table.farewell(at(221), V2, &one);
    assert_eq!(short(&mut table), ["acme/@node.jobs-1:jobs ends: Gone"]);
    assert!(table.routes.is_empty() && table.nodes.is_empty() && table.slots.is_empty(), "nothing is left behind");
}

#[test]
fn nobody_goes_while_the_registry_is_not_read() {
    let mut table = table(RULES);
    read(&mut table, 0, &[broadcast("jobs-1", "h:1")]);
    table.read(at(5000), Generation::First, &[], &nobody);
    table.expire(at(5000));
    assert!(short(&mut table).is_empty());
    assert!(read(&mut table, 5000, &[]).is_empty(), "one reading without it is not a minute without it");
}

#[test]
fn a_queue_group_keeps_its_events_for_the_retention() {
    let mut table = table(RULES);
    let one = entry("q", "jobs-1", "h:1");
    read(&mut table, 0, std::slice::from_ref(&one));
    table.farewell(at(10), V2, &one);
    assert_eq!(short(&mut table), ["acme/@queue.q:jobs = "]);
    assert!(read(&mut table, 3609, &[]).is_empty());
    assert_eq!(read(&mut table, 3610, &[]), ["acme/@queue.q:jobs ends: Retention"]);
    assert!(table.routes.is_empty() && table.groups.is_empty());
    assert_eq!(read(&mut table, 3620, &[one]), ["acme/@queue.q:jobs = jobs-1@h:1"]);
}

#[test]
fn members_of_this_host_stand_in_for_nodes_that_do_not_answer() {
    let mut table = table(RULES);
    let id = "acme/@queue.q:jobs";
    let one = entry("q", "jobs-1", "h:1");
    read(&mut table, 0, std::slice::from_ref(&one));
    let route = table.route_of("jobs-1").unwrap().clone();
    table.set_broken(&route, true);
    assert_eq!(short(&mut table), [format!("{id} = jobs-1@h:1")], "without members here it keeps its events");
    table.set_local(vec![member("q", "jobs"), member("p", "jobs")]);
    assert_eq!(short(&mut table), [format!("{id} ends: HandOver"), format!("{id} rests = jobs-1@h:1")]);
    table.set_broken(&route, false);
    assert_eq!(short(&mut table), [format!("{id} = jobs-1@h:1")]);
    table.set_broken(&route, true);
    short(&mut table);
    table.set_local(vec![]);
    assert_eq!(short(&mut table), [format!("{id} = jobs-1@h:1")]);
    table.set_local(vec![member("q", "*")]);
    assert_eq!(short(&mut table), [format!("{id} ends: HandOver"), format!("{id} rests = jobs-1@h:1")]);
    let two = entry("q", "jobs-2", "h:2");
    assert_eq!(read(&mut table, 1, &[one.clone(), two.clone()]), [format!("{id} = jobs-1@h:1 jobs-2@h:2")]);
    table.farewell(at(2), V2, &one);
    table.farewell(at(2), V2, &two);
    assert_eq!(short(&mut table), [format!("{id} ends: HandOver")]);
    assert!(table.routes.is_empty());
}

#[test]
fn a_successor_on_the_same_host_takes_over_what_was_missed() {
    let mut table = table(RULES);
    let (old, new) = (broadcast("jobs-1", "h:1"), broadcast("jobs-2", "h:2"));
    read(&mut table, 0, std::slice::from_ref(&old));
    let slot = table.route_of("jobs-1").unwrap().clone();
    let elsewhere = broadcast("jobs-3", "other:2");
    let both = [old.clone(), new.clone(), elsewhere, broadcast("jobs-4", "h:4")];
    table.read(at(10), V2, &both, &|id| *id == slot);
    let expected = [
        "acme/@node.jobs-1:jobs = jobs-2@h:2",
        "acme/@node.jobs-3:jobs = jobs-3@other:2",
        "acme/@node.jobs-4:jobs = jobs-4@h:4",
    ];
    assert_eq!(short(&mut table), expected, "one successor, and only on the same host");
    assert!(read(&mut table, 20, &both).is_empty(), "the old one is still shown and gets nothing");
    table.farewell(at(21), V2, &old);
    assert!(short(&mut table).is_empty());
    assert_eq!(read(&mut table, 22, &both), ["acme/@node.jobs-1~2:jobs = jobs-1@h:1"], "it was alive after all");
    table.farewell(at(23), V2, &new);
    assert_eq!(short(&mut table), ["acme/@node.jobs-1:jobs ends: Gone"]);
}

#[test]
fn a_node_that_answers_has_no_successor() {
    let mut table = table(RULES);
    let both = [broadcast("jobs-1", "h:1"), broadcast("jobs-2", "h:2")];
    read(&mut table, 0, &both[..1]);
    assert_eq!(read(&mut table, 1, &both), ["acme/@node.jobs-2:jobs = jobs-2@h:2"]);
}

#[test]
fn a_hundred_thousand_services_are_bounded_and_who_was_there_stays() {
    let mut table = table(RULES);
    read(&mut table, 0, &[broadcast("jobs-known", "h:1")]);
    let mut flood: Vec<Service> = (0..100_000).map(|number| broadcast(&format!("jobs-{number}"), "h:2")).collect();
    flood.push(broadcast("jobs-known", "h:1"));
    flood.push(broadcast("jobs-bad", "no-port"));
    assert_eq!(read(&mut table, 1, &flood).len(), 99);
    assert_eq!(table.census(), Census { malformed: 1, beyond: 99_901 });
    assert!(table.route_of("jobs-known").is_some());
    for service in &flood {
        table.hear(at(2), V2, service, &|_| true);
    }
    assert!(table.nodes.len() <= 100 && table.superseded.len() <= 100);
    short(&mut table);
    assert!(read(&mut table, 200, &[]).is_empty());
    assert_eq!(read(&mut table, 260, &[]).len(), table_was(100));
    assert!(table.routes.is_empty() && table.slots.is_empty());
    assert_eq!(table.census(), Census::default());
}

/// Names the number for what it is: all that were known.
const fn table_was(nodes: usize) -> usize {
    nodes
}

#[test]
fn what_could_not_begin_is_tried_again() {
    let mut table = table(RULES);
    read(&mut table, 0, &[broadcast("jobs-1", "h:1")]);
    let route = table.route_of("jobs-1").unwrap().clone();
    table.not_begun(&route);
    assert!(short(&mut table).is_empty());
    table.try_again();
    assert_eq!(short(&mut table), ["acme/@node.jobs-1:jobs = jobs-1@h:1"]);
}

/// As a durable broker shows it that was started again.
fn remote(label: &str, queue: Option<&str>) -> Arc<Subscription> {
    let (tenant, pattern) = (Tenant::new("acme").unwrap(), Pattern::new("jobs").unwrap());
    let standard = Subscription::new(&tenant, &HandlerName::new("h").unwrap(), pattern.clone());
    Arc::new(Subscription {
        id: SubscriptionId::remote(&tenant, label, &pattern),
        place: Place::Remote { nodes: 0 },
        queue: queue.map(|queue| QueueGroup::new(queue).unwrap()),
        ..standard
    })
}

#[test]
fn what_is_from_before_a_restart_goes_on_without_nodes_until_they_are_seen_or_gone() {
    let mut table = table(RULES);
    table.recall(&[remote("queue.q", Some("q")), remote("node.jobs-1", None), remote("node.jobs-2", None)]);
    table.recall(&[member("q", "other")]);
    assert_eq!(short(&mut table), ["acme/@node.jobs-1:jobs = ", "acme/@node.jobs-2:jobs = ", "acme/@queue.q:jobs = "]);
    table.expire(at(100_000));
    assert!(short(&mut table).is_empty(), "the registry has not been read");
    let back = broadcast("jobs-1", "h1:1");
    assert_eq!(read(&mut table, 100_000, std::slice::from_ref(&back)), ["acme/@node.jobs-1:jobs = jobs-1@h1:1"]);
    assert_eq!(read(&mut table, 100_060, std::slice::from_ref(&back)), ["acme/@node.jobs-2:jobs ends: Gone"]);
    let member = entry("q", "jobs-3", "h3:1");
    assert_eq!(read(&mut table, 100_061, &[back.clone(), member]), ["acme/@queue.q:jobs = jobs-3@h3:1"]);
    // From here on as ever.
    assert_eq!(read(&mut table, 100_062, std::slice::from_ref(&back)).len(), 0);
    assert_eq!(read(&mut table, 100_122, std::slice::from_ref(&back)), ["acme/@queue.q:jobs = "]);
    assert_eq!(read(&mut table, 103_722, &[back]), ["acme/@queue.q:jobs ends: Retention"]);
}

#[test]
fn a_queue_group_from_before_a_restart_is_left_to_its_members_here() {
    let mut table = table(RULES);
    table.set_local(vec![member("q", "jobs")]);
    table.recall(&[remote("queue.q", Some("q")), remote("queue.p", Some("p"))]);
    assert_eq!(short(&mut table), ["acme/@queue.p:jobs = ", "acme/@queue.q:jobs ends: HandOver"]);
    table.set_local(vec![member("p", "*")]);
    assert_eq!(short(&mut table), ["acme/@queue.p:jobs ends: HandOver"]);
    assert_eq!(read(&mut table, 0, &[entry("p", "jobs-1", "h1:1")]), ["acme/@queue.p:jobs = jobs-1@h1:1"]);
}
