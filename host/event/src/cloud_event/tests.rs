//! CloudEvents in messages: what is taken, what is refused and why, and that nothing is lost on the way.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::headers::Headers;
use crate::message::Message;
use crate::name::Tenant;
use crate::time::Timestamp;
use crate::topic::Topic;

const MINIMUM: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-type", "com.example.someevent"), ("ce-id", "1234"), ("ce-source", "/mycontext")];

fn message(headers: &[(&str, &str)], body: &'static str) -> Message {
    let mut all = Headers::new();
    for (name, value) in headers {
        all.append(name, value).unwrap();
    }
    Message { headers: all, body: Bytes::from_static(body.as_bytes()) }
}

fn with(extra: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let mut headers: Vec<(&'static str, String)> = MINIMUM.map(|(name, value)| (name, value.to_owned())).into();
    for (name, value) in extra {
        headers.retain(|(own, _)| own != name);
        headers.push((Box::leak((*name).to_owned().into_boxed_str()), (*value).to_owned()));
    }
    headers
}

fn read(headers: &[(&'static str, String)]) -> Result<Option<CloudEvent>, CloudEventError> {
    let pairs: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    from_message(&message(&pairs, "data"))
}

#[test]
fn attributes_are_read_from_headers_whatever_their_case() {
    let event = from_message(&message(
        &[
            ("X-Other", "1"),
            ("CE-SpecVersion", "1.0"),
            ("Ce-Id", "1234"),
            ("ce-source", "/mycontext"),
            ("ce-type", "com.example.someevent"),
            ("ce-subject", "Euro%20%e2%82%ac"),
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("ce-dataschema", "https://example.com/schema"),
            ("Ce-ComExample", "\"a value\""),
        ],
        "{}",
    ))
    .unwrap()
    .unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("1234", "/mycontext", "com.example.someevent"));
    assert_eq!(event.subject(), Some("Euro €"));
    assert_eq!(event.time(), Some("2018-04-05T03:56:24Z"));
    assert_eq!(event.data_content_type(), Some("application/json; charset=utf-8"));
    assert!(event.media_type().unwrap().is_json());
    assert_eq!(event.data_schema(), Some("https://example.com/schema"));
    assert_eq!(event.extensions().collect::<Vec<_>>(), [("comexample", "a value")]);
    assert_eq!(event.data().as_ref(), b"{}");
}

#[test]
fn a_message_without_specversion_is_no_cloud_event() {
    assert_eq!(from_message(&message(&[("ce-id", "1"), ("ce-Bad_Name", "%")], "")), Ok(None));
}

#[test]
fn a_refusal_names_the_attribute_and_the_rule() {
    let check = |extra: &[(&str, &str)], expected: &str| {
        assert_eq!(read(&with(extra)).unwrap_err().to_string(), expected);
    };
    check(&[("ce-specversion", "0.3")], r#"attribute `specversion` is "0.3"; only "1.0" is taken"#);
    check(&[("ce-specversion", "1.0.2")], r#"attribute `specversion` is "1.0.2"; only "1.0" is taken"#);
    check(&[("ce-specversion", "")], "attribute `specversion` is empty; leave it out, or give it a value");
    check(&[("ce-id", "")], "attribute `id` is empty; leave it out, or give it a value");
    check(&[("ce-subject", "")], "attribute `subject` is empty; leave it out, or give it a value");
    check(&[("ce-id", "a%0Ab")], "attribute `id` has the character U+000A; control and non-characters are not allowed");
    check(
        &[("ce-ext", "%EF%BF%BE")],
        "attribute `ext` has the character U+FFFE; control and non-characters are not allowed",
    );
    check(
        &[("ce-source", "/a%20b")],
        "attribute `source` is not a URI: it has a character that must be percent-encoded in one",
    );
    check(&[("ce-dataschema", "schema")], "attribute `dataschema` is not an absolute URI: it has no scheme");
    check(&[("ce-time", "today")], "attribute `time` is not a time of RFC 3339, such as `2026-01-31T12:00:00Z`");
    check(
        &[("content-type", "json")],
        "attribute `datacontenttype` is not a media type of RFC 2046, such as `text/plain; charset=utf-8`",
    );
    check(
        &[("ce-datacontenttype", "text/plain")],
        "attribute `datacontenttype` must not be a header of its own; `Content-Type` says it",
    );
    check(&[("ce-my-ext", "1")], "attribute `my-ext` has '-' in its name; names are of a-z and 0-9");
    check(&[("ce-", "1")], "attribute `` has no name; names are of a-z and 0-9");
    check(&[("ce-data", "1")], "attribute `data` has a name that is kept for the data; give it another");
    check(&[("ce-ext", "%C0%A0")], "attribute `ext` is percent-encoded from bytes that are not UTF-8");
    check(
        &[("ce-ext", "100%")],
        "attribute `ext` has `%` without two hexadecimal digits after it; write a percent sign as %25",
    );
    check(
        &[("ce-ext", "\"a")],
        "attribute `ext` begins with a double quote and is not one quoted string; write a quote as %22",
    );
    check(&[("ce-ext", "1"), ("Ce-Ext", "2")], "attribute `ext` stands there twice");
    check(&[("content-type", "a/b"), ("Content-Type", "a/b")], "attribute `datacontenttype` stands there twice");
}

#[test]
fn every_required_attribute_is_missed_by_name() {
    for missing in ["id", "source", "type"] {
        let mut headers = with(&[]);
        headers.retain(|(name, _)| *name != format!("ce-{missing}"));
        let expected =
            format!("attribute `{missing}` is missing; every CloudEvent has id, source, specversion and type");
        assert_eq!(read(&headers).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_long_name_is_not_repeated_whole() {
    let error = Builder::new().set(&"é".repeat(100_000), "").unwrap_err().to_string();
    assert!(error.len() < 300, "{error}");
    let mut builder = Builder::new();
    assert_eq!(builder.set(&"a".repeat(253), ""), Ok(()));
    assert!(builder.set(&"a".repeat(254), "").is_err());
}

#[test]
fn what_does_not_fit_into_headers_is_refused() {
    let mut builder = Builder::new();
    for (name, value) in MINIMUM {
        builder.set(name.trim_start_matches(PREFIX), value).unwrap();
    }
    builder.set("large", &"é".repeat(11_000)).unwrap();
    let event = builder.build(Bytes::new()).unwrap();
    let error = event.into_message(&Headers::new()).unwrap_err();
    assert_eq!(error, CloudEventError::Headers(HeaderError::TooLarge));

    let mut builder = Builder::new();
    let refused = (0..1000).find_map(|n| builder.set(&format!("a{n}"), "").err());
    assert_eq!(refused, Some(CloudEventError::Headers(HeaderError::TooMany)));
}

#[test]
fn a_message_gets_the_events_headers_in_the_place_of_its_own() {
    let event = read(&with(&[("ce-subject", "a b"), ("content-type", "text/plain")])).unwrap().unwrap();
    let others = message(&[("X-A", "1"), ("Ce-Id", "other"), ("content-type", "application/cloudevents+json")], "");
    let written = event.into_message(&others.headers).unwrap();
    assert_eq!(
        written.headers.iter().collect::<Vec<_>>(),
        [
            ("X-A", "1"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1234"),
            ("ce-source", "/mycontext"),
            ("ce-type", "com.example.someevent"),
            ("ce-subject", "a%20b"),
            ("Content-Type", "text/plain"),
        ]
    );
    assert_eq!(written.body.as_ref(), b"data");
}

#[test]
fn an_id_is_one_of_its_source() {
    let id = |source: &str, id: &str| {
        read(&with(&[("ce-source", source), ("ce-id", id)])).unwrap().unwrap().event_id().as_str().to_owned()
    };
    assert_eq!(id("/a", "1"), "/a 1");
    assert_ne!(id("/a", "1"), id("/b", "1"));
    assert_ne!(id("/a", "b%20c"), id("/ab", "c"));
    let long = "x".repeat(300);
    assert_eq!(id("/a", &long).len(), 36);
    assert_eq!(id("/a", &long), id("/a", &long));
    assert_ne!(id("/a", &long), id("/b", &long));
}

fn event(id: &str, message: Message) -> Event {
    Event {
        id: EventId::new(id).unwrap(),
        tenant: Tenant::new("default").unwrap(),
        topic: Topic::new("orders.created").unwrap(),
        published_at: Timestamp::from_millis(1_700_000_000_123),
        expires_at: None,
        message,
    }
}

#[test]
fn any_event_is_shown_as_a_cloud_event() {
    let plain = CloudEvent::of(&event("order 7", message(&[("content-type", "text/plain"), ("x", "1")], "hi")));
    assert_eq!(
        plain.attributes().collect::<Vec<_>>(),
        [
            ("specversion", "1.0"),
            ("id", "order 7"),
            ("source", "/tenants/default/topics/orders.created"),
            ("type", "orders.created"),
            ("time", "2023-11-14T22:13:20.123Z"),
            ("datacontenttype", "text/plain"),
        ]
    );
    assert_eq!(plain.data().as_ref(), b"hi");

    let own = CloudEvent::of(&event("/mycontext 1234", message(&MINIMUM, "")));
    assert_eq!((own.id(), own.source(), own.time()), ("1234", "/mycontext", None));

    // Malformed: a guest may publish what the ingress would have refused.
    let malformed = CloudEvent::of(&event("a\u{fffe}", message(&[("ce-specversion", "2"), ("content-type", "x")], "")));
    assert_eq!((malformed.kind(), malformed.data_content_type()), ("orders.created", None));
    assert_eq!(malformed.id().len(), 36);
    let again = malformed.clone().into_message(&Headers::new()).unwrap();
    assert_eq!(from_message(&again), Ok(Some(malformed)));
}

#[test]
fn the_longest_prefix_of_the_content_type_tells_the_mode() {
    let check = |text: &str, expected: Mode<'_>| assert_eq!(Mode::of(text), expected, "{text}");
    check("application/cloudevents+json", Mode::Structured { format: "+json" });
    check("Application/CloudEvents+JSON; charset=UTF-8", Mode::Structured { format: "+JSON" });
    check("application/cloudevents", Mode::Structured { format: "" });
    check("application/cloudevents+avro", Mode::Structured { format: "+avro" });
    check("application/cloudevents-batch+json ;charset=utf-8", Mode::Batch { format: "+json" });
    check("APPLICATION/CLOUDEVENTS-BATCH", Mode::Batch { format: "" });
    check("application/json", Mode::Binary);
    check("application/cloudevent", Mode::Binary);
    check("", Mode::Binary);
    check("application/cloudévents", Mode::Binary);
}

/// Texts that an attribute may have, blanks, quotes, percent signs and other planes among them.
fn text() -> impl Strategy<Value = String> {
    any::<String>()
        .prop_map(|text| {
            text.chars().filter(|c| !c.is_control() && u32::from(*c) & 0xfffe != 0xfffe).collect::<String>()
        })
        .prop_filter("no non-characters", |text| !text.chars().any(|c| ('\u{fdd0}'..='\u{fdef}').contains(&c)))
}

proptest! {
    #[test]
    fn unknown_extensions_survive_headers(
        extensions in proptest::collection::btree_map("[a-z0-9]{1,20}", text(), 0..20),
        id in text(),
        data in any::<Vec<u8>>(),
    ) {
        let mut builder = Builder::new();
        let id = format!("x{id}");
        for (name, value) in [("specversion", "1.0"), ("id", &id), ("source", "/s"), ("type", "t")] {
            builder.set(name, value).unwrap();
        }
        for (name, value) in extensions.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()) && *name != "data") {
            builder.set(name, value).unwrap();
        }
        let event = builder.build(data.into()).unwrap();
        let written = event.clone().into_message(&Headers::new()).unwrap();
        prop_assert_eq!(from_message(&written), Ok(Some(event)));
    }

    #[test]
    fn no_header_is_too_much(headers in proptest::collection::vec(("ce-[!-~]{0,30}", any::<String>()), 0..20)) {
        let mut all = Headers::new();
        all.append(SPECVERSION_HEADER, "1.0").unwrap();
        for (name, value) in &headers {
            let _ = all.append(name, value);
        }
        if let Ok(Some(event)) = from_message(&Message { headers: all, body: Bytes::new() }) {
            let _ = event.event_id();
        }
    }
}
