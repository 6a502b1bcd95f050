//! Every sample handler in a whole host: what its page promises, seen from outside.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use hostel_api::client::Publication;
use hostel_api::manifest::Manifest;
use hostel_api::view::{DeadLetterView, SettlementOutcome};
use hostel_tests::host::{Host, publication};
use hostel_tests::sample::{acked, handled, header};
use hostel_tests::{cli, next, raw, sample};

/// Shared by the router and whoever signs. In no other text, so that it is noticed wherever it appears.
const SECRET: &str = "kept by the tests alone";

/// Deploys a sample as its manifest says.
async fn deployed(name: &str) -> Host {
    let host = Host::start().await;
    let handler = host.deploy(&sample(&format!("rust/{name}")), |_| ()).await;
    assert_eq!((handler.name.as_str(), handler.world.as_str()), (name, "hostel:handler/handler@0.1.0"));
    host
}

/// Publishes what is rejected at once, and says what is kept of it.
async fn assert_rejected(host: &Host, publication: &Publication) -> DeadLetterView {
    let (settled, only) = handled(host, publication).await;
    assert_eq!((only.outcome, only.attempts), (SettlementOutcome::DeadLetter, 1), "{only:?}");
    let newest = host.client.dead_letters(1, None).await.expect("listed").items;
    let letter = host.client.dead_letter(&newest[0].id).await.expect("there");
    assert_eq!((&letter.event.id, Some(&letter.reason)), (&settled.id, only.reason.as_ref()));
    assert_eq!(letter.attempts[0].outcome, "reject");
    letter
}

#[tokio::test]
async fn hello_logs_and_acknowledges_any_body() {
    let host = deployed("hello").await;
    let (settled, hello) = acked(&host, &publication("greetings.sent.today", vec![0xff, 0, 1])).await;
    let [line] = &hello.log[..] else { panic!("one line: {hello:?}") };
    assert_eq!(line.text, format!("hello, event {} on greetings.sent.today, attempt 1, with 3 bytes", settled.id));
    assert_eq!((line.level.as_str(), line.source.as_str()), ("info", "logging"));
}

#[tokio::test]
async fn a_good_student_registration_is_welcomed() {
    let host = deployed("student-registrations").await;
    let mut welcomed = host.client.tail("students.welcomed").await.expect("tailed");
    let body = r#"{"name":" Ada Lovelace ","email":"ada@example.org","course":"CS-101","extra":true}"#;
    let registration = Publication { id: Some("r-1".to_owned()), ..publication("students.registered", body) };
    let (_, registered) = acked(&host, &registration).await;
    let texts: Vec<&str> = registered.log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["registered a student for CS-101"], "the log does not tell who it was");

    let welcome = next!(welcomed);
    assert_eq!((welcome.id.as_str(), welcome.topic.as_str()), ("welcome-r-1", "students.welcomed"));
    assert_eq!(header(&welcome, "Content-Type"), Some("application/json"));
    let welcome: serde_json::Value = serde_json::from_str(&welcome.body.expect("text")).expect("JSON");
    let expected = serde_json::json!({
        "registration": "r-1",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "course": "CS-101",
        "text": "Welcome to CS-101, Ada Lovelace!",
    });
    assert_eq!(welcome, expected);
}

