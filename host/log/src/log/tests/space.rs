//! Space comes back, and all the while what is kept is there.

use std::path::Path;

use crate::batch::{Batch, Publish};
use crate::log::Log;
use crate::record::{Millis, Offset};
use crate::retention::{self, Keep};
use crate::settings::{Settings, Sync};

use super::{publish, wait, with};

/// What a path takes on the disk. A table may be deleted between the listing and the look; it then takes nothing.
#[cfg(unix)]
fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return 0,
        Err(error) => panic!("cannot look at `{}`: {error}", path.display()),
    };
    if found.is_file() {
        return found.blocks() * 512;
    }
    std::fs::read_dir(path).unwrap().map(|entry| disk_bytes(&entry.unwrap().path())).sum()
}

fn fill(log: &Log, topic: &str, events: u64) {
    for block in 0..events / 1000 {
        let mut batch = Batch::new();
        for number in 0..1000 {
            // Nothing that could be compressed away.
            let mut state = block * 1000 + number + 1;
            let bytes = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            });
            let bytes = bytes.take(200).collect();
            batch.publish(Publish { at: Millis(block), bytes, ..publish(topic, b"") });
        }
        wait(log.commit(batch, Sync::Never)).unwrap();
    }
}

#[test]
fn dropped_events_give_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), Settings { reserve: 0, checkpoint_bytes: 16 << 20, ..Settings::default() });
    let log = log.unwrap();
    fill(&log, "kept", 1000);
    let start = disk_bytes(folder.path());
    fill(&log, "a", 300_000);
    let full = disk_bytes(folder.path());
    assert!(full > 50 << 20, "{full}");
    let snapshot = log.snapshot();
    let topic = snapshot.topic("acme", "a").unwrap().unwrap();
    let stretches = snapshot.stretches(topic.id).unwrap();
    assert!(stretches.len() < 400, "{}", stretches.len());
    assert_eq!(log.event_bytes(), 301_000 * 200);
    let below = retention::drop_below(&stretches, Keep { events: Some(0), ..Keep::default() }).unwrap();
    drop(snapshot);
    with(&log, |batch| _ = batch.drop_events("acme".to_owned(), "a".to_owned(), below)).unwrap();
    let snapshot = log.snapshot();
    let topic = snapshot.topic("acme", "a").unwrap().unwrap();
    assert_eq!(snapshot.events(&topic, Offset(0), 10).unwrap(), []);
    assert_eq!(log.event_bytes(), 1000 * 200);
    drop(snapshot);
    wait(log.reclaim()).unwrap();
    let end = disk_bytes(folder.path());
    assert!(end < start + (2 << 20), "start {start}, full {full}, end {end}");
    assert_eq!(super::bodies(&log, "kept").len(), 1000);
    drop(log);
    let log = Log::open(folder.path(), super::SMALL).unwrap();
    assert_eq!((super::bodies(&log, "a").len(), super::bodies(&log, "kept").len()), (0, 1000));
}

#[test]
fn retention_that_runs_along_keeps_the_disk_flat() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { reserve: 0, checkpoint_bytes: 2 << 20, ..Settings::default() };
    let log = Log::open(folder.path(), settings).unwrap();
    let mut highest = 0;
    for round in 0..40 {
        fill(&log, "a", 10_000);
        let snapshot = log.snapshot();
        let topic = snapshot.topic("acme", "a").unwrap().unwrap();
        let keep = Keep { events: Some(10_000), ..Keep::default() };
        if let Some(below) = retention::drop_below(&snapshot.stretches(topic.id).unwrap(), keep) {
            with(&log, |batch| _ = batch.drop_events("acme".to_owned(), "a".to_owned(), below)).unwrap();
        }
        drop(snapshot);
        if round >= 10 {
            highest = highest.max(disk_bytes(folder.path()));
        }
    }
    // 80 MB went through; 2 MB are kept, and a few checkpoints' worth of log and tables around them.
    assert!(highest < 40 << 20, "{highest}");
    let kept = super::bodies(&log, "a").len();
    assert!((10_000..12_000).contains(&kept), "{kept}");
}
