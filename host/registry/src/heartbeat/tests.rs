//! The heartbeat over a memory registry that the tests can take away, slow down and make choosy, on a clock that they
//! hold.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hostel_event::port::Watch;

use super::*;
use crate::conformance::{has, service};
use crate::memory::Memory;
use crate::memory::tests::Paused;

/// A memory registry that counts calls, refuses every node called `bad`, and can be away.
struct Choosy {
    memory: Memory,
    away: AtomicBool,
    registered: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Choosy {
    fn new() -> Arc<Self> {
        let memory = Memory::new(crate::memory::Settings { nodes: 10_000, watch_buffer: 10 }, Paused::start());
        Arc::new(Self {
            memory,
            away: AtomicBool::default(),
            registered: AtomicUsize::default(),
            running: AtomicUsize::default(),
            most: AtomicUsize::default(),
        })
    }

    fn registered(&self) -> usize {
        self.registered.load(Ordering::Relaxed)
    }

    /// Ten milliseconds, in which others may be on their way as well.
    async fn travel(&self) -> Result<(), RegistryError> {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        match self.away.load(Ordering::Relaxed) {
            true => Err(RegistryError::Unreachable("gone fishing".to_owned())),
            false => Ok(()),
        }
    }
}

impl Registry for Choosy {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.registered.fetch_add(1, Ordering::Relaxed);
            self.travel().await?;
            if service.nodes.iter().any(|node| node.id == "bad") {
                let reason = "it is bad".to_owned();
                return Err(RegistryError::Refused { service: service.name, reason });
            }
            self.memory.register(service, ttl).await
        })
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.travel().await?;
            self.memory.deregister(service).await
        })
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.memory.get(name)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.memory.list()
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        self.memory.watch(name)
    }
}

fn start(registry: &Arc<Choosy>) -> Heartbeat {
    start_with(registry, Arc::new(|| Ok(())))
}

fn start_with(registry: &Arc<Choosy>, check: Check) -> Heartbeat {
    Heartbeat::start(Arc::<Choosy>::clone(registry), Settings::GO_MICRO, Paused::start(), check)
}

/// Lets time pass, and everything happen that does meanwhile.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

const SECOND: Duration = Duration::from_secs(1);

