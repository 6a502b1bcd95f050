//! The conformance handler of each language in a whole host: one table of cases, the same answers in all of them. What a
//! language does not offer stands in [`GAPS`] and nowhere else. A language whose tools are missing made no component: its
//! test says so and checks nothing.
//!
//! `docs/languages.md` says what the handler does for each behaviour, and has the tables for people.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hostel_api::client::Publication;
use hostel_api::manifest::{Manifest, Quarantine, Retry, Subscription};
use hostel_api::unit::Span;
use hostel_api::view::{DeadLetterView, EventView, SettledView, SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample::{built, header, json};
use hostel_tests::{namespace, next, sample, times};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a language does not offer: the language, the case, and why.
const GAPS: [(&str, &str, &str); 4] = [
    ("javascript", "a_failure_is_told_in_one_place", "the engine says on stderr, too, that it ended"),
    ("typescript", "a_failure_is_told_in_one_place", "the engine says on stderr, too, that it ended"),
    ("javascript", "what_is_printed_is_a_log_line", "the console is the log; there is nothing else to print to"),
    ("typescript", "what_is_printed_is_a_log_line", "the console is the log; there is nothing else to print to"),
];

/// The subscription of which only a retry that says when comes again.
const DO: &str = "conformance.do";
/// The one that gives an event two attempts, at once.
const AGAIN: &str = "conformance.again";
/// That of a deployment with a deadline of [`BRIEF`].
const SOON: &str = "conformance.soon";
/// The handler of each language, in its folder.
const SAMPLE: &str = "conformance";
/// That of a deployment with `reuse`.
const WARM: &str = "conformance.warm";
/// That of a deployment whose greeting is a secret.
const SECRETLY: &str = "conformance.secret";
/// Said nowhere else.
const SECRET: &str = "süße Heimlichkeit";

/// A deadline that a test can wait for, and time enough for an event on a busy machine.
const BRIEF: Duration = Duration::from_millis(1500);
/// Room for a body of 1 MiB and what stands before it; and a way to the server of the test.
const CONFIG: &str = "[ingress]\nmessage_limit = \"2MiB\"\n[runtime]\nprivate_addresses = [\"127.0.0.1\"]\n";
/// Events that one instance serves.
const REUSE: u32 = 3;
const MIB: usize = 1024 * 1024;

/// A host with the conformance handler of one language.
struct Bench {
    host: Host,
    /// As the author wrote it, with the component's digest.
    manifest: Manifest,
    /// Where the handler may send requests.
    server: String,
    /// Where the host reads its secret.
    _secrets: TempDir,
}

type Check = fn(Arc<Bench>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The cases, by the names of their functions.
macro_rules! cases {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), |bench| Box::pin($name(bench)))),*] };
}

const CASES: [(&str, Check); 26] = cases![
    a_body_comes_back_as_it_was,
    headers_come_back_as_they_were,
    an_event_is_described,
    what_is_published_has_its_id_and_its_headers,
    a_refused_message_says_why,
    a_denied_message_rejects_the_event,
    values_are_kept,
    a_denied_bucket_rejects_the_event,
    config_is_read,
    a_secret_is_read_as_config_is,
    a_missing_key_that_is_required_is_a_retry,
    each_level_is_logged,
    what_is_printed_is_a_log_line,
    clocks_run,
    randomness_differs_between_events,
    a_request_goes_out_and_another_is_denied,
    a_retry_comes_again_when_it_says,
    a_retry_without_a_time_comes_again,
    a_reject_is_a_dead_letter_at_once,
    an_early_ack_holds_whatever_happens_then,
    an_extension_moves_the_deadline,
    a_deadline_ends_what_waits,
    a_failure_nobody_meant_is_a_trap_with_a_readable_stack,
    a_failure_is_told_in_one_place,
    nothing_is_left_of_an_event_but_where_instances_are_reused,
    a_preparation_refuses_the_deployment,
];

#[tokio::test]
async fn rust_conforms() {
    conforms("rust").await;
}

#[tokio::test]
async fn javascript_conforms() {
    conforms("javascript").await;
}

