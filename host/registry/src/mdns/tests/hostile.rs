//! Packets that no good program sends.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::mdns::packet::{self, Instance, Message, PacketError};
use crate::mdns::server::service_of;

fn instance() -> Instance {
    let text = b"789c0300".repeat(100);
    Instance { name: "a.s.micro".to_owned(), host: "vm".to_owned(), address: ([127, 0, 0, 1], 1).into(), text }
}

#[test]
fn a_header_that_promises_more_than_follows_is_refused_before_room_is_made() {
    let mut promises = packet::query(1, "s.micro").unwrap();
    promises[4..12].fill(0xff);
    assert!(matches!(packet::parse(&promises), Err(PacketError::Promises(25))));
    assert!(matches!(packet::parse(&[0; 11]), Err(PacketError::Promises(11))));
    assert!(matches!(packet::parse(&[]), Err(PacketError::Promises(0))));
}

#[test]
fn a_name_that_points_at_itself_ends() {
    let loops = [&[0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12][..], &[0, 12, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    assert!(matches!(packet::parse(&loops), Err(PacketError::Dns(_))));
}

#[test]
fn a_packet_cut_anywhere_is_malformed_or_tells_nothing() {
    let whole = packet::announcement(&instance(), 120).unwrap();
    for length in 0..whole.len() {
        match packet::parse(&whole[..length]) {
            Err(_) => {}
            Ok(message) => panic!("{length} bytes are {message:?}"),
        }
    }
}

#[test]
fn a_label_with_escapes_is_taken_as_it_is() {
    let mut odd = instance();
    odd.name = "with space.s.micro".to_owned();
    let Ok(Message::Response { told }) = packet::parse(&packet::announcement(&odd, 120).unwrap()) else { panic!() };
    assert_eq!(told[0].name, "with space.s.micro");
}

#[test]
fn a_node_without_an_address_tells_nothing() {
    let whole = packet::announcement(&instance(), 120).unwrap();
    // The second record's type, A: after the header, 11 bytes of name, 10 of record and 10 of SRV, and 4 of name.
    let mut other = whole;
    assert_eq!(other[47..49], [0, 1]);
    other[48] = 99;
    assert_eq!(packet::parse(&other).unwrap(), Message::Response { told: Vec::new() });
}

fn reads_without_panic(bytes: &[u8]) {
    if let Ok(Message::Response { told }) = packet::parse(bytes) {
        for told in told {
            _ = service_of(&told, "micro");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..512)) {
        reads_without_panic(&bytes);
    }

    #[test]
    fn any_change_of_a_good_packet_is_read_without_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        compressed in any::<bool>(),
    ) {
        let instance = instance();
        let mut bytes = if compressed {
            packet::answer(0, &packet::ask("s.micro"), packet::Answer::Pointer(&instance)).unwrap()
        } else {
            packet::announcement(&instance, 120).unwrap()
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        reads_without_panic(&bytes);
    }
}