fn errors(heartbeat: &Heartbeat) -> Vec<(String, Option<String>)> {
    heartbeat.state().nodes.into_iter().map(|node| (node.node, node.error)).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_are_registered_at_once_and_again_at_each_interval() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set(vec![service("s", "1", "a"), service("s", "2", "b")]);
    pass(SECOND / 2).await;
    has(&*registry, "s", &[("1", "a"), ("2", "b")]).await;
    assert_eq!(registry.registered(), 2);
    // Ten minutes, and so nineteen or twenty times more: the TTL alone would have ended them after one.
    pass(SECOND * 600).await;
    has(&*registry, "s", &[("1", "a"), ("2", "b")]).await;
    assert!((40..=42).contains(&registry.registered()), "{}", registry.registered());
    let state = heartbeat.state();
    assert!(state.nodes.iter().all(|node| node.error.is_none() && node.registered.is_some()), "{state:?}");
    let since = state.nodes.first().and_then(|node| node.registered).unwrap();
    assert!(since.since_start() < SECOND, "registered without a gap since the beginning: {since}");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_set_is_taken_out_and_what_stays_is_left_alone() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set(vec![service("s", "1", "a"), service("s", "1", "b")]);
    pass(SECOND).await;
    heartbeat.set(vec![service("s", "1", "b"), service("s", "1", "c")]);
    pass(SECOND).await;
    has(&*registry, "s", &[("1", "b"), ("1", "c")]).await;
    assert_eq!(registry.registered(), 3);

    let mut moved = service("s", "1", "c");
    moved.nodes[0].address = "127.0.0.1:9".to_owned();
    heartbeat.set(vec![moved.clone()]);
    pass(SECOND).await;
    assert_eq!(registry.get("s").await, Ok(vec![moved]));
    assert_eq!(registry.registered(), 4);
    heartbeat.set(Vec::new());
    pass(SECOND).await;
    has(&*registry, "s", &[]).await;
    assert_eq!(heartbeat.state(), State::default());
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_one_service_are_told_apart() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    let mut both = service("s", "1", "a");
    both.nodes.extend(service("s", "1", "bad").nodes);
    heartbeat.set(vec![both]);
    pass(SECOND).await;
    has(&*registry, "s", &[("1", "a")]).await;
    assert_eq!(errors(&heartbeat), [("a".to_owned(), None), ("bad".to_owned(), Some("it is bad".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn a_change_while_a_call_is_on_its_way_is_not_forgotten() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set(vec![service("s", "1", "a")]);
    pass(Duration::from_millis(5)).await;
    heartbeat.set(Vec::new());
    pass(SECOND).await;
    has(&*registry, "s", &[]).await;
    heartbeat.set(vec![service("s", "1", "a")]);
    pass(SECOND).await;
    heartbeat.set(Vec::new());
    pass(Duration::from_millis(5)).await;
    heartbeat.set(vec![service("s", "1", "a")]);
    pass(SECOND).await;
    has(&*registry, "s", &[("1", "a")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_node_is_remembered_and_tried_at_each_interval() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set(vec![service("s", "1", "bad"), service("s", "1", "good")]);
    pass(SECOND).await;
    has(&*registry, "s", &[("1", "good")]).await;
    let state = heartbeat.state();
    let [bad, good] = &state.nodes[..] else { panic!("{state:?}") };
    assert_eq!((bad.registered, bad.error.as_deref()), (None, Some("it is bad")));
    assert_eq!((good.registered.is_some(), &good.error), (true, &None));
    assert_eq!(state.away, None);
    assert_eq!(registry.registered(), 2);
    pass(SECOND * 30).await;
    assert_eq!(registry.registered(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_registry_is_tried_by_one_node_at_a_time_and_less_and_less_often() {
    let registry = Choosy::new();
    registry.away.store(true, Ordering::Relaxed);
    let heartbeat = start(&registry);
    heartbeat.set((0..1000).map(|n| service("s", "1", &format!("n-{n:04}"))).collect());
    pass(SECOND / 2).await;
    // As many as were asked at the same time before the first had failed.
    assert_eq!(registry.registered(), PARALLEL);
    let away = heartbeat.state().away.unwrap();
    assert_eq!(away.reason, "gone fishing");
    // After 1, 2, 4, 8, 16 and then 30 seconds.
    pass(SECOND * 61).await;
    assert_eq!(registry.registered(), PARALLEL + 6);
    registry.away.store(false, Ordering::Relaxed);
    pass(SECOND * 35).await;
    let state = heartbeat.state();
    assert_eq!((state.away, registry.memory.nodes()), (None, 1000));
    assert!(state.nodes.iter().all(|node| node.error.is_none()));
}

#[tokio::test(start_paused = true)]
async fn an_outage_past_the_ttl_is_a_gap() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set(vec![service("s", "1", "a")]);
    pass(SECOND).await;
    let first = heartbeat.state().nodes[0].registered.unwrap();
    registry.away.store(true, Ordering::Relaxed);
    pass(SECOND * 50).await;
    assert_eq!(heartbeat.state().nodes[0].registered, Some(first), "the TTL still runs");
    pass(SECOND * 60).await;
    assert_eq!(heartbeat.state().nodes[0].registered, None);
    assert_eq!(heartbeat.state().nodes[0].error.as_deref(), Some("gone fishing"));
    registry.away.store(false, Ordering::Relaxed);
    pass(SECOND * 31).await;
    let again = heartbeat.state().nodes[0].registered.unwrap();
    assert!(again > first, "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_nodes_go_a_few_at_a_time() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set((0..1000).map(|n| service("s", "1", &format!("n-{n:04}"))).collect());
    pass(SECOND * 5).await;
    assert_eq!((registry.memory.nodes(), registry.registered()), (1000, 1000));
    assert_eq!(registry.most.load(Ordering::Relaxed), PARALLEL);
    heartbeat.close().await;
    assert!(registry.memory.nodes() < 1000);
}

#[tokio::test(start_paused = true)]
async fn nodes_are_out_while_the_check_fails_and_come_back() {
    let registry = Choosy::new();
    let healthy = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&healthy);
    let check: Check = Arc::new(move || asked.load(Ordering::Relaxed).then_some(()).ok_or("no disk".to_owned()));
    let heartbeat = start_with(&registry, check);
    heartbeat.set(vec![service("s", "1", "a"), service("s", "1", "b")]);
    pass(SECOND * 40).await;
    assert_eq!(registry.registered(), 0, "not even once");
    assert_eq!(heartbeat.state().failing.as_deref(), Some("no disk"));
    for _ in 0..2 {
        healthy.store(true, Ordering::Relaxed);
        pass(SECOND * 2).await;
        has(&*registry, "s", &[("1", "a"), ("1", "b")]).await;
        assert_eq!(heartbeat.state().failing, None);
        healthy.store(false, Ordering::Relaxed);
        pass(SECOND * 2).await;
        has(&*registry, "s", &[]).await;
        assert!(heartbeat.state().nodes.iter().all(|node| node.registered.is_none()));
    }
    // What joins meanwhile waits as well.
    heartbeat.set(vec![service("s", "1", "c")]);
    pass(SECOND * 2).await;
    has(&*registry, "s", &[]).await;
    healthy.store(true, Ordering::Relaxed);
    pass(SECOND * 2).await;
    has(&*registry, "s", &[("1", "c")]).await;
}

#[tokio::test(start_paused = true)]
async fn closing_takes_out_what_is_in_and_what_is_on_its_way() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set((0..20).map(|n| service("s", "1", &format!("n-{n:04}"))).collect());
    // Some are in, eight are on their way, and some have not begun.
    pass(Duration::from_millis(15)).await;
    assert_eq!((registry.memory.nodes(), registry.registered()), (PARALLEL, 2 * PARALLEL));
    heartbeat.close().await;
    assert_eq!((registry.memory.nodes(), registry.registered()), (0, 2 * PARALLEL));
    heartbeat.set(vec![service("s", "1", "late")]);
    pass(SECOND * 60).await;
    assert_eq!(registry.registered(), 2 * PARALLEL);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_registry_that_is_away() {
    let registry = Choosy::new();
    let heartbeat = start(&registry);
    heartbeat.set((0..1000).map(|n| service("s", "1", &format!("n-{n:04}"))).collect());
    pass(SECOND * 5).await;
    registry.away.store(true, Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    heartbeat.close().await;
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
}
