//! Handlers that misbehave: each behaviour of the fixture `hostile` ends in an outcome of its own and in time, a
//! well-behaved handler of the same host is served meanwhile, and what the fixture held goes back.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "figures and progress are shown")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostel_api::client::{Item, LogQuery};
use hostel_api::manifest::Manifest;
use hostel_api::view::{AttemptView, DeadLetterView, LogLineView, SettledView, SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::{sample, times};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

/// Held by the tests that keep all cores busy or look at the time: they would spoil one another's figures.
static ALONE: Mutex<()> = Mutex::const_new(());
const MIB: u64 = 1024 * 1024;
/// What the manifest of `hostile` gives it.
const MEMORY: u64 = 64 * MIB;
/// The deadline of what should end by itself: far beyond what it takes, also beside others.
const DEADLINE: Duration = Duration::from_secs(2);
/// The deadline of what ends by it: short enough to be waited for many times.
const BRIEF: Duration = Duration::from_millis(250);
/// How many deadlines an attempt that moves its own may last.
const EXTENSIONS: u32 = 10;
/// How late an attempt may end.
const LATE: Duration = Duration::from_secs(1);
/// The same where many compute at once, which wait for each other as well.
const LATE_ABREAST: Duration = Duration::from_secs(1);
/// How long a well-behaved event may take beside the others. A hundredth of it is usual; a machine that does other
/// things beside, or whose disk is slow, takes longer.
const SERVED: Duration = Duration::from_secs(5);

/// A behaviour and how its event ends.
struct Case {
    behaviour: &'static str,
    /// The outcome of each attempt that failed; `ack` when the event was acknowledged in the end.
    outcome: &'static str,
    /// A part of the reason.
    reason: &'static str,
    /// Whether a stack is told.
    stack: bool,
}

const fn case(behaviour: &'static str, outcome: &'static str, reason: &'static str) -> Case {
    Case { behaviour, outcome, reason, stack: false }
}

const fn with_stack(behaviour: &'static str, outcome: &'static str, reason: &'static str) -> Case {
    Case { behaviour, outcome, reason, stack: true }
}

/// Every behaviour of the fixture, some with several numbers.
const CASES: [Case; 53] = [
    // First, since it takes longest.
    with_stack("extend-forever", "deadline", "it was computing"),
    case("ok", "ack", ""),
    case("reject", "reject", "rejected on demand"),
    case("retry", "retry", "retried on demand"),
    case("retry-after:20", "retry", "retried on demand"),
    case("retry-until:2", "ack", ""),
    case("last-error", "reject", "last error: None"),
    with_stack("loop", "deadline", "the handler did not return within 250ms; it was computing"),
    case("sleep", "deadline", "the handler did not return within 250ms; it was waiting in a call to the host"),
    case("extend", "reject", "the deadline lies beyond what the host allows; "),
    case("extend:1000", "reject", "the host agreed"),
    with_stack("allocate", "memory", "more than its limit of 67108864"),
    case("hold-memory", "ack", ""),
    with_stack("hold-memory:65", "memory", "more than its limit of 67108864"),
    with_stack("recurse", "stack", "the handler recursed past the end of its stack"),
    with_stack("trap", "trap", "wasm `unreachable` instruction executed"),
    with_stack("abort", "trap", "wasm `unreachable` instruction executed"),
    with_stack("exit", "exit", "the handler exited with code 0 instead of returning"),
    with_stack("exit:7", "exit", "the handler exited with code 1 instead of returning"),
    case("talk", "ack", ""),
    case("flood:20000", "ack", ""),
    case("flood-then-reject:20000", "reject", "after a flood"),
    case("print:20000", "ack", ""),
    case("long-line", "ack", ""),
    case("long-line-then-reject", "reject", "after a long line"),
    case("huge-reason:1048576", "reject", "xxxx"),
    case("huge-reason", "contract", "fuel"),
    with_stack("huge-argument", "contract", "fuel"),
    case("huge-publish:2097152", "reject", "the message is larger than the 1048576 bytes that the host takes"),
    with_stack("huge-publish", "contract", "fuel"),
    case("publish", "ack", ""),
    with_stack("publish-then-trap", "trap", "wasm `unreachable` instruction executed"),
    case("publish-then-reject", "reject", "after all"),
    case("denied-publish", "reject", r#"add `publish = ["forbidden.topic"]` to handler.toml"#),
    case("invalid-publish", "reject", "topic `no such..topic` has"),
    case("early-ack", "ack", ""),
    case("early-ack-then-trap", "ack", ""),
    case("early-ack-twice", "ack", ""),
    case("leak-check", "ack", ""),
    // Which error it is depends on the tool chain's libc.
    case("list-files", "reject", "(os error "),
    // Without a folder of files; what is with one is in `files.rs`.
    case("list-folder", "reject", "(os error "),
    case("read-file", "reject", "(os error "),
    case("write-file", "reject", "(os error "),
    case("remove-file", "reject", "(os error "),
    case("open-files:2", "reject", "0 are open: "),
    case("hold-files", "deadline", "the handler did not return within 250ms; it was waiting in a call to the host"),
    case("hold-streams", "reject", "there is no folder"),
    case("share-file", "reject", "there is no folder"),
    case("hold-lists", "reject", "there is no folder"),
    case("count-folder", "reject", "(os error "),
    case("read-then-count", "reject", "(os error "),
    case("list-environment", "reject", "arguments [], environment []"),
    case("dance", "reject", r#"unknown behaviour "dance""#),
];

#[test]
fn every_behaviour_of_the_fixture_has_a_case() {
    let source = sample("rust/hostile").with_file_name("src").join("lib.rs");
    let source = std::fs::read_to_string(source).expect("the fixture's source");
    let name = |behaviour: &str| behaviour.split(':').next().map(str::to_owned);
    let rows = source.lines().filter_map(|line| name(line.strip_prefix("//! | `")?.split_once('`')?.0));
    let cases: BTreeSet<String> = CASES.iter().filter_map(|case| name(case.behaviour)).collect();
    let missing: Vec<String> = rows.filter(|row| !cases.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_behaviour_has_its_own_outcome_in_time_while_others_are_served() {
    let _alone = ALONE.lock().await;
    let host = Arc::new(started().await);
    let served = Served::begin(&host);
    for case in &CASES {
        let began = Instant::now();
        case.check(&host, LATE).await;
        eprintln!("{:>22} {:>8} after {} ms", case.behaviour, case.outcome, began.elapsed().as_millis());
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_all_behaviours_leaves_the_memory_as_it_was() {
    const ABREAST: usize = 8;
    /// Rounds until the books are full and the pool has used as many sandboxes as it will.
    const WARM_UP: usize = 2;
    /// What an allocator keeps back.
    const MARGIN: u64 = 32 * MIB;
    /// So small that the warm-up fills it: dead letters that are kept for their reader are no leak.
    const BOOKS: &str = "[broker]\ndead_letter_memory = '256KiB'";

    let _alone = ALONE.lock().await;
    let host = Arc::new(started_with(BOOKS).await);
    let served = Served::begin(&host);
    for _ in 0..WARM_UP {
        storm(&host, ABREAST).await;
    }
    let before = host.resident();
    let mut most = before;
    for round in 0..times(3, 30) {
        storm(&host, ABREAST).await;
        most = most.max(host.resident());
        eprintln!("round {round}: {} MiB resident", host.resident() / MIB);
    }
    let patience = Instant::now() + PATIENCE;
    while host.resident() > before + MARGIN {
        let mib = |bytes: u64| bytes / MIB;
        assert!(Instant::now() < patience, "{} MiB before, {} MiB after", mib(before), mib(host.resident()));
        // Paces the look, and shows that the host goes on.
        host.publish_and_wait("greetings.after", "hi").await;
    }
    let after = host.resident();
    eprintln!("resident: {} MiB before, at most {}, {} after", before / MIB, most / MIB, after / MIB);
    served.end().await;
}

#[tokio::test]
async fn a_flood_is_cut_with_a_note() {
    let host = started().await;
    let lines = only_attempt(&host, "flood-then-reject:20000").await;
    assert_eq!((lines.log.len(), lines.log_cut), (100, 19_900), "the manifest keeps 100 lines");
    assert!(log_bytes(&lines) <= 16 * 1024, "{}", log_bytes(&lines));
    assert_eq!(lines.log[99].text, "line 99 of a flood");

    let line = only_attempt(&host, "long-line-then-reject").await;
    assert_eq!((line.log.len(), line.log_cut), (1, 1));
    assert!((15 * 1024..=16 * 1024).contains(&log_bytes(&line)), "{}", log_bytes(&line));

    let flooded = do_it(&host, "flood:20000").await;
    assert_eq!((flooded.log.len(), flooded.log_cut), (100, 19_900));
    let printed = do_it(&host, "print:20000").await;
    assert_eq!((printed.log.len(), printed.log_cut), (100, 19_900));
    let told = host.client.logs(&LogQuery { handler: None, limit: Some(1) }).await.unwrap();
    assert_eq!(told[0].source, "host");
    assert!(told[0].text.starts_with("19900 lines were cut: "), "{}", told[0].text);
}

#[tokio::test]
async fn all_that_a_handler_says_becomes_log_lines() {
    let host = started().await;
    let talk = do_it(&host, "talk").await;
    let line = |line: &LogLineView| format!("{} {} {}", line.source, line.level, line.text);
    let lines: Vec<String> = talk.log.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "logging trace a trace line",
            "logging debug a debug line",
            "logging info an info line",
            "logging warn a warn line",
            "logging error an error line",
            "stdout info a line on stdout",
            "stderr warn a line on stderr",
            "stdout info an unfinished line",
        ]
    );
}

#[tokio::test]
async fn a_huge_reason_is_cut() {
    let host = started().await;
    let letter = dead_letter(&host, &host.publish_and_wait("hostile.do", "huge-reason:1048576").await).await;
    assert_eq!(letter.reason, "x".repeat(4096));
    assert_eq!(letter.attempts[0].reason.as_deref(), Some(&*letter.reason));
}

#[tokio::test]
async fn what_the_host_refuses_says_what_would_help() {
    let host = started().await;
    let check = async |behaviour: &str, expected: &str| {
        let refused = do_it(&host, behaviour).await;
        assert_eq!(refused.reason.as_deref(), Some(expected), "{behaviour}");
    };
    check(
        "denied-publish",
        "publishing was denied: handler `hostile` may not publish on `forbidden.topic`; add `publish = \
         [\"forbidden.topic\"]` to handler.toml",
    )
    .await;
    check("huge-publish:1048577", "the message is larger than the 1048576 bytes that the host takes").await;
    let subscriptions = host.client.subscriptions().await.expect("listed");
    assert!(subscriptions.iter().all(|subscription| subscription.pattern != "forbidden.topic"));
}

#[tokio::test]
async fn what_an_early_ack_is_followed_by_reaches_the_logs_only() {
    let host = started().await;
    let of_hostile = LogQuery { handler: Some("hostile".to_owned()), limit: None };
    let mut logs = host.client.follow_logs(&of_hostile).await.expect("followed");
    for behaviour in ["early-ack", "early-ack-twice", "early-ack-then-trap"] {
        let settled = do_it(&host, behaviour).await;
        assert_eq!((settled.outcome, settled.reason), (SettlementOutcome::Ack, None), "{behaviour}");
    }
    // The guest logs its panic after the ack; the line comes when the attempt is over.
    let panicked = async {
        loop {
            match logs.next().await.expect("the host goes on").expect("readable") {
                Item::Seen(line) if line.text.contains("trapped on demand") => return line,
                _ => {}
            }
        }
    };
    let panicked = tokio::time::timeout(PATIENCE, panicked).await.expect("logged");
    assert_eq!((panicked.level.as_str(), panicked.attempt), ("error", 1));

    let counts = settled_counts(&host, 3).await;
    assert_eq!(counts, (3, 3, 0, 0), "delivered, acked, retried, dead-lettered");
}

#[tokio::test]
async fn each_event_finds_a_fresh_instance() {
    let host = started().await;
    for _ in 0..20 {
        let settled = do_it(&host, "leak-check").await;
        assert_eq!((settled.outcome, settled.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
    }
}

#[tokio::test]
async fn the_stack_of_a_trap_names_the_guests_functions() {
    let host = started().await;
    let letter = dead_letter(&host, &host.publish_and_wait("hostile.do", "trap").await).await;
    assert_eq!(letter.attempts.len(), 2);
    assert!(letter.reason.starts_with("gave up after 2 attempts: "), "{}", letter.reason);
    for attempt in &letter.attempts {
        let stack = attempt.stack.as_deref().expect("a trap has a stack");
        let at = |name: &str| stack.find(name).unwrap_or_else(|| panic!("`{name}` is not in\n{stack}"));
        let names = ["hostile::innermost", "hostile::middle", "hostile::outer", "hostile::handle"];
        assert!(names.map(at).is_sorted(), "innermost first:\n{stack}");
        let said = attempt.log.iter().any(|line| line.text.contains("trapped on demand"));
        assert!(said, "{:?}", attempt.log);
    }
}

/// A host that runs `hello`, and `hostile` twice: with [`DEADLINE`], and with [`BRIEF`] on a topic of its own.
async fn started() -> Host {
    started_with("").await
}

/// The same with this `hostel.toml`.
async fn started_with(config: &str) -> Host {
    let host = Host::start_with(config).await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let within = |manifest: &mut Manifest, deadline: Duration| {
        manifest.limits.deadline = Some(format!("{}ms", deadline.as_millis()).parse().expect("a duration"));
    };
    let hostile = host.deploy(&sample("rust/hostile"), |manifest| within(manifest, DEADLINE)).await;
    assert_eq!(hostile.limits.memory.map(|memory| memory.0), Some(MEMORY));
    let brief = |manifest: &mut Manifest| {
        within(manifest, BRIEF);
        manifest.name = "hostile-brief".to_owned();
        manifest.subscriptions[0].pattern = "hostile.brief".to_owned();
    };
    host.deploy(&sample("rust/hostile"), brief).await;
    host
}

/// Has `hostile` do something and says how it went.
async fn do_it(host: &Host, behaviour: &str) -> SettlementView {
    let settled = host.publish_and_wait("hostile.do", behaviour).await;
    only(&settled).clone()
}

fn only(settled: &SettledView) -> &SettlementView {
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    only
}

/// The dead letter that an event became.
async fn dead_letter(host: &Host, settled: &SettledView) -> DeadLetterView {
    let page = host.client.dead_letters(200, None).await.expect("listed");
    let of_event = page.items.iter().find(|letter| letter.event == settled.id);
    let letter = of_event.unwrap_or_else(|| panic!("no dead letter of {settled:?}"));
    host.client.dead_letter(&letter.id).await.expect("there")
}

async fn only_attempt(host: &Host, behaviour: &str) -> AttemptView {
    let letter = dead_letter(host, &host.publish_and_wait("hostile.do", behaviour).await).await;
    let [only] = &letter.attempts[..] else { panic!("one attempt: {letter:?}") };
    only.clone()
}

fn log_bytes(attempt: &AttemptView) -> usize {
    attempt.log.iter().map(|line| line.text.len() + line.context.len()).sum()
}

/// What `hostile` counted once it has started `delivered` attempts and none runs or waits.
async fn settled_counts(host: &Host, delivered: u64) -> (u64, u64, u64, u64) {
    let quiet = async {
        loop {
            let all = host.client.subscriptions().await.expect("listed");
            let own = all.iter().find(|subscription| subscription.handler == "hostile").expect("deployed");
            if own.delivered >= delivered && own.running + own.waiting + own.sleeping == 0 {
                return (own.delivered, own.acked, own.retried, own.dead_lettered);
            }
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.expect("quiet in time")
}

/// Runs every case once, so many at a time.
async fn storm(host: &Arc<Host>, abreast: usize) {
    let places = Arc::new(Semaphore::new(abreast));
    let mut running = JoinSet::new();
    for case in &CASES {
        let (host, places) = (Arc::clone(host), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire().await.expect("never closed");
            case.check(&host, LATE_ABREAST).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("as expected");
    }
}

impl Case {
    async fn check(&self, host: &Host, late: Duration) {
        let topic = if self.outcome == "deadline" { "hostile.brief" } else { "hostile.do" };
        let settled = host.publish_and_wait(topic, self.behaviour).await;
        let outcome = only(&settled).outcome;
        if self.outcome == "ack" {
            assert_eq!(outcome, SettlementOutcome::Ack, "{}: {settled:?}", self.behaviour);
            return;
        }
        assert_eq!(outcome, SettlementOutcome::DeadLetter, "{}: {settled:?}", self.behaviour);
        let letter = dead_letter(host, &settled).await;
        let attempts = if self.outcome == "reject" { 1 } else { 2 };
        assert_eq!(letter.attempts.len(), attempts, "{}: {letter:?}", self.behaviour);
        for attempt in &letter.attempts {
            self.check_attempt(attempt, late);
        }
    }

    fn check_attempt(&self, attempt: &AttemptView, late: Duration) {
        let told = || format!("{}: {attempt:?}", self.behaviour);
        assert_eq!(attempt.outcome, self.outcome, "{}", told());
        let reason = attempt.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(self.reason) && reason.len() <= 4096, "{}", told());
        assert_eq!(attempt.stack.is_some(), self.stack, "{}", told());
        assert!(attempt.peak_memory_bytes <= MEMORY, "{}", told());
        let (least, most) = match (self.outcome, self.behaviour) {
            // It asks for a second at a time, and for the last time some way before it can have no more.
            ("deadline", "extend-forever") => (BRIEF * 2, BRIEF * EXTENSIONS),
            ("deadline", _) => (BRIEF, BRIEF),
            _ => (Duration::ZERO, DEADLINE),
        };
        let wall = Duration::from_millis(attempt.wall_ms);
        assert!((least..=most + late).contains(&wall), "{}", told());
    }
}

/// Publishes to `hello` one event after another, until it is told to end.
struct Served {
    stop: Arc<AtomicBool>,
    publisher: JoinHandle<(u32, Duration)>,
}

impl Served {
    fn begin(host: &Arc<Host>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (host, stopped) = (Arc::clone(host), Arc::clone(&stop));
        let publisher = tokio::spawn(async move {
            let (mut served, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let settled = host.publish_and_wait("greetings.meanwhile", "hi").await;
                slowest = slowest.max(began.elapsed());
                let own = only(&settled);
                assert_eq!((own.outcome, own.attempts), (SettlementOutcome::Ack, 1), "{settled:?}");
                served += 1;
            }
            (served, slowest)
        });
        Self { stop, publisher }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (served, slowest) = self.publisher.await.expect("each event was acknowledged");
        eprintln!("{served} events of hello were served meanwhile, the slowest within {slowest:?}");
        assert!(served > 100, "{served}");
        assert!(slowest < SERVED, "{slowest:?}");
    }
}
