//! What a guest reaches, and what it does not.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hostel_event::name::BucketName;
use hostel_event::outcome::{FaultKind, Level, LogSource, Outcome};
use hostel_event::port::{Invoke, PublishError};

use super::support::{
    Answer, Bench, Fixture, Ports, call, call_with, fault, handler, handler_within, publishing_handler,
};

#[tokio::test]
async fn the_event_is_what_was_published() {
    let bench = Bench::new();
    let fixture = Fixture::new(
        "(call $topic (local.get $event) (i32.const 64))
         (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.load (i32.const 64)) (i32.load (i32.const 68)))
         (call $body (local.get $event) (i32.const 64))
         (call $reject (i32.load (i32.const 64)) (i32.load (i32.const 68)))",
    );
    let report = bench.run(&fixture).await;
    assert_eq!(report.outcome, Outcome::Reject { reason: "the body".to_owned() });
    assert_eq!(report.log.lines[0].text, "orders.created");
}

#[tokio::test]
async fn an_early_ack_is_taken_once() {
    let bench = Bench::new();
    let ports = Ports::new(Answer::Ok);
    let fixture = Fixture::new(
        "(call $ack (local.get $event) (i32.const 64))
         (if (i32.load8_u (i32.const 64)) (then unreachable))
         (call $ack (local.get $event) (i32.const 64))
         (if (i32.ne (i32.load8_u (i32.const 64)) (i32.const 1)) (then unreachable))
         (if (i32.load8_u (i32.const 72)) (then unreachable))
         (call $ok)",
    );
    let report = bench.guest(&fixture, &handler()).invoke(call_with(&ports)).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert!(ports.is_acked());
}

/// Publishes the text `body` on `orders.paid` and rejects with the id, or with the text of the error.
fn publish_fixture() -> Fixture {
    Fixture::new(
        "(call $publish (i32.const 4096) (i32.const 11) (i32.const 8192) (i32.const 1) (i32.const 4112) (i32.const 4)
            (i32.const 64))
         (if (i32.eqz (i32.load8_u (i32.const 64)))
            (then (return (call $reject (i32.load (i32.const 72)) (i32.load (i32.const 76))))))
         (call $reject (i32.load (i32.const 80)) (i32.load (i32.const 84)))",
    )
    .with_fields(
        r#"(data (i32.const 4096) "orders.paid")
           (data (i32.const 4112) "body")
           (data (i32.const 4128) "X-Name")
           (data (i32.const 4144) "value")
           (data (i32.const 8192) "\20\10\00\00\06\00\00\00\30\10\00\00\05\00\00\00")"#,
    )
}

#[tokio::test]
async fn a_granted_publish_carries_headers_and_body() {
    let bench = Bench::new();
    let ports = Ports::new(Answer::Ok);
    let report = bench.guest(&publish_fixture(), &publishing_handler("orders.*")).invoke(call_with(&ports)).await;
    assert_eq!(report.outcome, Outcome::Reject { reason: "event-8".to_owned() });
    let published = ports.published.lock();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].tenant.as_str(), "acme");
    assert_eq!(published[0].topic.as_str(), "orders.paid");
    assert_eq!(published[0].message.headers.get("x-name"), Some("value"));
    assert_eq!(&published[0].message.body[..], b"body");
}

#[tokio::test]
async fn a_denied_publish_names_the_line_that_would_allow_it() {
    let bench = Bench::new();
    let ports = Ports::new(Answer::Ok);
    let report = bench.guest(&publish_fixture(), &publishing_handler("other.>")).invoke(call_with(&ports)).await;
    let reason =
        "handler `fixture` may not publish on `orders.paid`; add `publish = [\"orders.paid\"]` to handler.toml";
    assert_eq!(report.outcome, Outcome::Reject { reason: reason.to_owned() });
    assert!(ports.published.lock().is_empty());
}

#[tokio::test]
async fn a_failed_publish_says_why() {
    let bench = Bench::new();
    let ports = Ports::new(Answer::Error(PublishError::Closed));
    let report = bench.guest(&publish_fixture(), &publishing_handler("orders.*")).invoke(call_with(&ports)).await;
    assert_eq!(report.outcome, Outcome::Reject { reason: "the host is shutting down".to_owned() });
}

