//! Random batches, checkpoints and restarts against maps in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::batch::{Batch, Precondition};
use crate::record::{Delivery, Millis, Offset, SubscriptionNumber, ValueKey, Version};

use super::{commit, kept, open, publish, wait};

const SUBSCRIPTION: SubscriptionNumber = SubscriptionNumber(1);

#[derive(Debug, Clone)]
enum Step {
    Publish { topic: u8, body: u8 },
    Settle(u64),
    Advance(u64),
    Put { key: u8, body: u8 },
    PutIfUnchanged { key: u8, is_stale: bool },
    Remove(u8),
    Retry { offset: u64, due: u64 },
    Done(u64),
    Drop { topic: u8, below: u64 },
}

#[derive(Debug, Clone)]
enum Act {
    Commit(Vec<Step>),
    Checkpoint,
    Restart,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    next: u64,
    events: BTreeMap<(u8, u64), u8>,
    floors: BTreeMap<u8, u64>,
    floor: u64,
    settled: BTreeSet<u64>,
    values: BTreeMap<u8, (u64, u8)>,
    deliveries: BTreeMap<u64, u64>,
}

fn value_key(key: u8) -> ValueKey {
    ValueKey { tenant: "acme".to_owned(), bucket: "b".to_owned(), key: key.to_string() }
}

fn topic_name(topic: u8) -> String {
    format!("t{topic}")
}

impl Model {
    /// The same batch for the store, and the model after it; `None` if it must fail.
    fn plan(&self, steps: &[Step]) -> (Batch, Option<Self>) {
        let mut batch = Batch::new();
        let (mut after, mut fails) = (self.clone(), false);
        for step in steps {
            match step.clone() {
                Step::Publish { topic, body } => {
                    batch.publish(publish(&topic_name(topic), &[body]));
                    after.next += 1;
                    after.events.insert((topic, after.next), body);
                }
                Step::Settle(offset) => {
                    batch.settle(SUBSCRIPTION, Offset(offset));
                    fails |= offset < after.floor || !after.settled.insert(offset);
                }
                Step::Advance(floor) => {
                    batch.advance(SUBSCRIPTION, Offset(floor));
                    after.floor = after.floor.max(floor);
                }
                Step::Put { key, body } => {
                    batch.put_value(value_key(key), vec![body]);
                    after.values.insert(key, (0, body));
                }
                Step::PutIfUnchanged { key, is_stale } => {
                    // Preconditions look at the state before the batch.
                    let version = self.values.get(&key).map_or(0, |(version, _)| *version);
                    let version = if is_stale { version + 1 } else { version };
                    batch.require(Precondition::Value(value_key(key), Version(version)));
                    batch.put_value(value_key(key), vec![9]);
                    after.values.insert(key, (0, 9));
                    fails |= is_stale;
                }
                Step::Remove(key) => {
                    batch.remove_value(value_key(key));
                    after.values.remove(&key);
                }
                Step::Retry { offset, due } => {
                    let delivery = Delivery { due: Millis(due), attempts: 1, history: Vec::new() };
                    batch.put_delivery(SUBSCRIPTION, Offset(offset), delivery);
                    after.deliveries.insert(offset, due);
                }
                Step::Done(offset) => {
                    batch.remove_delivery(SUBSCRIPTION, Offset(offset));
                    after.deliveries.remove(&offset);
                }
                Step::Drop { topic, below } => {
                    batch.drop_events("acme".to_owned(), topic_name(topic), Offset(below));
                    let below = below.min(after.next + 1);
                    after.events.retain(|(of, offset), _| *of != topic || *offset >= below);
                }
            }
        }
        (batch, (!fails).then_some(after))
    }

    fn check(&self, log: &super::Log) {
        let snapshot = log.snapshot();
        let mut events = BTreeMap::new();
        for topic in 0..3 {
            let Some(found) = snapshot.topic("acme", &topic_name(topic)).unwrap() else { continue };
            for event in snapshot.events(&found, Offset(0), usize::MAX).unwrap() {
                events.insert((topic, event.offset.0), event.bytes[0]);
            }
        }
        assert_eq!(events, self.events);
        let cursor = snapshot.cursor(SUBSCRIPTION).unwrap();
        let settled = self.settled.iter().copied().filter(|offset| *offset >= self.floor).map(Offset);
        assert_eq!((cursor.floor.0, cursor.settled), (self.floor, settled.collect::<Vec<_>>()));
        for key in 0..4 {
            let found = snapshot.value(&value_key(key)).unwrap();
            let found = found.map(|value| (value.version.0, value.bytes[0]));
            assert_eq!(found, self.values.get(&key).copied());
        }
        let due = snapshot.due(Millis(u64::MAX - 1), usize::MAX).unwrap();
        let mut expected = self.deliveries.iter().map(|(offset, due)| (*due, *offset)).collect::<Vec<_>>();
        expected.sort_unstable();
        assert_eq!(due.iter().map(|due| (due.delivery.due.0, due.offset.0)).collect::<Vec<_>>(), expected);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, any::<u8>()).prop_map(|(topic, body)| Step::Publish { topic, body }),
        3 => (0..3000_u64).prop_map(Step::Settle),
        1 => (0..3000_u64).prop_map(Step::Advance),
        2 => (0..4_u8, any::<u8>()).prop_map(|(key, body)| Step::Put { key, body }),
        1 => (0..4_u8, any::<bool>()).prop_map(|(key, is_stale)| Step::PutIfUnchanged { key, is_stale }),
        1 => (0..4_u8).prop_map(Step::Remove),
        2 => (0..9_u64, 0..50_u64).prop_map(|(offset, due)| Step::Retry { offset, due }),
        1 => (0..9_u64).prop_map(Step::Done),
        1 => (0..3_u8, 0..60_u64).prop_map(|(topic, below)| Step::Drop { topic, below }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        16 => prop::collection::vec(step(), 1..6).prop_map(Act::Commit),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Restart),
    ]
}

fn run(acts: &[Act]) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path());
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Commit(steps) => {
                let (batch, after) = model.plan(steps);
                match (commit(&log, batch), after) {
                    (Ok(receipt), Some(mut after)) => {
                        let offsets = kept(&receipt).into_iter().map(|offset| offset.0).collect::<Vec<_>>();
                        assert_eq!(offsets, (model.next + 1..=after.next).collect::<Vec<_>>());
                        for (version, _) in after.values.values_mut().filter(|(version, _)| *version == 0) {
                            *version = receipt.version.0;
                        }
                        model = after;
                    }
                    (Err(_), None) => {}
                    (outcome, after) => panic!("{steps:?}: {outcome:?}, expected {after:?}"),
                }
            }
            Act::Checkpoint => wait(log.reclaim()).unwrap(),
            Act::Restart => {
                drop(log);
                log = open(folder.path());
            }
        }
        model.check(&log);
    }
}

proptest! {
    // Each case syncs a few dozen times.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_model(acts in prop::collection::vec(act(), 1..40)) {
        run(&acts);
    }
}
