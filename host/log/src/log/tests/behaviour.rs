//! One promise after another on a healthy disk.

use crate::batch::{Batch, Once, Precondition, Published, Schedule, ScheduledOutcome};
use crate::error::{CommitError, Conflict, OpenError};
use crate::log::head;
use crate::record::{
    DeadLetter, DeadLetterId, Delivery, Kind, Millis, Offset, SeenKey, SubscriptionNumber, ValueKey, Version,
};
use crate::settings::Sync;

use super::{bodies, commit, kept, open, publish, wait, with};

const SUBSCRIPTION: SubscriptionNumber = SubscriptionNumber(7);

fn value_key(key: &str) -> ValueKey {
    ValueKey { tenant: "acme".to_owned(), bucket: "b".to_owned(), key: key.to_owned() }
}

fn letter(id: u8, at: u64) -> DeadLetter {
    DeadLetter {
        id: DeadLetterId([id; 16]),
        tenant: "acme".to_owned(),
        at: Millis(at),
        subscription: SUBSCRIPTION,
        offset: Offset(3),
        reason: "rejected".to_owned(),
        attempts: 2,
        detail: b"detail".to_vec(),
    }
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let first = with(&log, |batch| {
        batch.publish(publish("a", b"one")).publish(publish("b", b"two")).put_value(value_key("k"), b"v".to_vec());
        batch.put_dead_letter(letter(1, 5)).put_document(Kind::Handler, "acme/h".to_owned(), b"doc".to_vec());
    })
    .unwrap();
    assert_eq!(kept(&first), [Offset(1), Offset(2)]);
    drop(log);
    let log = open(folder.path());
    assert!(log.recovered().groups > 0);
    assert_eq!(bodies(&log, "a"), [b"one"]);
    let snapshot = log.snapshot();
    assert_eq!(snapshot.value(&value_key("k")).unwrap().unwrap().version, first.version);
    assert_eq!(snapshot.dead_letter(DeadLetterId([1; 16])).unwrap(), Some(letter(1, 5)));
    assert_eq!(snapshot.document(Kind::Handler, "acme/h").unwrap().unwrap().bytes, b"doc");
    assert_eq!(kept(&with(&log, |batch| _ = batch.publish(publish("a", b"three"))).unwrap()), [Offset(3)]);
}

#[test]
fn a_store_that_went_into_tables_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for number in 0..200_u32 {
        with(&log, |batch| _ = batch.publish(publish("a", &number.to_be_bytes()))).unwrap();
    }
    wait(log.reclaim()).unwrap();
    let before = bodies(&log, "a");
    assert_eq!(before.len(), 200);
    drop(log);
    let log = open(folder.path());
    // The closing frame may be played back; nothing else is left to be.
    assert!(log.recovered().groups <= 1, "{:?}", log.recovered());
    assert_eq!(bodies(&log, "a"), before);
}

#[test]
fn a_settlement_takes_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let effect = |batch: &mut Batch| {
        batch.settle(SUBSCRIPTION, Offset(5)).publish(publish("effects", b"x"));
    };
    with(&log, effect).unwrap();
    let again = with(&log, effect).unwrap_err();
    let conflict = Conflict::Settled { subscription: SUBSCRIPTION, offset: Offset(5) };
    assert_eq!(again, CommitError::Conflict(conflict));
    assert_eq!(bodies(&log, "effects").len(), 1);
    assert!(with(&log, |batch| _ = batch.settle(SUBSCRIPTION, Offset(6)).settle(SUBSCRIPTION, Offset(6))).is_err());
}

#[test]
fn a_cursor_is_its_floor_and_what_is_settled_above() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    with(&log, |batch| {
        for offset in [3, 1023, 1024, 5000] {
            batch.settle(SUBSCRIPTION, Offset(offset));
        }
    })
    .unwrap();
    with(&log, |batch| _ = batch.advance(SUBSCRIPTION, Offset(1024))).unwrap();
    with(&log, |batch| _ = batch.advance(SUBSCRIPTION, Offset(2))).unwrap();
    drop(log);
    let log = open(folder.path());
    let cursor = log.snapshot().cursor(SUBSCRIPTION).unwrap();
    assert_eq!((cursor.floor, cursor.settled.as_slice()), (Offset(1024), &[Offset(1024), Offset(5000)][..]));
    assert!(cursor.is_settled(Offset(3)) && cursor.is_settled(Offset(4)) && !cursor.is_settled(Offset(1025)));
    assert!(with(&log, |batch| _ = batch.settle(SUBSCRIPTION, Offset(4))).is_err());
}

