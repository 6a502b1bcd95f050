//! Components written for other hosts, unmodified in a whole host: what becomes of their events, their publishes and
//! their requests.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use hostel_api::client::{Item, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::unit::Span;
use hostel_api::view::{AttemptView, DeadLetterView, EventView, SettlementOutcome};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{cli, sample};

/// A reply topic of a test, which follows it instead of waiting for an answer in a handler.
const REPLIES: &str = "_reply.of-this-test";

/// The next event that a tail shows.
macro_rules! next {
    ($tail:expr) => {
        match tokio::time::timeout(PATIENCE, $tail.next()).await.expect("in time") {
            Some(Ok(Item::Seen(event))) => event,
            other => panic!("{other:?}"),
        }
    };
}

async fn deploy(host: &Host, name: &str, world: &str) {
    let handler = host.deploy(&sample(&format!("rust/{name}")), |_| ()).await;
    assert_eq!((handler.name.as_str(), handler.world.as_str()), (name, world));
}

fn with(topic: &str, body: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Publication {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Publication { headers, ..publication(topic, body) }
}

fn header<'a>(event: &'a EventView, name: &str) -> Option<&'a str> {
    event.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

async fn assert_acked(host: &Host, publication: &Publication) {
    let settled = host.client.publish_and_wait(publication, PATIENCE).await.expect("published");
    let outcomes: Vec<_> = settled.subscriptions.iter().map(|one| (one.outcome, one.attempts)).collect();
    assert_eq!(outcomes, [(SettlementOutcome::Ack, 1)], "{settled:?}");
}

/// Publishes what is given up, and says what is kept of it.
async fn given_up(host: &Host, publication: &Publication) -> DeadLetterView {
    let settled = host.client.publish_and_wait(publication, PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    assert_eq!(only.outcome, SettlementOutcome::DeadLetter, "{only:?}");
    let newest = host.client.dead_letters(1, None).await.expect("listed").items;
    let letter = host.client.dead_letter(&newest[0].id).await.expect("there");
    assert_eq!(letter.event.id, settled.id);
    letter
}

/// How often it was tried, how the last attempt ended, and why.
fn last(letter: &DeadLetterView) -> (usize, &str, &str) {
    let AttemptView { outcome, reason, .. } = letter.attempts.last().expect("attempts");
    (letter.attempts.len(), outcome, reason.as_deref().unwrap_or_default())
}

const WASMCLOUD: &str = "wasmcloud:messaging/handler@0.2.0";

#[tokio::test]
async fn a_handler_for_wasmcloud_answers_who_asks() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-echo", WASMCLOUD).await;
    let mut replies = host.client.tail(REPLIES).await.expect("tailed");
    assert_acked(&host, &with("tasks.work", vec![0, 0xff], &[("Hostel-Reply-To", REPLIES)])).await;
    let reply = next!(replies);
    assert_eq!((reply.topic.as_str(), reply.body_base64.as_deref()), (REPLIES, Some("AP8=")));

    let ran = cli::run(&host, &["handlers", "wasmcloud-echo"]).await;
    assert!(ran.stdout.contains(WASMCLOUD), "{ran:?}");
}

#[tokio::test]
async fn an_error_of_a_handler_for_wasmcloud_is_another_attempt() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-echo", WASMCLOUD).await;
    let letter = given_up(&host, &publication("tasks.work", "")).await;
    assert_eq!(last(&letter), (2, "retry", "nobody waits for an answer to the message on tasks.work"));
    // Who asks for an answer elsewhere than on a reply topic does not lend the handler a grant that it lacks.
    let letter = given_up(&host, &with("tasks.work", "", &[("Hostel-Reply-To", "orders.created")])).await;
    let denied = "handler `wasmcloud-echo` may not publish on `orders.created`; add `publish = [\"orders.created\"]` to \
                  handler.toml";
    assert_eq!(last(&letter), (2, "retry", denied));
}

#[tokio::test]
async fn a_handler_for_wasmcloud_asks_another_and_publishes_what_it_hears() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-echo", WASMCLOUD).await;
    deploy(&host, "wasmcloud-tasks", WASMCLOUD).await;
    let mut done = host.client.tail("tasks.done").await.expect("tailed");
    assert_acked(&host, &publication("tasks.new", "dig")).await;
    let event = next!(done);
    assert_eq!((event.body.as_deref(), header(&event, "Hostel-Reply-To")), (Some("dig"), Some("tasks.doubts")));
}

