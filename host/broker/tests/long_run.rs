//! Events by the million through the durable broker, published, handled and dropped with age: the disk is given back,
//! memory stays what it was, and the last are as fast as the first. With `HOSTEL_LONG_TESTS=1` ten million, as
//! `cargo xtask test --long` runs it; otherwise as many as show that everything is given back.
//!
//! A process of its own, so that its memory is nobody else's.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use hostel_broker::durable::Durable;
use hostel_broker::durable::settings::{Policy, Retention, Settings, Unsettled};
use hostel_event::delivery::{Delivery, Settlement};
use hostel_event::id::Ids;
use hostel_event::key_value::Effects;
use hostel_event::message::{Event, Message};
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Broker, Clock, Sink};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;
use hostel_log::log::Log;
use hostel_log::settings::Sync;

const BODY: usize = 200;
const PUBLISHERS: u64 = 1024;
const HANDLERS: usize = 64;
/// Events on their way at a time. Arbitrary: far fewer than the window, so that nothing waits in the log for a place.
const ON_THE_WAY: usize = 8192;
/// How long an event stays. Arbitrary: some parts of the run, so that what is dropped is what has long been handled.
const AGE: Duration = Duration::from_secs(5);
/// How often the store puts memory into tables: as a host's does, and in the short run often enough that there is
/// something to give back.
const CHECKPOINTS: [u64; 2] = [64 << 20, 2 << 20];
/// What may stay on the disk in the end: two and a half times what lies between checkpoints, since old files go after
/// new ones are there; in the short run half of what was published, which is more.
const DISK: [u64; 2] = [160 << 20, 8 << 20];
/// By how much memory may grow between the second part and the last. A leak of 16 bytes for each event is more.
const GROWTH: u64 = 96 << 20;

/// Tells the real time.
#[derive(Debug)]
struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Moment {
        Moment::new(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        let passed = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(1_700_000_000_000 + passed)
    }
}

fn entropy() -> [u8; 10] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let [a, b, c, d, e, f, g, h] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    [0, 0, a, b, c, d, e, f, g, h]
}

/// Passes deliveries on to those who handle them.
struct Inbox(mpsc::Sender<Delivery>);

impl Sink for Inbox {
    fn deliver(&self, delivery: Delivery) {
        // There is room: no more are on their way.
        self.0.try_send(delivery).expect("room");
    }

    fn forget(&self, _: &SubscriptionId) -> usize {
        0
    }

    fn expired(&self, _: &SubscriptionId, _: &Arc<Event>) {}
}

/// What the process and its store take, when a part of the run is done.
#[derive(Debug, Clone, Copy)]
struct Reading {
    rate: f64,
    memory: u64,
    disk: u64,
}