#[tokio::test]
async fn typescript_conforms() {
    conforms("typescript").await;
}

#[tokio::test]
async fn python_conforms() {
    conforms("python").await;
}

#[tokio::test]
async fn go_conforms() {
    conforms("go").await;
}

#[tokio::test]
async fn c_conforms() {
    conforms("c").await;
}

/// Runs every case, also after one has failed.
async fn conforms(language: &str) {
    let test = format!("{language}_conforms");
    let Some(bench) = Bench::start(&test, language).await else { return };
    let bench = Arc::new(bench);
    let mut failed = Vec::new();
    for (name, check) in CASES {
        if GAPS.iter().any(|(lacking, case, _)| (*lacking, *case) == (language, name)) {
            continue;
        }
        if tokio::spawn(check(Arc::clone(&bench))).await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{language}: {failed:#?}");
}

/// Prints the table of `docs/languages.md`: one language after the other, in the long run.
#[tokio::test]
async fn figures_of_each_language() {
    const EVENTS: usize = 50;
    if !times(false, true) {
        return;
    }
    for language in ["rust", "c", "go", "javascript", "typescript", "python"] {
        let name = format!("{language}/{SAMPLE}");
        let Some(bytes) = built("figures_of_each_language", &name) else { continue };
        let size = bytes.len();
        // Nothing is written to a disk between the events.
        let host = Host::start_with("[broker]\nuse = \"memory\"\n").await;
        let began = Instant::now();
        let digest = host.upload(bytes).await;
        let compiled = began.elapsed();
        let mut manifest = None;
        host.deploy(&sample(&name), |read| manifest = Some(read.clone())).await;
        let manifest = Manifest { component: digest, ..manifest.expect("deployed") };
        let secrets = tempfile::tempdir().expect("a temporary folder");
        let bench = Bench { host, manifest, server: String::new(), _secrets: secrets };
        bench.deploy("warm", WARM, |manifest| manifest.reuse = NonZeroU32::new(u32::MAX)).await;
        let [mut fresh, mut warm] = [Vec::new(), Vec::new()];
        for (topic, took) in [(DO, &mut fresh), (WARM, &mut warm)] {
            for _ in 0..=EVENTS {
                let began = Instant::now();
                let (_, only) = bench.ask(&asking(topic, "count", &[])).await;
                assert_eq!(only.outcome, SettlementOutcome::Ack, "{only:?}");
                took.push(began.elapsed());
            }
        }
        let first = fresh.remove(0);
        let median = |took: &mut Vec<Duration>| {
            took.sort_unstable();
            took[took.len() / 2]
        };
        let (fresh, warm) = (median(&mut fresh), median(&mut warm));
        let letter = bench.given_up(&asking(DO, "reject", &[])).await;
        let memory = letter.attempts[0].peak_memory_bytes / 1024;
        namespace::figure(&format!(
            "{language}: {} KiB, compiled in {compiled:.1?}, first event {first:.1?}, fresh {fresh:.2?}, reused {warm:.2?}, \
             memory {memory} KiB",
            size / 1024
        ));
    }
}

#[test]
fn every_gap_is_of_a_case_that_there_is() {
    for (language, case, why) in GAPS {
        assert!(CASES.iter().any(|(name, _)| *name == case), "{language}: {case}: {why}");
    }
}

impl Bench {
    /// Deploys the handler as its manifest says, and for what needs another: a short deadline, `reuse`, a secret.
    async fn start(test: &str, language: &str) -> Option<Self> {
        let name = format!("{language}/{SAMPLE}");
        built(test, &name)?;
        let secrets = tempfile::tempdir().expect("a temporary folder");
        let file = secrets.path().join("greeting");
        std::fs::write(&file, format!("{SECRET}\n")).expect("written");
        let config = format!("{CONFIG}[secrets.default]\ngreeting = {{ file = '{}' }}\n", file.display());
        let host = Host::start_with(&config).await;
        let server = serve().await;
        let mut deployed = None;
        host.deploy(&sample(&name), |manifest| {
            manifest.http = vec![format!("{server}/allowed")];
            deployed = Some(manifest.clone());
        })
        .await;
        let bench = Self { host, manifest: deployed.expect("deployed"), server, _secrets: secrets };
        bench.deploy("soon", SOON, |manifest| manifest.limits.deadline = Some(Span(BRIEF))).await;
        bench.deploy("warm", WARM, |manifest| manifest.reuse = NonZeroU32::new(REUSE)).await;
        let secret = |manifest: &mut Manifest| {
            manifest.config.0.clear();
            manifest.secrets = vec!["greeting".to_owned()];
        };
        bench.deploy("secret", SECRETLY, secret).await;
        Some(bench)
    }

    /// Deploys the component under another name, for one topic of its own and one event at a time.
    async fn deploy(&self, name: &str, pattern: &str, change: impl FnOnce(&mut Manifest)) {
        let subscription = Subscription {
            pattern: pattern.to_owned(),
            concurrency: NonZeroU32::new(1),
            retry: Retry { attempts: NonZeroU32::new(1), ..Retry::default() },
            quarantine: Quarantine { faults: Some(0), ..Quarantine::default() },
            ..Subscription::default()
        };
        let mut manifest =
            Manifest { name: name.to_owned(), subscriptions: vec![subscription], ..self.manifest.clone() };
        change(&mut manifest);
        self.host.client.deploy(&manifest).await.expect("deployed");
    }

    /// Has the handler do something, and waits for how it ended.
    async fn ask(&self, publication: &Publication) -> (SettledView, SettlementView) {
        let settled = self.host.client.publish_and_wait(publication, PATIENCE).await.expect("published");
        let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
        let only = only.clone();
        (settled, only)
    }

    /// The same for what is acknowledged, with what it answered.
    async fn answered(&self, publication: &Publication) -> (SettledView, SettlementView, EventView) {
        let mut results = self.host.client.tail("conformance.result").await.expect("tailed");
        let (settled, only) = self.ask(publication).await;
        let texts: Vec<&str> = only.log.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(only.outcome, SettlementOutcome::Ack, "{:?}\n{texts:#?}", only.reason);
        let id = format!("result-{}", settled.id);
        loop {
            let result = next!(results);
            if result.id == id {
                return (settled, only, result);
            }
        }
    }

    /// What it answered as JSON.
    async fn told(&self, publication: &Publication) -> (SettledView, Value) {
        let (settled, _, answer) = self.answered(publication).await;
        assert_eq!(header(&answer, "Content-Type"), Some("application/json"));
        (settled, json(&answer))
    }

    /// The same for what becomes a dead letter.
    async fn given_up(&self, publication: &Publication) -> DeadLetterView {
        let (settled, only) = self.ask(publication).await;
        assert_eq!(only.outcome, SettlementOutcome::DeadLetter, "{only:?}");
        let newest = self.host.client.dead_letters(1, None).await.expect("listed").items;
        let letter = self.host.client.dead_letter(&newest[0].id).await.expect("there");
        assert_eq!(letter.event.id, settled.id);
        letter
    }
}

/// An event on a topic that asks for a behaviour.
fn asking(topic: &str, behaviour: &str, headers: &[(&str, &str)]) -> Publication {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers = [("Behaviour", behaviour)].iter().chain(headers).map(pair).collect();
    Publication { headers, ..publication(topic, "") }
}

fn with_body(publication: Publication, body: impl Into<Vec<u8>>) -> Publication {
    Publication { body: body.into().into(), ..publication }
}

fn outcomes(letter: &DeadLetterView) -> Vec<&str> {
    letter.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect()
}

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the machine's own clock, which the guest's is held against")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before long")
}