#[tokio::test]
async fn a_request_that_nobody_answers_ends_with_its_timeout_or_the_deadline() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-tasks", WASMCLOUD).await;
    let letter = given_up(&host, &publication("tasks.new", "dig")).await;
    assert_eq!(last(&letter), (2, "retry", "nobody answered within 1s"));

    let hasty = |manifest: &mut Manifest| {
        manifest.version = "0.2.0".to_owned();
        manifest.limits.deadline = Some(Span(Duration::from_millis(500)));
    };
    host.deploy(&sample("rust/wasmcloud-tasks"), hasty).await;
    let letter = given_up(&host, &publication("tasks.new", "dig")).await;
    assert_eq!(
        last(&letter),
        (2, "deadline", "the handler did not return within 500ms; it was waiting in a call to the host")
    );
}

#[tokio::test]
async fn what_a_manifest_does_not_name_is_denied_in_every_world() {
    let host = Host::start().await;
    let check = async |name: &str, event: Publication, topic: &str, before: &str| {
        let nothing = |manifest: &mut Manifest| manifest.publish.clear();
        host.deploy(&sample(&format!("rust/{name}")), nothing).await;
        let letter = given_up(&host, &event).await;
        let denied = format!(
            "{before}handler `{name}` may not publish on `{topic}`; add `publish = [\"{topic}\"]` to handler.toml"
        );
        assert_eq!(last(&letter), (2, "retry", denied.as_str()));
    };
    check("wasmcloud-tasks", publication("tasks.new", ""), "tasks.work", "").await;
    let wish = publication("prices.wanted", "");
    check("wasi-messaging-desk", wish, "prices.asked", "permission denied: ").await;
    let unpublished = "the event in the handler's answer was not published: ";
    check("http-function", publication("texts.written", ""), "words.counted", unpublished).await;
}

const WASMCLOUD_ASYNC: &str = "wasmcloud:messaging/handler@0.3.0";

#[tokio::test]
async fn an_asynchronous_handler_for_wasmcloud_streams_what_it_asks_and_answers() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-echo", WASMCLOUD).await;
    deploy(&host, "wasmcloud-async", WASMCLOUD_ASYNC).await;
    let mut done = host.client.tail("tasks.done").await.expect("tailed");
    assert_acked(&host, &publication("tasks.async", "dig")).await;
    assert_eq!(next!(done).body.as_deref(), Some("DIG"));
    assert_acked(&host, &publication("tasks.async", "")).await;
    assert_eq!(next!(done).body.as_deref(), Some(""));
    // More than a stream passes on at once.
    assert_acked(&host, &publication("tasks.async", "dig ".repeat(200_000))).await;
    assert_eq!(next!(done).body.map(|body| body.len()), Some(800_000));

    let mut replies = host.client.tail(REPLIES).await.expect("tailed");
    assert_acked(&host, &with("tasks.async", "dig", &[("Hostel-Reply-To", REPLIES)])).await;
    assert_eq!(next!(replies).body.as_deref(), Some("DIG"));
}

#[tokio::test]
async fn an_asynchronous_handler_for_wasmcloud_rejects_and_retries() {
    let host = Host::start().await;
    deploy(&host, "wasmcloud-async", WASMCLOUD_ASYNC).await;
    let check = async |body: &str, expected: (usize, &str, &str)| {
        let letter = given_up(&host, &publication("tasks.async", body)).await;
        assert_eq!(last(&letter), expected, "{body}");
    };
    check("reject", (1, "reject", "the handler rejected the event")).await;
    check("retry", (2, "retry", "the handler asked for another attempt")).await;
    check("other", (1, "reject", "not a task")).await;
    // Nobody does the work.
    check("dig", (2, "retry", "the handler asked for another attempt")).await;

    let hasty = |manifest: &mut Manifest| {
        manifest.version = "0.2.0".to_owned();
        manifest.limits.deadline = Some(Span(Duration::from_millis(500)));
    };
    host.deploy(&sample("rust/wasmcloud-async"), hasty).await;
    check("dig", (2, "deadline", "the handler did not return within 500ms; it was waiting in a call to the host"))
        .await;

    let nothing = |manifest: &mut Manifest| {
        manifest.version = "0.3.0".to_owned();
        manifest.publish.clear();
    };
    host.deploy(&sample("rust/wasmcloud-async"), nothing).await;
    let letter = given_up(&host, &publication("tasks.async", "dig")).await;
    assert_eq!(last(&letter), (1, "reject", "access denied"));
    let denied = "handler `wasmcloud-async` may not publish on `tasks.work`; add `publish = [\"tasks.work\"]` to \
                  handler.toml";
    let told: Vec<&str> = letter.attempts[0].log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(told, [denied]);
}

const WASI_MESSAGING: &str = "wasi:messaging/incoming-handler@0.2.0-draft";

