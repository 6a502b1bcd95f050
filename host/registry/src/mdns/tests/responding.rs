//! What the responder says and when, without a socket.

use std::net::SocketAddr;
use std::time::Duration;

use simple_dns::{QTYPE, TYPE};

use hostel_event::port::{RegistryError, Service};
use hostel_event::time::Moment;

use crate::conformance::service;
use crate::mdns::packet::{self, Asked, Message, Told};
use crate::mdns::responder::{Identity, Packets, Responder};

const MINUTE: Duration = Duration::from_secs(60);

/// A gap of 100 ms after each probe.
fn hundred() -> u64 {
    100
}

fn responder() -> Responder {
    let (domain, host) = ("micro".to_owned(), "vm".to_owned());
    Responder::new(Identity { domain, host, nodes: 3, entropy: hundred })
}

fn with(services: &[Service]) -> Responder {
    let mut responder = responder();
    for service in services {
        responder.register(service, MINUTE, Moment::default()).unwrap();
    }
    responder
}

fn at(millis: u64) -> Moment {
    Moment::new(Duration::from_millis(millis))
}

fn told(packets: Packets) -> Vec<Told> {
    let told = packets.into_iter().map(|packet| match packet::parse(&packet.unwrap()).unwrap() {
        Message::Response { told } => told,
        Message::Query { .. } => Vec::new(),
    });
    told.flatten().collect()
}

/// Everything said until a moment: when, and whether it is a probe, an announcement or a goodbye.
fn said(responder: &mut Responder, until: u64) -> Vec<(u64, &'static str)> {
    let mut said = Vec::new();
    while let Some(next) = responder.next().filter(|next| *next <= at(until)) {
        for packet in responder.due(next) {
            let what = match packet::parse(&packet.unwrap()).unwrap() {
                Message::Query { .. } => "probe",
                Message::Response { told } if told[0].leaves => "goodbye",
                Message::Response { .. } => "announcement",
            };
            said.push((next.since_start().as_millis() as u64, what));
        }
    }
    said
}

const FIRST: [(u64, &str); 6] = [
    (0, "probe"),
    (100, "probe"),
    (200, "probe"),
    (300, "announcement"),
    (1300, "announcement"),
    (3300, "announcement"),
];

#[test]
fn a_node_is_probed_thrice_and_announced_thrice_and_then_silent() {
    let mut responder = with(&[service("s", "1", "a")]);
    assert_eq!(said(&mut responder, 59_999), FIRST);
}

#[test]
fn a_node_that_is_registered_again_says_nothing_and_stays() {
    let mut responder = with(&[service("s", "1", "a")]);
    assert_eq!(said(&mut responder, 30_000), FIRST);
    for beat in 1..100 {
        responder.register(&service("s", "1", "a"), MINUTE, at(30_000 * beat)).unwrap();
        assert_eq!(said(&mut responder, 30_000 * (beat + 1)), []);
    }
    assert_eq!(said(&mut responder, 30_000 * 99 + 60_000), [(30_000 * 99 + 60_000, "goodbye")]);
    assert_eq!((responder.nodes(), responder.next()), (0, None));
}

#[test]
fn a_node_that_changed_is_announced_anew_and_not_as_it_was() {
    let mut responder = with(&[service("s", "1", "a")]);
    assert_eq!(said(&mut responder, 1000), FIRST[..4]);
    let mut moved = service("s", "1", "a");
    moved.nodes[0].address = "127.0.0.1:9".to_owned();
    responder.register(&moved, MINUTE, at(1000)).unwrap();
    let mut ports = Vec::new();
    for millis in [1000, 1300, 2000, 3300, 4000] {
        ports.push(told(responder.due(at(millis))).iter().map(|told| told.address.port()).collect::<Vec<_>>());
    }
    assert_eq!(ports, [vec![9], vec![], vec![9], vec![], vec![9]]);
}

#[test]
fn a_node_that_left_is_not_announced_afterwards() {
    let mut responder = with(&[service("s", "1", "a")]);
    assert_eq!(said(&mut responder, 300), FIRST[..4]);
    assert!(told(responder.deregister(&service("s", "1", "a"))).iter().all(|told| told.leaves));
    assert_eq!(said(&mut responder, 100_000), []);
}

fn ask(responder: &Responder, name: &str, kind: QTYPE) -> Vec<Told> {
    let asked = Asked { name: name.to_owned(), kind, unicast: false };
    told(responder.answer(7, &asked))
}

