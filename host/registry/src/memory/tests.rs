//! What the memory registry does beyond what every registry must.

use super::*;

use hostel_event::time::Timestamp;

use crate::conformance::{self, Stage, has, service};

/// Tokio's clock, which tests pause.
pub(crate) struct Paused(tokio::time::Instant);

impl Paused {
    pub(crate) fn start() -> Arc<dyn Clock> {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for Paused {
    fn now(&self) -> Moment {
        Moment::new(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::default()
    }
}

pub(crate) const AMPLE: Settings = Settings { nodes: 1000, watch_buffer: 100 };

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    conformance::all(async || {
        let here = Arc::new(Memory::new(AMPLE, Paused::start()));
        Stage { there: here.clone(), here }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_is_known_until_its_ttl_is_over_and_not_longer() {
    let memory = Memory::new(AMPLE, Paused::start());
    let ttl = Duration::from_secs(60);
    memory.register(service("s", "1", "a"), ttl).await.unwrap();
    tokio::time::advance(ttl - Duration::from_millis(1)).await;
    assert!(memory.get("s").await.is_ok());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(memory.get("s").await, Err(RegistryError::NotFound("s".to_owned())));
    assert_eq!(memory.list().await, Ok(Vec::new()));
    assert_eq!(memory.nodes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_ttl_replaces_a_longer_one() {
    let memory = Memory::new(AMPLE, Paused::start());
    memory.register(service("s", "1", "a"), Duration::from_secs(60)).await.unwrap();
    memory.register(service("s", "1", "a"), Duration::from_secs(1)).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    has(&memory, "s", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_registry_refuses_strangers_and_keeps_those_it_has() {
    let memory = Memory::new(Settings { nodes: 2, watch_buffer: 1 }, Paused::start());
    let ttl = Duration::from_secs(60);
    for id in ["a", "b"] {
        memory.register(service("s", "1", id), ttl).await.unwrap();
    }
    let refused = memory.register(service("s", "1", "c"), ttl).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot register service `s`: the registry holds 2 nodes, which is its limit");
    memory.register(service("s", "1", "a"), ttl).await.unwrap();
    tokio::time::advance(ttl).await;
    memory.register(service("s", "1", "c"), ttl).await.unwrap();
    has(&memory, "s", &[("1", "c")]).await;
}

#[tokio::test(start_paused = true)]
async fn announcing_a_hundred_thousand_services_keeps_no_more_than_the_limit() {
    let memory = Memory::new(AMPLE, Paused::start());
    let slow = memory.watch(None).await.unwrap();
    let mut refused = 0;
    for number in 0..100_000 {
        let one = service(&format!("s{number}"), "1", "a");
        refused += usize::from(memory.register(one, Duration::from_secs(60)).await.is_err());
    }
    assert_eq!((memory.nodes(), refused), (1000, 99_000));
    assert_eq!(slow.lost(), 900);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_registry_is_gone() {
    let memory = Memory::new(AMPLE, Paused::start());
    let mut watch = memory.watch(None).await.unwrap();
    memory.register(service("s", "1", "a"), Duration::from_secs(60)).await.unwrap();
    drop(memory);
    assert_eq!(watch.next().await.map(|change| change.kind), Some(ChangeKind::Create));
    assert_eq!(watch.next().await, None);
}
