//! Row group: what it costs to find one subscription among many, in this process. An event is published, routed,
//! dispatched and settled; its handler is a function of the host's that acknowledges, so that nothing of the sandbox
//! hides what is asked for.
//!
//! Each subscription is a handler's of its own and hears a topic of its own. Events go to ten of them in turn, or to
//! all: the first tells how the structures grow, the second also what a cache that is too small costs. All are one
//! tenant's, or of a thousand tenants, ten each; then events of ten topics are of one tenant, and those of all of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_core::future::BoxFuture;

use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::outcome::{Log, Outcome, Report, Usage};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Call, Clock, Invoke, Publication, Publish};
use hostel_event::subscription::Subscription;
use hostel_event::topic::Topic;

use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;
use crate::spine::{self, MachineClock, Spine};

/// Subscriptions and tenants: few, more, many; and those of many tenants.
const SHAPES: [(usize, usize); 4] = [(10, 1), (1_000, 1), (100_000, 1), (10_000, 1_000)];
/// Of how many topics events are, where they are not of all.
const FEW: usize = 10;

/// Measures the group.
pub(crate) fn measure(scale: &Scale) -> Result<Group> {
    let name = |(subscriptions, tenants): (usize, usize), topics: usize| {
        let of = if tenants == 1 { String::new() } else { format!(" of {tenants} tenants") };
        format!("in process: dispatch to one of {subscriptions} subscriptions{of}, events of {topics} topics")
    };
    let [few, more, many, tenants] = SHAPES;
    let row = |subject: String| Row { subject, limit: name(few, FEW) };
    let of_all = |shape: (usize, usize)| name(shape, shape.0);
    let rows = vec![
        row(name(more, FEW)),
        row(name(many, FEW)),
        row(of_all(many)),
        row(name(tenants, FEW)),
        row(of_all(tenants)),
    ];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    // Many subscriptions take their time to make. The few are in each row.
    let is_wanted = |shape| shape == few || scale.wants(&name(shape, FEW)) || scale.wants(&of_all(shape));
    let shapes = SHAPES.into_iter().filter(|shape| is_wanted(*shape));
    let rigs = shapes.map(|shape| Ok((shape, Rig::new(shape)?))).collect::<Result<Vec<_>>>()?;
    let mut contenders = Vec::new();
    for (shape, rig) in &rigs {
        contenders.push(Contender::new(&name(*shape, FEW), scale.routed, move |events| rig.run(events, FEW)));
        if *shape == many || *shape == tenants {
            contenders.push(Contender::new(&of_all(*shape), scale.routed, move |events| rig.run(events, shape.0)));
        }
    }
    let group = round::measure(scale, contenders, rows);
    Ok(group.ended(rigs.into_iter().try_for_each(|(_, rig)| rig.close())))
}

/// A host's spine with so many subscriptions of so many tenants.
struct Rig {
    tokio: tokio::runtime::Runtime,
    spine: Spine,
    publications: Vec<Publication>,
    /// Which of them is next. Goes on from round to round.
    next: AtomicUsize,
}

impl Rig {
    fn new((subscriptions, tenants): (usize, usize)) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::new());
        let spine = tokio.block_on(Spine::new(&clock));
        let invoke: Arc<dyn Invoke> = Arc::new(Acknowledges(Version::new("1")?));
        let mut publications = Vec::with_capacity(subscriptions);
        for number in 0..subscriptions {
            let tenant = Tenant::new(&format!("tenant-{}", number * tenants / subscriptions))?;
            let topic = Topic::new(&format!("orders.of-customer-{number:06}.created"))?;
            let handler = HandlerName::new(&format!("handler-{number:06}"))?;
            let subscription = Arc::new(Subscription::new(&tenant, &handler, Pattern::new(topic.as_str())?));
            spine.dispatcher.attach(vec![(Arc::clone(&subscription), Arc::clone(&invoke))]);
            let sink = Arc::new(spine.dispatcher.clone());
            tokio.block_on(spine.broker.subscribe(subscription, sink))?;
            publications.push(Publication { topic, ..spine::publication(&tenant)? });
        }
        Ok(Self { tokio, spine, publications, next: AtomicUsize::new(0) })
    }

    /// From the first publish until the last event is settled.
    fn run(&self, events: usize, topics: usize) -> Result<Duration> {
        // Far from one to the next, so that neighbours in memory do not help.
        const STRIDE: usize = 7_919;
        self.tokio.block_on(async {
            let settlements = &self.spine.settlements;
            let before = settlements.acked();
            let began = Instant::now();
            for _ in 0..events {
                settlements.room.acquire().await?.forget();
                let at = self.next.fetch_add(STRIDE, Ordering::Relaxed) % topics;
                let publication = self.publications.get(at).context("more topics than subscriptions")?;
                self.spine.admission.publish(publication.clone()).await?;
            }
            settlements.all().await?;
            let took = began.elapsed();
            let acked = settlements.acked() - before;
            ensure!(acked == events, "{acked} of {events} events were acknowledged");
            Ok(took)
        })
    }

    fn close(self) -> Result<()> {
        let left = self.tokio.block_on(self.spine.dispatcher.drain(Scale::PATIENCE, std::future::pending()));
        ensure!(left == 0, "{left} deliveries were not settled");
        Ok(())
    }
}

/// A handler that does nothing.
struct Acknowledges(Version);

impl Invoke for Acknowledges {
    fn version(&self) -> &Version {
        &self.0
    }

    fn memory(&self) -> usize {
        0
    }

    fn invoke(&self, _: Call) -> BoxFuture<'_, Report> {
        let report = Report { outcome: Outcome::Ack, log: Log::default(), usage: Usage::default() };
        Box::pin(std::future::ready(report))
    }
}