#[tokio::test]
async fn a_bad_student_registration_is_a_dead_letter_that_says_why() {
    let host = deployed("student-registrations").await;
    let check = async |body: &str, expected: &str| {
        let letter = assert_rejected(&host, &publication("students.registered", body)).await;
        assert!(letter.reason.contains(expected), "{body}: {}", letter.reason);
        assert_eq!(letter.event.body.as_deref(), Some(body), "what was sent is kept");
    };
    check("{not json", "the body is not the JSON that is expected").await;
    check(r#"{"name":"Ada","course":"CS-101"}"#, "missing field `email`").await;
    check(r#"{"name":"Ada","email":"ada@example.org"}"#, "missing field `course`").await;
    check(r#"{"name":" ","email":"ada","course":"CS-101"}"#, r#"`name` is empty; `email` "ada" has no @"#).await;
}

#[tokio::test]
async fn an_order_is_counted_and_a_bad_one_is_not() {
    let host = deployed("order-totals").await;
    let mut changed = host.client.tail("totals.changed").await.expect("tailed");
    let order = |body: &str| publication("orders.created", body);
    let (settled, _) = acked(&host, &order(r#"{"customer":"ada","cents":250}"#)).await;
    assert_rejected(&host, &order(r#"{"customer":" ","cents":1}"#)).await;
    assert_rejected(&host, &order(r#"{"customer":"ada"}"#)).await;
    acked(&host, &order(r#"{"customer":"ada","cents":50}"#)).await;
    let first = next!(changed);
    assert_eq!(first.id, format!("total-{}", settled.id));
    assert_eq!(first.body.as_deref(), Some(r#"{"customer":"ada","orders":1,"cents":250}"#));
    assert_eq!(next!(changed).body.as_deref(), Some(r#"{"customer":"ada","orders":2,"cents":300}"#));
}

/// Deploys the router with [`SECRET`].
async fn router() -> Host {
    let host = Host::start().await;
    let secret = |manifest: &mut Manifest| {
        manifest.config.0.insert("webhook-secret".to_owned(), SECRET.to_owned());
    };
    let router = host.deploy(&sample("rust/webhook-router"), secret).await;
    assert_eq!(router.name, "webhook-router");
    host
}

fn webhook(kind: &str, body: &str, signature: &str) -> Publication {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        pair("Content-Type", "application/json"),
        pair("X-GitHub-Event", kind),
        pair("X-GitHub-Delivery", "72d3162e"),
        pair("X-Hub-Signature-256", &format!("sha256={signature}")),
    ];
    Publication { headers, ..publication("webhooks-in.github", body) }
}

// Bodies and their signatures under `SECRET`, made apart from the router with Python's `hmac`.
const OPENED: &str = r#"{"action":"opened","number":7}"#;
const OPENED_SIGNATURE: &str = "b793e4e2d4bc8def0b394bc8ec1297b65d3394b95bf085e46bff55d5a3e67d9b";
const PUSHED: &str = r#"{"ref":"refs/heads/main"}"#;
const PUSHED_SIGNATURE: &str = "66cbe0d12862508d4c420a332fc8cde9d4fcb7859e9cdaa699930fb96a91debb";
const FORKED: &str = r#"{"forkee":{}}"#;
const FORKED_SIGNATURE: &str = "5a0f543bf46491b615b3d6df97e1134ad26e81b70eafb1caf3bd07c58313a6b3";

#[tokio::test]
async fn a_signed_webhook_is_routed_to_the_topic_of_what_happened() {
    let host = router().await;
    let mut routed = host.client.tail("webhooks.>").await.expect("tailed");
    let (settled, _) = acked(&host, &webhook("pull_request", OPENED, OPENED_SIGNATURE)).await;
    let event = next!(routed);
    assert_eq!((event.topic.as_str(), event.body.as_deref()), ("webhooks.pull_request.opened", Some(OPENED)));
    assert_eq!(event.id, format!("webhook-{}", settled.id));
    assert_eq!(header(&event, "X-GitHub-Delivery"), Some("72d3162e"));
    assert_eq!(header(&event, "X-Hub-Signature-256"), None);

    acked(&host, &webhook("push", PUSHED, PUSHED_SIGNATURE)).await;
    assert_eq!(next!(routed).topic, "webhooks.push");
}

#[tokio::test]
async fn a_webhook_with_a_bad_signature_or_type_is_rejected() {
    let host = router().await;
    let mut routed = host.client.tail("webhooks.>").await.expect("tailed");
    let check = async |webhook: &Publication, expected: &str| {
        let letter = assert_rejected(&host, webhook).await;
        assert!(letter.reason.starts_with(expected), "{}", letter.reason);
    };
    let unfit = "header X-Hub-Signature-256 does not fit the body and the secret";
    check(&webhook("push", OPENED, PUSHED_SIGNATURE), unfit).await;
    check(&webhook("fork", FORKED, FORKED_SIGNATURE), r#"type "fork" is not one that is routed: "#).await;
    check(&publication("webhooks-in.github", PUSHED), "header X-Hub-Signature-256 is missing").await;

    // Had one of them been routed, it would come before this one.
    acked(&host, &webhook("push", PUSHED, PUSHED_SIGNATURE)).await;
    assert_eq!(next!(routed).body.as_deref(), Some(PUSHED));
}

#[tokio::test]
async fn the_secret_of_a_config_is_never_told() {
    let host = router().await;
    acked(&host, &webhook("push", PUSHED, PUSHED_SIGNATURE)).await;
    let letter = assert_rejected(&host, &webhook("push", OPENED, PUSHED_SIGNATURE)).await;

    let mut told = Vec::new();
    let paths = ["handlers", "handlers/webhook-router", "subscriptions", "dead-letters", "logs"].map(str::to_owned);
    for path in paths.into_iter().chain([format!("dead-letters/{}", letter.id)]) {
        let request = raw::request("GET", &format!("/v1/tenants/default/{path}"), &[], b"");
        let answer = raw::exchange(host.admin, &request).await.expect("answered");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        told.push((path, answer.body));
    }
    for arguments in [&["handlers", "--json"][..], &["handlers", "webhook-router", "--json"], &["handlers"]] {
        let ran = cli::run(&host, arguments).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        told.push((arguments.join(" "), ran.stdout + &ran.stderr));
    }
    let keys = told.iter().filter(|(_, text)| text.contains("webhook-secret")).count();
    assert!(keys >= 4, "the key is told, in lists and alone: {told:?}");
    host.signal("TERM");
    let (_, said) = host.ended().await;
    told.push(("serve".to_owned(), said));
    for (place, text) in told {
        assert!(!text.contains(SECRET), "{place} tells the secret: {text}");
    }
}

#[tokio::test]
async fn the_secret_is_not_told_when_its_manifest_is_refused() {
    let host = Host::start().await;
    let manifest = serde_json::json!({
        "name": "webhook-router",
        "component": format!("sha256:{}", "0".repeat(64)),
        "config": { "webhook-secret": SECRET },
    });
    let unknown_key = serde_json::json!({ "name": "webhook-router", "config": { "webhook-secret": SECRET }, "x": 1 });
    for body in [manifest.to_string(), unknown_key.to_string(), format!(r#"{{"config":{{"a":["{SECRET}"]}}}}"#)] {
        let path = "/v1/tenants/default/handlers/webhook-router";
        let headers = [("Content-Type", "application/json")];
        let request = raw::request("PUT", path, &headers, body.as_bytes());
        let answer = raw::exchange(host.admin, &request).await.expect("answered");
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert!(!answer.body.contains(SECRET), "{answer:?}");
    }
}

#[tokio::test]
async fn hostile_behaves_when_told_to_and_misbehaves_when_told_to() {
    let host = deployed("hostile").await;
    acked(&host, &publication("hostile.do", "ok")).await;
    let by_header =
        Publication { headers: vec![("Behaviour".to_owned(), "reject".to_owned())], ..publication("hostile.do", "ok") };
    let letter = assert_rejected(&host, &by_header).await;
    assert_eq!(letter.reason, "rejected on demand");
}
