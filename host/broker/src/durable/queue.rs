//! What is unsettled under one number, in order: what waits, what is held. Pure bookkeeping, told everything.
//!
//! An event waits until there is a place in the window; from then on it is held until it is settled: out at the sink,
//! asleep until its next attempt, or to be delivered again. What waits takes 16 bytes each, what is held some 50.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hostel_log::record::Offset;

/// This broker's number for a topic, for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicKey(pub(crate) u32);

/// An event's place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    pub(crate) topic: TopicKey,
}

/// What is to be read and delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) place: Place,
    /// Whether the log remembers attempts.
    pub(crate) has_history: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the sink, or on its way there.
    Out,
    /// Until its timer says.
    Asleep,
    /// To be delivered again, before all that waits.
    Again,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    topic: TopicKey,
    has_history: bool,
    state: State,
}

/// Everything unsettled under a number.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Place>,
    held: BTreeMap<Offset, Held>,
    again: BTreeSet<Offset>,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new(), held: BTreeMap::new(), again: BTreeSet::new() }
    }

    /// Whether nothing stands before an event that comes now.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty()
    }

    /// How many take a place in the window.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// How many wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many are unsettled.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.held.len()
    }

    /// The lowest that is unsettled.
    pub(crate) fn lowest(&self) -> Option<Offset> {
        let waiting = self.waiting.front().map(|place| place.offset);
        let held = self.held.first_key_value().map(|(offset, _)| *offset);
        waiting.into_iter().chain(held).min()
    }

    /// One more waits, behind all others.
    pub(crate) fn wait(&mut self, place: Place) {
        self.waiting.push_back(place);
    }

    /// One is given to the sink without waiting.
    pub(crate) fn hold(&mut self, place: Place) {
        self.held.insert(place.offset, Held { topic: place.topic, has_history: false, state: State::Out });
    }

    /// One sleeps that failed in an earlier life of the process.
    pub(crate) fn hold_asleep(&mut self, place: Place) {
        self.held.insert(place.offset, Held { topic: place.topic, has_history: true, state: State::Asleep });
    }

    /// Whether something could be taken, with a window this large.
    pub(crate) fn has_work(&self, window: usize) -> bool {
        !self.again.is_empty() || (!self.waiting.is_empty() && self.held.len() < window)
    }

    /// The next to be delivered, at most `limit`, in order: what comes again, then what waits and finds a place.
    pub(crate) fn take(&mut self, window: usize, limit: usize) -> Vec<Load> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(offset) = self.again.pop_first()
        {
            if let Some(held) = self.held.get_mut(&offset) {
                held.state = State::Out;
                taken.push(Load { place: Place { offset, topic: held.topic }, has_history: held.has_history });
            }
        }
        while taken.len() < limit
            && self.held.len() < window
            && let Some(place) = self.waiting.pop_front()
        {
            self.hold(place);
            taken.push(Load { place, has_history: false });
        }
        taken
    }

    /// One that is out comes again, before all that waits.
    pub(crate) fn put_back(&mut self, offset: Offset) {
        if let Some(held) = self.held.get_mut(&offset) {
            held.state = State::Again;
            self.again.insert(offset);
        }
    }

    /// One that is out sleeps; with `attempts`, the log remembers some from now on.
    pub(crate) fn sleep(&mut self, offset: Offset, attempts: Attempts) {
        if let Some(held) = self.held.get_mut(&offset) {
            held.state = State::Asleep;
            held.has_history |= attempts == Attempts::Remembered;
        }
    }

    /// One that sleeps comes again; `false` if it does not sleep.
    pub(crate) fn wake(&mut self, offset: Offset) -> bool {
        let is_asleep = self.held.get(&offset).is_some_and(|held| held.state == State::Asleep);
        if is_asleep {
            self.put_back(offset);
        }
        is_asleep
    }

    /// One is settled.
    pub(crate) fn finish(&mut self, offset: Offset) {
        self.held.remove(&offset);
        self.again.remove(&offset);
    }

    /// Some that nobody works on, at most `limit`, to be given to somebody else. They stay until they are finished.
    pub(crate) fn movable(&mut self, limit: usize) -> Vec<Load> {
        let mut idle = self.held.values().filter(|held| held.state != State::Out).count();
        while idle < limit
            && let Some(place) = self.waiting.pop_front()
        {
            self.held.insert(place.offset, Held { topic: place.topic, has_history: false, state: State::Asleep });
            idle += 1;
        }
        let idle = self.held.iter().filter(|(_, held)| held.state != State::Out);
        let load = |(offset, held): (&Offset, &Held)| Load {
            place: Place { offset: *offset, topic: held.topic },
            has_history: held.has_history,
        };
        idle.take(limit).map(load).collect()
    }

    /// Forgets what nobody works on and says how much that was.
    pub(crate) fn discard(&mut self) -> usize {
        let before = self.len();
        self.waiting.clear();
        self.again.clear();
        self.held.retain(|_, held| held.state == State::Out);
        before - self.len()
    }
}

/// Whether the log remembers attempts of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// It does, from now on.
    Remembered,
    /// As before.
    AsBefore,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Place {
        Place { offset: Offset(offset), topic: TopicKey(1) }
    }

    fn offsets(loads: &[Load]) -> Vec<u64> {
        loads.iter().map(|load| load.place.offset.0).collect()
    }

    #[test]
    fn a_waiting_place_takes_16_bytes() {
        assert_eq!(size_of::<Place>(), 16);
    }

    #[test]
    fn what_comes_again_goes_before_what_waits_and_needs_no_new_place() {
        let mut queue = Queue::new();
        (1..=5).for_each(|offset| queue.wait(place(offset)));
        assert_eq!(offsets(&queue.take(2, 10)), [1, 2]);
        assert!(!queue.has_work(2));
        queue.put_back(Offset(2));
        queue.put_back(Offset(1));
        assert!(queue.has_work(2));
        assert_eq!(offsets(&queue.take(3, 10)), [1, 2, 3]);
        assert_eq!((queue.held(), queue.len()), (3, 5));
    }

    #[test]
    fn what_sleeps_keeps_its_place_until_it_is_settled() {
        let mut queue = Queue::new();
        (1..=2).for_each(|offset| queue.wait(place(offset)));
        queue.take(1, 10);
        queue.sleep(Offset(1), Attempts::Remembered);
        assert!(!queue.has_work(1));
        assert!(queue.wake(Offset(1)));
        assert!(!queue.wake(Offset(1)), "it is awake");
        assert_eq!(queue.take(1, 10), [Load { place: place(1), has_history: true }]);
        queue.finish(Offset(1));
        assert_eq!(queue.lowest(), Some(Offset(2)));
        assert_eq!(offsets(&queue.take(1, 10)), [2]);
    }

    #[test]
    fn only_what_nobody_works_on_is_moved_or_discarded() {
        let mut queue = Queue::new();
        (1..=5).for_each(|offset| queue.wait(place(offset)));
        queue.take(2, 10);
        queue.put_back(Offset(2));
        assert_eq!(offsets(&queue.movable(2)), [2, 3]);
        assert_eq!(queue.discard(), 4);
        assert_eq!((queue.len(), queue.lowest()), (1, Some(Offset(1))));
    }
}