#[test]
fn of_two_that_read_the_same_version_one_commits() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let write = |version| {
        let mut batch = Batch::new();
        batch.require(Precondition::Value(value_key("k"), version)).put_value(value_key("k"), b"v".to_vec());
        log.commit(batch, Sync::Always)
    };
    // Both may share a group: the second must see the first even there.
    let (first, second) = (write(Version::ABSENT), write(Version::ABSENT));
    let version = wait(first).unwrap().version;
    assert!(matches!(wait(second), Err(CommitError::Conflict(Conflict::Value { found, .. })) if found == version));
    wait(write(version)).unwrap();
}

#[test]
fn an_id_is_one_event_within_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let send = |at: u64, since: u64| {
        let key = SeenKey { tenant: "acme".to_owned(), scope: "a".to_owned(), id: "id".to_owned() };
        let once = Some(Once { key, since: Millis(since) });
        with(&log, |batch| _ = batch.publish(crate::batch::Publish { once, at: Millis(at), ..publish("a", b"x") }))
            .unwrap()
            .published
    };
    assert_eq!(send(100, 0), [Published::Kept(Offset(1))]);
    assert_eq!(send(150, 50), [Published::Duplicate(Some(Offset(1)))]);
    assert_eq!(send(300, 200), [Published::Kept(Offset(2))]);
    assert_eq!(bodies(&log, "a").len(), 2);
}

#[test]
fn deliveries_come_in_the_order_in_which_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let put = |offset: u64, due: u64, attempts: u32| {
        let delivery = Delivery { due: Millis(due), attempts, history: b"h".to_vec() };
        with(&log, |batch| _ = batch.put_delivery(SUBSCRIPTION, Offset(offset), delivery)).unwrap();
    };
    put(1, 500, 1);
    put(2, 100, 1);
    put(1, 50, 2);
    put(3, 900, 1);
    let due = |until| {
        let found = log.snapshot().due(Millis(until), 10).unwrap();
        found.iter().map(|due| (due.offset.0, due.delivery.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(due(500), [(1, 2), (2, 1)]);
    with(&log, |batch| _ = batch.remove_delivery(SUBSCRIPTION, Offset(1))).unwrap();
    assert_eq!(due(u64::MAX - 1), [(2, 1), (3, 1)]);
    with(&log, |batch| _ = batch.forget_subscription(SUBSCRIPTION)).unwrap();
    assert_eq!(log.snapshot().next_due().unwrap(), None);
}

#[test]
fn a_scheduled_publish_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let schedule = Schedule {
        due: Millis(50),
        at: Millis(1),
        tenant: "acme".to_owned(),
        topic: "a".to_owned(),
        bytes: b"later".to_vec(),
        once: None,
    };
    let receipt = with(&log, |batch| _ = batch.schedule(schedule.clone()).schedule(schedule)).unwrap();
    let [ScheduledOutcome::Kept(first), ScheduledOutcome::Kept(second)] = receipt.scheduled[..] else {
        panic!("{receipt:?}");
    };
    assert_eq!(log.snapshot().scheduled(Millis(49), 10).unwrap(), []);
    assert_eq!(log.snapshot().scheduled(Millis(50), 10).unwrap().len(), 2);
    let take = |batch: &mut Batch| {
        batch.require(Precondition::Scheduled(first)).unschedule(first).publish(publish("a", b"later"));
    };
    with(&log, take).unwrap();
    assert_eq!(with(&log, take), Err(Conflict::Scheduled(first).into()));
    assert_eq!(log.snapshot().next_scheduled().unwrap(), Some(second.due));
    assert_eq!(bodies(&log, "a").len(), 1);
}

#[test]
fn a_closed_store_may_be_opened_again_before_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    with(&log, |batch| _ = batch.publish(publish("a", b"1"))).unwrap();
    log.close();
    assert_eq!(bodies(&open(folder.path()), "a"), [b"1"]);
}

