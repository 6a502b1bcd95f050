//! Feeds subscriptions with what waits in the log, as room comes: reads a few events of each at a time, on a thread for
//! blocking work, and delivers them in order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use hostel_event::message::Event;
use hostel_event::outcome::Attempt;
use hostel_log::error::ReadError;
use hostel_log::log::Log;
use hostel_log::record::{SubscriptionNumber, Topic};
use hostel_log::snapshot::Snapshot;

use super::budget::Kept;
use super::lane::Lane;
use super::queue::{Attempts, Load, TopicKey};
use super::topics::Name;
use super::{Quiet, Shared, Unwanted, history, line, record};
use crate::chain::chain;
use crate::telemetry;

/// How many lanes are fed in one round. Arbitrary, as is the next.
const LANES: usize = 32;
/// How many events a lane gets in one round, so that a long backlog does not keep others waiting.
const EVENTS: usize = 64;

/// The lanes that are to be fed.
#[derive(Default)]
pub(crate) struct Feeding {
    row: Mutex<Row>,
    wake: Notify,
    /// Some lane waits for bytes to be given back.
    is_starving: AtomicBool,
}

#[derive(Default)]
struct Row {
    lanes: VecDeque<Arc<Lane>>,
    starving: Vec<Arc<Lane>>,
    passes: Vec<oneshot::Sender<()>>,
    is_closed: bool,
}

impl Feeding {
    /// Puts a lane in the row. It stands there once: the lane knows.
    pub(crate) fn feed(&self, lane: &Arc<Lane>) {
        self.row.lock().lanes.push_back(Arc::clone(lane));
        self.wake.notify_one();
    }

    /// Bytes were given back.
    pub(crate) fn room_came(&self) {
        if self.is_starving.load(Ordering::SeqCst) {
            let mut row = self.row.lock();
            self.is_starving.store(false, Ordering::SeqCst);
            let Row { lanes, starving, .. } = &mut *row;
            lanes.extend(starving.drain(..));
            drop(row);
            self.wake.notify_one();
        }
    }

    fn starve(&self, shared: &Shared, lane: &Arc<Lane>) {
        let mut row = self.row.lock();
        row.starving.push(Arc::clone(lane));
        self.is_starving.store(true, Ordering::SeqCst);
        drop(row);
        // What was given back before the flag stood told nobody.
        if shared.budget.is_worth_a_try() {
            self.room_came();
        }
    }

    /// Waits until no round is under way that began before.
    pub(crate) async fn pass(&self) {
        let (done, passed) = oneshot::channel();
        {
            let mut row = self.row.lock();
            if row.is_closed {
                return;
            }
            row.passes.push(done);
        }
        self.wake.notify_one();
        let _ = passed.await;
    }

    /// The lanes of the next round; none if nobody is to be fed. Between rounds everybody may pass.
    fn next(&self) -> Vec<Arc<Lane>> {
        let mut row = self.row.lock();
        for pass in row.passes.drain(..) {
            let _ = pass.send(());
        }
        let count = row.lanes.len().min(LANES);
        row.lanes.drain(..count).collect()
    }

    fn close(&self) {
        let mut row = self.row.lock();
        row.is_closed = true;
        row.passes.clear();
    }
}

/// The task. Ends when it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let lanes = shared.feeding.next();
        if stop.is_cancelled() {
            break;
        }
        if lanes.is_empty() {
            tokio::select! {
                () = shared.feeding.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        } else {
            round(&shared, lanes).await;
        }
    }
    shared.feeding.close();
}

/// What is to be read for a lane.
struct Order {
    number: SubscriptionNumber,
    load: Load,
    name: Option<Name>,
}

/// What was read.
enum Read {
    Event(Event, Vec<Attempt>),
    /// Retention dropped it.
    Gone,
    Failed(String),
}

