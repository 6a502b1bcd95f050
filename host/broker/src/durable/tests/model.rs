//! Random publishes, settlements, crashes and ends against a model that is nothing but sets.

use std::collections::BTreeMap;

use hostel_event::delivery::SettleError;
use hostel_event::key_value::Revision;

use super::*;

/// A generator of a few lines, so that a failure is told by its seed. Knuth's MMIX.
struct Lots(u64);

impl Lots {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What a subscription, or a queue group as a whole, has not settled: ids and how often.
type Unsettled = BTreeMap<String, usize>;

fn add(unsettled: &mut Unsettled, id: &str) {
    *unsettled.entry(id.to_owned()).or_default() += 1;
}

fn remove(unsettled: &mut Unsettled, id: &str) {
    let count = unsettled.get_mut(id).unwrap_or_else(|| panic!("{id} was settled and came again"));
    *count -= 1;
    if *count == 0 {
        unsettled.remove(id);
    }
}

/// Two broadcast subscriptions and a queue group of two.
fn all() -> [(usize, Subscription); 4] {
    [
        (0, Subscription { window: 5, ..subscription("a", "x.*") }),
        (1, subscription("b", "x.1")),
        (2, member("c", "x.>", "q")),
        (2, Subscription { window: 3, ..member("d", "x.2", "q") }),
    ]
}

struct Run {
    world: World,
    lots: Lots,
    host: Host,
    sinks: Vec<Option<Arc<Collector>>>,
    held: Vec<(usize, Delivery)>,
    unsettled: [Unsettled; 3],
    letters: usize,
    sum: u64,
    next: usize,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let mut world = World::new();
        world.settings.policy.retention.events = Some(0);
        world.settings.memory = 400;
        let host = world.start().await;
        let mut run = Self {
            world,
            lots: Lots(seed),
            host,
            sinks: vec![None; 4],
            held: Vec::new(),
            unsettled: Default::default(),
            letters: 0,
            sum: 0,
            next: 0,
        };
        run.subscribe_all().await;
        run
    }

    async fn subscribe_all(&mut self) {
        for (index, (_, subscription)) in all().into_iter().enumerate() {
            if self.sinks[index].is_none() {
                self.sinks[index] = Some(self.host.subscribe(subscription).await);
            }
        }
    }

    fn published(&mut self, id: &str, topic: &str) {
        add(&mut self.unsettled[0], id);
        if topic == "x.1" {
            add(&mut self.unsettled[1], id);
        }
        add(&mut self.unsettled[2], id);
    }

    fn new_id(&mut self) -> (String, &'static str) {
        self.next += 1;
        (self.next.to_string(), ["x.1", "x.2", "x.3"][self.lots.below(3)])
    }

    async fn publish(&mut self) {
        let (id, topic) = self.new_id();
        self.host.publish(&id, topic).await;
        self.published(&id, topic);
    }

    fn collect(&mut self) {
        for (index, (set, _)) in all().into_iter().enumerate() {
            let Some(sink) = &self.sinks[index] else { continue };
            self.held.extend(sink.take().into_iter().map(|delivery| (set, delivery)));
        }
    }

    async fn settle(&mut self) {
        self.collect();
        if self.held.is_empty() {
            return;
        }
        let at = self.lots.below(self.held.len());
        let (set, delivery) = self.held.swap_remove(at);
        let id = delivery.event.id.to_string();
        match self.lots.below(7) {
            0..3 => {
                ack(delivery).await;
                remove(&mut self.unsettled[set], &id);
            }
            3 => self.act(set, &id, delivery).await,
            4 => {
                let after = Duration::from_secs(60 * u64::try_from(self.lots.below(2)).unwrap());
                delivery.settle.settle(Settlement::Retry { after, history: vec![failed(1)] }).await.unwrap();
            }
            5 => {
                let settlement = Settlement::DeadLetter { reason: id.clone(), history: vec![failed(1)] };
                delivery.settle.settle(settlement).await.unwrap();
                remove(&mut self.unsettled[set], &id);
                self.letters += 1;
            }
            _ => drop(delivery),
        }
    }

