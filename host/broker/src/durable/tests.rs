//! What the durable broker does beyond what every broker must.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tempfile::TempDir;

use hostel_event::delivery::{Delivery, Settlement};
use hostel_event::key_value::{Bucket, Effects, Expected, Key, Write};
use hostel_event::name::{BucketName, Version};
use hostel_event::outcome::{Attempt, Log as AttemptLog, Outcome, Report, Usage};
use hostel_event::time::{Moment, Timestamp};
use hostel_log::disk::Disk;
use hostel_log::disk::faulty::{Fault, FaultyDisk};
use hostel_log::record::Kind;
use hostel_log::settings::Settings as LogSettings;

use super::settings::{Policy, Retention, Unsettled};
use super::*;
use crate::conformance::{self, Collector, event, member, subscription, tenant};

mod basics;
mod ends;
mod faults;
mod imports;

mod model;
mod replays;
mod room;
mod time;

/// A wall clock whose hands the test holds.
#[derive(Debug)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment::new(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn counted() -> [u8; 10] {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    entropy
}

const START: u64 = 1_700_000_000_000;

/// A store on the disk, and the machine around it.
struct World {
    folder: TempDir,
    disk: FaultyDisk,
    hands: Arc<Hands>,
    settings: Settings,
}

/// A broker and its log.
struct Host {
    broker: Durable,
    log: Arc<Log>,
}

impl World {
    fn new() -> Self {
        let policy = Policy {
            sync: Sync::Always,
            retention: Retention { age: None, bytes: None, events: None, unsettled: Unsettled::Keep },
        };
        let tick = Duration::from_millis(2);
        let settings = Settings { memory: 1 << 20, tick, retain_every: tick, policy, ..Settings::default() };
        let hands = Arc::new(Hands(AtomicU64::new(START)));
        Self { folder: tempfile::tempdir().unwrap(), disk: FaultyDisk::default(), hands, settings }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn pass(&self, time: Duration) {
        self.hands.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn start(&self) -> Host {
        self.start_in(&self.path()).await
    }

    async fn start_in(&self, folder: &Path) -> Host {
        let host = self.open_in(folder).await;
        host.broker.begin();
        host
    }

    /// Starts without saying that all subscriptions are there.
    async fn open_in(&self, folder: &Path) -> Host {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let small =
            LogSettings { reserve: 0, checkpoint_bytes: 256 << 10, cache_bytes: 1 << 20, ..LogSettings::default() };
        let log = Arc::new(Log::open_on(disk, folder, small).unwrap());
        let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&self.hands);
        let ids = Ids::new(Arc::clone(&clock), counted);
        let broker = Durable::open(Arc::clone(&log), self.settings.clone(), clock, ids).await.unwrap();
        Host { broker, log }
    }
}

impl Host {
    /// Ends in order.
    async fn stop(self) {
        self.broker.close().await;
        self.log.close();
    }

    /// Ends as if the machine had stopped: from now on nothing reaches the disk, and a part of what was on its way does.
    async fn crash(self, world: &World) {
        world.disk.set(Fault::Write);
        self.stop().await;
        world.disk.set(Fault::None);
    }

    async fn subscribe(&self, subscription: Subscription) -> Arc<Collector> {
        let collector = Arc::new(Collector::default());
        let sink: Arc<dyn Sink> = Arc::<Collector>::clone(&collector);
        self.broker.subscribe(Arc::new(subscription), sink).await.unwrap();
        collector
    }

    async fn publish(&self, id: &str, topic: &str) -> Receipt {
        self.broker.publish(event(id, topic).into()).await.unwrap()
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.event.id.to_string()).collect()
}

async fn ack(delivery: Delivery) {
    delivery.settle.settle(Settlement::Ack(Effects::default())).await.unwrap();
}

/// Waits until something holds. The broker works by itself; a test that waits for it in vain ends by its own time limit.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Waits for so many deliveries and takes them.
async fn take(sink: &Collector, count: usize) -> Vec<Delivery> {
    let taken = std::cell::RefCell::new(Vec::new());
    until(&format!("{count} deliveries came"), async || {
        taken.borrow_mut().append(&mut sink.take());
        taken.borrow().len() >= count
    })
    .await;
    let taken = taken.into_inner();
    assert_eq!(taken.len(), count, "{:?}", ids(&taken));
    taken
}

fn failed(number: u32) -> Attempt {
    let outcome = Outcome::Retry { reason: format!("attempt {number}"), after: None };
    let report = Report { outcome, log: AttemptLog::default(), usage: Usage::default() };
    let began = Timestamp::from_millis(START + u64::from(number));
    Attempt { number, began, version: Version::new("1.0.0").unwrap(), report }
}

async fn retry(delivery: Delivery, after: Duration) {
    let mut history = delivery.history.clone();
    history.push(failed(u32::try_from(history.len()).unwrap() + 1));
    delivery.settle.settle(Settlement::Retry { after, history }).await.unwrap();
}

fn bucket() -> Bucket {
    Bucket { tenant: tenant("acme"), name: BucketName::new("b").unwrap() }
}

fn write(key: &str, value: &str, expected: Expected) -> Write {
    Write { bucket: bucket(), key: Key::new(key).unwrap(), value: Some(value.to_owned().into()), expected }
}

impl Host {
    async fn value(&self, key: &str) -> Option<String> {
        let found = self.broker.key_value().get(&bucket(), &Key::new(key).unwrap()).await.unwrap();
        found.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
    }
}
