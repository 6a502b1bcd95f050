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
const LOOP: &str = "(loop $again (br $again)) unreachable";
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
    let guest = bench.guest(&Fixture::new(LOOP), &handler);
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
async fn loops_share_the_cores_and_none_is_charged_for_another() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.limits.deadline = Duration::from_millis(200);
    let guest = bench.guest(&Fixture::new(LOOP), &handler);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let reports = futures_util::future::join_all((0..2 * cores).map(|_| guest.invoke(call()))).await;
    let cpu: Duration = reports.iter().map(|report| report.usage.cpu).sum();
    let wall = reports.iter().map(|report| report.usage.wall).max().unwrap();
    // Giving back costs a little beyond.
    let cores = u32::try_from(cores).unwrap();
    assert!(cpu <= (wall + Duration::from_millis(20)) * cores, "{cpu:?} on {cores} cores in {wall:?}");
}

#[tokio::test]
async fn who_computes_for_long_does_so_on_another_thread_and_the_next_event_begins_there() {
    let bench = Bench::new();
    let mut handler = handler();
    handler.limits.cpu_time = Some(Duration::from_millis(100));
    let guest = bench.guest(&Fixture::new(LOOP), &handler);
    let began = own_time();
    for is_known in [false, true] {
        assert_eq!(guest.habit.is_bad(), is_known);
        let report = guest.invoke(call()).await;
        fault(&report, FaultKind::Deadline);
        assert!(report.usage.cpu >= Duration::from_millis(100), "{report:?}");
    }
    // This thread's part are two ticks of the first event, and what goes before it begins.
    let own = own_time().saturating_sub(began);
    assert!(own < Duration::from_millis(50), "{own:?}");
}

#[tokio::test]
async fn who_ends_soon_stays_where_it_began() {
    let bench = Bench::new();
    let guest = bench.guest(&Fixture::new("(call $ok)"), &handler());
    for _ in 0..100 {
        assert_eq!(guest.invoke(call()).await.outcome, Outcome::Ack);
    }
    assert!(!guest.habit.is_bad());
}

/// The processor time of this thread.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
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
