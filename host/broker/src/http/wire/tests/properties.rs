//! What holds for any message and any bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::http::wire::decode::{Request, decode};
use crate::http::wire::tests::event;
use crate::http::wire::{Generation, base64, encode, message, query};

/// A name of a header: any, or one that means something.
fn name() -> impl Strategy<Value = String> {
    let meaningful =
        ["Micro-Topic", "micro-topic", ":topic", "Hostel-Id", "Micro-Id", "Micro-ID", "Hostel-Route", "a", "A"];
    prop_oneof![
        proptest::sample::select(meaningful.to_vec()).prop_map(str::to_owned),
        vec(any::<char>().prop_filter("white space", |c| !c.is_control() && !c.is_whitespace()), 1..8)
            .prop_map(String::from_iter),
    ]
}

fn value() -> impl Strategy<Value = String> {
    vec(any::<char>().prop_filter("NUL", |&c| c != '\0'), 0..40).prop_map(String::from_iter)
}

/// A good body in which some bytes were replaced: nearer to JSON than any bytes.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let good =
        br#"{"Header":{"Micro-Topic":"a.b","X":"\u003cq\"\ud83d\ude00"},"Body":"aGVs\nbG8=","n":[1,-2.5e3,null,{}]}"#;
    let marks = prop_oneof![any::<u8>(), proptest::sample::select(br#"{}[],:"\u0=- "#.as_slice())];
    (Just(good.to_vec()), vec((0..good.len(), marks), 0..4)).prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

/// What the headers are on the other side.
fn expected(given: &[(String, String)]) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let ours = [":topic", "micro-topic", "hostel-id"];
    for (name, value) in given.iter().filter(|(name, _)| !ours.contains(&&*name.to_ascii_lowercase())) {
        let joined = headers.get(name).map(|earlier| format!("{earlier}, {value}"));
        headers.insert(name.clone(), joined.unwrap_or_else(|| value.clone()));
    }
    if !given.iter().any(|(name, _)| name.eq_ignore_ascii_case("micro-id")) {
        headers.insert("Micro-Id".to_owned(), "e1".to_owned());
    }
    headers.insert("Hostel-Id".to_owned(), "e1".to_owned());
    headers.insert("Micro-Topic".to_owned(), "a.b".to_owned());
    headers
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        headers in vec((name(), value()), 0..12),
        body in vec(any::<u8>(), 0..200),
        first in any::<bool>(),
        node_id in any::<String>(),
    ) {
        let generation = if first { Generation::First } else { Generation::Second };
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let event = event("a.b", &pairs, &body);

        let target = encode::target(generation, &node_id);
        let (path, query) = target.split_once('?').unwrap();
        let json = encode::body(&event, generation);
        let request = Request { path, query: Some(query), content_type: Some("application/json"), body: &json };
        let inbound = decode(&request).unwrap();

        assert_eq!((path, inbound.generation), (generation.path(), generation));
        assert_eq!(inbound.node_id, node_id);
        assert_eq!(inbound.topic, Ok(event.topic));
        assert_eq!(inbound.message.body, Bytes::from(body));
        let read: Vec<_> = inbound.message.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read, expected(&headers).into_iter().collect::<Vec<_>>());
        // Others than Go read it as well.
        assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in vec(any::<u8>(), 0..100), text in any::<String>()) {
        let _ = message::parse(&bytes);
        let _ = base64::decode(&bytes);
        let _ = query::id(&text);
        let request = Request { path: "/", query: Some(&text), content_type: Some(&text), body: &bytes };
        let _ = decode(&request).map_err(|refusal| refusal.answer());
    }

    #[test]
    fn what_another_json_parser_takes_is_taken(bytes in damaged()) {
        // The other one is stricter than Go in some ways, and knows no types; so only what is no JSON to us counts.
        let is_type = |error: &str| error.starts_with("json: cannot unmarshal");
        if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() {
            assert!(message::parse(&bytes).map_or_else(|error| is_type(&error), |_| true), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn base64_is_read_with_line_ends_anywhere(data in vec(any::<u8>(), 0..60), ends in vec(0..80_usize, 0..5)) {
        let mut text = Vec::new();
        base64::encode(&mut text, &data);
        for at in ends {
            text.insert(at.min(text.len()), if at % 2 == 0 { b'\n' } else { b'\r' });
        }
        assert_eq!(base64::decode(&text), Ok(data));
    }
}
