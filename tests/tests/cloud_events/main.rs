//! CloudEvents 1.0 in a whole host: the public conformance features and events, each rule that the ingress keeps, what a
//! handler sees of them and what a tail shows.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod gherkin;
mod yaml;

use std::collections::BTreeMap;

use hostel_api::problem::Problem;
use hostel_api::view::{PublishedView, SettledView, SettlementOutcome};
use hostel_tests::host::Host;
use hostel_tests::raw::{Answer, exchange, read_until, request};
use hostel_tests::{repository, sample};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const MINIMUM: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

/// A stream of events as CloudEvents in JSON.
struct Tail(TcpStream);

impl Tail {
    async fn of(host: &Host, pattern: &str) -> Self {
        let mut stream = TcpStream::connect(host.ingress).await.expect("the host listens");
        // Of HTTP/1.0, so that it does not come in chunks.
        let head = format!("GET /topics/{pattern}/events?format=cloudevents HTTP/1.0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let head = read_until(&mut stream, ": following\n\n").await.expect("a stream");
        assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
        Self(stream)
    }

    /// The id of the Hostel event, and the CloudEvent.
    async fn next(&mut self) -> (String, Map<String, Value>) {
        let text = read_until(&mut self.0, "\n\n").await.expect("the stream goes on");
        // It came byte by byte.
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect();
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (id, data) = text.split_once("\ndata: ").expect("an event");
        let id = id.strip_prefix("event: event\nid: ").expect("an id").to_owned();
        (id, serde_json::from_str(data).expect("JSON in one line"))
    }
}

async fn post(host: &Host, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    exchange(host.ingress, &request("POST", target, headers, body)).await.expect("an answer")
}

async fn post_json(host: &Host, target: &str, media_type: &str, body: &Value) -> Answer {
    post(host, target, &[("Content-Type", media_type)], body.to_string().as_bytes()).await
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn minimum(members: Value) -> Value {
    let mut event = object(json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" }));
    event.extend(object(members));
    event.into()
}

fn assert_refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    let problem: Problem = serde_json::from_str(&answer.body).expect("a problem");
    assert_eq!((answer.status, problem.code.as_str(), problem.detail.as_str()), (status, code, detail));
}

fn fixture(name: &str) -> String {
    let path = repository().join("tests/fixtures/cloudevents").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// Runs the steps of the conformance project's features. A step that it does not know fails the test.
#[tokio::test]
async fn the_public_features_of_the_http_binding_pass() {
    let host = Host::start().await;
    let mut tail = Tail::of(&host, "conformance.http").await;
    let mut ran = 0;
    for scenario in gherkin::scenarios(&fixture("features/http-protocol-binding.feature")) {
        let (mut request, mut seen) = (None, Map::new());
        for step in &scenario.steps {
            match step.text.as_str() {
                "HTTP Protocol Binding is supported" => {}
                "an HTTP request" => request = step.text_block.clone(),
                "parsed as HTTP request" => {
                    let text = request.take().expect("a request");
                    let (head, body) = text.split_once("\n\n").expect("head and body");
                    let head = head.replace("/someresource", "/topics/conformance.http").replace('\n', "\r\n");
                    let bytes = format!("{head}\r\nHostel-Id: {ran}\r\nConnection: close\r\n\r\n{body}");
                    let answer = exchange(host.ingress, bytes.as_bytes()).await.expect("an answer");
                    assert_eq!(answer.status, 202, "{}: {answer:?}", scenario.name);
                    seen = tail.next().await.1;
                }
                "the attributes are:" => {
                    for row in step.table.iter().skip(1) {
                        let [name, value] = &row[..] else { panic!("{row:?}") };
                        assert_eq!(seen[name], **value, "{}", scenario.name);
                    }
                    let names: Vec<&String> = seen.keys().filter(|name| *name != "data").collect();
                    assert_eq!(names.len(), step.table.len() - 1, "no other: {names:?}");
                }
                "the data is equal to the following JSON:" => {
                    let expected: Value = serde_json::from_str(step.text_block.as_ref().expect("JSON")).expect("JSON");
                    assert_eq!(seen["data"], expected, "{}", scenario.name);
                }
                other => panic!("no such step: {other}"),
            }
        }
        ran += 1;
    }
    assert_eq!(ran, 4, "two outlines with two examples each");
}

/// Sends each event of the conformance project in both modes; a handler and a tail see the same as was sent.
#[tokio::test]
async fn the_public_events_arrive_whole_in_both_modes() {
    let host = Host::start().await;
    host.deploy(&sample("rust/cloud-events"), |_| ()).await;
    let mut tail = Tail::of(&host, "cloud-events.%3E").await;
    let files = ["yaml/v1.yaml", "yaml/v1.0/v1_minimum.yaml"];
    let events: Vec<yaml::Event> = files.iter().flat_map(|file| yaml::events(&fixture(file))).collect();
    assert_eq!(events.len(), 8);
    for (index, event) in events.iter().enumerate() {
        for structured in [false, true] {
            let run = format!("{index}-{structured}");
            let target = "/topics/cloud-events.in?wait=settled";
            let answer = if structured {
                let headers = [("Content-Type", "application/cloudevents+json; charset=UTF-8"), ("Hostel-Id", &run)];
                post(&host, target, &headers, structured_body(event).to_string().as_bytes()).await
            } else {
                // As they stand there: the project's own sender does not encode them either.
                let named = |(name, value): (&String, &String)| match name.as_str() {
                    "datacontenttype" => ("Content-Type".to_owned(), value.clone()),
                    name => (format!("ce-{name}"), value.clone()),
                };
                let headers: Vec<(String, String)> = event.attributes.iter().map(named).collect();
                let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                headers.push(("Hostel-Id", &run));
                post(&host, target, &headers, event.data.as_bytes()).await
            };
            let settled: SettledView = serde_json::from_str(&answer.body).expect(&answer.body);
            let [only] = &settled.subscriptions[..] else { panic!("{settled:?}") };
            assert_eq!(only.outcome, SettlementOutcome::Ack, "{only:?}");

            let mut saw: BTreeMap<String, String> = serde_json::from_str(&only.log[0].text).expect("what it saw");
            let data = saw.remove("data").expect("data");
            let mut expected = event.attributes.clone();
            expected.remove("specversion");
            if structured {
                expected.entry("datacontenttype".to_owned()).or_insert("application/json".to_owned());
                assert_eq!(as_json(&data), as_json(&event.data));
            } else {
                assert_eq!(data, event.data);
            }
            assert_eq!(saw, expected);

            for passed_on in [false, true] {
                let (_, mut shown) = tail.next().await;
                let data = shown.remove("data").or(shown.remove("data_base64"));
                assert!(data.is_some(), "{shown:?}");
                let by = shown.remove("handledby");
                assert_eq!(by.is_some(), passed_on);
                assert_eq!(shown.remove("specversion"), Some("1.0".into()));
                assert_eq!(shown.len(), expected.len());
                for (name, value) in &expected {
                    assert_eq!(shown[name], **value);
                }
            }
        }
    }
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// As the JSON format wants it: data that are JSON as that, any other as a string.
fn structured_body(event: &yaml::Event) -> Value {
    let mut body: Map<String, Value> =
        event.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let is_json = event.attributes.get("datacontenttype").is_none_or(|media_type| media_type.contains("json"));
    let data = if is_json { serde_json::from_str(&event.data).expect("JSON") } else { event.data.as_str().into() };
    body.insert("data".to_owned(), data);
    body.into()
}

#[tokio::test]
async fn the_public_events_of_version_0_3_are_refused_by_name() {
    let host = Host::start().await;
    for event in ["yaml/v03.yaml", "yaml/v0.3/v03_minimum.yaml"].iter().flat_map(|file| yaml::events(&fixture(file))) {
        let detail = r#"attribute `specversion` is "0.3"; only "1.0" is taken"#;
        let headers: Vec<(String, String)> =
            event.attributes.iter().map(|(name, value)| (format!("ce-{name}"), value.clone())).collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| {
                (if name == "ce-datacontenttype" { "content-type" } else { name.as_str() }, value.as_str())
            })
            .collect();
        assert_refused(&post(&host, "/topics/a", &headers, b"").await, 400, "E0066", detail);
        let answer = post_json(&host, "/topics/a", STRUCTURED, &structured_body(&event)).await;
        assert_refused(&answer, 400, "E0066", detail);
    }
}

#[tokio::test]
async fn a_structured_event_is_kept_as_one_in_binary_mode() {
    let host = Host::start().await;
    let mut events = host.client.tail("things.>").await.unwrap();
    let body = r#"{"specversion":"1.0","id":"ä 1","source":"/s","type":"t","unknown":5,"other":true,"data":{ "b":1.0,"a":1e999 }}"#;
    let headers = [("Content-Type", STRUCTURED), ("Ce-Id", "not this"), ("X-Kept", "yes")];
    let answer = post(&host, "/topics/things.sent", &headers, body.as_bytes()).await;
    let published: PublishedView = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, published.id.as_str()), (202, "/s ä 1"));
    let Some(Ok(hostel_api::client::Item::Seen(event))) = events.next().await else { panic!("an event") };
    let expected = [
        ("X-Kept", "yes"),
        ("ce-specversion", "1.0"),
        ("ce-id", "%C3%A4%201"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("Content-Type", "application/json"),
        ("ce-unknown", "5"),
        ("ce-other", "true"),
    ];
    assert_eq!(event.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(event.body.as_deref(), Some(r#"{ "b":1.0,"a":1e999 }"#), "not a number is touched");
    assert_eq!(event.id, published.id);
}

#[tokio::test]
async fn an_event_is_told_from_others_by_source_and_id() {
    let host = Host::start().await;
    host.deploy(&sample("rust/cloud-events"), |_| ()).await;
    let send = async |source: &str, id: &str| {
        let event = minimum(json!({ "source": source, "id": id }));
        let answer = post_json(&host, "/topics/cloud-events.in", STRUCTURED, &event).await;
        let published: PublishedView = serde_json::from_str(&answer.body).expect("published");
        (published.id, published.subscriptions)
    };
    assert_eq!(send("/a", "1").await, ("/a 1".to_owned(), 1));
    assert_eq!(send("/a", "1").await, ("/a 1".to_owned(), 0), "the same event");
    assert_eq!(send("/b", "1").await, ("/b 1".to_owned(), 1), "another source");
    let long = "x".repeat(300);
    let (first, count) = send("/a", &long).await;
    assert_eq!((first.len(), count), (36, 1));
    assert_eq!(send("/a", &long).await, (first, 0));
    // Binary mode is the same event.
    let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/a"), ("ce-type", "t")];
    let answer = post(&host, "/topics/cloud-events.in", &headers, b"").await;
    assert_eq!(answer.body, r#"{"id":"/a 1","topic":"cloud-events.in","subscriptions":0}"#);
}

#[tokio::test]
async fn a_refusal_names_the_attribute_and_the_rule() {
    let host = Host::start().await;
    let with = |extra: (&'static str, &'static str)| {
        let mut headers = MINIMUM.to_vec();
        headers.retain(|(name, _)| *name != extra.0);
        headers.push(extra);
        headers
    };
    let check = async |headers: &[(&str, &str)], detail: &str| {
        assert_refused(&post(&host, "/topics/a", headers, b"x").await, 400, "E0066", detail);
    };
    check(
        &[("ce-specversion", "1.0")],
        "attribute `id` is missing; every CloudEvent has id, source, specversion and type",
    )
    .await;
    check(&with(("ce-ext", "%C0%A0")), "attribute `ext` is percent-encoded from bytes that are not UTF-8").await;
    check(
        &with(("ce-datacontenttype", "a/b")),
        "attribute `datacontenttype` must not be a header of its own; `Content-Type` says it",
    )
    .await;
    check(&with(("ce-my-ext", "1")), "attribute `my-ext` has '-' in its name; names are of a-z and 0-9").await;
    check(&with(("ce-time", "now")), "attribute `time` is not a time of RFC 3339, such as `2026-01-31T12:00:00Z`")
        .await;

    let check = async |media_type: &str, body: &str, status: u16, code: &str, detail: &str| {
        let answer = post(&host, "/topics/a", &[("Content-Type", media_type)], body.as_bytes()).await;
        assert_refused(&answer, status, code, detail);
    };
    let missing = "attribute `source` is missing; every CloudEvent has id, source, specversion and type";
    check(STRUCTURED, r#"{"specversion":"1.0","id":"1","type":"t"}"#, 400, "E0066", missing).await;
    let twice = "the body is not a CloudEvent in JSON: member `id` stands there twice at line 1 column 14";
    check(STRUCTURED, r#"{"id":"1","id":"2"}"#, 400, "E0066", twice).await;
    for (media_type, detail) in [
        (
            "application/cloudevents+avro",
            "`application/cloudevents+avro` is a format of CloudEvents that this host does not know",
        ),
        (
            "Application/CloudEvents",
            "`Application/CloudEvents` is a format of CloudEvents that this host does not know",
        ),
        (
            "application/cloudevents+json; charset=latin1",
            "`application/cloudevents+json; charset=latin1` is not read: JSON is UTF-8, so that `charset` can be nothing else",
        ),
    ] {
        check(media_type, "{}", 415, "E0067", detail).await;
    }
    // No `ce-specversion`: no CloudEvent, and nobody's business.
    assert_eq!(post(&host, "/topics/a", &[("ce-my-ext", "%"), ("ce-id", "1")], b"x").await.status, 202);
}

#[tokio::test]
async fn a_batch_is_checked_whole_and_published_in_order() {
    let host = Host::start().await;
    let mut tail = Tail::of(&host, "things.sent").await;
    let send = async |body: &Value| post_json(&host, "/topics/things.sent", BATCH, body).await;

    let two = json!([minimum(json!({ "data": 1 })), minimum(json!({ "id": "2", "data_base64": "AP8=" }))]);
    let answer = send(&two).await;
    let expected = json!({ "events": [
        { "id": "/s 1", "topic": "things.sent", "subscriptions": 0 },
        { "id": "/s 2", "topic": "things.sent", "subscriptions": 0 },
    ] });
    assert_eq!((answer.status, as_json(&answer.body)), (202, expected));
    assert_eq!(
        tail.next().await,
        ("/s 1".to_owned(), object(minimum(json!({ "datacontenttype": "application/json", "data": 1 }))))
    );
    assert_eq!(tail.next().await, ("/s 2".to_owned(), object(minimum(json!({ "id": "2", "data_base64": "AP8=" })))));

    let answer = send(&json!([])).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, r#"{"events":[]}"#));

    // None of these publishes its first event.
    let bad = json!([minimum(json!({})), { "specversion": "1.0" }]);
    let detail =
        "event 1 of the batch: attribute `id` is missing; every CloudEvent has id, source, specversion and type";
    assert_refused(&send(&bad).await, 400, "E0066", detail);
    let detail = "the body is not a batch of CloudEvents in JSON: it has more than 1000 events";
    let many: Vec<Value> = (0..1001).map(|_| minimum(json!({}))).collect();
    let problem: Problem = serde_json::from_str(&send(&many.into()).await.body).unwrap();
    assert!(problem.detail.starts_with(detail), "{problem:?}");
    let large = json!([minimum(json!({})), minimum(json!({ "data": "x".repeat(1024 * 1024) }))]);
    let answer = send(&large).await;
    let problem: Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, problem.code.as_str()), (413, "E0016"));
    assert!(problem.detail.starts_with("event 1 of the batch: the message has "), "{problem:?}");
    let answer = post_json(&host, "/topics/things.sent?wait=settled", BATCH, &two).await;
    assert_refused(&answer, 400, "E0022", "`wait=settled` does not wait for a batch; publish its events one by one");
    let headers = [("Content-Type", BATCH), ("Hostel-Id", "x")];
    let answer = post(&host, "/topics/things.sent", &headers, two.to_string().as_bytes()).await;
    let detail = "header `Hostel-Id` cannot name every event of a batch; each has its own `id`";
    assert_refused(&answer, 400, "E0017", detail);

    assert_eq!(send(&json!([minimum(json!({ "id": "last" }))])).await.status, 202);
    assert_eq!(tail.next().await.0, "/s last", "nothing of what was refused was published");
}

#[tokio::test]
async fn a_batch_that_finds_no_room_says_how_much_of_it_is_published() {
    let host = Host::start_with("broker.use = 'memory'").await;
    host.deploy(&sample("rust/hostile"), |manifest| {
        manifest.subscriptions[0].window = std::num::NonZeroU32::new(2);
        manifest.subscriptions[0].concurrency = std::num::NonZeroU32::new(1);
    })
    .await;
    let pattern = host.client.subscriptions().await.unwrap()[0].pattern.clone();
    let topic = pattern.replace(['>', '*'], "x");
    host.client.pause("hostile").await.unwrap();
    let events: Vec<Value> = (0..4).map(|id| minimum(json!({ "id": id.to_string() }))).collect();
    let answer = post_json(&host, &format!("/topics/{topic}"), BATCH, &events.into()).await;
    let problem: Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, problem.code.as_str()), (429, "E0068"), "{problem:?}");
    assert!(
        problem.detail.starts_with("2 of 4 events were published, those from index 2 on were not: "),
        "{problem:?}"
    );
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
}

#[tokio::test]
async fn a_plain_event_is_shown_as_a_cloud_event_on_request() {
    let host = Host::start().await;
    let mut tail = Tail::of(&host, "things.*").await;
    let check = async |tail: &mut Tail, media_type: &str, body: &[u8], expected: Value| {
        let answer = post(&host, "/topics/things.sent", &[("Content-Type", media_type)], body).await;
        let published: PublishedView = serde_json::from_str(&answer.body).expect("published");
        let (id, mut shown) = tail.next().await;
        assert_eq!((&id, &shown.remove("id").expect("an id")), (&published.id, &Value::from(published.id.as_str())));
        assert!(shown.remove("time").is_some_and(|time| time.as_str().is_some_and(|time| time.ends_with('Z'))));
        let mut all = object(json!({
            "specversion": "1.0",
            "source": "/tenants/default/topics/things.sent",
            "type": "things.sent",
            "datacontenttype": media_type,
        }));
        all.extend(object(expected));
        assert_eq!(shown, all);
    };
    check(&mut tail, "application/json", b"{\n\"a\": [1,\r\n2]}", json!({ "data": { "a": [1, 2] } })).await;
    check(&mut tail, "text/plain", "grün\n".as_bytes(), json!({ "data": "grün\n" })).await;
    check(&mut tail, "image/png", &[0, 255], json!({ "data_base64": "AP8=" })).await;
    check(&mut tail, "application/json", b"{", json!({ "data_base64": "ew==" })).await;

    let answer = exchange(host.ingress, &request("GET", "/topics/a/events?format=xml", &[], b"")).await.unwrap();
    let problem: Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, problem.code.as_str()), (400, "E0022"));
}

#[tokio::test]
async fn a_large_event_in_base64_fits_though_its_body_is_larger_than_a_message() {
    let host = Host::start().await;
    // 1,000,000 bytes of data are 1,333,336 on the wire; a message may have 1,048,576.
    let data = "AAAA".repeat(333_333);
    let answer = post_json(&host, "/topics/a", STRUCTURED, &minimum(json!({ "data_base64": data }))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer =
        post_json(&host, "/topics/a", STRUCTURED, &minimum(json!({ "data_base64": "AAAA".repeat(360_000) }))).await;
    let problem: Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, problem.code.as_str()), (413, "E0016"), "{problem:?}");
}
