//! What a report says of what an event used, and the limit of processor time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hostel_event::name::BucketName;
use hostel_event::outcome::{FaultKind, Outcome};
use hostel_event::port::Invoke;

use super::support::{Answer, Bench, Fixture, Ports, call, call_with, fault, handler, publishing_handler};

/// `orders.in` with a body of 64 bytes.
const PUBLISH: &str = "(call $publish (i32.const 4096) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 64) (i32.const 64)) (call $ok)";
const TOPIC: &str = r#"(data (i32.const 4096) "orders.in")"#;

#[tokio::test]
async fn bytes_of_the_event_and_of_what_is_published_are_counted() {
    let bench = Bench::new();
    let guest = bench.guest(&Fixture::new(PUBLISH).with_fields(TOPIC), &publishing_handler("orders.>"));
    let call = call();
    let event = Arc::clone(&call.event);
    let report = guest.invoke(call).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert_eq!(report.usage.bytes_in, event.message.bytes() as u64);
    assert_eq!((report.usage.bytes_out, report.usage.calls), (64, 0));
}

#[tokio::test]
async fn what_is_denied_is_not_counted() {
    let bench = Bench::new();
    let report = bench.run(&Fixture::new(PUBLISH).with_fields(TOPIC)).await;
    assert_eq!((report.outcome, report.usage.bytes_out), (Outcome::Ack, 0));
}

#[tokio::test]
async fn waiting_is_wall_time_and_no_processor_time() {
    let bench = Bench::new();
    let mut handler = publishing_handler("orders.>");
    handler.limits.deadline = Duration::from_millis(200);
    // The wait is no computing: this limit is not reached.
    handler.limits.cpu_time = Some(Duration::from_millis(150));
    let guest = bench.guest(&Fixture::new(PUBLISH).with_fields(TOPIC), &handler);
    let report = guest.invoke(call_with(&Ports::new(Answer::Never))).await;
    let fault = fault(&report, FaultKind::Deadline);
    assert_eq!(fault.message, "the handler did not return within 200ms; it was waiting in a call to the host");
    let usage = report.usage;
    assert!(usage.wall >= Duration::from_millis(200), "{usage:?}");
    assert!(usage.cpu > Duration::ZERO && usage.cpu < Duration::from_millis(150), "{usage:?}");
}

#[tokio::test]
async fn a_loop_ends_when_its_processor_time_is_used_up() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.limits.cpu_time = Some(Duration::from_millis(50));
    let guest = bench.guest(&Fixture::new("(loop $again (br $again)) unreachable"), &handler);
    let began = Instant::now();
    let report = guest.invoke(call()).await;
    let took = began.elapsed();
    let fault = fault(&report, FaultKind::Deadline);
    assert_eq!(fault.message, "the handler computed for longer than its CPU time of 50ms");
    assert!(fault.stack.is_some());
    assert!(report.usage.cpu >= Duration::from_millis(50) && report.usage.cpu <= report.usage.wall, "{report:?}");
    // The deadline is ten seconds.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn two_loops_on_one_thread_share_its_time() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.limits.deadline = Duration::from_millis(200);
    let guest = bench.guest(&Fixture::new("(loop $again (br $again)) unreachable"), &handler);
    let (one, two) = tokio::join!(guest.invoke(call()), guest.invoke(call()));
    let cpu = one.usage.cpu + two.usage.cpu;
    let wall = one.usage.wall.max(two.usage.wall);
    // Neither is charged for the other's turns. Giving back costs a little beyond.
    assert!(cpu <= wall + Duration::from_millis(20), "{:?} {:?}", one.usage, two.usage);
}

#[tokio::test]
async fn values_of_keys_are_counted() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.grants.key_value = vec![BucketName::new("totals").unwrap()];
    // Sets a value of 100 bytes and gets it twice. The address of the bucket's handle is that of `open`'s result.
    let get = "(call $get (i32.load (i32.const 68)) (i32.const 4096) (i32.const 6) (i32.const 128))";
    let handle = format!(
        "(call $open (i32.const 4096) (i32.const 6) (i32.const 64))
         (call $set (i32.load (i32.const 68)) (i32.const 4096) (i32.const 6) (i32.const 4096) (i32.const 100)
            (i32.const 128))
         {get} {get} (call $ok)"
    );
    let fixture = Fixture::new(Box::leak(handle.into_boxed_str())).with_fields(r#"(data (i32.const 4096) "totals")"#);
    let call = call();
    let event = call.event.message.bytes() as u64;
    let report = bench.guest(&fixture, &handler).invoke(call).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert_eq!((report.usage.bytes_in, report.usage.bytes_out), (event + 200, 100));
}
