//! What `[[broker.topics]]` says of single topics holds for these and for no others.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Instant;

use hostel_api::client::ReplayQuery;
use hostel_api::manifest::Subscription;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{namespace, sample};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// The log gives space back in stretches of 1,024 events, and never more than was asked for: so of these the first
/// stretch can go and the rest stays.
const EVENTS: usize = 1100;
const LAST: u64 = 76;
/// Publishers of each topic.
const PUBLISHERS: usize = 11;

const CONFIG: &str = r#"
[broker]
keep_for = "0s"
keep_bytes = "0B"

[[broker.topics]]
pattern = "brief.>"
keep_for = "1s"
sync = "never"

[[broker.topics]]
pattern = "few.>"
keep_events = 50
sync = "50ms"

[[broker.topics]]
pattern = "small.>"
keep_bytes = "1KiB"
"#;

const TOPICS: [&str; 4] = ["brief.a", "few.a", "small.a", "all.a"];

/// Publishes on all topics, many together, so that they share the syncs.
async fn publish(host: &Host) {
    let mut publishers = JoinSet::new();
    for topic in TOPICS {
        for _ in 0..PUBLISHERS {
            let client = host.client.clone();
            publishers.spawn(async move {
                for _ in 0..EVENTS / PUBLISHERS {
                    client.publish(&publication(topic, "exists notes k")).await.expect("published");
                }
            });
        }
    }
    while let Some(ended) = publishers.join_next().await {
        ended.expect("published all");
    }
}

/// Has everything replayed that is kept; says how much that was, by pattern.
async fn kept(host: &Host) -> BTreeMap<String, u64> {
    let acked = async || {
        let subscriptions = host.client.subscriptions().await.expect("listed");
        subscriptions.into_iter().map(|one| (one.pattern, one.acked)).collect::<BTreeMap<_, _>>()
    };
    let before = acked().await;
    let all = ReplayQuery { from: "earliest".to_owned(), ..ReplayQuery::default() };
    host.client.replay("scribe", &all).await.expect("begun");
    let deadline = Instant::now() + PATIENCE;
    while !host.client.replays().await.expect("listed").is_empty() {
        assert!(Instant::now() < deadline, "the replay does not end");
    }
    acked().await.into_iter().map(|(pattern, count)| (pattern.clone(), count - before[&pattern])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_of_one_topic_leaves_the_others() {
    let host = Host::start_with(CONFIG).await;
    publish(&host).await;
    host.deploy(&sample("rust/scribe"), |manifest| {
        let hears = |topic: &str| Subscription { pattern: topic.to_owned(), ..Subscription::default() };
        manifest.subscriptions = TOPICS.map(hears).to_vec();
    })
    .await;
    let expected = [0, LAST, LAST, 1100];
    let expected: BTreeMap<_, _> = TOPICS.map(str::to_owned).into_iter().zip(expected).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = kept(&host).await;
        if found == expected {
            break;
        }
        assert!(found["all.a"] == 1100 && found["few.a"] >= LAST && found["small.a"] >= LAST, "{found:?}");
        assert!(Instant::now() < deadline, "retention comes to that: {found:?}");
    }
}

/// The calls by which a host has had something put on the disk, as `strace` counts them.
struct Syncs {
    tracer: Child,
    written: NamedTempFile,
}

impl Syncs {
    /// Begins to count.
    ///
    /// # Errors
    /// Why this system does not allow it.
    async fn of(host: &Host) -> Result<Self, String> {
        let written = NamedTempFile::new().expect("a temporary file");
        let mut tracer = Command::new("strace")
            .args(["-f", "-e", "trace=fsync,fdatasync", "-o"])
            .arg(written.path())
            .args(["-p", &host.pid().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("`strace` cannot be started: {error}"))?;
        let mut said = BufReader::new(tracer.stderr.take().expect("stderr is piped")).lines();
        let first = tokio::time::timeout(PATIENCE, said.next_line()).await.expect("strace says something");
        let first = first.expect("readable").unwrap_or_default();
        if !first.contains("attached") {
            return Err(format!("`strace` cannot look at the host: {first}"));
        }
        Ok(Self { tracer, written })
    }

    async fn count(mut self) -> usize {
        let pid = self.tracer.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status().await.expect("kill is there");
        assert!(status.success(), "told to end");
        tokio::time::timeout(PATIENCE, self.tracer.wait()).await.expect("ends in time").expect("waited for");
        let written = std::fs::read_to_string(self.written.path()).expect("written");
        written.lines().filter(|line| line.contains("sync(")).count()
    }
}

/// Publishes twenty, one after another; says how often the disk was told to keep what it has.
async fn syncs(host: &Host, topic: &str) -> Result<usize, String> {
    let counting = Syncs::of(host).await?;
    for _ in 0..20 {
        host.client.publish(&publication(topic, "x")).await.expect("published");
    }
    Ok(counting.count().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_waits_for_the_disk_where_its_topic_says_so() {
    let host = Host::start_with(CONFIG).await;
    let (always, never) = match (syncs(&host, "all.a").await, syncs(&host, "brief.a").await) {
        (Ok(always), Ok(never)) => (always, never),
        (Err(reason), _) | (_, Err(reason)) => {
            return namespace::skip("a_publish_waits_for_the_disk_where_its_topic_says_so", &reason);
        }
    };
    assert!(always >= 20, "each of 20 publishes is synced by itself: {always}");
    // What the host does by itself meanwhile, such as dropping what is old, is synced as well.
    assert!(never <= 5, "none of 20 publishes is: {never}");
}
