//! The task that watches the registry and does what the table decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use hostel_event::name::QueueGroup;
use hostel_event::pattern::Pattern;
use hostel_event::port::{Change as Told, ChangeKind, RegistryError, Sink, Start, SubscribeError, Watch};
use hostel_event::subscription::{Order, Place, Quarantine, Subscription, SubscriptionId};
use hostel_event::topic::Topic;

use crate::http::courier::{Courier, Shared as CourierSink, Target};
use crate::http::wire::Generation;

use super::table::{Census, Change, End};
use super::{Entry, Shared, telemetry};

const GENERATIONS: [Generation; 2] = [Generation::First, Generation::Second];
/// Changes that are taken in before they are acted upon. Arbitrary: enough that a storm costs few turns.
const BATCH: usize = 1024;
/// How soon the registry is read again for a node that does not answer. Arbitrary; by mDNS a reading takes 100 ms.
const SOONEST: Duration = Duration::from_secs(1);

/// What the task keeps between its turns.
struct Watcher {
    shared: Arc<Shared>,
    watches: [Option<Box<dyn Watch>>; 2],
    /// How many changes each watch has lost when the registry was last read.
    lost: [u64; 2],
    /// Whether the registry could not be read.
    away: bool,
    census: Census,
}

/// Watches until everything ends.
pub(super) async fn watch(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let mut watcher = Watcher { shared, watches: [None, None], lost: [0; 2], away: false, census: Census::default() };
    // Cancelled between steps that can be: what the table decided is done or not asked for again.
    let _ = stop.run_until_cancelled(watcher.run()).await;
}

impl Watcher {
    async fn run(&mut self) {
        // What is from before a restart collects events from the first moment on.
        self.act().await;
        loop {
            self.read().await;
            self.act().await;
            self.shared.ready.cancel();
            let read_at = Instant::now();
            let mut due = read_at + self.shared.settings.refresh;
            while Instant::now() < due {
                if self.hear(due).await {
                    due = due.min(Instant::now().max(read_at + SOONEST));
                }
                self.act().await;
            }
        }
    }

    /// Waits for something to happen, and takes it in. Says whether the registry should be read soon.
    async fn hear(&mut self, due: Instant) -> bool {
        let shared = Arc::clone(&self.shared);
        let [first, second] = &mut self.watches;
        tokio::select! {
            () = tokio::time::sleep_until(due) => false,
            () = shared.changed.notified() => false,
            () = shared.depot.news.notify.notified() => self.take_news(),
            change = next(first) => self.take_change(0, change),
            change = next(second) => self.take_change(1, change),
        }
    }

    /// How nodes answered. Says whether one did not.
    fn take_news(&mut self) -> bool {
        let mut any_away = false;
        for (id, back) in self.shared.depot.news.take() {
            let Some(courier) = self.shared.couriers.lock().get(&id).map(|entry| Arc::clone(&entry.courier)) else {
                continue;
            };
            self.shared.table.lock().set_broken(&id, !back && courier.is_broken());
            any_away |= !back;
        }
        any_away
    }

    /// A change, and those that have come with it.
    fn take_change(&mut self, at: usize, first: Option<Told>) -> bool {
        let Some(watch) = self.watches.get_mut(at) else { return false };
        let Some(generation) = GENERATIONS.get(at) else { return false };
        let mut change = first;
        for _ in 0..BATCH {
            let Some(told) = change.take() else {
                // It has ended: the next reading begins another.
                *watch = None;
                return true;
            };
            self.shared.take_in(*generation, &told);
            match watch.as_mut().and_then(|watch| watch.next().now_or_never()) {
                Some(next) => change = next,
                None => break,
            }
        }
        if let Some(told) = change {
            self.shared.take_in(*generation, &told);
        }
        let lost = watch.as_ref().map_or(0, |watch| watch.lost());
        self.lost.get(at).is_some_and(|before| lost > *before)
    }

    /// Reads both services as a whole, and sees to it that they are watched.
    async fn read(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut failure = None;
        for (at, generation) in GENERATIONS.into_iter().enumerate() {
            if let (Some(watch), Some(lost)) = (self.watches.get_mut(at), self.lost.get_mut(at)) {
                // Watched first, so that nothing is missed in between.
                if watch.is_none() {
                    *watch = shared.parts.registry.watch(Some(generation.service())).await.ok();
                }
                *lost = watch.as_ref().map_or(0, |watch| watch.lost());
            }
            let services = match shared.parts.registry.get(generation.service()).await {
                Ok(services) => services,
                Err(RegistryError::NotFound(_)) => Vec::new(),
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            let now = shared.parts.clock.now();
            shared.table.lock().read(now, generation, &services, &|id| shared.is_away(id));
        }
        match (&failure, self.away) {
            (Some(error), false) => telemetry::registry_away(error),
            (None, true) => telemetry::registry_back(),
            _ => {}
        }
        self.away = failure.is_some();
        let census = {
            let mut table = shared.table.lock();
            table.expire(shared.parts.clock.now());
            table.try_again();
            table.census()
        };
        if census != self.census {
            self.census = census;
            telemetry::left_out(census, shared.settings.nodes);
        }
    }

    /// Does what the table decides.
    async fn act(&mut self) {
        let changes = self.shared.table.lock().changes();
        let mut ended: HashMap<SubscriptionId, Entry> = HashMap::new();
        for change in changes {
            match change {
                Change::End { id, why } => {
                    let entry = self.shared.couriers.lock().remove(&id);
                    match entry {
                        Some(mut entry) => {
                            self.shared.end(&mut entry, why).await;
                            ended.insert(id, entry);
                        }
                        None => self.shared.end_absent(&id, why).await,
                    }
                }
                Change::Set { id, topic, queue, targets, begun } => {
                    let known = self.shared.couriers.lock().get(&id).cloned();
                    let known = known.or_else(|| ended.remove(&id));
                    let rules = self.shared.subscription(&id, &topic, queue.as_ref(), targets.len());
                    let courier = known.as_ref().map_or_else(
                        || self.shared.courier(&rules, targets.clone()),
                        |entry| Arc::clone(&entry.courier),
                    );
                    let was_begun = known.is_some_and(|entry| entry.begun);
                    let entry = Entry { courier, topic, queue, begun: was_begun };
                    self.shared.set(entry, (rules, targets), begun).await;
                }
            }
        }
        ended.values().for_each(|entry| entry.courier.retire());
    }
}

impl Shared {
    fn is_away(&self, id: &SubscriptionId) -> bool {
        self.couriers.lock().get(id).is_some_and(|entry| entry.courier.is_away())
    }

