//! A subscription as this broker holds it: what is unsettled, and where it goes.
//!
//! A lane outlives the subscription's rules, its sink and the process: its number is in the log. One without a seat has
//! no sink: its subscription has ended, or has not come back since the host was started.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use hostel_event::delivery::Delivery;
use hostel_event::name::QueueGroup;
use hostel_event::port::{Pause, Sink};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_log::record::{Offset, SubscriptionNumber};

use super::queue::{Attempts, Load, Place, Queue};
use super::record::Known;
use super::replay::Progress;
use crate::choice::Member;

/// A subscription that is there, under the rules of now.
pub(crate) struct Entry {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) lane: Arc<Lane>,
}

impl Member for Entry {
    fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    fn out(&self) -> usize {
        self.lane.out.load(Ordering::Relaxed)
    }

    fn turn(&self) -> &AtomicUsize {
        &self.lane.turn
    }
}

/// Where deliveries go, and how many at a time.
pub(crate) struct Seat {
    pub(crate) window: usize,
    pub(crate) sink: Arc<dyn Sink>,
}

/// What there is of a subscription, whichever rules it goes by.
pub(crate) struct Lane {
    pub(crate) known: Known,
    /// How many take a place in the window; for choosing only.
    out: AtomicUsize,
    turn: AtomicUsize,
    /// Held by who gives away what it left.
    pub(crate) moving: tokio::sync::Mutex<()>,
    /// What of its document changes while it is there.
    remembered: Mutex<Remembered>,
    /// How far it is, if it is a replay.
    pub(crate) progress: Option<Progress>,
    state: Mutex<State>,
}

/// What is remembered of a subscription and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) queue: Option<QueueGroup>,
    pub(crate) pause: Option<Pause>,
}

struct State {
    seat: Option<Seat>,
    queue: Queue,
    /// Its subscription was ended, when it belonged to this queue group.
    ended: Option<Option<QueueGroup>>,
    /// It stands in the feeder's row.
    is_hungry: bool,
    /// Deliveries that were taken and are not at the sink yet. While there are any, nobody takes more: that keeps the
    /// order.
    on_the_way: usize,
    /// Something was settled since its floor was raised.
    is_dirty: bool,
}

/// What became of an event that came in.
pub(crate) enum Arrival {
    /// It is to be delivered now; then [`Lane::delivered`].
    Deliver,
    /// It waits, and the lane is to be fed.
    Feed,
    /// It waits.
    Wait,
}

impl Lane {
    /// A lane with what is unsettled of it, and without a seat.
    pub(crate) fn new(known: Known, queue: Queue, progress: Option<Progress>) -> Self {
        let out = AtomicUsize::new(queue.held());
        let ended = known.ended.then(|| known.queue.clone());
        let state = State { seat: None, queue, ended, is_hungry: false, on_the_way: 0, is_dirty: false };
        let remembered = Mutex::new(Remembered { queue: known.queue.clone(), pause: known.pause.clone() });
        Self {
            known,
            remembered,
            out,
            turn: AtomicUsize::new(0),
            moving: tokio::sync::Mutex::default(),
            progress,
            state: Mutex::new(state),
        }
    }

    pub(crate) const fn number(&self) -> SubscriptionNumber {
        self.known.number
    }

    pub(crate) const fn id(&self) -> &SubscriptionId {
        &self.known.id
    }

    pub(crate) fn remembered(&self) -> Remembered {
        self.remembered.lock().clone()
    }

    /// Notes what its document says now.
    pub(crate) fn remember(&self, remembered: Remembered) {
        *self.remembered.lock() = remembered;
    }

    /// What its document says.
    pub(crate) fn document(&self) -> Known {
        let Remembered { queue, pause } = self.remembered();
        Known { queue, pause, ..self.known.clone() }
    }

