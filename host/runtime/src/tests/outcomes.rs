//! What a handler that returns leads to.

use std::time::Duration;

use hostel_event::handler::Limits;
use hostel_event::outcome::Outcome;
use hostel_event::port::Invoke;
use hostel_event::subscription::RetryPolicy;

use super::support::{Bench, Fixture, call, handler};
use crate::{InitError, PrepareError};

#[tokio::test]
async fn ok_is_an_ack() {
    let bench = Bench::new();
    let report = bench.run(&Fixture::new("(call $ok)")).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert_eq!(report.log.lines, []);
    assert_eq!(report.usage.peak_memory, 64 * 1024);
    assert!(report.usage.wall > Duration::ZERO);
}

#[tokio::test]
async fn a_compatible_later_version_of_the_contract_runs() {
    let bench = Bench::new();
    let report = bench.run(&Fixture { version: "0.1.4", ..Fixture::new("(call $ok)") }).await;
    assert_eq!(report.outcome, Outcome::Ack);
}

#[tokio::test]
async fn a_reject_keeps_its_reason() {
    let bench = Bench::new();
    let fixture = Fixture::new("(call $reject (i32.const 4096) (i32.const 8))")
        .with_fields(r#"(data (i32.const 4096) "no total")"#);
    assert_eq!(bench.run(&fixture).await.outcome, Outcome::Reject { reason: "no total".to_owned() });
}

#[tokio::test]
async fn a_huge_reason_is_cut_between_characters() {
    let bench = Bench::new();
    // 4,095 times `a`, then `é` of two bytes, then more.
    let fixture = Fixture::new(
        "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 50000))
         (i32.store16 (i32.const 8191) (i32.const 0xa9c3))
         (call $reject (i32.const 4096) (i32.const 50000))",
    );
    assert_eq!(bench.run(&fixture).await.outcome, Outcome::Reject { reason: "a".repeat(4095) });
}

#[tokio::test]
async fn a_retry_keeps_its_advice_up_to_the_cap() {
    let bench = Bench::new();
    let check = async |handle: &'static str, after: Option<Duration>| {
        let fixture = Fixture::new(handle).with_fields(r#"(data (i32.const 4096) "later")"#);
        let reason = "later".to_owned();
        assert_eq!(bench.run(&fixture).await.outcome, Outcome::Retry { reason, after });
    };
    check("(call $retry (i32.const 4096) (i32.const 5) (i32.const 0) (i64.const 0))", None).await;
    check(
        "(call $retry (i32.const 4096) (i32.const 5) (i32.const 1) (i64.const 1500))",
        Some(Duration::from_millis(1500)),
    )
    .await;
    check("(call $retry (i32.const 4096) (i32.const 5) (i32.const 1) (i64.const -1))", Some(RetryPolicy::ADVICE_LIMIT))
        .await;
}

#[tokio::test]
async fn no_state_leaks_from_one_event_to_the_next() {
    let bench = Bench::new();
    let fixture = Fixture::new(
        "(if (i32.load (i32.const 8192)) (then unreachable))
         (i32.store (i32.const 8192) (i32.const 1))
         (call $ok)",
    );
    let guest = bench.guest(&fixture, &handler());
    for _ in 0..20 {
        assert_eq!(guest.invoke(call()).await.outcome, Outcome::Ack);
    }
}

#[tokio::test]
async fn a_handler_without_lifecycle_is_ready_if_it_can_be_instantiated() {
    let bench = Bench::new();
    let component = bench.load(&Fixture::new("(call $ok)"));
    assert!(!component.has_lifecycle());
    bench.runtime.prepare(&component, &handler()).unwrap().init().await.unwrap();
}

#[tokio::test]
async fn init_runs_and_its_error_is_told() {
    let bench = Bench::new();
    let good = Fixture { init: Some("(call $ok)"), ..Fixture::new("(call $ok)") };
    assert!(bench.load(&good).has_lifecycle());
    bench.guest(&good, &handler()).init().await.unwrap();

    let bad = Fixture {
        init: Some(
            "(call $log (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 6))
             (i32.store (i32.const 16) (i32.const 1))
             (i32.store (i32.const 20) (i32.const 4096))
             (i32.store (i32.const 24) (i32.const 6))
             (i32.const 16)",
        ),
        fields: r#"(data (i32.const 4096) "no key")"#,
        ..Fixture::new("(call $ok)")
    };
    let failure = bench.guest(&bad, &handler()).init().await.unwrap_err();
    assert_eq!(failure.error, InitError::Refused("no key".to_owned()));
    assert_eq!(failure.log.lines[0].text, "no key");
    assert_eq!(failure.to_string(), "handler's init failed: no key");

    let trapping = Fixture { init: Some("unreachable"), ..Fixture::new("(call $ok)") };
    let failure = bench.guest(&trapping, &handler()).init().await.unwrap_err();
    assert!(matches!(failure.error, InitError::Fault(_)), "{failure:?}");
}

#[tokio::test]
async fn a_memory_limit_that_can_never_hold_is_refused_before_the_first_event() {
    let bench = Bench::new();
    let component = bench.load(&Fixture { pages: 32, ..Fixture::new("(call $ok)") });
    let mut handler = handler();
    let needed = 32 * 64 * 1024;
    assert_eq!(
        bench.runtime.prepare(&component, &handler).unwrap_err(),
        PrepareError::Memory { needed, limit: 1024 * 1024 }
    );
    handler.limits = Limits { memory: 1 << 40, ..Limits::default() };
    assert_eq!(
        bench.runtime.prepare(&component, &handler).unwrap_err(),
        PrepareError::MemoryLimit { asked: 1 << 40, limit: 64 * 1024 * 1024 }
    );
}
