//! A file system that really is full. Needs the right to mount one in a namespace of its own.

use std::path::Path;
use std::process::Command;

use crate::batch::Batch;
use crate::error::CommitError;
use crate::log::Log;
use crate::record::Offset;
use crate::settings::{Settings, Sync};

use super::{SMALL, bodies, publish, wait, with};

const FOLDER: &str = "HOSTEL_LOG_FULL_FOLDER";

/// The process inside the namespace. Without a folder there is nothing to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let store = folder.join("store");
    // No reserve, so that every part meets the end of the disk itself.
    let settings = Settings { checkpoint_bytes: 1 << 20, ..SMALL };
    let log = Log::open(&store, settings).unwrap();
    let mut acknowledged = 0_usize;
    let send = |number: usize| {
        let mut body = vec![0; 3000];
        body[..8].copy_from_slice(&number.to_be_bytes());
        with(&log, |batch| _ = batch.publish(publish("a", &body)))
    };
    let mut refused = 0;
    while refused < 50 {
        match send(acknowledged) {
            Ok(_) => acknowledged += 1,
            Err(CommitError::Full { .. }) => refused += 1,
            Err(error) => panic!("after {acknowledged}: {error}"),
        }
        assert!(acknowledged < 100_000, "the disk does not fill up");
    }
    assert!(acknowledged > 1000 && log.health().poisoned.is_none(), "{acknowledged}: {:?}", log.health());
    assert_eq!(bodies(&log, "a").len(), acknowledged);
    std::fs::remove_file(&ballast).unwrap();
    // The keeper catches up by itself; commits are taken as soon as it has.
    let before = acknowledged;
    while acknowledged < before + 500 {
        match send(acknowledged) {
            Ok(_) => acknowledged += 1,
            Err(CommitError::Full { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    let mut batch = Batch::new();
    batch.drop_events("acme".to_owned(), "a".to_owned(), Offset(1001));
    wait(log.commit(batch, Sync::Always)).unwrap();
    drop(log);
    let log = Log::open(&store, settings).unwrap();
    let found = bodies(&log, "a");
    let expected = (1000..acknowledged).map(|number| number.to_be_bytes().to_vec());
    assert!(found.iter().map(|body| body[..8].to_vec()).eq(expected), "{} of {acknowledged}", found.len());
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=48m none \"$HOSTEL_LOG_FULL_FOLDER\" || exit 77; exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::full::child", "--nocapture"])
        .env(FOLDER, folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child did not run");
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_forbidden = output.status.code() == Some(77) || text.starts_with("unshare:");
            assert!(is_forbidden, "{}{text}", String::from_utf8_lossy(&output.stdout));
            eprintln!("SKIPPED: this machine does not allow to mount a small file system: {text}");
        }
        Err(error) => eprintln!("SKIPPED: there is no `unshare` here: {error}"),
    }
}