/// Bytes that the files of a folder take. Files go while it looks.
fn disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// Bytes of memory that the process holds.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's own status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line on its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Says something to whoever runs the tests, whether they pass or not.
fn say(text: &str) {
    // Nobody who listens is no reason to fail.
    let _ = writeln!(std::io::stdout(), "long run: {text}");
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

struct Run {
    broker: Durable,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    handled: Arc<AtomicU64>,
    handlers: JoinSet<()>,
    room: Arc<Semaphore>,
}

impl Run {
    async fn start(folder: &Path, checkpoint_bytes: u64) -> Self {
        let standard = hostel_log::settings::Settings::default();
        let settings = hostel_log::settings::Settings { reserve: 0, checkpoint_bytes, ..standard };
        let log = Arc::new(Log::open(folder, settings).expect("an empty store"));
        let retention = Retention { age: Some(AGE), bytes: None, events: None, unsettled: Unsettled::Keep };
        let policy = Policy { sync: Sync::Always, retention };
        let settings = Settings { policy, retain_every: Duration::from_secs(1), ..Settings::default() };
        let clock: Arc<dyn Clock> = Arc::new(Real(Instant::now()));
        let ids = Ids::new(Arc::clone(&clock), entropy);
        let broker = Durable::open(Arc::clone(&log), settings, Arc::clone(&clock), ids).await.expect("an empty log");
        broker.begin();
        let (sender, inbox) = mpsc::channel(ON_THE_WAY * 2);
        let (tenant, handler) = (Tenant::new("acme").expect("a name"), HandlerName::new("h").expect("a name"));
        let subscription = Subscription::new(&tenant, &handler, Pattern::new("orders.*").expect("a pattern"));
        let window = Subscription { window: ON_THE_WAY * 2, ..subscription };
        broker.subscribe(Arc::new(window), Arc::new(Inbox(sender))).await.expect("a new subscription");
        let (handled, room) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(ON_THE_WAY)));
        let mut handlers = JoinSet::new();
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        for _ in 0..HANDLERS {
            let (inbox, handled, room) = (Arc::clone(&inbox), Arc::clone(&handled), Arc::clone(&room));
            handlers.spawn(async move {
                loop {
                    let delivery = inbox.lock().await.recv().await;
                    let Some(delivery) = delivery else { return };
                    delivery.settle.settle(Settlement::Ack(Effects::default())).await.expect("a settlement");
                    handled.fetch_add(1, Ordering::Relaxed);
                    room.add_permits(1);
                }
            });
        }
        Self { broker, log, clock, handled, handlers, room }
    }

    /// Publishes so many and waits until they are handled; says how many a second that was.
    async fn part(&self, count: u64) -> f64 {
        let (began, before) = (Instant::now(), self.handled.load(Ordering::Relaxed));
        let mut publishers = JoinSet::new();
        let ids = Ids::new(Arc::clone(&self.clock), entropy);
        for publisher in 0..PUBLISHERS {
            let share = count / PUBLISHERS + u64::from(publisher < count % PUBLISHERS);
            let (broker, room, clock, ids) =
                (self.broker.clone(), Arc::clone(&self.room), Arc::clone(&self.clock), ids.clone());
            let topic = Topic::new(&format!("orders.{}", publisher % 8)).expect("a topic");
            publishers.spawn(async move {
                let tenant = Tenant::new("acme").expect("a name");
                for _ in 0..share {
                    room.acquire().await.expect("an open semaphore").forget();
                    let event = Event {
                        id: ids.event(),
                        tenant: tenant.clone(),
                        topic: topic.clone(),
                        published_at: clock.wall(),
                        expires_at: None,
                        message: Message { body: vec![7; BODY].into(), ..Message::default() },
                    };
                    broker.publish(Arc::new(event).into()).await.expect("room");
                }
            });
        }
        while let Some(ended) = publishers.join_next().await {
            ended.expect("a publisher");
        }
        let all = u32::try_from(ON_THE_WAY).expect("a small number");
        drop(self.room.acquire_many(all).await.expect("an open semaphore"));
        assert_eq!(self.handled.load(Ordering::Relaxed) - before, count, "each is handled once");
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let rate = count as f64 / seconds;
        rate
    }

    async fn stop(mut self) {
        self.broker.close().await;
        let id = self.broker.orphans();
        assert!(id.is_empty(), "nobody was forgotten");
        drop(self.broker);
        self.handlers.shutdown().await;
        self.log.close();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn millions_of_events_leave_nothing_behind_and_the_last_are_as_fast_as_the_first() {
    let is_long = std::env::var_os("HOSTEL_LONG_TESTS").is_some_and(|value| value == "1");
    let ([of_host, often], [much, little]) = (CHECKPOINTS, DISK);
    let (parts, size) = if is_long { (10, 1_000_000) } else { (3, 15_000) };
    let (checkpoint, may_stay) = if is_long { (of_host, much) } else { (often, little) };
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let run = Run::start(&store, checkpoint).await;
    let empty = disk(&store);
    let mut readings: Vec<Reading> = Vec::new();
    for number in 1..=parts {
        let rate = run.part(size).await;
        let reading = Reading { rate, memory: memory(), disk: disk(&store) };
        say(&format!(
            "part {number}: {:.0} events/s, {} MiB of memory, {} MiB on the disk",
            reading.rate,
            mebibytes(reading.memory),
            mebibytes(reading.disk)
        ));
        readings.push(reading);
    }
    // The last may be kept for its age, and some looks of retention.
    let limit = empty + may_stay;
    let given_back = tokio::time::timeout(Duration::from_secs(120), async {
        while kept(&run.log) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Files go at checkpoints, and those come with what is written: a fast machine has had few in the short run.
        if !is_long {
            run.log.reclaim().await.expect("there is room");
        }
        while disk(&store) > limit {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let is_given_back = given_back.await.is_ok();
    say(&format!("{} MiB on the disk when empty, {} MiB in the end", mebibytes(empty), mebibytes(disk(&store))));
    assert!(is_given_back, "{} events and {} MiB stay", kept(&run.log), mebibytes(disk(&store)));
    let (first, last) = (readings.first().expect("one"), readings.last().expect("one"));
    say(&format!("the last part against the first: {:.2}", last.rate / first.rate));
    if is_long {
        let settled = readings.get(1).expect("ten");
        assert!(last.memory <= settled.memory + GROWTH, "memory grew: {settled:?} {last:?}");
        // A tenth is what is promised; the rest is for machines that do other things meanwhile.
        assert!(last.rate >= 0.75 * first.rate, "it became slower: {first:?} {last:?}");
    }
    run.stop().await;
}

/// How many events the log has.
fn kept(log: &Log) -> usize {
    let snapshot = log.snapshot();
    let topics = snapshot.topics(None).expect("it can be read");
    let count = |topic| {
        let from = hostel_log::record::Offset(0);
        snapshot.events(topic, from, 1).expect("it can be read").len()
    };
    topics.iter().map(count).sum()
}
