//! What is taken as a component, and what is refused with which words.

use std::sync::Arc;

use hostel_event::outcome::Outcome;
use hostel_event::port::Invoke;
use wasmtime::component::Linker;

use super::support::{Bench, Fixture, call, handler};
use crate::offer::{OFFERED, OFFERED_CONCURRENT};
use crate::{LoadError, Settings, World, digest};

fn refusal(bench: &Bench, text: &str) -> String {
    bench.runtime.load(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let bench = Bench::new();
    let check = |text: &str, expected: &str| assert_eq!(refusal(&bench, text), expected);
    check(
        "(module)",
        "a core module and not a component; build for the target `wasm32-wasip2`, or wrap it with `wasm-tools \
         component new`",
    );
    check("(component)", "component does not export `hostel:handler/subscriber@0.1.0`; it exports nothing");
    check(
        r#"(component (instance $run) (export "wasi:cli/run@0.2.3" (instance $run)))"#,
        "component does not export `hostel:handler/subscriber@0.1.0`; it exports `wasi:cli/run@0.2.3`, so it looks like \
         a command, which has a `main` and handles no events",
    );
    check(
        r#"(component (instance $it) (export "hostel:handler/subscriber@0.2.0" (instance $it)))"#,
        "component exports `hostel:handler/subscriber@0.2.0`, which is not compatible with this host's \
         `hostel:handler/subscriber@0.1.0`; build it against the version of the contract that this host has",
    );
    check(
        r#"(component (instance $it) (export "hostel:handler/subscriber@0.1.0" (instance $it)))"#,
        "component does not export `hostel:handler/subscriber@0.1.0`; what it exports by that name has no function \
         `handle`",
    );
    check(
        r#"(component
            (import "wasi:keyvalue/batch@0.2.0-draft" (instance))
            (import "wasi:http/incoming-handler@0.2.12" (instance))
            (import "wasi:cli/stdout@0.3.0" (instance))
            (instance $it) (export "hostel:handler/subscriber@0.1.0" (instance $it)))"#,
        "component imports what this host does not offer: `wasi:keyvalue/batch@0.2.0-draft`, \
         `wasi:http/incoming-handler@0.2.12`, `wasi:cli/stdout@0.3.0` (this host has version 0.2.12)",
    );
}

/// A component for the contract of another version, in all that it imports and exports of it.
fn for_contract(version: &str) -> Vec<u8> {
    let text = Fixture::new("(call $ok)").text();
    let other = |text: String, interface: &str| {
        text.replace(&format!("hostel:handler/{interface}@0.1.0"), &format!("hostel:handler/{interface}@{version}"))
    };
    let text = ["types", "events", "publisher", "subscriber"].into_iter().fold(text, other);
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_guest_for_a_later_patch_of_the_contract_runs() {
    let bench = Bench::new();
    for version in ["0.1.0", "0.1.1", "0.1.17"] {
        let component = bench.runtime.load(&for_contract(version)).unwrap();
        let guest = bench.runtime.prepare(&component, &handler()).unwrap();
        assert_eq!(guest.invoke(call()).await.outcome, Outcome::Ack, "{version}");
    }
}

#[test]
fn a_guest_for_an_unknown_version_of_the_contract_is_refused() {
    let bench = Bench::new();
    let check = |version: &str| {
        let error = bench.runtime.load(&for_contract(version)).unwrap_err().to_string();
        let expected = format!(
            "component exports `hostel:handler/subscriber@{version}`, which is not compatible with this host's \
             `hostel:handler/subscriber@0.1.0`; build it against the version of the contract that this host has"
        );
        assert_eq!(error, expected);
    };
    check("0.2.0");
    check("1.0.0");
    check("0.1.0-rc.1");
}

/// What the linker will do with today's guests once the host links a later patch: the host cannot be of two versions here,
/// so that another interface stands for it.
#[test]
fn a_guest_of_today_finds_its_imports_in_a_later_patch() {
    let bench = Bench::new();
    let mut linker = Linker::<()>::new(&bench.runtime.inner().engine);
    let mut later = linker.instance("test:contract/publisher@0.1.1").unwrap();
    later.func_wrap("publish", |_, (): ()| Ok((1_u32,))).unwrap();
    later.func_wrap("learnt-in-0-1-1", |_, (): ()| Ok((2_u32,))).unwrap();
    let links = |version: &str| {
        let text = format!(
            r#"(component (import "test:contract/publisher@{version}" (instance (export "publish" (func (result u32))))))"#
        );
        let bytes = wat::parse_str(text).unwrap();
        let code = wasmtime::component::Component::new(&bench.runtime.inner().engine, bytes).unwrap();
        linker.instantiate_pre(&code).is_ok()
    };
    assert!(links("0.1.0"));
    assert!(links("0.1.1"));
    assert!(!links("0.2.0"));
}

#[test]
fn an_offered_interface_without_the_function_is_an_import_that_is_not_offered() {
    let bench = Bench::new();
    let text = r#"(component
        (import "wasi:cli/stdout@0.2.99" (instance (export "get-the-colour" (func (result u32)))))
        (instance $it) (export "hostel:handler/subscriber@0.1.0" (instance $it)))"#;
    let error = bench.runtime.load(&wat::parse_str(text).unwrap()).unwrap_err();
    assert!(matches!(error, LoadError::Imports(_)), "{error:?}");
    assert!(error.to_string().contains("get-the-colour"), "{error}");
}

