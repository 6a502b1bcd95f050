//! Row group 1: events through broker, dispatcher and runtime in this process, without HTTP.
//!
//! The parts are put together as the server does it, but for those who watch: the server's log book is not here. The
//! limit is the runtime alone, the same guest called with the same event again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use futures_core::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use hostel_broker::choice::Choice;
use hostel_broker::memory::{self, Memory};
use hostel_dispatch::admit::{self, Admission};
use hostel_dispatch::driver::{self, Dispatcher};
use hostel_event::delivery::SettleError;
use hostel_event::handler::{Grants, Handler, Limits};
use hostel_event::headers::Headers;
use hostel_event::id::{Entropy, Ids};
use hostel_event::key_value::{Bucket, Entry, Key, Write};
use hostel_event::message::{Event, Message};
use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::outcome::{Attempt, Outcome};
use hostel_event::pattern::Pattern;
use hostel_event::port::{
    Broker, Call, Clock, EarlyAck, Invoke, KeyValue, KeyValueError, Observe, Publication, Publish, Settled,
};
use hostel_event::subscription::{Audience, Subscription, SubscriptionId};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;
use hostel_runtime::{Guest, Runtime};

use crate::report::Row;
use crate::round::{self, Contender, Measured};
use crate::scale::Scale;
use crate::work;

/// Events that are published and not settled at any time: as many as the HTTP rows have connections.
const IN_FLIGHT: u32 = 64;
/// More than the events in flight ever take.
const BROKER_BYTES: usize = 256 * 1024 * 1024;

/// Measures the group.
pub(crate) fn measure(component: &Path, scale: &Scale) -> Result<(Vec<Measured>, Vec<Row>)> {
    let compiled = Compiled::new(component)?;
    let (one, two) = (Rig::new(&compiled, 1)?, Rig::new(&compiled, 2)?);
    let name =
        |what: &str, rig: &Rig| format!("{what}, {} thread{}", rig.threads, if rig.threads == 1 { "" } else { "s" });
    let whole = |rig| name("in process: publish, dispatch, fresh instance, settle", rig);
    let alone = |rig| name("runtime alone: fresh instance, `handle`", rig);
    let mut contenders = Vec::new();
    for rig in [&one, &two] {
        contenders.push(Contender::new(&alone(rig), scale.in_process, |events| rig.alone(events)));
        contenders.push(Contender::new(&whole(rig), scale.in_process, |events| rig.whole(events)));
    }
    let row = |subject: String, limit: String| Row { subject, limit };
    let rows = vec![
        row(whole(&one), alone(&one)),
        row(whole(&two), alone(&two)),
        row(alone(&two), alone(&one)),
        row(whole(&two), whole(&one)),
    ];
    let measured = round::measure(scale, contenders, rows)?;
    one.close()?;
    two.close()?;
    Ok(measured)
}

/// The guest, compiled once for all rigs.
struct Compiled {
    guest: Arc<Guest>,
    clock: Arc<dyn Clock>,
    handler: Arc<Handler>,
    /// The compile cache; gone with this value.
    _data: TempDir,
}

impl Compiled {
    fn new(component: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(component).with_context(|| format!("cannot read component `{}`", component.display()))?;
        let data = tempfile::tempdir().context("cannot make a temporary folder")?;
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::new());
        let settings = hostel_runtime::Settings::new(data.path().join("cache"));
        let runtime = Runtime::new(&settings, Arc::clone(&clock))?;
        let component = runtime.load(&bytes)?;
        let (tenant, name) = (Tenant::new("bench")?, HandlerName::new("hello")?);
        let handler = Handler {
            subscriptions: vec![Subscription::new(&tenant, &name, Pattern::new(work::PATTERN)?)],
            tenant,
            name,
            version: Version::new("1")?,
            digest: component.digest(),
            limits: Limits::default(),
            grants: Grants::default(),
        };
        let guest = runtime.prepare(&component, &handler)?;
        Ok(Self { guest, clock, handler: Arc::new(handler), _data: data })
    }
}

