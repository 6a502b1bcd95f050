//! Instances that serve several events: what stays from one to the next, what never does, and when they go.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use hostel_event::handler::Handler;
use hostel_event::name::{BucketName, Version};
use hostel_event::outcome::{FaultKind, Outcome};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Call, Invoke, Publication, Publish, PublishError, Receipt};
use hostel_event::subscription::Subscription;
use tokio::sync::Barrier;

use super::support::{Answer, Bench, Fixture, Ports, call, call_with, fault, handler, reusing_handler};
use crate::Guest;

/// Counts events in its memory and global, and rejects with the number: `1` in a fresh instance.
const COUNT: &str = "
    (i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (if (i32.ne (global.get $count) (i32.load8_u (i32.const 2048))) (then unreachable))
    (i32.store8 (i32.const 2050) (i32.add (global.get $count) (i32.const 48)))
    (call $reject (i32.const 2050) (i32.const 1))";
const COUNTER: &str = "(global $count (mut i32) (i32.const 0))";

fn counting() -> Fixture {
    Fixture::new(COUNT).with_fields(COUNTER)
}

/// What the guest counted, or how else it ended.
async fn count(guest: &Guest) -> String {
    match guest.invoke(call()).await.outcome {
        Outcome::Reject { reason } => reason,
        other => format!("{other:?}"),
    }
}

async fn counts(guest: &Guest, events: usize) -> Vec<String> {
    let mut counts = Vec::new();
    for _ in 0..events {
        counts.push(count(guest).await);
    }
    counts
}

#[tokio::test]
async fn an_instance_serves_as_many_events_as_the_manifest_says() {
    let bench = Bench::new();
    let fresh = bench.guest(&counting(), &handler());
    assert_eq!(counts(&fresh, 3).await, ["1", "1", "1"]);
    let reused = bench.guest(&counting(), &reusing_handler(3));
    assert_eq!(counts(&reused, 7).await, ["1", "2", "3", "1", "2", "3", "1"]);
}

#[tokio::test]
async fn nothing_is_shared_between_handlers_or_versions() {
    let bench = Bench::new();
    let first = bench.guest(&counting(), &reusing_handler(9));
    assert_eq!(counts(&first, 2).await, ["1", "2"]);
    let other = bench.guest(&counting(), &reusing_handler(9));
    let next = Handler { version: Version::new("1.2.4").unwrap(), ..reusing_handler(9) };
    let next = bench.guest(&counting(), &next);
    assert_eq!(count(&other).await, "1");
    assert_eq!(count(&next).await, "1");
    assert_eq!(count(&first).await, "3");
}

/// Runs `second` in place of the second event's count, and expects that a new instance serves the third.
async fn check(second: &'static str, kind: FaultKind) {
    let handle = format!("(if (i32.eq (global.get $count) (i32.const 1)) (then {second})) {COUNT}");
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(
        "(global $count (mut i32) (i32.const 0))
         (func $deep (call $deep))",
    );
    let bench = Bench::new();
    let mut handler = reusing_handler(9);
    handler.limits.deadline = Duration::from_millis(100);
    let guest = bench.guest(&fixture, &handler);
    assert_eq!(count(&guest).await, "1");
    fault(&guest.invoke(call()).await, kind);
    assert_eq!(guest.warm().len(), 0);
    assert_eq!(counts(&guest, 1).await, ["1"]);
}

#[tokio::test]
async fn an_instance_goes_with_any_fault() {
    check("unreachable", FaultKind::Trap).await;
    check("(loop $again (br $again))", FaultKind::Deadline).await;
    check("(call $exit (i32.const 1))", FaultKind::Exit).await;
    check("(call $deep)", FaultKind::Stack).await;
    check("(i32.store (i32.const 16) (i32.const 7)) (return (i32.const 16))", FaultKind::Contract).await;
}

#[tokio::test]
async fn the_handle_of_an_event_cannot_be_kept() {
    let bench = Bench::new();
    let fixture = Fixture { keeps_event: true, ..counting() };
    let guest = bench.guest(&fixture, &reusing_handler(9));
    let report = guest.invoke(call()).await;
    fault(&report, FaultKind::Contract);
    assert_eq!(guest.warm().len(), 0);
}

#[tokio::test]
async fn an_instance_that_keeps_a_resource_of_an_event_goes_with_it() {
    let bench = Bench::new();
    let handle = format!("(call $open (i32.const 4096) (i32.const 6) (i32.const 64)) {COUNT}");
    let fields = format!(r#"{COUNTER} (data (i32.const 4096) "totals")"#);
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(Box::leak(fields.into_boxed_str()));
    let mut handler = reusing_handler(9);
    handler.grants.key_value = vec![BucketName::new("totals").unwrap()];
    let guest = bench.guest(&fixture, &handler);
    assert_eq!(counts(&guest, 2).await, ["1", "1"]);
    // Where it is denied there is nothing to keep.
    let denied = bench.guest(&fixture, &reusing_handler(9));
    assert_eq!(counts(&denied, 2).await, ["1", "2"]);
}

#[tokio::test]
async fn an_event_that_is_cancelled_takes_its_instance_along() {
    let bench = Bench::new();
    let handle = format!(
        "(if (i32.eq (global.get $count) (i32.const 1))
            (then (call $publish (i32.const 4096) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 64)))) {COUNT}"
    );
    let fields = format!(r#"{COUNTER} (data (i32.const 4096) "orders.in")"#);
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(Box::leak(fields.into_boxed_str()));
    let mut handler = reusing_handler(9);
    handler.grants.publish = vec![Pattern::new("orders.>").unwrap()];
    let guest = bench.guest(&fixture, &handler);
    assert_eq!(count(&guest).await, "1");
    let waiting = guest.invoke(call_with(&Ports::new(Answer::Never)));
    assert!(waiting.now_or_never().is_none());
    assert_eq!(guest.warm().len(), 0);
    assert_eq!(count(&guest).await, "1");
}

#[tokio::test]
async fn lines_of_one_event_never_stand_in_another() {
    let bench = Bench::new();
    // The stream is opened once and kept, as language runtimes do. The last line has no end when its event has.
    let handle = format!(
        "(if (i32.eqz (global.get $count)) (then (global.set $stream (call $get-stderr))))
         (i32.store8 (i32.const 4096) (i32.add (global.get $count) (i32.const 49)))
         (call $write (global.get $stream) (i32.const 4096) (i32.const 8) (i32.const 64))
         (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 1))
         {COUNT}"
    );
    let fields = format!(r#"{COUNTER} (global $stream (mut i32) (i32.const 0)) (data (i32.const 4097) ". event")"#);
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(Box::leak(fields.into_boxed_str()));
    let guest = bench.guest(&fixture, &reusing_handler(9));
    for number in ["1", "2", "3"] {
        let report = guest.invoke(call()).await;
        assert_eq!(report.outcome, Outcome::Reject { reason: number.to_owned() });
        let lines: Vec<&str> = report.log.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, [number, &format!("{number}. event")]);
    }
}

