//! What go-micro takes and Hostel does not, what neither takes, and what is lenient on purpose.

use hostel_event::topic::TopicError;

use crate::http::wire::decode::{Inbound, Request, decode};
use crate::http::wire::refusal::Refusal;
use crate::http::wire::tests::event;
use crate::http::wire::{Generation, encode, message};

fn post(path: &str, body: &str) -> Result<Inbound, Refusal> {
    decode(&Request { path, query: Some("id=n"), content_type: None, body: body.as_bytes() })
}

fn detail(body: &str) -> String {
    let answer = post("/", body).unwrap_err().answer();
    assert_eq!(answer.status, 500);
    let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    error["detail"].as_str().unwrap().to_owned()
}

fn many(count: usize, name: impl Fn(usize) -> String) -> String {
    let headers: String = (0..count).map(|at| format!(r#""{}":"{at}","#, name(at))).collect();
    format!(r#"{{"Header":{{{headers}"Micro-Topic":"a"}}}}"#)
}

#[test]
fn a_header_that_hostel_cannot_hold_is_refused_in_go_micros_form() {
    let check = |header: &str, expected: &str| {
        let body = format!(r#"{{"Header":{{"Micro-Topic":"a",{header}}}}}"#);
        assert_eq!(detail(&body), format!("Error reading message header: {expected}"));
    };
    check(r#""":"x""#, "a header's name is empty");
    check(r#""a b":"x""#, r#"header name "a b" has ' '; white space and control characters are not allowed"#);
    check(r#""a":"\u0000""#, "the value of header `a` has a NUL character");
    check(&format!(r#""{}":"x""#, "n".repeat(257)), "a header's name has 257 bytes, more than 256");
    let large = format!(r#""a":"{}""#, "v".repeat(64 * 1024));
    check(&large, "the headers of a message have at most 65536 bytes");
}

#[test]
fn headers_are_counted_by_their_names() {
    assert_eq!(post("/", &many(127, |at| format!("h{at}"))).unwrap().message.headers.len(), 128);
    for count in [128, 511, 512, 513, 5_000] {
        let refused = detail(&many(count, |at| format!("h{at}")));
        assert_eq!(refused, "Error reading message header: a message has at most 128 headers");
        let taken = post("/", &many(count, |at| format!("h{}", at % 100))).unwrap();
        assert_eq!(taken.message.headers.len(), 101);
        let last = (count - 1).to_string();
        assert_eq!(taken.message.headers.get(&format!("h{}", (count - 1) % 100)), Some(&*last), "later ones win");
    }
    let forgotten =
        many(5_000, |at| format!("h{at}")).replace("}}", r#"},"Header":null,"Header":{"Micro-Topic":"a"}}"#);
    assert_eq!(post("/", &forgotten).unwrap().message.headers.len(), 1, "`null` clears what was before");
}

#[test]
fn what_is_no_json_counts_before_too_many_headers() {
    let body = many(5_000, |at| format!("h{at}"));
    assert_eq!(detail(body.strip_suffix('}').unwrap()), "Error parsing request body: unexpected end of JSON input");
}

#[test]
fn ten_thousand_levels_are_passed_over_and_one_more_is_refused() {
    let nested = |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(message::parse(nested(9_999).as_bytes()).unwrap().is_some());
    assert_eq!(message::parse(nested(10_000).as_bytes()).unwrap_err(), "exceeded max depth");
    assert_eq!(message::parse("[".repeat(10_001).as_bytes()).unwrap_err(), "exceeded max depth");
    assert_eq!(message::parse("[".repeat(10_000).as_bytes()).unwrap_err(), "unexpected end of JSON input");
    assert_eq!(message::parse(r#"{"":"#.repeat(1_000_000).as_bytes()).unwrap_err(), "exceeded max depth");
}

#[test]
fn the_topics_header_is_that_of_the_path_or_else_the_other() {
    let check = |path: &str, headers: &str, generation: Generation, topic: &str, left: &[&str]| {
        let inbound = post(path, &format!(r#"{{"Header":{{{headers}}}}}"#)).unwrap();
        assert_eq!(inbound.generation, generation, "{path} {headers}");
        assert_eq!(inbound.topic.unwrap().as_str(), topic);
        assert_eq!(inbound.message.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), left);
    };
    let both = r#"":topic":"v1","Micro-Topic":"v2""#;
    check("/_sub", both, Generation::First, "v1", &["Micro-Topic"]);
    check("/", both, Generation::Second, "v2", &[":topic", "Micro-Topic"]);
    check("/elsewhere", both, Generation::Second, "v2", &[":topic", "Micro-Topic"]);
    check("/_sub", r#""Micro-Topic":"v2""#, Generation::Second, "v2", &["Micro-Topic"]);
    check("/_sub", r#"":topic":"","Micro-Topic":"v2""#, Generation::Second, "v2", &[":topic", "Micro-Topic"]);
    check("/", r#"":topic":"v1""#, Generation::First, "v1", &[]);
    assert_eq!(post("/", r#"{"Header":{"Micro-Topic":""}}"#), Err(Refusal::Topic));
}

#[test]
fn a_topic_that_only_go_micro_knows_is_told_apart() {
    let inbound = post("/", r#"{"Header":{"Micro-Topic":"a b"}}"#).unwrap();
    assert!(matches!(inbound.topic, Err(TopicError::Character { found: ' ', .. })));
    assert_eq!(inbound.node_id, "n");
}

#[test]
fn only_a_form_loses_its_body() {
    let check = |content_type: &str, taken: bool| {
        let body = br#"{"Header":{"Micro-Topic":"a"}}"#;
        let request = Request { path: "/", query: None, content_type: Some(content_type), body };
        let lost = Refusal::Body("unexpected end of JSON input".to_owned());
        assert_eq!(decode(&request).map(|inbound| inbound.node_id), if taken { Ok(String::new()) } else { Err(lost) });
    };
    check("application/x-www-form-urlencoded", false);
    check(" Application/X-WWW-Form-Urlencoded ; charset=utf-8", false);
    check("application/json", true);
    check("multipart/form-data; boundary=x", true);
    check("", true);
    check(";", true);
}

#[test]
fn an_errors_text_is_escaped_as_go_escapes_it() {
    let answer = post("/", "{\"Header\":{\"<&>\\u2028\":7}}").unwrap_err().answer();
    let detail = r"json: cannot unmarshal number into Go struct field .Header.\u003c\u0026\u003e\u2028 of type string";
    let expected = format!(
        r#"{{"id":"go.micro.broker","code":500,"detail":"Error parsing request body: {detail}","status":"Internal Server Error"}}"#
    );
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
}

#[test]
fn old_topics_and_ids_go_and_a_micro_id_stays() {
    let given = [
        ("micro-topic", "old"),
        (":topic", "old"),
        ("hostel-id", "old"),
        ("Micro-ID", "7"),
        ("x-a", "1"),
        ("X-A", "2"),
        ("x-a", "3"),
        ("Hostel-Route", "here"),
    ];
    let event = event("a.b", &given, b"");
    let check = |generation: Generation, expected: &str| assert_eq!(encode::body(&event, generation), expected);
    let rest = r#""Hostel-Route":"here","Micro-ID":"7""#;
    let last = r#""X-A":"2","x-a":"1, 3"},"Body":""}"#;
    check(
        Generation::First,
        &format!(r#"{{"Header":{{":topic":"a.b","Hostel-Id":"e1",{rest},"Micro-Topic":"a.b",{last}"#),
    );
    check(Generation::Second, &format!(r#"{{"Header":{{"Hostel-Id":"e1",{rest},"Micro-Topic":"a.b",{last}"#));
}
