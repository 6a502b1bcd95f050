//! Hours that are kept, added to, read and forgotten.

use std::path::Path;
use std::sync::atomic::Ordering;

use hostel_event::outcome::Outcome;
use hostel_event::port::Observe;

use super::super::meter::tests::{Hand, attempt, event, subscription};
use super::super::traces::Traces;
use super::*;

/// 2023-11-14T22:00:00Z.
const FIRST: u64 = 472_222;
const ALL: Grouping = Grouping { time: Some(Span::Hour), tenant: true, handler: true };

struct Stage {
    clock: Arc<Hand>,
    watchers: Arc<Watchers>,
    usage: Usage,
    log: Option<Arc<Log>>,
}

impl Stage {
    /// A host whose log is in this folder, or nowhere.
    fn open(folder: Option<&Path>) -> Self {
        let clock = Arc::new(Hand::default());
        clock.0.store(FIRST * 3_600_000, Ordering::Relaxed);
        let settings = hostel_log::settings::Settings { reserve: 0, ..hostel_log::settings::Settings::default() };
        let log = folder.map(|folder| Arc::new(Log::open(folder, settings).unwrap()));
        let watchers = Arc::new(Watchers::new(Arc::<Hand>::clone(&clock), Traces::off(), None));
        let usage = Usage::start(Arc::clone(&watchers), Arc::<Hand>::clone(&clock), log.clone());
        Self { clock, watchers, usage, log }
    }

    fn at(&self, hour: u64) {
        self.clock.0.store(hour * 3_600_000, Ordering::Relaxed);
    }

    /// An attempt that took a second.
    fn attempt(&self, tenant: &str, handler: &str) {
        let event = Arc::new(event(tenant));
        let attempt = attempt(Outcome::Ack, Duration::from_secs(1));
        self.watchers.attempted(&event, &subscription(tenant, handler, "a"), &attempt);
    }

    async fn read(&self, tenant: Option<&str>, by: Grouping) -> Vec<(String, u64)> {
        let tenant = tenant.map(str::to_owned);
        let query = Query { from: Hour(FIRST - 24), to: Hour(FIRST + 800 * 24), tenant, handler: None, by };
        let rows = self.usage.read(query).await.unwrap();
        rows.iter().map(|(key, sums)| (key.cursor(), sums.attempts)).collect()
    }

    async fn close(self) {
        self.usage.close().await;
        if let Some(log) = self.log {
            log.close();
        }
    }
}

fn rows(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(key, attempts)| ((*key).to_owned(), *attempts)).collect()
}

#[tokio::test]
async fn hours_are_summed_by_what_is_asked_for_with_a_log_and_without() {
    let folder = tempfile::tempdir().unwrap();
    for folder in [Some(folder.path()), None] {
        let stage = Stage::open(folder);
        for (hour, tenant, handler) in
            [(0, "acme", "a"), (0, "acme", "a"), (0, "acme", "b"), (0, "globex", "a"), (3, "acme", "a")]
        {
            stage.at(FIRST + hour);
            stage.attempt(tenant, handler);
        }
        let expected = [("472222/acme/a", 2), ("472222/acme/b", 1), ("472222/globex/a", 1), ("472225/acme/a", 1)];
        assert_eq!(stage.read(None, ALL).await, rows(&expected));
        let by_day = Grouping { time: Some(Span::Day), tenant: false, handler: true };
        // The third hour falls on the next day.
        assert_eq!(
            stage.read(Some("acme"), by_day).await,
            rows(&[("472200/-/a", 2), ("472200/-/b", 1), ("472224/-/a", 1)])
        );
        let total = Grouping { time: None, tenant: false, handler: false };
        assert_eq!(stage.read(Some("globex"), total).await, rows(&[("-/-/-", 1)]));
        assert_eq!(stage.read(Some("glob"), total).await, rows(&[]), "a name is no prefix");
        stage.close().await;
    }
}

#[tokio::test]
async fn what_is_kept_is_added_to_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for count in 1..=3 {
        let stage = Stage::open(Some(folder.path()));
        assert_eq!(
            stage.read(None, ALL).await,
            if count == 1 { rows(&[]) } else { rows(&[("472222/acme/a", count - 1)]) }
        );
        stage.attempt("acme", "a");
        stage.close().await;
    }
}

