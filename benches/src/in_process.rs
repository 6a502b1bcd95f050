//! Row group 1: events through broker, dispatcher and runtime in this process, without HTTP.
//!
//! The limit is the runtime alone, the same guest called with the same event again and again.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_core::future::BoxFuture;
use tempfile::TempDir;
use tokio::task::JoinSet;

use hostel_dispatch::driver::Dispatcher;
use hostel_event::delivery::SettleError;
use hostel_event::handler::{Grants, Handler, Limits};
use hostel_event::key_value::{Bucket, Entry, Key, Write};
use hostel_event::message::Event;
use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::outcome::Outcome;
use hostel_event::pattern::Pattern;
use hostel_event::port::{
    Call, Clock, EarlyAck, Invoke, KeyValue, KeyValueError, Publication, Publish, Question, Request, RequestError,
};
use hostel_event::subscription::Subscription;
use hostel_runtime::{Guest, Preemption, Runtime};

use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;
use crate::spine::{MachineClock, Settlements, Spine, publication};
use crate::work;

/// Measures the group.
pub(crate) fn measure(component: &Path, scale: &Scale) -> Result<Group> {
    let compiled = Compiled::new(component, NonZeroU32::MIN)?;
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
    let group = round::measure(scale, contenders, rows);
    Ok(group.ended(one.close()).ended(two.close()))
}

/// The guest, compiled once for all rigs.
pub(crate) struct Compiled {
    guest: Arc<Guest>,
    clock: Arc<dyn Clock>,
    handler: Arc<Handler>,
    /// The compile cache; gone with this value.
    _data: TempDir,
}

impl Compiled {
    /// An instance serves so many events, one after the other.
    pub(crate) fn new(component: &Path, reuse: NonZeroU32) -> Result<Self> {
        Self::set(component, (reuse, Preemption::On))
    }

    /// The same, for guests that can be interrupted or not.
    pub(crate) fn set(component: &Path, (reuse, preemption): (NonZeroU32, Preemption)) -> Result<Self> {
        let bytes =
            std::fs::read(component).with_context(|| format!("cannot read component `{}`", component.display()))?;
        let data = tempfile::tempdir().context("cannot make a temporary folder")?;
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::new());
        let settings =
            hostel_runtime::Settings { preemption, ..hostel_runtime::Settings::new(data.path().join("cache")) };
        let runtime = Runtime::new(&settings, Arc::clone(&clock))?;
        let component = runtime.load(&bytes)?;
        let (tenant, name) = (Tenant::new("bench")?, HandlerName::new("hello")?);
        let handler = Handler {
            subscriptions: vec![Subscription::new(&tenant, &name, Pattern::new(work::PATTERN)?)],
            tenant,
            name,
            version: Version::new("1")?,
            digest: component.digest(),
            reuse,
            // Interpreters need more memory than the default, and on a busy machine more time.
            limits: Limits { memory: MEMORY, deadline: Scale::PATIENCE, ..Limits::default() },
            grants: Grants::default(),
        };
        let guest = runtime.prepare(&component, &handler)?;
        Ok(Self { guest, clock, handler: Arc::new(handler), _data: data })
    }
}

/// Linear memory of a guest.
const MEMORY: usize = 256 * 1024 * 1024;

/// The parts of a host without its listeners, on a fixed number of worker threads.
pub(crate) struct Rig {
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
    pub(crate) fn new(compiled: &Compiled, threads: usize) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let clock = Arc::clone(&compiled.clock);
        let Spine { settlements, ids, broker, admission, dispatcher } = tokio.block_on(Spine::new(&clock));
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
    pub(crate) fn alone(&self, events: usize) -> Result<Duration> {
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
                    request: Arc::new(Nothing),
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
    pub(crate) fn close(self) -> Result<()> {
        let left = self.tokio.block_on(self.dispatcher.drain(Scale::PATIENCE, std::future::pending()));
        ensure!(left == 0, "{left} deliveries were not settled");
        Ok(())
    }
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

/// The guest of the benches asks nobody.
impl Request for Nothing {
    fn request(&self, question: Question) -> BoxFuture<'_, Result<Vec<Arc<Event>>, RequestError>> {
        Box::pin(std::future::ready(Err(RequestError::Timeout(question.patience))))
    }
}

impl EarlyAck for Nothing {
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>> {
        Box::pin(std::future::ready(Err(SettleError::AlreadySettled)))
    }
}
