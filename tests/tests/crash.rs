//! A host under load is killed at random moments, again and again. Whatever it acknowledged is handled, and what a handler
//! did for it is done once.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostel_api::client::{Client, Publication};
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{sample, times};
use tokio::sync::watch;
use tokio::task::JoinSet;

const PUBLISHERS: usize = 8;
/// Keys that events are counted under. Few, so that deliveries meet at them and some have to run again.
const KEYS: u64 = 4;

/// What was published, by number.
#[derive(Default)]
struct Book {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
    /// Sent, and the host was gone before it answered: it is open whether they are kept.
    open: Mutex<BTreeSet<u64>>,
}

impl Book {
    fn count(&self) -> u64 {
        locked(&self.acknowledged).len() as u64
    }

    /// One that is open, or a new one.
    fn take(&self) -> u64 {
        locked(&self.open).pop_first().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Publishes one; says whether the host answered.
    async fn publish(&self, client: &Client, number: u64) -> bool {
        let answered = client.publish(&event(number)).await;
        if answered.is_ok() {
            locked(&self.acknowledged).insert(number);
        } else {
            locked(&self.open).insert(number);
        }
        answered.is_ok()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts itself, all events, and with what it publishes the effects.
fn event(number: u64) -> Publication {
    let lines = [
        format!("increment notes event-{number} 1"),
        format!("increment notes total-{} 1", number % KEYS),
        format!("publish increment notes effects-{} 1", number % KEYS),
    ];
    Publication { id: Some(format!("e-{number}")), ..publication("scribe.do", lines.join("\n")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice() {
    let (began, kills) = (Instant::now(), times(20_u64, 200));
    let mut host = Host::start().await;
    for (name, pattern) in [("scribe", "scribe.do"), ("second", "scribe.out")] {
        host.deploy(&sample("rust/scribe"), |manifest| {
            name.clone_into(&mut manifest.name);
            pattern.clone_into(&mut manifest.subscriptions[0].pattern);
        })
        .await;
    }
    let book = Arc::new(Book::default());
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let data = kill_under_load(host, &book).await;
        let restarted = Instant::now();
        host = Host::start_in(data, "").await;
        slowest = slowest.max(restarted.elapsed());
        // Published again under their ids, they are one event whether they were kept or not.
        while let Some(number) = { locked(&book.open).pop_first() } {
            assert!(book.publish(&host.client, number).await, "a host that runs answers");
        }
        all_done(&host, book.count()).await;
    }
    each_once(&host, &book).await;
    let events = book.count();
    eprintln!("{kills} kills, {events} events, slowest start {slowest:?}, {:?} in all", began.elapsed());
    assert!(events > kills, "there was a load");
    let letters = host.client.dead_letters(1, None).await.expect("listed");
    assert!(letters.items.is_empty(), "{letters:?}");
}

/// Publishes from many sides until the host dies, which it does soon.
async fn kill_under_load(host: Host, book: &Arc<Book>) -> tempfile::TempDir {
    let (sender, mut answers) = watch::channel(0_u64);
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (client, book, sender) = (host.client.clone(), Arc::clone(book), sender.clone());
        publishers.spawn(async move {
            while book.publish(&client, book.take()).await {
                sender.send_modify(|count| *count += 1);
            }
        });
    }
    drop(sender);
    let lot = RandomState::new().hash_one(book.count());
    let enough = lot % 64;
    answers.wait_for(|count| *count >= enough).await.expect("the host answers");
    // Anywhere within the next events, not only just after an answer.
    tokio::time::sleep(Duration::from_micros(lot / 64 % 10_000)).await;
    let data = host.kill().await;
    while publishers.join_next().await.is_some() {}
    data
}

/// Waits until as many events and effects are counted as were acknowledged.
async fn all_done(host: &Host, expected: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines: Vec<String> = ["total", "effects"]
            .into_iter()
            .flat_map(|what| (0..KEYS).map(move |key| format!("increment notes {what}-{key} 0")))
            .collect();
        let counts = counts(host, &lines).await;
        let (totals, effects) = counts.split_at(lines.len() / 2);
        let (totals, effects): (u64, u64) = (totals.iter().sum(), effects.iter().sum());
        assert!(totals <= expected && effects <= expected, "{totals} and {effects} of {expected}: done twice");
        if (totals, effects) == (expected, expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{totals} and {effects} of {expected}: lost");
    }
}

/// Looks at every event by itself: what is lost here and done twice there would add up.
async fn each_once(host: &Host, book: &Book) {
    let numbers: Vec<u64> = locked(&book.acknowledged).iter().copied().collect();
    for some in numbers.chunks(50) {
        let lines: Vec<String> = some.iter().map(|number| format!("increment notes event-{number} 0")).collect();
        assert_eq!(counts(host, &lines).await, vec![1; some.len()], "{some:?}");
    }
}

/// What the scribe logs for these lines.
async fn counts(host: &Host, lines: &[String]) -> Vec<u64> {
    loop {
        let settled = host.publish_and_wait("scribe.do", lines.join("\n")).await;
        let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
        if only.outcome == SettlementOutcome::Ack && only.attempts == 1 {
            return only.log.iter().map(|line| line.text.parse().expect("a number")).collect();
        }
    }
}