#[tokio::test]
async fn every_event_has_its_own_bound_of_log_lines() {
    let bench = Bench::new();
    let line = "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 1))";
    let handle = format!("{line} {line} {line} {COUNT}");
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(COUNTER);
    let mut handler = reusing_handler(9);
    handler.limits.log_lines = 2;
    let guest = bench.guest(&fixture, &handler);
    for _ in 0..2 {
        let report = guest.invoke(call()).await;
        assert_eq!((report.log.lines.len(), report.log.cut), (2, 1));
    }
}

#[tokio::test]
async fn every_event_has_its_own_deadline() {
    let bench = Bench::new();
    // The first asks for far more; the second computes.
    let handle = format!(
        "(if (i32.eqz (global.get $count))
            (then (call $extend (local.get $event) (i64.const 900) (i32.const 64)))
            (else (loop $again (br $again)))) {COUNT}"
    );
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(COUNTER);
    let mut handler = reusing_handler(9);
    handler.limits.deadline = Duration::from_millis(100);
    let guest = bench.guest(&fixture, &handler);
    assert_eq!(count(&guest).await, "1");
    let began = Instant::now();
    let report = guest.invoke(call()).await;
    let took = began.elapsed();
    let fault = fault(&report, FaultKind::Deadline);
    assert_eq!(fault.message, "the handler did not return within 100ms; it was computing");
    assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn memory_that_grows_is_counted_and_a_worn_instance_goes() {
    const PAGE: usize = 64 * 1024;
    let bench = Bench::new();
    let handle = format!("(if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable)) {COUNT}");
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(COUNTER);
    // 16 pages, 15 of them room: with 8 taken, more than half is.
    let guest = bench.guest(&fixture, &reusing_handler(99));
    for number in 1..=8 {
        let report = guest.invoke(call()).await;
        assert_eq!(report.outcome, Outcome::Reject { reason: number.to_string() });
        assert_eq!(report.usage.peak_memory, (number + 1) * PAGE);
    }
    assert_eq!(guest.warm().len(), 0);
    assert_eq!(count(&guest).await, "1");
}

