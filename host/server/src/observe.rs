//! Who watches: the book of log lines, those who tail topics, and publishers that wait for their event to be settled.
//!
//! The event path calls in here and is never held up: each part takes a short lock or none, and what a slow reader
//! cannot take is counted and dropped for that reader alone.

pub(crate) mod logbook;
pub(crate) mod tails;
pub(crate) mod waiters;

use std::sync::Arc;

use hostel_event::message::Event;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Observe, Settled};
use hostel_event::subscription::SubscriptionId;

use logbook::LogBook;
use tails::Tails;
use waiters::Waiters;

/// All who watch.
#[derive(Default)]
pub(crate) struct Watchers {
    /// What handlers logged.
    pub(crate) logbook: LogBook,
    /// Who sees events go by.
    pub(crate) tails: Tails,
    /// Who waits for an event.
    pub(crate) waiters: Waiters,
}

impl Observe for Watchers {
    fn published(&self, event: &Arc<Event>) {
        self.tails.show(event);
    }

    fn refused(&self) {}

    fn attempted(&self, event: &Arc<Event>, subscription: &SubscriptionId, attempt: &Attempt) {
        self.waiters.attempted(event, subscription, attempt);
        self.logbook.write(event, subscription, attempt);
    }

    fn settled(&self, event: &Arc<Event>, subscription: &SubscriptionId, settled: &Settled) {
        self.waiters.settled(event, subscription, settled);
    }
}
