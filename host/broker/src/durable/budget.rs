//! The bytes of all events that are out, and their bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostel_event::message::Event;

use super::Shared;

/// How many bytes are out. Sequentially consistent, since the feeder says that it waits for room and then looks, while
/// others give back and then look whether it waits.
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// Whether it is worth reading what waits for room: an eighth is free, so that not every little bit that is given
    /// back has the same events read again in vain.
    pub(crate) fn is_worth_a_try(&self) -> bool {
        let used = self.used();
        used == 0 || used <= self.limit - self.limit / 8
    }
}

/// An event that is out. Gives its bytes back when the last delivery of it is gone.
pub(crate) struct Kept {
    event: Arc<Event>,
    bytes: usize,
    shared: Arc<Shared>,
}

impl Kept {
    /// Takes room for an event. One that is larger than all the room there is goes alone.
    pub(crate) fn reserve(event: &Arc<Event>, shared: &Arc<Shared>) -> Option<Arc<Self>> {
        let (bytes, limit) = (event.bytes(), shared.budget.limit);
        let grow = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= limit || used == 0);
        shared.budget.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, grow).ok()?;
        Some(Arc::new(Self { event: Arc::clone(event), bytes, shared: Arc::clone(shared) }))
    }

    pub(crate) const fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.budget.used.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.shared.budget.is_worth_a_try() {
            self.shared.feeding.room_came();
        }
    }
}