#[tokio::test]
async fn init_prepares_each_instance_that_is_reused() {
    let bench = Bench::new();
    let init = "(global.set $count (i32.const 4)) (i32.store8 (i32.const 2048) (i32.const 4))
                (i32.store (i32.const 16) (i32.const 0)) (i32.const 16)";
    let fixture = Fixture { init: Some(init), ..counting() };
    let reused = bench.guest(&fixture, &reusing_handler(2));
    assert_eq!(counts(&reused, 3).await, ["5", "6", "5"]);
    // One that serves one event was prepared when it was deployed, as a test run.
    let fresh = bench.guest(&fixture, &handler());
    assert_eq!(counts(&fresh, 2).await, ["1", "1"]);
}

#[tokio::test]
async fn init_before_the_first_event_has_an_instance_of_its_own() {
    let bench = Bench::new();
    let guest = bench.guest(&counting(), &reusing_handler(9));
    assert_eq!(count(&guest).await, "1");
    guest.init().await.unwrap();
    assert_eq!(guest.warm().len(), 1);
    assert_eq!(count(&guest).await, "2");
}

#[tokio::test]
async fn an_instance_whose_init_fails_is_discarded_and_the_event_tried_again() {
    let bench = Bench::new();
    let init = r"(i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 4096))
                 (i32.store (i32.const 24) (i32.const 6)) (i32.const 16)";
    let fixture = Fixture {
        init: Some(init),
        ..Fixture::new(COUNT).with_fields(r#"(global $count (mut i32) (i32.const 0)) (data (i32.const 4096) "no key")"#)
    };
    let guest = bench.guest(&fixture, &reusing_handler(9));
    for _ in 0..2 {
        let reason = "the handler's init failed in a new instance: no key".to_owned();
        assert_eq!(guest.invoke(call()).await.outcome, Outcome::Retry { reason, after: None });
        assert_eq!(guest.warm().len(), 0);
    }
}

/// Lets a publish return when so many wait in one.
struct Together(Barrier);

impl Publish for Together {
    fn publish(&self, _: Publication) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(async {
            self.0.wait().await;
            Err(PublishError::Full("it was only a wait".to_owned()))
        })
    }
}

/// Runs so many events that are all under way at the same time.
async fn together(guest: &Arc<Guest>, events: usize) -> Vec<String> {
    let gate = Arc::new(Together(Barrier::new(events)));
    let one = || {
        let call = Call { publish: Arc::<Together>::clone(&gate), ..call() };
        async move { guest.invoke(call).await.outcome }
    };
    let outcomes = futures_util::future::join_all((0..events).map(|_| one())).await;
    let count = |outcome| match outcome {
        Outcome::Reject { reason } => reason,
        other => format!("{other:?}"),
    };
    outcomes.into_iter().map(count).collect()
}