/// The parts of a host without its listeners, on a fixed number of worker threads.
struct Rig {
    tokio: tokio::runtime::Runtime,
    threads: usize,
    guest: Arc<Guest>,
    dispatcher: Dispatcher,
    way: Arc<Way>,
    event: Arc<Event>,
}

/// The way in, and the way in which one hears of the end.
struct Way {
    publish: Arc<dyn Publish>,
    settlements: Arc<Settlements>,
    publication: Publication,
}

impl Rig {
    fn new(compiled: &Compiled, threads: usize) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let clock = Arc::clone(&compiled.clock);
        let ids = Ids::new(Arc::clone(&clock), rand::random::<Entropy>);
        let settlements = Arc::new(Settlements::new());
        let observe: Arc<dyn Observe> = Arc::<Settlements>::clone(&settlements);
        let settings = memory::Settings {
            bytes: BROKER_BYTES,
            dead_letters: 1,
            dead_letter_bytes: BROKER_BYTES,
            key_value_bytes: BROKER_BYTES,
            choice: Choice::LeastLoaded,
            seed: 1,
        };
        let broker: Arc<dyn Broker> = Arc::new(Memory::new(settings, Arc::clone(&clock), ids.clone()));
        let admission = Arc::new(Admission::new(admit::Parts {
            broker: Arc::clone(&broker),
            clock: Arc::clone(&clock),
            ids: ids.clone(),
            observe: Arc::clone(&observe),
            message_bytes: 1024 * 1024,
        }));
        let parts = driver::Parts {
            clock: Arc::clone(&clock),
            observe,
            admission: Arc::clone(&admission),
            capacity: hostel_runtime::Settings::invocations_here(),
            seed: rand::random(),
        };
        let dispatcher = tokio.block_on(async { Dispatcher::new(parts) });
        for subscription in &compiled.handler.subscriptions {
            let subscription = Arc::new(subscription.clone());
            let guest: Arc<dyn Invoke> = Arc::<Guest>::clone(&compiled.guest);
            dispatcher.attach(vec![(Arc::clone(&subscription), guest)]);
            tokio.block_on(broker.subscribe(subscription, Arc::new(dispatcher.clone())))?;
        }
        let publication = publication(&compiled.handler.tenant)?;
        let event = Arc::new(Event {
            id: ids.event(),
            tenant: publication.tenant.clone(),
            topic: publication.topic.clone(),
            published_at: clock.wall(),
            expires_at: None,
            message: publication.message.clone(),
        });
        let publish: Arc<dyn Publish> = admission;
        let way = Arc::new(Way { publish, settlements, publication });
        Ok(Self { tokio, threads, guest: Arc::clone(&compiled.guest), dispatcher, way, event })
    }

    /// From the first publish until the last event is settled.
    fn whole(&self, events: usize) -> Result<Duration> {
        self.tokio.block_on(async {
            let (next, before) = (Arc::new(AtomicUsize::new(0)), self.way.settlements.acked());
            let mut publishers = JoinSet::new();
            let began = Instant::now();
            for _ in 0..self.threads {
                publishers.spawn(publish(Arc::clone(&self.way), Arc::clone(&next), events));
            }
            while let Some(ended) = publishers.join_next().await {
                ended??;
            }
            self.way.settlements.all().await?;
            let took = began.elapsed();
            let acked = self.way.settlements.acked() - before;
            ensure!(acked == events, "{acked} of {events} events were acknowledged");
            Ok(took)
        })
    }

    /// The guest called in a loop on each worker thread, and nothing else.
    fn alone(&self, events: usize) -> Result<Duration> {
        self.tokio.block_on(async {
            let mut callers = JoinSet::new();
            let began = Instant::now();
            for at in 0..self.threads {
                let share = events / self.threads + usize::from(at < events % self.threads);
                let call = Call {
                    event: Arc::clone(&self.event),
                    attempt: 1,
                    last_error: None,
                    early_ack: Arc::new(Nothing),
                    publish: Arc::clone(&self.way.publish),
                    key_value: Arc::new(Nothing),
                };
                callers.spawn(invoke(Arc::clone(&self.guest), call, share));
            }
            while let Some(ended) = callers.join_next().await {
                ended??;
            }
            Ok(began.elapsed())
        })
    }

    /// Ends the dispatcher's tasks.
    fn close(self) -> Result<()> {
        let left = self.tokio.block_on(self.dispatcher.drain(Scale::PATIENCE, std::future::pending()));
        ensure!(left == 0, "{left} deliveries were not settled");
        Ok(())
    }
}

