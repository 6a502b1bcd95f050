//! What a handler that does not return leads to: a typed fault, in time, and a host that goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hostel_event::outcome::{FaultKind, Outcome};
use hostel_event::port::Invoke;

use super::support::{
    Answer, Bench, Fixture, Ports, call, call_with, fault, handler, handler_within, publishing_handler,
};

const LOOP: &str = "(loop $again (br $again)) unreachable";
/// How late a guest may be stopped.
const LATE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_trap_comes_with_the_guests_stack() {
    let bench = Bench::new();
    let fixture = Fixture::new("(call $inner) (call $ok)").with_fields(
        "(func $inner (call $_ZN5hello5parse17h0123456789abcdefE))
         (func $_ZN5hello5parse17h0123456789abcdefE unreachable)",
    );
    let report = bench.run(&fixture).await;
    let fault = fault(&report, FaultKind::Trap);
    assert_eq!(fault.message, "wasm `unreachable` instruction executed");
    let stack = fault.stack.as_deref().unwrap();
    let frames: Vec<&str> = stack.lines().map(|line| line.split(" (+0x").next().unwrap()).collect();
    assert_eq!(
        frames,
        ["#0 main-module!hello::parse", "#1 main-module!inner", "#2 main-module!handle", "#3 main-module!run"],
        "{stack}"
    );
    assert!(stack.lines().all(|line| line.contains(" (+0x") && line.ends_with(')')), "{stack}");
}

#[tokio::test]
async fn a_loop_ends_at_its_deadline_while_others_are_served() {
    let bench = Bench::new();
    let deadline = Duration::from_millis(300);
    let looping = bench.guest(&Fixture::new(LOOP), &handler_within(deadline));
    let good = bench.guest(&Fixture::new("(call $ok)"), &handler());

    let began = Instant::now();
    let task = tokio::spawn(async move { looping.invoke(call()).await });
    // One thread runs both: each of these needs the loop to give the thread back.
    let mut served = 0;
    while !task.is_finished() {
        assert_eq!(good.invoke(call()).await.outcome, Outcome::Ack);
        served += 1;
        tokio::task::yield_now().await;
    }
    let took = began.elapsed();
    let report = task.await.unwrap();
    let fault = fault(&report, FaultKind::Deadline);
    assert_eq!(fault.message, "the handler did not return within 300ms; it was computing");
    assert!(fault.stack.as_deref().unwrap().starts_with("#0 main-module!handle (+0x"), "{fault:?}");
    assert!(took >= deadline && took < deadline + LATE, "{took:?}");
    assert!(served > 20, "{served}");
}

#[tokio::test]
async fn a_timer_fires_beside_a_loop() {
    let bench = Bench::new();
    let looping = bench.guest(&Fixture::new(LOOP), &handler_within(Duration::from_secs(2)));
    let task = tokio::spawn(async move { looping.invoke(call()).await });
    // Not a wait for something else: this timer is what is tested.
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!task.is_finished());
    fault(&task.await.unwrap(), FaultKind::Deadline);
}

#[tokio::test]
async fn a_guest_that_waits_in_a_host_call_is_dropped_at_its_deadline() {
    let bench = Bench::new();
    let mut handler = publishing_handler("orders.>");
    handler.limits.deadline = Duration::from_millis(300);
    let guest = bench.guest(&publish_fixture(), &handler);
    let began = Instant::now();
    let report = guest.invoke(call_with(&Ports::new(Answer::Never))).await;
    let took = began.elapsed();
    let fault = fault(&report, FaultKind::Deadline);
    assert_eq!(fault.message, "the handler did not return within 300ms; it was waiting in a call to the host");
    assert_eq!(fault.stack, None);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(300) + LATE, "{took:?}");
}