#[test]
fn each_node_of_a_service_is_answered_in_a_packet_of_its_own() {
    let responder = with(&[service("s", "1", "a"), service("s", "2", "b"), service("other", "1", "c")]);
    let asked = packet::ask("s.micro");
    let packets = responder.answer(7, &asked);
    assert_eq!(packets.len(), 2);
    for packet in packets {
        let packet = packet.unwrap();
        assert_eq!(told(vec![Ok(packet.clone())]).len(), 1);
        assert_eq!(packet[..6], [0, 0, 0x84, 0, 0, 1], "id 0, the flags, and the question");
        assert_eq!(packet[12..12 + 9 + 4], packet::query(0, "s.micro").unwrap()[12..], "is repeated");
    }
}

#[test]
fn what_go_micro_answers_is_answered_and_nothing_else() {
    let responder = with(&[service("s", "1", "a")]);
    let count =
        |name: &str, kind: QTYPE| responder.answer(7, &Asked { name: name.to_owned(), kind, unicast: false }).len();
    let of = QTYPE::TYPE;
    for (name, kind, expected) in [
        ("s.micro", of(TYPE::PTR), 1),
        ("s.micro", QTYPE::ANY, 1),
        ("s.micro", of(TYPE::SRV), 0),
        ("a.s.micro", of(TYPE::SRV), 1),
        ("a.s.micro", of(TYPE::TXT), 1),
        ("a.s.micro", of(TYPE::A), 1),
        ("a.s.micro", of(TYPE::AAAA), 0),
        ("a.s.micro", QTYPE::ANY, 1),
        ("a.s.micro", of(TYPE::PTR), 0),
        ("vm", of(TYPE::A), 1),
        ("vm", of(TYPE::AAAA), 0),
        ("vm", QTYPE::ANY, 0),
        ("_services.micro", of(TYPE::PTR), 1),
        ("s._services.micro", of(TYPE::SRV), 1),
        ("_services._dns-sd._udp.micro", of(TYPE::PTR), 1),
        ("S.micro", of(TYPE::PTR), 0),
        ("s.local", of(TYPE::PTR), 0),
        ("micro", of(TYPE::PTR), 0),
        ("", of(TYPE::PTR), 0),
    ] {
        assert_eq!(count(name, kind), expected, "{name} {kind:?}");
    }
}

#[test]
fn a_node_at_an_ipv6_address_is_told_with_it() {
    let mut six = service("s", "1", "a");
    six.nodes[0].address = "[fd00::7]:4300".to_owned();
    let responder = with(&[six]);
    let address: SocketAddr = "[fd00::7]:4300".parse().unwrap();
    assert_eq!(ask(&responder, "s.micro", QTYPE::TYPE(TYPE::PTR))[0].address, address);
}

#[track_caller]
fn check_refused(responder: &mut Responder, service: &Service, expected: &str) {
    let nodes = responder.nodes();
    let Err(error @ RegistryError::Refused { .. }) = responder.register(service, MINUTE, Moment::default()) else {
        panic!("{service:?} was taken");
    };
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(responder.nodes(), nodes, "all or none");
}

#[test]
fn what_mdns_cannot_carry_is_refused_with_the_cure() {
    let mut responder = with(&[service("s", "1", "a")]);
    let topic = format!("{}-00000000-0000-4000-8000-000000037771", "a".repeat(27));
    check_refused(&mut responder, &service("s", "1", &topic), "shorten it by 1");
    check_refused(&mut responder, &service("s", "1", "with space"), "use letters, digits");
    check_refused(&mut responder, &service(&"s".repeat(64), "1", "b"), "shorten it by 1");
    check_refused(&mut responder, &service("s", "", "b"), "no version");
    check_refused(&mut responder, &service("s", "2", "a"), "give the node of version `2` an id of its own");
    let elsewhere = |address: &str| {
        let mut one = service("s", "1", "b");
        one.nodes[0].address = address.to_owned();
        one
    };
    check_refused(&mut responder, &elsewhere("localhost:80"), "IP addresses with a port");
    check_refused(&mut responder, &elsewhere("0.0.0.0:80"), "nobody can reach");
    let mut half_good = service("s", "1", "b");
    half_good.nodes.extend(service("s", "1", "with space").nodes);
    check_refused(&mut responder, &half_good, "mDNS cannot carry");
}

#[test]
fn no_more_nodes_are_taken_than_the_limit() {
    let mut responder = with(&[service("s", "1", "a"), service("s", "1", "b"), service("t", "1", "a")]);
    check_refused(&mut responder, &service("t", "1", "b"), "3 nodes are announced by mDNS, which is the limit");
    responder.register(&service("t", "1", "a"), MINUTE, Moment::default()).unwrap();
}
