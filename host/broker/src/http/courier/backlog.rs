//! What waits for a remote subscription, in which order it comes, and what has to wait longer. No time but what it is
//! told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostel_event::delivery::Delivery;
use hostel_event::time::Moment;

/// A delivery and how it has fared.
pub(super) struct Parcel {
    pub(super) delivery: Delivery,
    pub(super) arrived: Moment,
    /// Attempts that a node answered with a failure.
    pub(super) refused: u32,
    /// Attempts that reached a node which gave no answer.
    pub(super) unanswered: u32,
    /// How many times in a row no node was reached.
    pub(super) rounds: u32,
    /// The nodes that could not be reached in this round.
    pub(super) tried: Vec<Arc<str>>,
    _weight: Weight,
}

impl Parcel {
    pub(super) fn new(delivery: Delivery, arrived: Moment, scale: &Arc<AtomicUsize>) -> Self {
        let weight = Weight::new(delivery.event.bytes(), scale);
        Self { delivery, arrived, refused: 0, unanswered: 0, rounds: 0, tried: Vec::new(), _weight: weight }
    }
}

/// The bytes of a parcel, on a scale that all couriers share.
struct Weight {
    bytes: usize,
    scale: Arc<AtomicUsize>,
}

impl Weight {
    fn new(bytes: usize, scale: &Arc<AtomicUsize>) -> Self {
        scale.fetch_add(bytes, Ordering::AcqRel);
        Self { bytes, scale: Arc::clone(scale) }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Whether a parcel that has to wait holds up those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It does.
    Kept,
    /// The others go on.
    Free,
}

/// Why a parcel waits until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// A node refused it.
    Refused,
    /// No node is reached. Over as soon as one may be.
    Away,
}

/// What there is to take.
pub(super) enum Take {
    Parcel(Parcel),
    /// Nothing before the moment.
    Until(Moment),
    Empty,
}

/// See the module's page.
pub(super) struct Backlog {
    order: Order,
    waiting: VecDeque<Parcel>,
    /// With order kept: until when the first one is held, and why.
    first: Option<(Moment, Hold)>,
    /// With order free: those that are held, by when that is over.
    held: BTreeMap<(Moment, u64), (Hold, Parcel)>,
    /// Tells those apart that are held until the same moment.
    next: u64,
}

impl Backlog {
    pub(super) fn new(order: Order) -> Self {
        Self { order, waiting: VecDeque::new(), first: None, held: BTreeMap::new(), next: 0 }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something may be taken now.
    pub(super) fn is_ready(&self, now: Moment) -> bool {
        let first_is_free = self.first.is_none_or(|(until, _)| until <= now);
        (!self.waiting.is_empty() && first_is_free) || self.held.keys().next().is_some_and(|(until, _)| *until <= now)
    }

    pub(super) fn push(&mut self, parcel: Parcel) {
        self.waiting.push_back(parcel);
    }

    pub(super) fn take(&mut self, now: Moment) -> Take {
        if let Some((until, _)) = self.first.filter(|(until, _)| !self.waiting.is_empty() && *until > now) {
            return Take::Until(until);
        }
        self.first = None;
        if let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= now) {
            return Take::Parcel(entry.remove().1);
        }
        match (self.waiting.pop_front(), self.held.keys().next()) {
            (Some(parcel), _) => Take::Parcel(parcel),
            (None, Some((until, _))) => Take::Until(*until),
            (None, None) => Take::Empty,
        }
    }

    /// Takes a parcel back to where it was.
    pub(super) fn put_back(&mut self, parcel: Parcel) {
        self.waiting.push_front(parcel);
    }

    /// Takes a parcel back that is not to be taken before a moment.
    pub(super) fn hold(&mut self, parcel: Parcel, until: Moment, why: Hold) {
        match self.order {
            Order::Kept => {
                self.waiting.push_front(parcel);
                self.first = Some((until, why));
            }
            Order::Free => {
                self.next += 1;
                self.held.insert((until, self.next), (why, parcel));
            }
        }
    }

    /// A node may be there again: what was held for want of one is free.
    pub(super) fn release(&mut self) {
        self.first = self.first.filter(|(_, why)| *why != Hold::Away);
        let free: Vec<(Moment, u64)> =
            self.held.iter().filter(|(_, (why, _))| *why == Hold::Away).map(|(key, _)| *key).collect();
        for key in free.iter().rev() {
            if let Some((_, parcel)) = self.held.remove(key) {
                self.waiting.push_front(parcel);
            }
        }
    }

    /// Takes out the oldest, held or not.
    pub(super) fn pop_oldest(&mut self) -> Option<Parcel> {
        if let Some((_, (_, parcel))) = self.held.pop_first() {
            return Some(parcel);
        }
        self.first = None;
        self.waiting.pop_front()
    }

    /// Takes out everything.
    pub(super) fn drain(&mut self) -> Vec<Parcel> {
        self.first = None;
        let held = std::mem::take(&mut self.held);
        held.into_values().map(|(_, parcel)| parcel).chain(self.waiting.drain(..)).collect()
    }
}
