//! Byte for byte against what go-micro v2.9.1 was seen to send, in `tests/fixtures/gomicro/*.pcap`.
//!
//! What we emit is equal in every byte but for the compressed text: the same JSON has many zlib forms, Go's and ours
//! differ, and every reader takes either. So a test puts the captured text into our packet before it compares, and
//! compares the JSON in both.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use simple_dns::QTYPE;

use hostel_event::port::{Endpoint, Metadata, Node, Service, Value};
use hostel_event::time::Moment;

use crate::mdns::packet::{self, Asked, Message};
use crate::mdns::responder::{Identity, Packets, Responder};
use crate::mdns::server::service_of;
use crate::mdns::text;

/// The payload of every UDP packet in a capture, in order: pcap with Ethernet frames and IPv4 without options.
fn capture(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gomicro").join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        packets.push(rest[16 + 42..16 + length].to_vec());
        rest = &rest[16 + length..];
    }
    packets
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn subscription() -> Service {
    let node = Node {
        id: "go.micro.topic.foo-526d5583-7dc9-45c1-96e8-324f29a1e6ef".to_owned(),
        address: "127.0.0.1:45211".to_owned(),
        metadata: metadata(&[("broker", "http"), ("secure", "false"), ("topic", "go.micro.topic.foo")]),
    };
    let (name, version) = ("micro.http.broker".to_owned(), "ff.http.broadcast".to_owned());
    Service { name, version, nodes: vec![node], ..Service::default() }
}

fn greeter() -> Service {
    let value = |name: &str, kind: &str, values| Value { name: name.to_owned(), kind: kind.to_owned(), values };
    let endpoint = Endpoint {
        name: "Greeter.Hello".to_owned(),
        request: Some(value("Request", "Request", vec![value("name", "string", Vec::new())])),
        response: Some(value("Response", "Response", vec![value("msg", "string", Vec::new())])),
        metadata: metadata(&[("stream", "false")]),
    };
    let node = Node {
        id: "my.svc-1".to_owned(),
        address: "127.0.0.1:1234".to_owned(),
        metadata: metadata(&[("a", "b"), ("region", "eu")]),
    };
    let (name, version) = ("my.svc".to_owned(), "1.0.0".to_owned());
    Service { name, version, endpoints: vec![endpoint], nodes: vec![node], ..Service::default() }
}

/// Gives every probe the id 0x4943.
fn first() -> u64 {
    0x4943_0000_0000_0000
}

/// The same with the id 0x1fbb.
fn second() -> u64 {
    0x1fbb_0000_0000_0000
}

fn responder(entropy: fn() -> u64) -> Responder {
    Responder::new(Identity { domain: "micro".to_owned(), host: "vm".to_owned(), nodes: 10, entropy })
}

fn rdata(text: &[u8]) -> Vec<u8> {
    let strings: Vec<u8> = text.chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect();
    [&(strings.len() as u16).to_be_bytes(), strings.as_slice()].concat()
}

/// What stands at the end of a packet that tells of a node.
fn text_in(packet: &[u8]) -> Option<Vec<u8>> {
    let marker = packet.windows(4).rposition(|window| window == b"789c")?;
    let mut text: Vec<u8> = Vec::new();
    // The length of the first string stands before it, that of each further one after 255 bytes.
    let mut rest = &packet[marker - 1..];
    while let Some((length, strings)) = rest.split_first() {
        text.extend(&strings[..usize::from(*length)]);
        rest = &strings[usize::from(*length)..];
    }
    Some(text)
}

#[track_caller]
fn assert_same(ours: &[u8], captured: &[u8]) {
    let Some(theirs) = text_in(captured) else {
        assert_eq!(ours, captured);
        return;
    };
    let own = text_in(ours).expect("a text");
    assert_eq!(text::unfold(&own).unwrap(), text::unfold(&theirs).unwrap(), "the JSON in the text");
    let head = ours.strip_suffix(rdata(&own).as_slice()).expect("the text is at the end");
    assert_eq!([head, &rdata(&theirs)].concat(), captured);
}

#[track_caller]
fn only(packets: Packets) -> Vec<u8> {
    let [packet] = packets.try_into().expect("one packet");
    packet.unwrap()
}

/// What the responder tells everyone, and when.
fn told(responder: &mut Responder, count: usize) -> Vec<(Moment, Vec<u8>)> {
    (0..count)
        .map(|_| {
            let at = responder.next().expect("something is due");
            (at, only(responder.due(at)))
        })
        .collect()
}