/// Answers every request with how many bytes it had, and with its header `X-Sent`.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    // Ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            let (head, body) = loop {
                let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
                let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                if body.len() >= length.parse().expect("a number") {
                    break (head, body.len());
                }
            };
            let sent = head.lines().find_map(|line| line.strip_prefix("x-sent: ")).unwrap_or("nothing");
            let (method, text) = (head.split(' ').next().unwrap_or(""), format!("{body} bytes"));
            let answer = format!(
                "HTTP/1.1 201 Created\r\nX-Answered: {method} {sent}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            // Whoever asked may have gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

async fn a_body_comes_back_as_it_was(bench: Arc<Bench>) {
    let binary: Vec<u8> = (0..MIB).map(|at| u8::try_from(at % 251).expect("below 251") ^ 0x80).collect();
    for body in [Vec::new(), b"\0".to_vec(), vec![b'x'; MIB], binary] {
        let (_, _, answer) = bench.answered(&with_body(asking(DO, "echo", &[]), body.clone())).await;
        let bytes = match (&answer.body, &answer.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(text)) => {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).expect("base64")
            }
            both => panic!("{both:?}"),
        };
        assert!(bytes == body, "{} bytes came back as {}", body.len(), bytes.len());
    }
}

async fn headers_come_back_as_they_were(bench: Arc<Bench>) {
    let sent = [
        ("X-Repeated", "one"),
        ("X-Unicode", "grüß dich 😀 日本"),
        ("X-Repeated", "two"),
        ("X-Empty", ""),
        ("X-Repeated", "one"),
        ("X-Long", &"x".repeat(4000)),
    ];
    let (_, _, answer) = bench.answered(&asking(DO, "echo", &sent)).await;
    // HTTP keeps the order of those of one name.
    let of_name = |name: &str| -> Vec<&str> {
        let of_name = answer.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    };
    for (name, _) in sent {
        let expected: Vec<&str> = sent.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value).collect();
        assert_eq!(of_name(name), expected, "{name}");
    }
}