    /// Acknowledges with a publish and one more in the sum, at times on an old sum.
    async fn act(&mut self, set: usize, id: &str, delivery: Delivery) {
        let key = Key::new("sum").unwrap();
        let found = self.host.broker.key_value().get(&bucket(), &key).await.unwrap();
        let is_old = self.lots.below(4) == 0;
        let expected = match found {
            _ if is_old => Expected::Revision(Revision(u64::MAX)),
            Some(entry) => Expected::Revision(entry.revision),
            None => Expected::Absent,
        };
        let (new, topic) = self.new_id();
        let writes = vec![write("sum", &(self.sum + 1).to_string(), expected)];
        let effects = Effects { publications: vec![event(&new, topic).into()], writes };
        let outcome = delivery.settle.settle(Settlement::Ack(effects)).await;
        if is_old {
            assert_eq!(outcome, Err(SettleError::Conflict(key)));
        } else {
            outcome.unwrap();
            self.sum += 1;
            self.published(&new, topic);
            remove(&mut self.unsettled[set], id);
        }
    }

    async fn restart(self) -> Self {
        let Self { world, mut lots, host, held, unsettled, letters, sum, next, .. } = self;
        if lots.below(3) == 0 {
            host.stop().await;
        } else {
            host.crash(&world).await;
        }
        drop(held);
        let host = world.open_in(&world.path()).await;
        let mut run = Self { world, lots, host, sinks: vec![None; 4], held: Vec::new(), unsettled, letters, sum, next };
        run.subscribe_all().await;
        run.host.broker.begin();
        run
    }

    async fn end_or_join(&mut self) {
        // The last of the group stays.
        let (_, subscription) = all()[3].clone();
        match self.sinks[3].take() {
            Some(_) => {
                let ended = self.host.broker.unsubscribe(&subscription.id).await.unwrap();
                assert_eq!(ended.discarded, 0);
            }
            None => self.subscribe_all().await,
        }
    }

    /// Settles all there is and compares.
    async fn check(mut self, seed: u64) {
        self.subscribe_all().await;
        self.held.clear();
        while self.unsettled.iter().any(|unsettled| !unsettled.is_empty()) {
            self.world.pass(Duration::from_secs(60));
            let before = self.unsettled.iter().map(BTreeMap::len).sum::<usize>();
            let run = std::cell::RefCell::new(&mut self);
            until(&format!("what is missing came, seed {seed}: {before}"), async || {
                run.borrow_mut().collect();
                !run.borrow().held.is_empty()
            })
            .await;
            for (set, delivery) in std::mem::take(&mut self.held) {
                remove(&mut self.unsettled[set], delivery.event.id.as_str());
                ack(delivery).await;
            }
        }
        // Nothing more comes: all that was unsettled is settled in the log too.
        for (_, subscription) in all() {
            let unsettled = async || self.host.broker.unsettled(&subscription.id) == Some(0);
            until(&format!("{} is done, seed {seed}", subscription.id), unsettled).await;
        }
        assert!(self.sinks.iter().flatten().all(|sink| sink.take().is_empty()), "seed {seed}");
        let letters = self.host.broker.dead_letters().list(&tenant("acme"), None, usize::MAX);
        assert_eq!(letters.len(), self.letters, "seed {seed}");
        let sum = self.host.value("sum").await.map_or(0, |sum| sum.parse().unwrap());
        assert_eq!(sum, self.sum, "seed {seed}");
        self.host.stop().await;
    }
}

/// A few in the ordinary run; `HOSTEL_MODEL_SEEDS=from..to` runs others.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("HOSTEL_MODEL_SEEDS").ok();
    let range = given.as_deref().and_then(|text| text.split_once(".."));
    range.map_or(0..12, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

#[tokio::test]
async fn whatever_happens_each_event_is_settled_once_and_none_is_lost() {
    for seed in seeds() {
        let mut run = Run::new(seed).await;
        for _ in 0..150 {
            match run.lots.below(40) {
                0 => run = run.restart().await,
                1 => run.end_or_join().await,
                2 => run.world.pass(Duration::from_secs(30)),
                3..20 => run.publish().await,
                _ => run.settle().await,
            }
        }
        run.check(seed).await;
    }
}
