//! A disk that fails on command.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::error::CommitError;
use crate::log::Log;
use crate::record::{Offset, SubscriptionNumber};
use crate::settings::{Settings, Sync};

use super::{SMALL, bodies, open, publish, wait, with};

fn open_on(disk: &FaultyDisk, folder: &std::path::Path, settings: Settings) -> Log {
    Log::open_on(Arc::new(disk.clone()), folder, settings).unwrap()
}

fn send(log: &Log, body: &[u8]) -> Result<(), CommitError> {
    with(log, |batch| _ = batch.publish(publish("a", body))).map(|_| ())
}

/// After a fault that poisons, commits are refused for good, reads go on, and opening again finds what was answered.
fn poisons(fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path(), SMALL);
    send(&log, b"kept").unwrap();
    disk.set(fault);
    assert!(matches!(send(&log, b"lost"), Err(CommitError::Poisoned { reason }) if reason.contains("injected")));
    disk.set(Fault::None);
    assert!(matches!(send(&log, b"refused"), Err(CommitError::Poisoned { .. })));
    assert_eq!(bodies(&log, "a"), [b"kept"], "what was not answered is not shown");
    assert!(log.health().poisoned.is_some());
    assert!(wait(log.reclaim()).is_err());
    drop(log);
    let log = open(folder.path());
    let found = bodies(&log, "a");
    assert_eq!(found[0], b"kept");
    assert!(!found.contains(&b"refused".to_vec()));
    send(&log, b"new").unwrap();
}

#[test]
fn a_failed_write_poisons() {
    poisons(Fault::Write);
}

#[test]
fn a_failed_sync_poisons() {
    poisons(Fault::Sync);
}

#[test]
fn a_sync_that_fails_later_poisons_too() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path(), SMALL);
    disk.set(Fault::Sync);
    let mut batch = Batch::new();
    batch.publish(publish("a", b"soon"));
    wait(log.commit(batch, Sync::Interval(Duration::ZERO))).unwrap();
    // Whichever comes first, the late sync or this one, the log is poisoned by it.
    assert!(matches!(send(&log, b"x"), Err(CommitError::Poisoned { .. })));
}

#[test]
fn a_write_without_space_keeps_nothing_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path(), SMALL);
    send(&log, b"one").unwrap();
    disk.set(Fault::Full);
    assert!(matches!(send(&log, b"two"), Err(CommitError::Full { .. })));
    assert!(log.health().is_full && log.health().poisoned.is_none());
    disk.set(Fault::None);
    send(&log, b"three").unwrap();
    assert!(!log.health().is_full);
    drop(log);
    assert_eq!(bodies(&open(folder.path()), "a"), [&b"one"[..], b"three"]);
}

#[test]
fn below_the_reserve_only_what_is_there_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path(), Settings { reserve: 1000, ..SMALL });
    let settle = |offset| with(&log, |batch| _ = batch.settle(SubscriptionNumber(1), Offset(offset)));
    disk.set(Fault::Free(999));
    assert_eq!(send(&log, b"x"), Err(CommitError::Full { free: 999, wanted: 1000 }));
    settle(1).unwrap();
    disk.set(Fault::Free(499));
    assert_eq!(settle(2), Err(CommitError::Full { free: 499, wanted: 500 }));
    assert!(log.health().is_full);
    disk.set(Fault::None);
    assert!(!log.health().is_full, "seen without a commit");
    send(&log, b"x").unwrap();
    settle(2).unwrap();
}

#[test]
fn a_full_queue_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_on(&FaultyDisk::default(), folder.path(), Settings { queue_batches: 0, ..SMALL });
    assert_eq!(send(&log, b"x"), Err(CommitError::Busy));
}