async fn an_event_is_described(bench: Arc<Bench>) {
    let headers = [("X-Repeated", "grüß"), ("X-Repeated", "two")];
    let (settled, answer) = bench.told(&with_body(asking(DO, "describe", &headers), vec![0xff; 7])).await;
    let published = answer["published_at_ms"].as_u64().expect("a number");
    assert!(now().abs_diff(published) < 600_000, "{published}");
    let expected = json!({
        "id": settled.id, "topic": DO, "attempt": 1, "published_at_ms": published, "last_error": null, "bytes": 7,
        "header": "grüß", "missing": null,
    });
    assert_eq!(answer, expected);
}

async fn what_is_published_has_its_id_and_its_headers(bench: Arc<Bench>) {
    let mut others = bench.host.client.tail("conformance.other").await.expect("tailed");
    let (settled, answer) = bench.told(&asking(DO, "publish", &[])).await;
    let other = next!(others);
    assert_eq!((answer["id"].as_str(), &other.id), (Some(other.id.as_str()), &format!("other-{}", settled.id)));
    assert_eq!((other.body.as_deref(), header(&other, "X-Kind")), (Some("other"), Some("other")));
}

async fn a_refused_message_says_why(bench: Arc<Bench>) {
    let (_, answer) = bench.told(&asking(DO, "publish", &[])).await;
    let is = |what: &str, kind: &str, part: &str| {
        let text = answer[what][1].as_str().unwrap_or("");
        assert!(answer[what][0] == kind && text.contains(part), "{answer}");
    };
    is("denied", "denied", r#"add `publish = ["conformance.denied"]` to handler.toml"#);
    is("invalid", "invalid", "topic `conformance..other` has an empty token");
}

async fn a_denied_message_rejects_the_event(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(DO, "publish-denied", &[])).await;
    assert_eq!(outcomes(&letter), ["reject"], "{letter:?}");
    assert!(letter.reason.contains(r#"add `publish = ["conformance.denied"]`"#), "{}", letter.reason);
}

async fn values_are_kept(bench: Arc<Bench>) {
    let (settled, mut answer) = bench.told(&asking(DO, "key-value", &[])).await;
    let keys: Vec<Value> = ["value", "number"].iter().map(|key| json!(format!("{}-{key}", settled.id))).collect();
    let found = answer["keys"].take();
    assert!(keys.iter().all(|key| found.as_array().is_some_and(|found| found.contains(key))), "{found}");
    let expected = json!({
        "before": null, "after": [0, 255, 118], "exists": true, "sum": 5, "keys": null, "deleted": true, "denied": true,
    });
    assert_eq!(answer, expected);
}

async fn a_denied_bucket_rejects_the_event(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(DO, "key-value-denied", &[])).await;
    assert_eq!(outcomes(&letter), ["reject"], "{letter:?}");
    let log = &letter.attempts[0].log;
    assert!(log.iter().any(|line| line.source == "host" && line.text.contains("keyvalue")), "{log:?}");
}

async fn config_is_read(bench: Arc<Bench>) {
    let (_, answer) = bench.told(&asking(DO, "config", &[])).await;
    assert_eq!(answer, json!({ "set": "grüß dich", "unset": null }));
}

async fn a_secret_is_read_as_config_is(bench: Arc<Bench>) {
    let (_, answer) = bench.told(&asking(SECRETLY, "config", &[])).await;
    assert_eq!(answer, json!({ "set": SECRET, "unset": null }));
}

async fn a_missing_key_that_is_required_is_a_retry(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(AGAIN, "require-config", &[])).await;
    assert_eq!(outcomes(&letter), ["retry", "retry"], "{letter:?}");
    assert!(letter.reason.contains("config key `absent` is not set"), "{}", letter.reason);
}