async fn round(shared: &Arc<Shared>, lanes: Vec<Arc<Lane>>) {
    // What is delivered now could not be settled.
    if shared.log.health().poisoned.is_some() {
        return;
    }
    let (mut orders, mut shares) = (Vec::new(), Vec::with_capacity(lanes.len()));
    for lane in lanes {
        let loads = lane.take(EVENTS);
        let number = lane.number();
        orders.extend(loads.iter().map(|&load| Order { number, load, name: shared.topics.name(load.place.topic) }));
        if !loads.is_empty() {
            shares.push((lane, loads));
        }
    }
    if orders.is_empty() {
        return;
    }
    let log = Arc::clone(&shared.log);
    let count = orders.len();
    let read = tokio::task::spawn_blocking(move || read_all(&log, orders)).await;
    let read = read.unwrap_or_else(|_| (0..count).map(|_| Read::Failed("the reader ended".to_owned())).collect());
    let mut read = read.into_iter();
    let mut settlements = Vec::new();
    for (lane, loads) in shares {
        let count = loads.len();
        let mut is_starving = false;
        for (load, read) in loads.into_iter().zip(read.by_ref()) {
            if is_starving {
                lane.put_back_quietly(load.place.offset);
                continue;
            }
            match read {
                Read::Event(event, _) if shared.is_expired(&event) => {
                    let why = Unwanted::Expired(Arc::new(event));
                    settlements.push(Quiet { lane: Arc::clone(&lane), load, why });
                }
                Read::Event(event, history) => match Kept::reserve(&Arc::new(event), shared) {
                    Some(kept) => line::deliver(shared, &lane, load, (&kept, history)),
                    None => {
                        lane.put_back_quietly(load.place.offset);
                        is_starving = true;
                    }
                },
                Read::Gone => settlements.push(Quiet { lane: Arc::clone(&lane), load, why: Unwanted::Gone }),
                Read::Failed(reason) => {
                    telemetry::cannot_read(lane.id(), load.place.offset, &reason);
                    lane.sleep(load.place.offset, Attempts::AsBefore);
                    shared.keeper.wake_later(shared, (lane.number(), load.place.offset));
                }
            }
        }
        if lane.delivered(count) {
            if is_starving {
                shared.feeding.starve(shared, &lane);
            } else {
                shared.feeding.feed(&lane);
            }
        }
    }
    shared.settle_quietly(settlements).await;
}

fn read_all(log: &Log, orders: Vec<Order>) -> Vec<Read> {
    let snapshot = log.snapshot();
    let mut topics = HashMap::new();
    orders.into_iter().map(|order| read_one(&snapshot, &mut topics, order).unwrap_or_else(Read::Failed)).collect()
}

fn read_one(
    snapshot: &Snapshot,
    topics: &mut HashMap<TopicKey, Option<Topic>>,
    Order { number, load, name }: Order,
) -> Result<Read, String> {
    let unreadable = |error: ReadError| chain(&error);
    let Some(name) = name else { return Err("its topic is unknown".to_owned()) };
    let topic = match topics.get(&load.place.topic) {
        Some(topic) => topic,
        None => {
            let found = snapshot.topic(name.tenant.as_str(), name.topic.as_str()).map_err(unreadable)?;
            topics.entry(load.place.topic).or_insert(found)
        }
    };
    let Some(topic) = topic else { return Ok(Read::Gone) };
    let Some(stored) = snapshot.event(topic, load.place.offset).map_err(unreadable)? else { return Ok(Read::Gone) };
    let event = record::read_event(stored.bytes, &name.tenant, &name.topic).map_err(|error| error.to_string())?;
    let mut attempts = Vec::new();
    if load.has_history
        && let Some(delivery) = snapshot.delivery(number, load.place.offset).map_err(unreadable)?
    {
        attempts = history::decode(&delivery.history).map_err(|error| error.to_string())?;
    }
    Ok(Read::Event(event, attempts))
}

/// An event read on its own, for those who move it elsewhere.
pub(crate) fn read_event(log: &Log, name: &Name, load: Load) -> Result<Option<Event>, String> {
    let order =
        Order { number: SubscriptionNumber(0), load: Load { has_history: false, ..load }, name: Some(name.clone()) };
    match read_one(&log.snapshot(), &mut HashMap::new(), order)? {
        Read::Event(event, _) => Ok(Some(event)),
        Read::Gone => Ok(None),
        Read::Failed(reason) => Err(reason),
    }
}