#[tokio::test]
async fn a_handler_for_wasi_messaging_asks_itself_and_sends_on() {
    let host = Host::start().await;
    deploy(&host, "wasi-messaging-desk", WASI_MESSAGING).await;
    let mut told = host.client.tail("prices.told").await.expect("tailed");
    assert_acked(&host, &with("prices.wanted", "seven..", &[("Trace", "t-1"), ("Secret", "s")])).await;
    let event = next!(told);
    assert_eq!(event.body.as_deref(), Some("7"));
    assert_eq!((header(&event, "Content-Type"), header(&event, "Trace")), (Some("text/plain"), Some("t-1")));
    let gone = ["Secret", "Hostel-Attempt", "Hostel-Event-Id", "Hostel-Reply-To"];
    assert!(gone.iter().all(|name| header(&event, name).is_none()), "{event:?}");
}

#[tokio::test]
async fn an_error_of_a_handler_for_wasi_messaging_is_another_attempt() {
    let host = Host::start().await;
    deploy(&host, "wasi-messaging-desk", WASI_MESSAGING).await;
    let letter = given_up(&host, &publication("prices.asked", "")).await;
    let unasked = "nobody waits for an answer: the message has no `Hostel-Reply-To`";
    assert_eq!(last(&letter), (2, "retry", unasked));
}

const WASI_HTTP: &str = "wasi:http/incoming-handler@0.2.12";

#[tokio::test]
async fn a_function_gets_a_cloud_event_and_its_answer_is_published() {
    let host = Host::start().await;
    deploy(&host, "http-function", WASI_HTTP).await;
    let mut counted = host.client.tail("words.counted").await.expect("tailed");
    let text = Publication { id: Some("t-1".to_owned()), ..publication("texts.written", "one two  three") };
    assert_acked(&host, &text).await;
    let event = next!(counted);
    assert_eq!(event.body.as_deref(), Some(r#"{"words":3,"bytes":14}"#));
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "t-1-counted"),
        ("ce-source", "/words"),
        ("ce-type", "words.counted"),
        ("ce-subject", "texts.written"),
        ("Content-Type", "application/json"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&event, name), Some(value), "{name} of {event:?}");
    }
    assert_eq!(event.id, "/words t-1-counted", "the same answer to a second attempt is the same event");

    // Larger than what a guest may write at once, in both directions.
    assert_acked(&host, &publication("texts.written", "word ".repeat(100_000))).await;
    assert_eq!(next!(counted).body.as_deref(), Some(r#"{"words":100000,"bytes":500000}"#));
}

#[tokio::test]
async fn the_status_of_an_answer_says_what_becomes_of_the_event() {
    let host = Host::start().await;
    deploy(&host, "http-function", WASI_HTTP).await;
    let answered = |status: &str| with("texts.written", "", &[("Answer-With", status)]);
    assert_acked(&host, &answered("204")).await;
    let letter = given_up(&host, &answered("400")).await;
    assert_eq!(last(&letter), (1, "reject", "the handler answered 400 Bad Request: as asked, on attempt 1"));
    let letter = given_up(&host, &answered("500")).await;
    assert_eq!(last(&letter), (2, "retry", "the handler answered 500 Internal Server Error: as asked, on attempt 2"));
    let began = std::time::Instant::now();
    let letter = given_up(&host, &answered("503")).await;
    assert_eq!(last(&letter), (2, "retry", "the handler answered 503 Service Unavailable: as asked, on attempt 2"));
    assert!(began.elapsed() >= Duration::from_secs(1), "the answer's Retry-After is longer than the backoff");
    // That is no status, so that the function gives up before it answers.
    let letter = given_up(&host, &answered("99")).await;
    assert_eq!(last(&letter), (2, "retry", "the handler gave no answer"));
}

#[tokio::test]
async fn an_answer_whose_type_is_no_topic_is_not_lost() {
    let host = Host::start().await;
    deploy(&host, "http-function", WASI_HTTP).await;
    let letter = given_up(&host, &with("texts.written", "", &[("Count-As", "counted words")])).await;
    let (attempts, outcome, reason) = last(&letter);
    assert_eq!((attempts, outcome), (2, "retry"));
    assert!(reason.contains("has no `hostel-topic`, and its `ce-type` is no topic"), "{reason}");
}

#[tokio::test]
async fn a_component_for_a_version_that_is_not_known_is_refused_in_plain_words() {
    let host = Host::start().await;
    let check = async |export: &str, expected: &str| {
        let text = format!(r#"(component (instance $it) (export "{export}" (instance $it)))"#);
        let bytes = wat::parse_str(text).expect("good text");
        let digest = hostel_tests::host::digest(&bytes);
        let error = host.client.put_component(&digest, bytes.into()).await.expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let other = "which is not compatible with this host's";
    check("hostel:handler/subscriber@0.9.0", other).await;
    check("wasmcloud:messaging/handler@0.9.0", other).await;
    check("wasi:messaging/incoming-handler@0.3.0", other).await;
    check("wasi:http/incoming-handler@0.3.0", other).await;
}
