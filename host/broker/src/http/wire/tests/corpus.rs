//! The codec against Go's standard library: what `tests/interop/gomicro/corpus` recorded.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::wire::tests::fixture;
use crate::http::wire::{base64, escape, message, query};

fn lines<T: DeserializeOwned>(name: &str) -> Vec<T> {
    fixture(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    base64::decode(text.as_bytes()).unwrap()
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Decoded {
    input: String,
    bytes: String,
    null: bool,
    header: BTreeMap<String, String>,
    body: String,
    error: String,
    classic: String,
}

#[test]
fn bodies_mean_what_they_mean_to_go_and_errors_read_the_same() {
    let cases: Vec<Decoded> = lines("json-decode.jsonl");
    assert!(cases.len() > 600);
    for case in &cases {
        let input = if case.bytes.is_empty() { case.input.clone().into_bytes() } else { bytes(&case.bytes) };
        match message::parse(&input) {
            Err(error) => assert_eq!(error, case.error, "{case:?}"),
            Ok(None) => assert!(case.null && case.error.is_empty(), "{case:?}"),
            Ok(Some(parsed)) => {
                assert!(case.error.is_empty() && !case.null, "{case:?} was taken");
                let headers = case.header.iter().map(|(name, value)| (&**name, &**value));
                assert!(parsed.headers.iter().map(|(name, value)| (&**name, &**value)).eq(headers), "{case:?}");
                assert_eq!(parsed.body, bytes(&case.body), "{case:?}");
            }
        }
    }
    // Both of Go's implementations refuse the same bodies; only words differ.
    assert!(cases.iter().all(|case| case.classic.is_empty() || !case.error.is_empty()));
}

#[derive(Deserialize)]
struct Encoded {
    header: BTreeMap<String, String>,
    body: String,
    output: String,
}

#[test]
fn texts_and_bodies_are_written_as_go_writes_them() {
    let cases: Vec<Encoded> = lines("json-encode.jsonl");
    assert!(cases.len() > 10);
    for case in cases {
        let mut json = br#"{"Header":{"#.to_vec();
        for (at, (name, value)) in case.header.iter().enumerate() {
            json.extend(if at > 0 { b",".as_slice() } else { b"" });
            escape::text(&mut json, name);
            json.push(b':');
            escape::text(&mut json, value);
        }
        json.extend(br#"},"Body":""#);
        base64::encode(&mut json, &bytes(&case.body));
        json.extend(br#""}"#);
        assert_eq!(String::from_utf8(json).unwrap(), case.output);
    }
}

#[derive(Deserialize)]
struct Read {
    query: String,
    id: String,
    written: String,
}

#[test]
fn ids_in_queries_are_read_and_written_as_by_go() {
    let cases: Vec<Read> = lines("query.jsonl");
    assert!(cases.len() > 30);
    for case in cases {
        assert_eq!(query::id(&case.query), case.id, "{}", case.query);
        let mut written = String::new();
        query::write_id(&mut written, &case.id);
        assert_eq!(written, case.written);
    }
}
