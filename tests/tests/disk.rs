//! A host whose disk is full, and one whose disk fails: what it refuses, what it still answers, and what is there
//! afterwards.
//!
//! The disk is a small file system in memory that the test mounts for itself, in a namespace of its own. It is full when
//! a file of the test takes the space; it fails when the host may not write files of any size.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use hostel_api::client::{Client, ClientError, LogQuery};
use hostel_api::problem::Problem;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::namespace::{self, Namespace};
use hostel_tests::{raw, sample};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// Enough for the host to begin: it keeps 128 MiB free, and refuses what is new below that.
const SIZE: u64 = 256 * MIB;

/// Runs a test in a namespace of mounts, or says why not.
fn in_mounts(test: &str, body: impl Future<Output = ()>) {
    if namespace::is_inside() {
        return namespace::inside(body);
    }
    match Namespace::mounts() {
        Ok(namespace) => namespace.run(test),
        Err(reason) => namespace::skip(test, &reason),
    }
}

fn run(command: &str, arguments: &[&str]) {
    let status = Command::new(command).args(arguments).status().expect("the command is there");
    assert!(status.success(), "{command} {arguments:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this suite")
}

/// A folder whose `data` is a small disk.
fn small_disk() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    run("mount", &["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs", text(&data)]);
    folder
}

fn unmount(folder: &TempDir) {
    run("umount", &[text(&folder.path().join("data"))]);
}

/// The file that takes the space.
fn filler(host: &Host) -> PathBuf {
    host.data().join("data/filler")
}

/// Lets it grow until about so many bytes are free.
fn fill(host: &Host, free: u64) {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(host.data().join("data")).output();
    let said = String::from_utf8(output.expect("df is there").stdout).expect("text");
    let now: u64 = said.lines().nth(1).expect("a number").trim().parse().expect("a number");
    let has = std::fs::metadata(filler(host)).map_or(0, |found| found.len());
    run("fallocate", &["--length", &(has + now - free).to_string(), text(&filler(host))]);
}

/// Deploys the handler that counts.
async fn count_with(host: &Host) {
    host.deploy(&sample("rust/scribe"), |manifest| manifest.subscriptions[0].concurrency = NonZeroU32::new(1)).await;
}

/// What the handler counted, once everything is handled.
async fn counted(host: &Host) -> u64 {
    host.until(|one| one.waiting + one.running + one.sleeping == 0).await;
    let settled = host.publish_and_wait("scribe.do", "increment notes n 0").await;
    settled.subscriptions[0].log[0].text.parse().expect("a number")
}

async fn refused(client: &Client) -> Problem {
    match client.publish(&publication("scribe.do", "increment notes n 1")).await {
        Err(ClientError::Problem { problem, .. }) => *problem,
        other => panic!("a problem is expected: {other:?}"),
    }
}

/// The answer of `/readyz`: its status and its text.
async fn readiness(host: &Host) -> (u16, String) {
    let answer = raw::exchange(host.admin, &raw::request("GET", "/readyz", &[], b"")).await.expect("an answer");
    (answer.status, answer.body.trim().to_owned())
}

/// Everything that does not write is answered.
async fn reads_are_answered(client: &Client) {
    assert_eq!(client.handlers().await.expect("listed").len(), 1);
    assert_eq!(client.subscriptions().await.expect("listed").len(), 1);
    let letters = client.dead_letters(10, None).await.expect("listed").items;
    assert_eq!(client.dead_letter(&letters[0].id).await.expect("shown").reason, "rejected on demand");
    assert!(!client.logs(&LogQuery::default()).await.expect("read").is_empty());
}