#[tokio::test]
async fn config_answers_what_was_granted() {
    let bench = Bench::new();
    // result<option<string>, _>: the option's flag at 4, its text at 8.
    let fixture = Fixture::new(
        "(call $config-get (i32.const 4096) (i32.const 3) (i32.const 64))
         (if (i32.eqz (i32.load8_u (i32.const 68))) (then (return (call $reject (i32.const 4100) (i32.const 4)))))
         (call $reject (i32.load (i32.const 72)) (i32.load (i32.const 76)))",
    )
    .with_fields(r#"(data (i32.const 4096) "key none")"#);
    let mut handler = handler();
    assert_eq!(
        bench.guest(&fixture, &handler).invoke(call()).await.outcome,
        Outcome::Reject { reason: "none".to_owned() }
    );
    handler.grants.config.insert("key".to_owned(), "s3cret".to_owned());
    assert_eq!(
        bench.guest(&fixture, &handler).invoke(call()).await.outcome,
        Outcome::Reject { reason: "s3cret".to_owned() }
    );
}

/// Adds 5 to key `n` of bucket `notes`; rejects with the text of an error, or with `denied`.
fn increment_fixture() -> Fixture {
    Fixture::new(
        "(call $open (i32.const 4096) (i32.const 5) (i32.const 64))
         (if (i32.load8_u (i32.const 64)) (then (return (call $reject (i32.const 4102) (i32.const 6)))))
         (call $increment (i32.load (i32.const 68)) (i32.const 4096) (i32.const 1) (i64.const 5) (i32.const 128))
         (if (i32.load8_u (i32.const 128))
            (then (return (call $reject (i32.load (i32.const 140)) (i32.load (i32.const 144))))))
         (if (i64.ne (i64.load (i32.const 136)) (i64.const 5)) (then unreachable))
         (call $ok)",
    )
    .with_fields(r#"(data (i32.const 4096) "notes denied")"#)
}

#[tokio::test]
async fn an_increment_is_tried_again_when_another_was_faster_and_not_for_ever() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.grants.key_value = vec![BucketName::new("notes").unwrap()];
    let ports = Ports::new(Answer::Ok);
    ports.conflicts.store(7, Ordering::Relaxed);
    let guest = bench.guest(&increment_fixture(), &handler);
    assert_eq!(guest.invoke(call_with(&ports)).await.outcome, Outcome::Ack);
    let entries = ports.entries.lock().clone();
    let [((bucket, key), entry)] = &entries.iter().collect::<Vec<_>>()[..] else { panic!("{entries:?}") };
    assert_eq!((bucket.tenant.as_str(), bucket.name.as_str(), key.as_str()), ("acme", "notes", "n"));
    assert_eq!(&entry.value[..], b"5");

    let ports = Ports::new(Answer::Ok);
    ports.conflicts.store(u64::MAX, Ordering::Relaxed);
    let report = guest.invoke(call_with(&ports)).await;
    assert_eq!(report.outcome, Outcome::Reject { reason: "key `n` was written by another meanwhile".to_owned() });
}

#[tokio::test]
async fn a_bucket_that_was_not_granted_is_denied_and_the_log_names_the_line() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.grants.key_value = vec![BucketName::new("note").unwrap(), BucketName::new("notes2").unwrap()];
    let report = bench.guest(&increment_fixture(), &handler).invoke(call()).await;
    assert_eq!(report.outcome, Outcome::Reject { reason: "denied".to_owned() });
    let [line] = &report.log.lines[..] else { panic!("{:?}", report.log) };
    assert_eq!((line.source, line.level), (LogSource::Host, Level::Warn));
    assert_eq!(
        line.text,
        "handler `fixture` may not open bucket `notes`; add `keyvalue = [\"notes\"]` to handler.toml"
    );
}

#[tokio::test]
async fn logging_and_standard_error_become_log_lines() {
    let bench = Bench::new();
    let fixture = Fixture::new(
        "(call $log (i32.const 3) (i32.const 4096) (i32.const 3) (i32.const 4099) (i32.const 4))
         (call $write (call $get-stderr) (i32.const 4103) (i32.const 11) (i32.const 64))
         (call $ok)",
    )
    .with_fields(r#"(data (i32.const 4096) "ctxtextone\0atwo\ff\fe!!")"#);
    let report = bench.run(&fixture).await;
    assert_eq!(report.outcome, Outcome::Ack);
    let lines: Vec<_> =
        report.log.lines.iter().map(|line| (line.source, line.level, &*line.context, &*line.text)).collect();
    assert_eq!(
        lines,
        [
            (LogSource::Logging, Level::Warn, "ctx", "text"),
            (LogSource::Stderr, Level::Warn, "", "one"),
            (LogSource::Stderr, Level::Warn, "", "two\u{fffd}\u{fffd}!!"),
        ]
    );
    assert_eq!(report.log.lines[0].at.as_millis(), 1_700_000_000_000);
}

#[tokio::test]
async fn a_flood_of_lines_ends_at_the_deadline_and_is_cut() {
    let bench = Bench::new();
    let deadline = Duration::from_millis(200);
    let fixture = Fixture::new(
        "(loop $again
            (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 50))
            (br $again))
         unreachable",
    );
    let guest = bench.guest(&fixture, &handler_within(deadline));
    let began = Instant::now();
    let task = tokio::spawn(async move { guest.invoke(call()).await });
    let mut turns = 0;
    while !task.is_finished() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    let took = began.elapsed();
    let report = task.await.unwrap();
    fault(&report, FaultKind::Deadline);
    assert_eq!(report.log.lines.len(), 100);
    assert!(report.log.cut > 1000, "{}", report.log.cut);
    assert!(turns > 20, "{turns}");
    assert!(took < deadline + Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn one_enormous_line_is_cut() {
    let bench = Bench::new();
    let fixture = Fixture::new(
        "(memory.fill (i32.const 0) (i32.const 97) (i32.const 65536))
         (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536))
         (call $ok)",
    );
    let report = bench.run(&fixture).await;
    assert_eq!(report.log.cut, 1);
    assert_eq!(report.log.lines.len(), 1);
    assert_eq!(report.log.lines[0].text.len(), 16 * 1024);
}
