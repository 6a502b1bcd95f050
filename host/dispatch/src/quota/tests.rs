//! Publishers held to their quotas.

use std::cell::Cell;
use std::num::NonZeroU32;

use super::*;

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

fn events(a_second: u32) -> Quota {
    Quota { events: NonZeroU32::new(a_second), ..Quota::UNLIMITED }
}

fn stored(bytes: u64) -> Quota {
    Quota { stored_bytes: Some(bytes), ..Quota::UNLIMITED }
}

fn admit(quotas: &Quotas, name: &str, millis: u64) -> Result<(), PublishError> {
    let now = Moment::new(Duration::from_millis(millis));
    quotas.admit(&Candidate { tenant: &tenant(name), now, bytes: 10 }, || None)
}

#[test]
fn whoever_has_no_quota_is_not_refused() {
    let quotas = Quotas::new();
    assert!((0..10_000).all(|_| admit(&quotas, "acme", 0).is_ok()));
    quotas.set(&tenant("rival"), events(1));
    assert!((0..10_000).all(|_| admit(&quotas, "acme", 0).is_ok()));
}

#[test]
fn beyond_a_seconds_worth_publishers_are_told_when_to_come_again() {
    let quotas = Quotas::new();
    quotas.set(&tenant("acme"), events(4));
    assert!((0..4).all(|_| admit(&quotas, "acme", 0).is_ok()));
    let refused = admit(&quotas, "acme", 50).unwrap_err();
    let retry_after = Duration::from_millis(200);
    assert_eq!(refused, PublishError::Quota { what: "events in a second", retry_after });
    assert_eq!(refused.to_string(), "the tenant's quota of events in a second is used up");
    assert!(admit(&quotas, "acme", 249).is_err());
    assert_eq!(admit(&quotas, "acme", 250), Ok(()), "what was refused did not count");
    assert_eq!(quotas.refused()[&tenant("acme")], 2);
}

#[test]
fn a_new_quota_holds_at_once_and_forgets_no_use() {
    let quotas = Quotas::new();
    quotas.set(&tenant("acme"), events(2));
    assert!((0..2).all(|_| admit(&quotas, "acme", 0).is_ok()));
    quotas.set(&tenant("acme"), events(1000));
    assert!(admit(&quotas, "acme", 0).is_err());
    assert_eq!(admit(&quotas, "acme", 1), Ok(()));
    assert_eq!(quotas.of(&tenant("acme")), events(1000));
    quotas.remove(&tenant("acme"));
    assert!((0..10_000).all(|_| admit(&quotas, "acme", 1).is_ok()));
    assert_eq!(quotas.of(&tenant("acme")), Quota::UNLIMITED);
    assert_eq!(quotas.take_changed(), HashSet::from([tenant("acme")]));
    assert!(quotas.take_changed().is_empty());
}

#[test]
fn many_publishers_at_once_get_no_more_than_one() {
    let quotas = Quotas::new();
    quotas.set(&tenant("acme"), events(1000));
    let admitted = || (0..1000).filter(|_| admit(&quotas, "acme", 0).is_ok()).count();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(admitted)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 1000);
}

#[test]
fn what_is_stored_is_asked_once_a_second_and_reckoned_between() {
    let quotas = Quotas::new();
    quotas.set(&tenant("acme"), stored(100));
    let (asked, kept) = (Cell::new(0), Cell::new(75));
    let admit = |millis| {
        let now = Moment::new(Duration::from_millis(millis));
        quotas.admit(&Candidate { tenant: &tenant("acme"), now, bytes: 10 }, || {
            asked.set(asked.get() + 1);
            Some(kept.get())
        })
    };
    assert_eq!([admit(0), admit(1)], [Ok(()), Ok(())]);
    let refused = admit(2).unwrap_err();
    assert_eq!(refused, PublishError::Quota { what: "stored bytes", retry_after: STORED_RETRY });
    kept.set(0);
    assert!(admit(999).is_err());
    assert_eq!(admit(1000), Ok(()));
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_broker_that_does_not_count_refuses_nobody() {
    let quotas = Quotas::new();
    quotas.set(&tenant("acme"), stored(5));
    assert!((0..1000).all(|second| admit(&quotas, "acme", second * 100).is_ok()));
}
