//! Bytes that are not what was written: named, never served.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::log::Log;
use crate::record::Offset;
use crate::wal::frame;

use super::{SMALL, bodies, open, publish, wait, with};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn segment(folder: &Path) -> PathBuf {
    let all = files(&folder.join("wal"));
    all.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// A log with two groups.
fn one_and_two(folder: &Path) -> Log {
    let log = open(folder);
    for body in [b"one", b"two"] {
        with(&log, |batch| _ = batch.publish(publish("a", body))).unwrap();
    }
    log
}

#[test]
fn a_flipped_byte_anywhere_in_the_log_is_found_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    drop(one_and_two(folder.path()));
    let segment = segment(folder.path());
    let length = fs::metadata(&segment).unwrap().len() as usize;
    // All but the closing frame, of which nobody was told anything. A store that is refused is left as it is, so one
    // copy serves for all.
    for at in 0..length - frame::FRAME {
        flip(&segment, at);
        match Log::open(folder.path(), SMALL) {
            Err(OpenError::Damaged(damage)) => {
                assert!(damage.place.contains(segment.file_name().unwrap().to_str().unwrap()), "{damage}");
            }
            other => panic!("byte {at}: {other:?}"),
        }
        flip(&segment, at);
    }
    assert_eq!(bodies(&open(folder.path()), "a"), [b"one", b"two"]);
}

#[test]
fn room_that_was_made_ahead_is_no_torn_end_and_hides_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let _open = one_and_two(folder.path());
    // As it is when the host dies now.
    let crashed = tempfile::tempdir().unwrap();
    copy(folder.path(), crashed.path());
    let segment = segment(crashed.path());
    let bytes = fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert!(bytes.len() > 1024 * used, "there is room: {used} of {}", bytes.len());
    let first = frame::HEADER + frame::FRAME + frame::read(&bytes[frame::HEADER..]).unwrap().payload.len();

    // The second group says that the first was synced.
    for at in (0..first).step_by(7) {
        flip(&segment, at);
        assert!(matches!(Log::open(crashed.path(), SMALL), Err(OpenError::Damaged(_))), "byte {at}");
        flip(&segment, at);
    }
    let mut torn = bytes;
    torn[used..used + 9].copy_from_slice(b"\0\0\0\x40\0\0\0\0\x07");
    fs::write(&segment, torn).unwrap();
    let opened = open(crashed.path());
    assert_eq!((opened.recovered().groups, opened.recovered().torn), (2, 9));
    drop(opened);

    let crashed = tempfile::tempdir().unwrap();
    copy(folder.path(), crashed.path());
    let opened = open(crashed.path());
    assert_eq!((opened.recovered().groups, opened.recovered().torn), (2, 0));
    assert_eq!(bodies(&opened, "a"), [b"one", b"two"]);
    with(&opened, |batch| _ = batch.publish(publish("a", b"new"))).unwrap();
    drop(opened);
    assert_eq!(bodies(&open(crashed.path()), "a"), [b"one", b"two", b"new"]);
}

#[test]
fn an_end_that_is_cut_off_anywhere_costs_whole_groups_only() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for body in [b"one", b"two"] {
        with(&log, |batch| _ = batch.publish(publish("a", body)).publish(publish("a", body))).unwrap();
    }
    drop(log);
    let segment = segment(folder.path());
    let bytes = fs::read(&segment).unwrap();
    // A prime step meets every part of a frame; each cut opens two stores, which takes syncs.
    for length in (0..bytes.len()).step_by(31) {
        let broken = tempfile::tempdir().unwrap();
        copy(folder.path(), broken.path());
        let path = broken.path().join(segment.strip_prefix(folder.path()).unwrap());
        fs::write(&path, &bytes[..length]).unwrap();
        let log = open(broken.path());
        let found = bodies(&log, "a");
        assert!(matches!(found.len(), 0 | 2 | 4), "cut to {length}: {found:?}");
        with(&log, |batch| _ = batch.publish(publish("a", b"new"))).unwrap();
        drop(log);
        assert_eq!(bodies(&open(broken.path()), "a").len(), found.len() + 1);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for body in [b"one", b"two"] {
        with(&open(folder.path()), |batch| _ = batch.publish(publish("a", body))).unwrap();
    }
    let first = files(&folder.path().join("wal")).remove(0);
    fs::remove_file(first).unwrap();
    let error = Log::open(folder.path(), SMALL).unwrap_err().to_string();
    assert!(error.contains("groups are missing before it"), "{error}");
}

#[test]
fn a_flipped_byte_in_a_table_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let body = |number: u32| format!("body {number:04} {}", "z".repeat(200)).into_bytes();
    for number in 0..100 {
        with(&log, |batch| _ = batch.publish(publish("a", &body(number)))).unwrap();
    }
    wait(log.reclaim()).unwrap();
    drop(log);
    let tables = files(&folder.path().join("tables/events/tables"));
    let (mut refused, mut unread) = (0, 0);
    for table in &tables {
        let length = fs::metadata(table).unwrap().len() as usize;
        for at in (0..length).step_by(211) {
            let broken = tempfile::tempdir().unwrap();
            copy(folder.path(), broken.path());
            flip(&broken.path().join(table.strip_prefix(folder.path()).unwrap()), at);
            let log = match Log::open(broken.path(), SMALL) {
                Ok(log) => log,
                Err(OpenError::Damaged(_)) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("byte {at}: {error:?}"),
            };
            let snapshot = log.snapshot();
            let topic = snapshot.topic("acme", "a").unwrap().unwrap();
            match snapshot.events(&topic, Offset(0), usize::MAX) {
                Ok(events) => {
                    let found = events.into_iter().map(|event| event.bytes).collect::<Vec<_>>();
                    assert_eq!(found, (0..100).map(body).collect::<Vec<_>>(), "byte {at}");
                }
                Err(error) => {
                    assert!(error.to_string().contains("key space `events`"), "{error}");
                    unread += 1;
                }
            }
        }
    }
    assert!(refused + unread > 50, "most bytes matter: {refused} refused, {unread} unread");
}