fn publish_fixture() -> Fixture {
    Fixture::new(
        "(call $publish (i32.const 4096) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 64))
         (call $ok)",
    )
    .with_fields(r#"(data (i32.const 4096) "orders.in")"#)
}

#[tokio::test]
async fn an_extended_deadline_holds_and_is_bounded() {
    let bench = Bench::new();
    let guest = bench.guest(
        &Fixture::new(
            "(call $extend (local.get $event) (i64.const 1500) (i32.const 64)) (loop $again (br $again)) unreachable",
        ),
        &handler_within(Duration::from_millis(500)),
    );
    let began = Instant::now();
    let report = guest.invoke(call()).await;
    let took = began.elapsed();
    fault(&report, FaultKind::Deadline);
    assert!(took >= Duration::from_millis(1500) && took < Duration::from_millis(1500) + LATE, "{took:?}");

    // Too long: an error with what is left, at most ten deadlines, which the handler rejects with.
    let guest = bench.guest(
        &Fixture::new(
            "(call $extend (local.get $event) (i64.const 100001) (i32.const 64))
             (if (i32.or (i32.ne (i32.load8_u (i32.const 64)) (i32.const 1))
                         (i32.ne (i32.load8_u (i32.const 72)) (i32.const 2))) (then unreachable))
             (if (i64.gt_u (i64.load (i32.const 80)) (i64.const 100000)) (then unreachable))
             (if (i64.lt_u (i64.load (i32.const 80)) (i64.const 90000)) (then unreachable))
             (call $ok)",
        ),
        &handler_within(Duration::from_secs(10)),
    );
    assert_eq!(guest.invoke(call()).await.outcome, Outcome::Ack);
}

#[tokio::test]
async fn endless_recursion_is_a_fault_of_the_stack() {
    let bench = Bench::new();
    let report = bench.run(&Fixture::new("(drop (call $handle (local.get $event))) (call $ok)")).await;
    let fault = fault(&report, FaultKind::Stack);
    assert_eq!(fault.message, "the handler recursed past the end of its stack");
    assert_eq!(fault.stack.as_deref().unwrap().lines().count(), 64);
}

#[tokio::test]
async fn memory_beyond_the_cap_is_a_fault_of_memory() {
    let bench = Bench::new();
    // One page and then fifteen more fit into 1 MiB; a guest's allocator traps when the next does not.
    let fixture = Fixture::new(
        "(loop $again
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
            (br $again))
         unreachable",
    );
    let report = bench.run(&fixture).await;
    let fault = fault(&report, FaultKind::Memory);
    assert_eq!(
        fault.message,
        "the handler asked for 1114112 bytes of memory, more than its limit of 1048576, and trapped: wasm \
         `unreachable` instruction executed"
    );
    assert!(fault.stack.is_some());
    assert_eq!(report.usage.peak_memory, 1024 * 1024);
}

#[tokio::test]
async fn a_guest_that_gets_on_without_more_memory_is_well() {
    let bench = Bench::new();
    let report = bench.run(&Fixture::new("(drop (memory.grow (i32.const 100))) (call $ok)")).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert_eq!(report.usage.peak_memory, 64 * 1024);
}

#[tokio::test]
async fn growth_that_cannot_be_gains_no_room() {
    let bench = Bench::new();
    // Before each page asks for more than a memory can ever have, and counts the pages that it gets.
    let fixture = Fixture::new(
        "(loop $again
            (drop (memory.grow (i32.const 65536)))
            (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
         (if (i32.ne (memory.size) (i32.const 16)) (then unreachable))
         (call $ok)",
    );
    assert_eq!(bench.run(&fixture).await.outcome, Outcome::Ack);
}

#[tokio::test]
async fn a_table_beyond_the_cap_is_a_fault_of_memory() {
    let bench = Bench::new();
    let fixture = Fixture::new(
        "(if (i32.eq (table.grow $table (ref.null func) (i32.const 1000000)) (i32.const -1)) (then unreachable))
         (call $ok)",
    )
    .with_fields("(table $table 1 funcref)");
    let report = bench.run(&fixture).await;
    assert!(fault(&report, FaultKind::Memory).message.contains("table elements"));
}

#[tokio::test]
async fn an_exit_is_told_with_its_code() {
    let bench = Bench::new();
    let check = async |status: &'static str, expected: &str| {
        let report = bench.run(&Fixture::new(status)).await;
        assert_eq!(fault(&report, FaultKind::Exit).message, expected);
    };
    check("(call $exit (i32.const 1)) unreachable", "the handler exited with code 1 instead of returning").await;
    check("(call $exit (i32.const 0)) unreachable", "the handler exited with code 0 instead of returning").await;
}