/// The event's message for a tenant.
pub(crate) fn publication(tenant: &Tenant) -> Result<Publication> {
    let mut headers = Headers::new();
    headers.append("content-type", work::CONTENT_TYPE)?;
    let message = Message { headers, body: work::body() };
    Ok(Publication {
        tenant: tenant.clone(),
        topic: Topic::new(work::TOPIC)?,
        id: None,
        audience: Audience::Everyone,
        message,
    })
}

/// Publishes until `events` were published by all who take their turns from `next`.
async fn publish(way: Arc<Way>, next: Arc<AtomicUsize>, events: usize) -> Result<()> {
    while next.fetch_add(1, Ordering::Relaxed) < events {
        way.settlements.room.acquire().await?.forget();
        way.publish.publish(way.publication.clone()).await?;
    }
    Ok(())
}

async fn invoke(guest: Arc<Guest>, call: Call, times: usize) -> Result<()> {
    for _ in 0..times {
        let report = guest.invoke(call.clone()).await;
        if report.outcome != Outcome::Ack || report.log.lines.len() != 1 {
            bail!("the guest did not log its line and acknowledge: {report:?}");
        }
    }
    Ok(())
}

/// Hears of every settled event and makes room for another.
struct Settlements {
    room: Semaphore,
    acked: AtomicUsize,
}

impl Settlements {
    fn new() -> Self {
        Self { room: Semaphore::new(IN_FLIGHT as usize), acked: AtomicUsize::new(0) }
    }

    fn acked(&self) -> usize {
        self.acked.load(Ordering::Acquire)
    }

    /// Waits until nothing is in flight.
    async fn all(&self) -> Result<()> {
        let all = tokio::time::timeout(Scale::PATIENCE, self.room.acquire_many(IN_FLIGHT)).await;
        drop(all.context("events were not settled in time")??);
        Ok(())
    }
}

impl Observe for Settlements {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {}

    fn settled(&self, _: &Arc<Event>, _: &SubscriptionId, settled: &Settled) {
        if *settled == Settled::Ack {
            self.acked.fetch_add(1, Ordering::AcqRel);
        }
        self.room.add_permits(1);
    }
}

/// Of a call that belongs to no delivery there is nothing to acknowledge.
struct Nothing;

/// The guest of the benches keeps nothing.
impl KeyValue for Nothing {
    fn get(&self, _: &Bucket, _: &Key) -> BoxFuture<'_, Result<Option<Entry>, KeyValueError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn keys(&self, _: &Bucket, _: Option<&Key>, _: usize) -> BoxFuture<'_, Result<Vec<Key>, KeyValueError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn room_for(&self, _: &Write) -> Result<(), KeyValueError> {
        Err(nothing_is_kept())
    }

    fn write(&self, _: Vec<Write>) -> BoxFuture<'_, Result<(), KeyValueError>> {
        Box::pin(std::future::ready(Err(nothing_is_kept())))
    }
}

fn nothing_is_kept() -> KeyValueError {
    KeyValueError::Failed("the guest of the benches keeps nothing".to_owned())
}

impl EarlyAck for Nothing {
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>> {
        Box::pin(std::future::ready(Err(SettleError::AlreadySettled)))
    }
}

/// The machine's clocks.
pub(crate) struct MachineClock {
    started: Instant,
}

impl MachineClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Moment {
        Moment::new(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is what implements the Clock port here")]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