    fn take_in(&self, generation: Generation, change: &Told) {
        let now = self.parts.clock.now();
        if change.kind == ChangeKind::Delete {
            return self.table.lock().farewell(now, generation, &change.service);
        }
        let routes: Vec<(SubscriptionId, &str)> = {
            let mut table = self.table.lock();
            table.hear(now, generation, &change.service, &|id| self.is_away(id));
            let route = |id: &str| table.route_of(id).cloned();
            let nodes = change.service.nodes.iter();
            nodes.filter_map(|node| route(&node.id).map(|id| (id, node.id.as_str()))).collect()
        };
        // Whoever announces itself is there, whatever came of the last attempt.
        for (id, node) in routes {
            let courier = self.couriers.lock().get(&id).map(|entry| Arc::clone(&entry.courier));
            if let Some(courier) = courier.filter(|courier| courier.is_away()) {
                courier.hasten(node);
            }
        }
    }

    fn subscription(
        &self,
        id: &SubscriptionId,
        topic: &Topic,
        queue: Option<&QueueGroup>,
        nodes: usize,
    ) -> Arc<Subscription> {
        let courier = &self.settings.courier;
        let concurrency = if queue.is_some() { nodes.saturating_mul(courier.concurrency).max(1) } else { 1 };
        Arc::new(Subscription {
            id: id.clone(),
            tenant: self.settings.tenant.clone(),
            source: self.settings.tenant.clone(),
            pattern: Pattern::from(topic),
            place: Place::Remote { nodes },
            queue: queue.cloned(),
            concurrency,
            window: self.settings.window,
            retry: courier.retry,
            order: Order::None,
            quarantine: Quarantine::OFF,
            start: Start::Latest,
        })
    }

    fn courier(&self, subscription: &Arc<Subscription>, targets: Vec<Target>) -> Arc<Courier> {
        // Any number will do that is not the same for all.
        let seed = subscription.id.as_str().bytes().fold(self.settings.seed, |seed, byte| {
            seed.rotate_left(7).wrapping_add(u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Courier::new(&self.depot, Arc::clone(subscription), targets, seed)
    }

    /// Has a subscription go on with these nodes, and the broker begin or change it.
    async fn set(&self, mut entry: Entry, (rules, targets): (Arc<Subscription>, Vec<Target>), begun: bool) {
        let id = rules.id.clone();
        let nodes = targets.len();
        let before = entry.courier.subscription();
        entry.courier.change(Arc::clone(&rules), targets);
        let broker = &self.parts.broker;
        let result = match (begun, entry.begun) {
            (true, false) => {
                entry.courier.begin();
                let sink: Arc<dyn Sink> = Arc::new(CourierSink(Arc::clone(&entry.courier)));
                telemetry::begun(&id, nodes);
                broker.subscribe(rules, sink).await
            }
            (true, true) if before != rules => broker.resubscribe(rules).await,
            _ => Ok(()),
        };
        entry.begun = begun && result.is_ok();
        if let Err(error) = result {
            telemetry::subscribe_failed(&id, &error);
            self.table.lock().not_begun(&id);
        }
        if !begun {
            entry.courier.probe();
        }
        self.couriers.lock().insert(id, entry);
    }

    /// Ends what never began here, and of which the broker may have kept events since before a restart.
    async fn end_absent(&self, id: &SubscriptionId, why: End) {
        match self.parts.broker.unsubscribe(id).await {
            Ok(left) => telemetry::ended(id, why, left.discarded, left.handed_over),
            Err(SubscribeError::Unknown(_)) => {}
            Err(error) => telemetry::subscribe_failed(id, &error),
        }
    }

    async fn end(&self, entry: &mut Entry, why: End) {
        let id = entry.courier.subscription().id.clone();
        if why == End::Retention {
            let reason = format!("no node of its queue group was there for {:?}", self.settings.courier.retention);
            entry.courier.bury_all(&reason).await;
        }
        if !entry.begun {
            return;
        }
        entry.begun = false;
        match self.parts.broker.unsubscribe(&id).await {
            Ok(left) => telemetry::ended(&id, why, left.discarded, left.handed_over),
            Err(error) => telemetry::subscribe_failed(&id, &error),
        }
    }
}

/// The next change of a watch; never one where there is none.
async fn next(watch: &mut Option<Box<dyn Watch>>) -> Option<Told> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
