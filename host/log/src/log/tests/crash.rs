//! A process that commits is killed at random moments: what it was told is there, whole; nothing is there in part.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::RngExt;

use crate::batch::Batch;
use crate::record::{Offset, SubscriptionNumber, ValueKey};
use crate::settings::Sync;

use super::{bodies, open, publish, wait};

const FOLDER: &str = "HOSTEL_LOG_CRASH_FOLDER";
const ROUND: &str = "HOSTEL_LOG_CRASH_ROUND";
const THREADS: u64 = 4;

fn value_key(id: &str) -> ValueKey {
    ValueKey { tenant: "acme".to_owned(), bucket: "done".to_owned(), key: id.to_owned() }
}

/// The process that is killed: the crash test starts it with its folder set. Without one there is nothing to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let log = open(Path::new(&folder));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, round) = (&log, &round);
            scope.spawn(move || {
                for number in 0_u64.. {
                    let id = format!("{round}-{thread}-{number}");
                    let mut batch = Batch::new();
                    for _ in 0..3 {
                        batch.publish(publish("a", format!("{id} {}", "x".repeat(300)).as_bytes()));
                    }
                    batch.put_value(value_key(&id), Vec::new());
                    let settled = Offset(round.parse::<u64>().unwrap() * 1_000_000 + thread * 100_000 + number);
                    batch.settle(SubscriptionNumber(1), settled);
                    wait(log.commit(batch, Sync::Always)).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {id} {settled}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Starts the child, kills it after so many answers, and gives what it was told.
fn run_and_kill(folder: &Path, round: u64, answers: usize) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::crash::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut is_killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        // The last line may be cut off, and the first stands behind what the test runner says.
        if let Some((_, rest)) = line.split_once("acknowledged ")
            && let Some((id, offset)) = rest.split_once(' ')
            && let Ok(offset) = offset.parse()
        {
            told.push((id.to_owned(), offset));
        }
        if told.len() >= answers && !is_killed {
            child.kill().unwrap();
            is_killed = true;
        }
    }
    child.wait().unwrap();
    assert!(is_killed, "the child ended by itself after {} answers", told.len());
    told
}

fn check(folder: &Path, told: &[(String, u64)]) {
    let log = open(folder);
    let mut found = BTreeMap::<String, usize>::new();
    for body in bodies(&log, "a") {
        let text = String::from_utf8(body).unwrap();
        *found.entry(text.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    let snapshot = log.snapshot();
    let cursor = snapshot.cursor(SubscriptionNumber(1)).unwrap();
    for (id, offset) in told {
        assert!(found.contains_key(id), "{id} was acknowledged and is gone");
        assert!(cursor.is_settled(Offset(*offset)), "{id} was acknowledged and its settlement is gone");
    }
    for (id, count) in &found {
        assert_eq!(*count, 3, "{id} is there in part");
        assert!(snapshot.value(&value_key(id)).unwrap().is_some(), "{id} is there without its value");
    }
    let values = snapshot.value_keys("acme", "done", None, usize::MAX).unwrap();
    assert_eq!(values.len(), found.len());
    assert_eq!(cursor.settled.len(), found.len());
}

#[test]
fn what_was_acknowledged_outlives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("store");
    let mut told = Vec::new();
    for round in 0..10 {
        let answers = rand::rng().random_range(1..400);
        told.extend(run_and_kill(&path, round, answers));
        check(&path, &told);
    }
}