/// Publishes without a pause until it is told to end; counts what was acknowledged.
async fn keep_publishing(client: Client, acknowledged: Arc<AtomicU64>, end: Arc<AtomicBool>) {
    while !end.load(Ordering::Relaxed) {
        match client.publish(&publication("scribe.do", "increment notes n 1")).await {
            Ok(_) => _ = acknowledged.fetch_add(1, Ordering::Relaxed),
            Err(ClientError::Problem { problem, .. }) => assert_eq!(problem.code, "E0026", "{problem:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_publishes_loses_nothing_and_recovers_by_itself() {
    in_mounts("a_full_disk_refuses_publishes_loses_nothing_and_recovers_by_itself", async {
        let host = Host::start_in(small_disk(), "").await;
        count_with(&host).await;
        host.publish_and_wait("scribe.do", "get notes n\nreject").await;
        assert_eq!(readiness(&host).await.0, 200);
        // They wait until there is space again: a handler may take a write that is refused for an answer.
        host.client.pause("scribe").await.expect("paused");

        let (acknowledged, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let publishers: Vec<_> = (0..4)
            .map(|_| tokio::spawn(keep_publishing(host.client.clone(), Arc::clone(&acknowledged), Arc::clone(&end))))
            .collect();
        while acknowledged.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        // Below what the host leaves alone: nothing new is taken.
        fill(&host, 100 * MIB);
        let problem = refused(&host.client).await;
        assert_eq!((problem.status, problem.code.as_str()), (507, "E0026"), "{problem:?}");
        assert!(problem.detail.starts_with("the disk is full"), "{problem:?}");
        end.store(true, Ordering::Relaxed);
        for publisher in publishers {
            publisher.await.expect("ended");
        }
        assert_eq!(readiness(&host).await, (503, "the disk is full".to_owned()));
        reads_are_answered(&host.client).await;

        // To the last byte.
        let file = filler(&host);
        run("sh", &["-c", "cat /dev/zero >> \"$0\" 2> /dev/null; true", text(&file)]);
        assert_eq!(refused(&host.client).await.code, "E0026");
        assert_eq!(readiness(&host).await.0, 503);
        reads_are_answered(&host.client).await;

        std::fs::remove_file(file).expect("removed");
        // Nobody publishes until it says that it is ready.
        let deadline = Instant::now() + PATIENCE;
        while readiness(&host).await.0 != 200 {
            assert!(Instant::now() < deadline, "{:?}", readiness(&host).await);
        }
        let expected = acknowledged.load(Ordering::Relaxed);
        host.client.resume("scribe").await.expect("resumed");
        assert_eq!(counted(&host).await, expected);
        let host = Host::start_in(host.kill().await, "").await;
        assert_eq!(counted(&host).await, expected);
        namespace::state(&format!("{expected} events were acknowledged before the disk was full, and none was lost"));
        let (_, folder) = host.stop().await;
        unmount(&folder);
    });
}

#[test]
fn a_disk_that_fails_poisons_the_log_and_reads_go_on() {
    in_mounts("a_disk_that_fails_poisons_the_log_and_reads_go_on", async {
        let host = Host::start_in(small_disk(), "").await;
        count_with(&host).await;
        host.publish_and_wait("scribe.do", "get notes n\nreject").await;
        for _ in 0..20 {
            host.client.publish(&publication("scribe.do", "increment notes n 1")).await.expect("published");
        }
        host.until(|one| one.acked == 20).await;

        // No file may grow beyond a byte any more: every write fails, for another reason than that there is no space.
        run("prlimit", &["--pid", &host.pid().to_string(), "--fsize=1:"]);
        let problem = refused(&host.client).await;
        assert_eq!((problem.status, problem.code.as_str()), (503, "E0027"), "{problem:?}");
        let (status, said) = readiness(&host).await;
        assert_eq!(status, 503);
        assert!(said.starts_with("the log takes no more events: cannot write to the write-ahead log: "), "{said}");
        reads_are_answered(&host.client).await;
        // It does not come back by itself, for nobody knows what is on the disk.
        run("prlimit", &["--pid", &host.pid().to_string(), "--fsize=unlimited:"]);
        assert_eq!(refused(&host.client).await.code, "E0027");
        assert_eq!(readiness(&host).await.0, 503);

        let (said, folder) = host.stop().await;
        assert!(said.lines().any(|line| line.contains("ERROR") && line.contains("log")), "{said}");
        let host = Host::start_in(folder, "").await;
        assert_eq!(readiness(&host).await.0, 200);
        assert_eq!(counted(&host).await, 20);
        let (_, folder) = host.stop().await;
        unmount(&folder);
    });
}