/// Sends a captured query to the responder.
fn asked(responder: &Responder, query: &[u8]) -> Vec<u8> {
    let Message::Query { id, questions } = packet::parse(query).unwrap() else { panic!("not a query") };
    let [question]: [Asked; 1] = questions.try_into().unwrap();
    assert_eq!(packet::query(id, &question.name).unwrap(), query, "the query as we would ask it");
    only(responder.answer(id, &question))
}

fn registered(service: &Service, entropy: fn() -> u64) -> Responder {
    let mut responder = responder(entropy);
    responder.register(service, Duration::from_secs(60), Moment::default()).unwrap();
    responder
}

#[test]
fn a_subscription_is_probed_announced_answered_and_taken_out_as_go_micro_does() {
    let captured = capture("mdns-broker-sub.pcap");
    assert_eq!(captured.len(), 11);
    let mut responder = registered(&subscription(), first);
    let told = told(&mut responder, 6);
    for ((_, ours), captured) in told.iter().zip(&captured) {
        assert_same(ours, captured);
    }
    let after: Vec<Duration> = told.iter().map(|(at, _)| at.since(told[3].0)).collect();
    assert_eq!(after[4..], [Duration::from_secs(1), Duration::from_secs(3)]);
    assert_eq!(asked(&responder, &captured[6]), captured[7], "the list of services");
    assert_same(&asked(&responder, &captured[8]), &captured[9]);
    assert_same(&only(responder.deregister(&subscription())), &captured[10]);
    assert!(responder.answer(0, &packet::ask("micro.http.broker.micro")).is_empty());
}

#[test]
fn a_service_with_endpoints_is_told_as_go_micro_does() {
    let captured = capture("mdns-register-watch.pcap");
    assert_eq!(captured.len(), 12);
    let mut responder = registered(&greeter(), second);
    for ((_, ours), captured) in told(&mut responder, 5).iter().zip(&captured) {
        assert_same(ours, captured);
    }
    for question in [5, 7, 9] {
        assert_same(&asked(&responder, &captured[question]), &captured[question + 1]);
    }
    assert_same(&only(responder.deregister(&greeter())), &captured[11]);
}

#[test]
fn every_captured_packet_is_read() {
    let mut services = HashSet::new();
    for (name, expected) in [("mdns-broker-sub.pcap", subscription()), ("mdns-register-watch.pcap", greeter())] {
        for bytes in capture(name) {
            let Message::Response { told } = packet::parse(&bytes).unwrap() else { continue };
            let [node] = told.as_slice() else { panic!("one node in {told:?}") };
            if node.text.is_empty() {
                // The list: TXT with a length of 0.
                assert_eq!(node.name, "micro.http.broker._services.micro");
                assert_eq!(node.address, SocketAddr::from(([0, 0, 0, 0], 9999)));
                continue;
            }
            assert_eq!(service_of(node, "micro").unwrap(), Some(expected.clone()));
            services.insert((name, node.leaves));
        }
    }
    assert_eq!(services.len(), 4, "both services came and left: {services:?}");
}

#[test]
fn a_subscription_of_v4_and_later_is_read_too() {
    let json = concat!(
        r#"{"Metadata":{"broker":"http","secure":"false","topic":"go.micro.topic.foo"},"Endpoints":null,"#,
        r#""Service":"micro.http.broker","Version":"ff.http.broadcast"}"#
    );
    let folded = miniz_oxide::deflate::compress_to_vec_zlib(json.as_bytes(), 6);
    let hex: String = folded.iter().map(|byte| format!("{byte:02x}")).collect();
    let ours = text::encode(&subscription(), &subscription().nodes[0]).unwrap();
    assert_eq!(text::decode(hex.as_bytes()).unwrap(), text::decode(&ours).unwrap());
}

#[test]
fn an_asker_that_wants_its_id_back_gets_it() {
    let responder = registered(&subscription(), first);
    let asked = Asked { unicast: true, kind: QTYPE::ANY, ..packet::ask("micro.http.broker.micro") };
    let answer = only(responder.answer(0xabcd, &asked));
    assert_eq!(answer[..4], [0xab, 0xcd, 0x84, 0x00]);
    assert_eq!(answer[12 + 25..12 + 29], [0x00, 0xff, 0x80, 0x01], "type and class of the question as asked");
}