fn waiting_guest(bench: &Bench, events: u32, concurrency: usize) -> Arc<Guest> {
    let handle = format!(
        "(call $publish (i32.const 4096) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 64)) {COUNT}"
    );
    let fields = format!(r#"{COUNTER} (data (i32.const 4096) "orders.in")"#);
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(Box::leak(fields.into_boxed_str()));
    let mut handler = reusing_handler(events);
    handler.grants.publish = vec![Pattern::new("orders.>").unwrap()];
    let subscription = Subscription::new(&handler.tenant, &handler.name, Pattern::new("orders.*").unwrap());
    handler.subscriptions = vec![Subscription { concurrency, ..subscription }];
    bench.guest(&fixture, &handler)
}

#[tokio::test]
async fn events_at_the_same_time_have_instances_of_their_own() {
    let bench = Bench::new();
    let guest = waiting_guest(&bench, 9, 3);
    assert_eq!(together(&guest, 3).await, ["1", "1", "1"]);
    assert_eq!(together(&guest, 3).await, ["2", "2", "2"]);
}

#[tokio::test]
async fn no_more_wait_than_may_run() {
    let bench = Bench::new();
    let guest = waiting_guest(&bench, 9, 2);
    assert_eq!(together(&guest, 3).await, ["1", "1", "1"]);
    assert_eq!(guest.warm().len(), 2);
    assert_eq!(bench.runtime.inner().warm.waiting(), 2);
}

#[tokio::test]
async fn instances_that_wait_give_way_to_events() {
    let bench = Bench::new();
    let warm = &bench.runtime.inner().warm;
    let waiting = waiting_guest(&bench, 9, 3);
    together(&waiting, 3).await;
    assert_eq!(warm.waiting(), 3);
    // All four sandboxes of the host, though three of them are warm.
    let busy = waiting_guest(&bench, 1, 4);
    assert_eq!(together(&busy, 4).await, ["1", "1", "1", "1"]);
    assert_eq!((waiting.warm().len(), warm.waiting()), (0, 0));
}

#[tokio::test]
async fn beyond_the_hosts_bound_the_one_that_waited_longest_goes() {
    let bench = Bench::new();
    let guests: Vec<_> = (0..4).map(|_| bench.guest(&counting(), &reusing_handler(9))).collect();
    for guest in &guests {
        assert_eq!(count(guest).await, "1");
    }
    let lengths: Vec<usize> = guests.iter().map(|guest| guest.warm().len()).collect();
    assert_eq!(lengths, [0, 1, 1, 1]);
}

#[tokio::test]
async fn an_instance_that_waits_too_long_goes() {
    let bench = Bench::new();
    let warm = &bench.runtime.inner().warm;
    let guest = bench.guest(&counting(), &reusing_handler(9));
    assert_eq!(count(&guest).await, "1");
    assert!(!warm.trim(Instant::now() + Duration::from_secs(29)));
    assert_eq!(guest.warm().len(), 1);
    assert!(warm.trim(Instant::now() + Duration::from_secs(31)));
    assert!(!warm.trim(Instant::now() + Duration::from_secs(31)));
    assert_eq!((guest.warm().len(), warm.waiting()), (0, 0));
    assert_eq!(count(&guest).await, "1");
}

#[tokio::test]
async fn instances_go_with_their_version() {
    let bench = Bench::new();
    let guest = bench.guest(&counting(), &Handler { reuse: NonZeroU32::MAX, ..handler() });
    assert_eq!(counts(&guest, 2).await, ["1", "2"]);
    assert_eq!(bench.runtime.inner().warm.waiting(), 1);
    drop(guest);
    assert_eq!(bench.runtime.inner().warm.waiting(), 0);
}