#[test]
fn everything_offered_is_linked() {
    let bench = Bench::new();
    for offered in [&OFFERED[..], &[&OFFERED[..], &OFFERED_CONCURRENT[..]].concat()] {
        let imports: String = offered.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
        // Past the imports, so that only the missing function is left to refuse.
        let text = format!(
            r#"(component {imports} (instance $it) (export "hostel:handler/subscriber@0.1.0" (instance $it)))"#
        );
        assert!(refusal(&bench, &text).ends_with("no function `handle`"));
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let bench = Bench::new();
    let whole = Fixture::new("(call $ok)").bytes();
    let cut = bench.runtime.load(&whole[..whole.len() / 2]).unwrap_err();
    assert!(
        matches!(cut, LoadError::Damaged { offset, bytes, .. } if offset <= bytes && bytes == whole.len() / 2),
        "{cut:?}"
    );
    // Sound on the outside, and inside a function that does not return what it says.
    let error = bench.runtime.load(&Fixture::new("(i64.const 0)").bytes()).unwrap_err();
    assert!(matches!(error, LoadError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().starts_with("component is damaged at byte "), "{error}");
}

#[test]
fn a_component_larger_than_any_sandbox_is_refused() {
    let bench = Bench::new();
    let error = bench.runtime.load(&Fixture { pages: 2048, ..Fixture::new("(call $ok)") }.bytes()).unwrap_err();
    assert!(matches!(error, LoadError::Limits(_)), "{error:?}");
}

#[test]
fn a_component_over_the_size_limit_is_refused_unread() {
    let mut bench = Bench::new();
    bench.settings.component_limit = 100;
    bench.runtime = bench.restarted();
    let error = bench.runtime.load(&[0; 101]).unwrap_err();
    assert_eq!(error.to_string(), "component has 101 bytes, more than 100");
}

#[test]
fn a_component_is_loaded_once_however_many_ask() {
    let bench = Bench::new();
    let bytes = Fixture::new("(call $ok)").bytes();
    let components: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.runtime.load(&bytes).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(components.iter().all(|component| Arc::ptr_eq(component, &components[0])));
    assert_eq!(components[0].digest(), digest(&bytes));
    assert_eq!(components[0].bytes(), bytes.len());
    assert_eq!(components[0].world(), World::Handler);
    assert!(!components[0].from_cache());
}

#[tokio::test]
async fn a_machine_without_room_for_the_pool_still_runs_guests() {
    let mut bench = Bench::new();
    // More address space than any machine has.
    bench.settings.invocations = 1_000_000;
    bench.runtime = bench.restarted();
    assert!(bench.runtime.inner().engine.pooling_allocator_metrics().is_none());
    bench.guest(&Fixture::new("(call $ok)"), &handler()).init().await.unwrap();
    let report = bench.run(&Fixture::new("(call $ok)")).await;
    assert_eq!(report.outcome, Outcome::Ack);
}

#[test]
fn the_default_size_fits_into_a_pool() {
    let mut bench = Bench::new();
    bench.settings = Settings::new(bench.settings.cache_dir.clone());
    assert!(bench.restarted().inner().engine.pooling_allocator_metrics().is_some());
}
