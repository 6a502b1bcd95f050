//! The cache over a registry that can be made to go away, on a clock that the tests hold.

use super::*;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hostel_event::port::ChangeKind;

use crate::conformance::{self, Stage, service};
use crate::memory::Memory;
use crate::memory::tests::{AMPLE, Paused};

/// A memory registry that counts questions and can be away.
struct Flaky {
    memory: Memory,
    away: AtomicBool,
    asked: AtomicUsize,
    deaf: AtomicBool,
    lost: Arc<AtomicU64>,
}

/// A watch that also loses what the test says.
struct Losing {
    watch: Box<dyn Watch>,
    lost: Arc<AtomicU64>,
}

impl Watch for Losing {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        self.watch.next()
    }

    fn lost(&self) -> u64 {
        self.watch.lost() + self.lost.load(Ordering::Relaxed)
    }
}

impl Flaky {
    fn new() -> Arc<Self> {
        let memory = Memory::new(AMPLE, Paused::start());
        Arc::new(Self {
            memory,
            away: AtomicBool::default(),
            asked: AtomicUsize::default(),
            deaf: AtomicBool::default(),
            lost: Arc::default(),
        })
    }

    fn check(&self) -> Result<(), RegistryError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(RegistryError::Unreachable("gone fishing".to_owned())),
            false => Ok(()),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Registry for Flaky {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.memory.register(service, ttl)
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.memory.deregister(service)
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.check().map(|()| self.memory.get(name));
        Box::pin(async {
            // As by a network, others run before the answer is there.
            tokio::task::yield_now().await;
            answer?.await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.memory.list()
    }

    /// A deaf one hears of a service that nobody has.
    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        let deaf = self.deaf.load(Ordering::Relaxed);
        let name = if deaf { Some("nobody".to_owned()) } else { name.map(str::to_owned) };
        Box::pin(async move {
            self.check()?;
            let (watch, lost) = (self.memory.watch(name.as_deref()).await?, Arc::clone(&self.lost));
            let watch: Box<dyn Watch> = Box::new(Losing { watch, lost });
            Ok(watch)
        })
    }
}

const LONG: Duration = Duration::from_secs(3600);
const SETTINGS: Settings = Settings::GO_MICRO;

fn cached(inner: &Arc<Flaky>) -> Cached {
    Cached::start(Arc::clone(inner) as Arc<dyn Registry>, SETTINGS, Paused::start())
}

/// Lets the task that watches run until it waits.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

async fn ids(cached: &Cached) -> Vec<String> {
    let services = cached.get("s").await.unwrap();
    services.into_iter().flat_map(|service| service.nodes).map(|node| node.id).collect()
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    conformance::all(async || {
        let clock = Paused::start();
        let memory: Arc<dyn Registry> = Arc::new(Memory::new(AMPLE, Arc::clone(&clock)));
        let member = || Arc::new(Cached::start(Arc::clone(&memory), SETTINGS, Arc::clone(&clock)));
        Stage { here: member(), there: member() }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_ttl() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    for _ in 0..3 {
        assert!(!cached.look_up("s").await.unwrap().stale);
    }
    assert_eq!(inner.asked(), 1);
    tokio::time::advance(SETTINGS.ttl).await;
    cached.get("s").await.unwrap();
    assert_eq!(inner.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_watch_keeps_an_answer_as_it_is_without_asking() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    assert_eq!(ids(&cached).await, ["a"]);
    inner.register(service("s", "1", "b"), LONG).await.unwrap();
    settle().await;
    assert_eq!(ids(&cached).await, ["a", "b"]);
    inner.deregister(service("s", "1", "a")).await.unwrap();
    settle().await;
    assert_eq!(ids(&cached).await, ["b"]);
    assert_eq!(inner.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn that_a_service_was_not_found_is_kept_for_less_or_until_it_is_heard_of() {
    let inner = Flaky::new();
    inner.deaf.store(true, Ordering::Relaxed);
    let unhearing = cached(&inner);
    settle().await;
    for _ in 0..3 {
        assert_eq!(unhearing.get("s").await, Err(RegistryError::NotFound("s".to_owned())));
    }
    assert_eq!(inner.asked(), 1);
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    tokio::time::advance(SETTINGS.negative_ttl - Duration::from_millis(1)).await;
    assert!(unhearing.get("s").await.is_err());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(ids(&unhearing).await, ["a"]);

    let inner = Flaky::new();
    let hearing = cached(&inner);
    settle().await;
    assert!(hearing.get("s").await.is_err());
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    settle().await;
    assert_eq!(ids(&hearing).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_leaves_stale_answers_that_say_so() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    let fresh = cached.look_up("s").await.unwrap();
    inner.away.store(true, Ordering::Relaxed);
    tokio::time::advance(SETTINGS.ttl * 10).await;
    let stale = cached.look_up("s").await.unwrap();
    assert_eq!(stale, Answer { stale: true, ..fresh });
    let away = cached.away().unwrap();
    assert_eq!(away.reason, "cannot reach the registry: gone fishing");
    assert_eq!(away.since.since_start(), SETTINGS.ttl * 10);
    assert_eq!(cached.get("other").await, Err(RegistryError::Unreachable("gone fishing".to_owned())));
    // It is not asked again for each message.
    let asked = inner.asked();
    for _ in 0..100 {
        assert!(cached.look_up("s").await.unwrap().stale);
        assert!(cached.get("other").await.is_err());
    }
    assert_eq!(inner.asked(), asked);

    inner.away.store(false, Ordering::Relaxed);
    tokio::time::advance(SETTINGS.negative_ttl).await;
    assert!(!cached.look_up("s").await.unwrap().stale);
    assert_eq!(cached.away(), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_begin_is_tried_again() {
    let inner = Flaky::new();
    inner.away.store(true, Ordering::Relaxed);
    let cached = cached(&inner);
    settle().await;
    assert!(cached.away().is_some());
    inner.away.store(false, Ordering::Relaxed);
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    tokio::time::sleep(WATCH_AGAIN.1).await;
    assert_eq!(cached.away(), None);
    assert_eq!(ids(&cached).await, ["a"]);
    inner.register(service("s", "1", "b"), LONG).await.unwrap();
    settle().await;
    assert_eq!(ids(&cached).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_was_too_slow_asks_anew() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    assert_eq!(ids(&cached).await, ["a"]);
    inner.deregister(service("s", "1", "a")).await.unwrap();
    // Without letting the watcher run: more changes than its buffer holds, the deregistration among the lost.
    for number in 0..AMPLE.watch_buffer {
        inner.register(service("s", "1", &format!("n{number}")), LONG).await.unwrap();
    }
    settle().await;
    assert_eq!(ids(&cached).await.len(), AMPLE.watch_buffer);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lost_changes_makes_it_ask_anew_though_no_change_comes() {
    let inner = Flaky::new();
    inner.deaf.store(true, Ordering::Relaxed);
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    assert_eq!(ids(&cached).await, ["a"]);
    inner.register(service("s", "1", "b"), LONG).await.unwrap();
    tokio::time::sleep(LOOK_FOR_LOSSES * 2).await;
    assert_eq!(ids(&cached).await, ["a"], "nobody told");
    // As when a connection broke and was made anew.
    inner.lost.store(1, Ordering::Relaxed);
    tokio::time::sleep(LOOK_FOR_LOSSES * 2).await;
    assert_eq!(ids(&cached).await, ["a", "b"]);
    assert_eq!(inner.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_ask_once() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    let (one, two, three) = tokio::join!(cached.get("s"), cached.get("s"), cached.get("s"));
    assert!(one.is_ok() && one == two && two == three);
    assert_eq!(inner.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_services_are_kept_than_the_limit() {
    let inner = Flaky::new();
    let cached = cached(&inner);
    for number in 0..10_000 {
        assert!(cached.get(&format!("s{number}")).await.is_err());
    }
    assert_eq!(cached.shared.entries.lock().len(), SETTINGS.services);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_watch_and_keeps_the_answers() {
    let inner = Flaky::new();
    inner.register(service("s", "1", "a"), LONG).await.unwrap();
    let cached = cached(&inner);
    settle().await;
    assert_eq!(ids(&cached).await, ["a"]);
    cached.close().await;
    inner.register(service("s", "1", "b"), LONG).await.unwrap();
    settle().await;
    assert_eq!(ids(&cached).await, ["a"]);
    cached.close().await;
}

#[test]
fn a_change_told_while_the_registry_is_asked_is_not_lost() {
    let entry = Entry::default();
    let now = Moment::default();
    let told = |kind, id: &str| entry.apply(Change { kind, service: service("s", "1", id) });
    entry.begin();
    told(ChangeKind::Create, "b");
    told(ChangeKind::Delete, "a");
    // The answer was given before either happened.
    let answer = entry.keep("s", Ok(vec![service("s", "1", "a")]), now, SETTINGS).unwrap();
    assert_eq!(answer.services, [service("s", "1", "b")]);
    assert!(entry.known("s", now).is_some());
    // After more changes than are remembered, or when told to, the answer serves once.
    entry.begin();
    for number in 0..100 {
        told(ChangeKind::Create, &format!("n{number}"));
    }
    assert!(entry.keep("s", Ok(vec![service("s", "1", "a")]), now, SETTINGS).is_ok());
    assert!(entry.known("s", now).is_none());
}