#[test]
fn dead_letters_are_listed_by_tenant_and_time_and_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let other = DeadLetter { tenant: "other".to_owned(), ..letter(9, 1) };
    for letter in [letter(1, 30), letter(2, 10), letter(3, 20), other] {
        with(&log, |batch| _ = batch.put_dead_letter(letter)).unwrap();
    }
    let list = |after, limit| {
        let found = log.snapshot().dead_letters("acme", after, limit).unwrap();
        found.iter().map(|letter| letter.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10), [2, 3, 1]);
    assert_eq!(list(Some((Millis(10), DeadLetterId([2; 16]))), 1), [3]);
    let newest_first = |before, limit| {
        let found = log.snapshot().dead_letters_before("acme", before, limit).unwrap();
        found.iter().map(|letter| letter.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(newest_first(None, 2), [1, 3]);
    assert_eq!(newest_first(Some((Millis(20), DeadLetterId([3; 16]))), 10), [2]);
    assert_eq!(newest_first(Some((Millis(25), DeadLetterId([7; 16]))), 10), [3, 2], "one that is not there");
    let redrive = |batch: &mut Batch| {
        let id = DeadLetterId([3; 16]);
        batch.require(Precondition::DeadLetter(id)).remove_dead_letter(id).publish(publish("a", b"again"));
    };
    with(&log, redrive).unwrap();
    assert!(with(&log, redrive).is_err());
    assert_eq!(list(None, 10), [2, 1]);
    assert_eq!(bodies(&log, "a").len(), 1);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    with(&log, |batch| _ = batch.put_value(value_key("k"), b"old".to_vec())).unwrap();
    let snapshot = log.snapshot();
    for _ in 0..100 {
        with(&log, |batch| _ = batch.put_value(value_key("k"), vec![1; 2000])).unwrap();
    }
    wait(log.reclaim()).unwrap();
    assert_eq!(snapshot.value(&value_key("k")).unwrap().unwrap().bytes, b"old");
    assert_eq!(log.snapshot().value(&value_key("k")).unwrap().unwrap().bytes, [1; 2000]);
    assert_eq!(log.snapshot().value_keys("acme", "b", None, 10).unwrap(), ["k"]);
}

#[test]
fn a_time_leads_to_an_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for at in 1..=3000_u64 {
        let mut batch = Batch::new();
        batch.publish(crate::batch::Publish { at: Millis(at * 10), ..publish("a", b"x") });
        wait(log.commit(batch, Sync::Never)).unwrap();
    }
    let snapshot = log.snapshot();
    let topic = snapshot.topic("acme", "a").unwrap().unwrap();
    assert_eq!(snapshot.stretches(topic.id).unwrap().iter().map(|stretch| stretch.events).sum::<u32>(), 3000);
    for (time, offset) in [(0, Some(1)), (10, Some(1)), (11, Some(2)), (20_005, Some(2001)), (30_001, None)] {
        assert_eq!(snapshot.offset_at(&topic, Millis(time)).unwrap(), offset.map(Offset), "{time}");
    }
}

#[test]
fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(folder.path());
    let second = super::Log::open(folder.path(), super::SMALL);
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
}

#[test]
fn another_format_is_refused_by_number() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let mut bytes = head::encode(0);
    bytes[11] = 9;
    std::fs::write(head::path(folder.path()), bytes).unwrap();
    let error = super::Log::open(folder.path(), super::SMALL).unwrap_err().to_string();
    assert!(error.contains("has format 9, this version reads format 1"), "{error}");
}

#[test]
fn a_closed_log_answers_so_and_a_batch_that_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let long = "x".repeat(crate::batch::NAME_LIMIT + 1);
    assert!(matches!(with(&log, |batch| _ = batch.publish(publish(&long, b""))), Err(CommitError::TooLarge { .. })));
    let body = vec![0; crate::batch::BATCH_LIMIT + 1];
    assert!(matches!(with(&log, |batch| _ = batch.publish(publish("a", &body))), Err(CommitError::TooLarge { .. })));
    log.close();
    assert_eq!(commit(&log, Batch::new()), Err(CommitError::Closed));
    assert_eq!(wait(log.reclaim()), Err(CommitError::Closed));
}