#[tokio::test]
async fn a_reader_sees_what_is_kept_and_a_crash_takes_nothing_of_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(Some(folder.path()));
    stage.attempt("acme", "a");
    assert_eq!(stage.read(None, ALL).await, rows(&[("472222/acme/a", 1)]));
    stage.attempt("acme", "a");
    // A moment later it is not written again for a reader.
    assert_eq!(stage.read(None, ALL).await, rows(&[("472222/acme/a", 1)]));
    // As a crash: nobody keeps what was counted last.
    stage.usage.task.lock().take().unwrap().abort();
    stage.log.unwrap().close();
    let stage = Stage::open(Some(folder.path()));
    assert_eq!(stage.read(None, ALL).await, rows(&[("472222/acme/a", 1)]));
    stage.close().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_every_few_seconds_without_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(Some(folder.path()));
    stage.attempt("acme", "a");
    // Lets the task begin its wait, and then ends that.
    tokio::task::yield_now().await;
    tokio::time::advance(INTERVAL).await;
    while stage.usage.shared.book.lock().await.kept_at.is_none() {
        tokio::task::yield_now().await;
    }
    let snapshot = stage.log.as_ref().unwrap().snapshot();
    assert!(snapshot.document(Kind::Host, "usage/2023-11-14/acme/22").unwrap().is_some());
    stage.close().await;
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(Some(folder.path()));
    stage.attempt("acme", "a");
    stage.read(None, ALL).await;
    stage.at(FIRST + DAYS * 24);
    stage.attempt("acme", "a");
    stage.usage.shared.keep().await;
    let kept = |stage: &Stage| stage.log.as_ref().unwrap().snapshot().documents(Kind::Host, "usage/").unwrap().len();
    assert_eq!(kept(&stage), 2, "the last day of all");
    stage.at(FIRST + (DAYS + 1) * 24);
    stage.attempt("acme", "a");
    stage.usage.shared.keep().await;
    stage.usage.shared.keep().await;
    // Removed in the background; what is committed after it comes after it.
    stage.log.as_ref().unwrap().commit(Batch::new(), Sync::Never).await.unwrap();
    assert_eq!(kept(&stage), 2, "the first went and another came");
    stage.close().await;
}

#[tokio::test]
async fn without_a_log_the_newest_hours_are_there() {
    let stage = Stage::open(None);
    for hour in 0..30 {
        stage.at(FIRST + hour);
        stage.attempt("acme", "a");
        stage.usage.shared.keep().await;
    }
    let read = stage.read(None, ALL).await;
    assert_eq!((read.len(), read[0].0.as_str()), (24, "472228/acme/a"));
    stage.close().await;
}

#[test]
fn a_key_says_which_hour_of_whom() {
    let place = Place { hour: Hour(FIRST), tenant: "acme".to_owned() };
    assert_eq!(key(&place), "usage/2023-11-14/acme/22");
    assert_eq!(super::place("usage/2023-11-14/acme/22"), Some(place));
    assert_eq!(super::place("usage/now/acme/22"), None);
    assert_eq!(super::place("subscription"), None);
}

#[test]
fn pages_follow_one_another_by_their_cursor() {
    let key =
        |hour: u64, handler: &str| Key { hour: Some(Hour(hour)), tenant: None, handler: Some(handler.to_owned()) };
    let all: Vec<Key> = [(9, "a"), (9, "b"), (10, "a")].into_iter().map(|(hour, handler)| key(hour, handler)).collect();
    let rows: BTreeMap<Key, Sums> = all.iter().map(|key| (key.clone(), Sums::default())).collect();
    let (mut seen, mut after) = (Vec::new(), None::<Key>);
    loop {
        let (page, more) = page(&rows, after.as_ref(), 2);
        seen.extend(page.iter().map(|(key, _)| key.clone()));
        if !more {
            break;
        }
        after = page.last().and_then(|(key, _)| Key::parse(&key.cursor()));
        assert!(after.is_some());
    }
    assert_eq!(seen, all);
    for wrong in ["", "1/a", "x/-/-", "1/a/b/c"] {
        assert_eq!(Key::parse(wrong), None, "{wrong}");
    }
}