#[tokio::test]
async fn a_value_that_the_contract_forbids_is_a_fault_of_the_contract() {
    let bench = Bench::new();
    let check = async |handle: &'static str, part: &str| {
        let report = bench.run(&Fixture::new(handle).with_fields(r#"(data (i32.const 4096) "\ff\fe")"#)).await;
        let fault = fault(&report, FaultKind::Contract);
        assert!(fault.message.contains(part), "{fault:?}");
    };
    check("(call $reject (i32.const 4096) (i32.const 2))", "utf-8").await;
    check("(call $reject (i32.const 4096) (i32.const 0x7fffffff))", "out of bounds").await;
    check("(i32.store (i32.const 16) (i32.const 7)) (i32.const 16)", "discriminant").await;
}

#[tokio::test]
async fn a_call_that_carries_too_much_is_refused_before_it_is_copied() {
    let mut bench = Bench::new();
    bench.settings.transfer_limit = 10_000;
    bench.runtime = bench.restarted();
    let report = bench.run(&Fixture::new("(call $reject (i32.const 4096) (i32.const 20000))")).await;
    assert!(fault(&report, FaultKind::Contract).message.contains("fuel"), "{report:?}");
}

#[tokio::test]
async fn more_guests_than_the_pool_holds_are_a_fault_of_the_host() {
    let bench = Bench::new();
    let guest = bench.guest(&publish_fixture(), &publishing_handler("orders.>"));
    let never = Ports::new(Answer::Never);
    let mut running = Vec::new();
    for _ in 0..bench.settings.invocations {
        let (guest, call) = (Arc::clone(&guest), call_with(&never));
        running.push(tokio::spawn(async move { guest.invoke(call).await }));
        tokio::task::yield_now().await;
    }
    let report = guest.invoke(call()).await;
    assert!(fault(&report, FaultKind::Host).message.starts_with("no free sandbox: "), "{report:?}");

    // Cancelled guests give their sandboxes back.
    for task in running {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(guest.invoke(call()).await.outcome, Outcome::Ack);
}

#[tokio::test]
async fn the_ticker_parks_when_nothing_runs() {
    let bench = Bench::new();
    let guest = bench.guest(&Fixture::new("(call $ok)"), &handler());
    guest.invoke(call()).await;
    while !bench.runtime.inner().ticker.is_parked() {
        tokio::task::yield_now().await;
    }
    let looping = bench.guest(&Fixture::new(LOOP), &handler_within(Duration::from_millis(50)));
    fault(&looping.invoke(call()).await, FaultKind::Deadline);
}

#[tokio::test]
async fn a_guest_that_outlives_its_runtime_is_still_stopped() {
    let bench = Bench::new();
    let looping = bench.guest(&Fixture::new(LOOP), &handler_within(Duration::from_millis(50)));
    drop(bench);
    fault(&looping.invoke(call()).await, FaultKind::Deadline);
}

#[tokio::test]
async fn a_handle_of_another_type_is_refused_before_the_first_event() {
    let bench = Bench::new();
    let text = r#"(component
        (core module $main (func (export "handle")))
        (core instance $main (instantiate $main))
        (func $handle (canon lift (core func $main "handle")))
        (instance $it (export "handle" (func $handle)))
        (export "hostel:handler/subscriber@0.1.0" (instance $it)))"#;
    let component = bench.runtime.load(&wat::parse_str(text).unwrap()).unwrap();
    let guest = bench.runtime.prepare(&component, &handler()).unwrap();
    let failure = guest.init().await.unwrap_err();
    let crate::InitError::Fault(fault) = &failure.error else { panic!("{failure:?}") };
    assert_eq!(fault.kind, FaultKind::Contract);
}