    /// Looks at or changes the state; says whether the lane is now to be fed. Afterwards `out` is right again.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> (T, bool) {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.out.store(state.queue.held(), Ordering::Relaxed);
        let is_to_be_fed = !state.is_hungry && state.has_work();
        state.is_hungry |= is_to_be_fed;
        (result, is_to_be_fed)
    }

    /// Gives it a sink. The lane is then to be fed if the answer is `true`.
    pub(crate) fn seat(&self, seat: Seat) -> bool {
        self.with(|state| state.seat = Some(seat)).1
    }

    /// Changes the window.
    pub(crate) fn resize(&self, window: usize) -> bool {
        self.with(|state| {
            if let Some(seat) = &mut state.seat {
                seat.window = window;
            }
        })
        .1
    }

    /// Ends it: it is never fed again. Gives back where it delivered to.
    pub(crate) fn end(&self, queue: Option<QueueGroup>) -> Option<Seat> {
        let mut state = self.state.lock();
        state.ended = Some(queue);
        state.seat.take()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    /// The queue group to which an ended one leaves what it has.
    pub(crate) fn heirs(&self) -> Option<QueueGroup> {
        self.state.lock().ended.clone().flatten()
    }

    /// Takes an event that was just kept. `reserve` takes room for its bytes, if it may be delivered at once.
    pub(crate) fn arrive(&self, place: Place, reserve: impl FnOnce() -> bool) -> Arrival {
        let (is_next, is_to_be_fed) = self.with(|state| {
            let has_place = state.seat.as_ref().is_some_and(|seat| state.queue.held() < seat.window);
            let is_next = has_place && state.on_the_way == 0 && state.queue.is_idle() && reserve();
            if is_next {
                state.queue.hold(place);
                state.on_the_way = 1;
            } else {
                state.queue.wait(place);
            }
            is_next
        });
        match (is_next, is_to_be_fed) {
            (true, _) => Arrival::Deliver,
            (false, true) => Arrival::Feed,
            (false, false) => Arrival::Wait,
        }
    }

    /// What the feeder is to read for it. Nothing if it lacks a seat or something is still on the way.
    pub(crate) fn take(&self, limit: usize) -> Vec<Load> {
        let mut state = self.state.lock();
        state.is_hungry = false;
        let Some(window) = state.seat.as_ref().map(|seat| seat.window) else { return Vec::new() };
        if state.on_the_way > 0 {
            return Vec::new();
        }
        let taken = state.queue.take(window, limit);
        state.on_the_way = taken.len();
        self.out.store(state.queue.held(), Ordering::Relaxed);
        taken
    }

    /// Gives a delivery to the sink, or takes it back when there is none any more. No lock is held meanwhile: the sink
    /// may drop the token at once, which comes back here.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        let sink = self.sink();
        // Dropped without a seat, its token puts it back.
        if let Some(sink) = sink {
            sink.deliver(delivery);
        }
    }

    /// So many of those on the way are where they were to go; says whether the lane is to be fed.
    pub(crate) fn delivered(&self, count: usize) -> bool {
        self.with(|state| state.on_the_way = state.on_the_way.saturating_sub(count)).1
    }

    /// One that is out comes again.
    pub(crate) fn put_back(&self, offset: Offset) -> bool {
        self.with(|state| state.queue.put_back(offset)).1
    }

    /// One that is out comes again, though not before the lane is fed for another reason.
    pub(crate) fn put_back_quietly(&self, offset: Offset) {
        self.state.lock().queue.put_back(offset);
    }

    /// One that is out sleeps.
    pub(crate) fn sleep(&self, offset: Offset, attempts: Attempts) {
        self.state.lock().queue.sleep(offset, attempts);
    }

    /// One that sleeps comes again.
    pub(crate) fn wake(&self, offset: Offset) -> bool {
        self.with(|state| state.queue.wake(offset)).1
    }

    /// One is settled: says whether the lane is to be fed, and whether this is the first since its floor was raised.
    pub(crate) fn finish(&self, offset: Offset) -> Finished {
        let ((is_first, has_ended), is_to_be_fed) = self.with(|state| {
            state.queue.finish(offset);
            (!std::mem::replace(&mut state.is_dirty, true), state.ended.is_some())
        });
        Finished { is_first, is_to_be_fed, has_ended }
    }

    /// Below which offset everything is settled. `end` is the first offset of which the lane may not know yet.
    pub(crate) fn floor(&self, end: Offset) -> Offset {
        let end = self.end_of_knowledge(end);
        self.state.lock().queue.lowest().map_or(end, |lowest| lowest.min(end))
    }

    /// The same, for raising it: what is settled from now on is counted anew.
    pub(crate) fn clean(&self, end: Offset) -> Offset {
        let end = self.end_of_knowledge(end);
        let mut state = self.state.lock();
        state.is_dirty = false;
        state.queue.lowest().map_or(end, |lowest| lowest.min(end))
    }

    /// A replay knows of nothing behind what it has read.
    fn end_of_knowledge(&self, end: Offset) -> Offset {
        self.progress.as_ref().map_or(end, |progress| progress.next().min(end))
    }

    /// More waits.
    pub(crate) fn fill(&self, waiting: Vec<Place>, asleep: Vec<Place>) -> bool {
        self.with(|state| {
            waiting.into_iter().for_each(|place| state.queue.wait(place));
            asleep.into_iter().for_each(|place| state.queue.hold_asleep(place));
        })
        .1
    }

    /// How many wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().queue.waiting()
    }

    /// Where it delivers to.
    pub(crate) fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.state.lock().seat.as_ref().map(|seat| Arc::clone(&seat.sink))
    }

    /// How many events are unsettled.
    pub(crate) fn unsettled(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// As [`Queue::movable`].
    pub(crate) fn movable(&self, limit: usize) -> Vec<Load> {
        self.state.lock().queue.movable(limit)
    }

    /// As [`Queue::discard`].
    pub(crate) fn discard(&self) -> usize {
        self.state.lock().queue.discard()
    }
}

/// What follows from a settlement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    pub(crate) is_first: bool,
    pub(crate) is_to_be_fed: bool,
    pub(crate) has_ended: bool,
}

impl State {
    fn has_work(&self) -> bool {
        self.on_the_way == 0 && self.seat.as_ref().is_some_and(|seat| self.queue.has_work(seat.window))
    }
}