async fn each_level_is_logged(bench: Arc<Bench>) {
    let (_, only) = bench.ask(&asking(DO, "log", &[])).await;
    let lines = only.log.iter().filter(|line| line.source == "logging");
    let lines: Vec<_> = lines.map(|line| (line.level.as_str(), line.text.as_str())).collect();
    let expected = [
        ("trace", "at trace"),
        ("debug", "at debug"),
        ("info", "at info: grüß dich"),
        ("warn", "at warn"),
        ("error", "at error"),
    ];
    assert_eq!(lines, expected);
}

async fn what_is_printed_is_a_log_line(bench: Arc<Bench>) {
    let (_, only) = bench.ask(&asking(DO, "log", &[])).await;
    let lines = only.log.iter().filter(|line| line.source != "logging");
    let mut lines: Vec<_> = lines.map(|line| (line.source.as_str(), line.text.as_str())).collect();
    // A program may keep what it prints until its end.
    lines.sort_unstable();
    assert_eq!(lines, [("stderr", "on stderr"), ("stdout", "on stdout")]);
}

async fn clocks_run(bench: Arc<Bench>) {
    let (_, answer) = bench.told(&asking(DO, "clocks", &[("Milliseconds", "40")])).await;
    let wall = answer["wall_ms"].as_u64().expect("a number");
    assert!(now().abs_diff(wall) < 600_000, "{answer}");
    let elapsed = answer["elapsed_ms"].as_u64().expect("a number");
    assert!((39..60_000).contains(&elapsed), "{answer}");
}

async fn randomness_differs_between_events(bench: Arc<Bench>) {
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let (_, answer) = bench.told(&asking(DO, "random", &[])).await;
        drawn.extend(answer["random"].as_array().expect("a list").iter().map(ToString::to_string));
    }
    assert_eq!(drawn.len(), 4);
    assert!(drawn.iter().all(|one| drawn.iter().filter(|other| *other == one).count() == 1), "{drawn:?}");
}

async fn a_request_goes_out_and_another_is_denied(bench: Arc<Bench>) {
    let url = format!("{}/allowed?query=1", bench.server);
    let denied = format!("{}/denied", bench.server);
    let headers = [("Url", url.as_str()), ("Denied-Url", denied.as_str())];
    // More than goes through a stream at once.
    let (_, answer) = bench.told(&with_body(asking(DO, "http", &headers), vec![b'x'; 10_000])).await;
    assert_eq!(answer, json!({ "status": 201, "header": "post sent", "body": "10000 bytes", "denied": true }));
}

async fn a_retry_comes_again_when_it_says(bench: Arc<Bench>) {
    let began = Instant::now();
    let (_, answer) = bench.told(&asking(DO, "retry", &[("Milliseconds", "300")])).await;
    // By itself it would come again within an hour.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!((answer["attempt"].as_u64(), answer["last_error"].as_str()), (Some(2), Some("not yet: nö")));
}

async fn a_retry_without_a_time_comes_again(bench: Arc<Bench>) {
    let (_, answer) = bench.told(&asking(AGAIN, "retry", &[])).await;
    assert_eq!((answer["attempt"].as_u64(), answer["last_error"].as_str()), (Some(2), Some("not yet: nö")));
}

async fn a_reject_is_a_dead_letter_at_once(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(DO, "reject", &[])).await;
    assert_eq!((outcomes(&letter), letter.reason.as_str()), (vec!["reject"], "rejected on demand: nö"));
}

async fn an_early_ack_holds_whatever_happens_then(bench: Arc<Bench>) {
    let mut others = bench.host.client.tail("conformance.other").await.expect("tailed");
    let (_, answer) = bench.told(&asking(AGAIN, "ack", &[])).await;
    assert_eq!(answer, json!({ "already_settled": true }));
    assert_eq!(next!(others).body.as_deref(), Some("before"));
}

async fn an_extension_moves_the_deadline(bench: Arc<Bench>) {
    let time = (BRIEF + Duration::from_secs(1)).as_millis().to_string();
    let (_, answer) = bench.told(&asking(SOON, "extend", &[("Milliseconds", &time)])).await;
    let left = answer["left_ms"].as_u64().unwrap_or_else(|| panic!("a day is too long: {answer}"));
    assert!((1..15_000).contains(&left), "ten times the deadline in all, less what has passed: {left}");
}

async fn a_deadline_ends_what_waits(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(SOON, "sleep", &[("Milliseconds", "30000")])).await;
    assert_eq!(outcomes(&letter), ["deadline"], "{letter:?}");
}

async fn a_failure_nobody_meant_is_a_trap_with_a_readable_stack(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(AGAIN, "panic", &[])).await;
    assert_eq!(outcomes(&letter), ["trap", "trap"], "{letter:?}");
    for attempt in &letter.attempts {
        let stack = attempt.stack.as_deref().unwrap_or_else(|| panic!("a trap has a stack: {attempt:?}"));
        let log: Vec<&str> = attempt.log.iter().map(|line| line.text.as_str()).collect();
        let told = format!("{}\n{stack}", log.join("\n"));
        for part in ["innermost", "middle", "outermost"] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        let message = format!("failed on demand in attempt {}", attempt.number);
        let line = attempt.log.iter().find(|line| line.text.contains(&message));
        let line = line.unwrap_or_else(|| panic!("the message is in the log: {:?}", attempt.log));
        assert_eq!((line.level.as_str(), line.source.as_str()), ("error", "logging"));
    }
}

async fn a_failure_is_told_in_one_place(bench: Arc<Bench>) {
    let letter = bench.given_up(&asking(AGAIN, "panic", &[])).await;
    let printed: Vec<_> = letter.attempts[0].log.iter().filter(|line| line.source == "stderr").collect();
    assert!(printed.is_empty(), "{printed:#?}");
}

async fn nothing_is_left_of_an_event_but_where_instances_are_reused(bench: Arc<Bench>) {
    let count = async |topic: &str| {
        let (_, answer) = bench.told(&asking(topic, "count", &[])).await;
        u32::try_from(answer["count"].as_u64().expect("a number")).expect("a small one")
    };
    for _ in 0..4 {
        assert_eq!(count(DO).await, 1);
    }
    let mut warm = Vec::new();
    for _ in 0..=REUSE {
        warm.push(count(WARM).await);
    }
    assert_eq!(warm, [1, 2, 3, 1]);
}

async fn a_preparation_refuses_the_deployment(bench: Arc<Bench>) {
    let mut manifest = Manifest { name: "refused".to_owned(), ..bench.manifest.clone() };
    manifest.config.0.insert("refuse".to_owned(), "not today".to_owned());
    let refused = bench.host.client.deploy(&manifest).await.expect_err("it refuses").to_string();
    assert!(refused.contains("refused on demand: not today"), "{refused}");
    let again = bench.host.client.handler("refused").await.expect_err("it is not there").to_string();
    assert!(again.contains("refused"), "{again}");
}
