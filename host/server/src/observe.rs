//! Who watches: the book of log lines and its echo, those who tail topics, publishers that wait for their event to be
//! settled, and those who count and trace.
//!
//! The event path calls in here and is never held up: each part takes a short lock or none, and what a slow reader
//! cannot take is counted and dropped for that reader alone.

pub(crate) mod changes;
pub(crate) mod echo;
pub(crate) mod logbook;
pub(crate) mod meter;
pub(crate) mod metrics;
pub(crate) mod outcomes;
pub(crate) mod process;
pub(crate) mod tails;
pub(crate) mod traces;
pub(crate) mod usage;
pub(crate) mod waiters;

use std::sync::Arc;

use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Clock, Observe, Pause, Settled};
use hostel_event::subscription::SubscriptionId;

use changes::{Change, Changes};
use echo::Echo;
use logbook::LogBook;
use meter::Meter;
use outcomes::{Ending, Outcomes};
use tails::Tails;
use traces::Traces;
use waiters::Waiters;

/// All who watch.
pub(crate) struct Watchers {
    clock: Arc<dyn Clock>,
    /// What handlers logged.
    pub(crate) logbook: LogBook,
    /// Who follows what changes of handlers.
    pub(crate) changes: Changes,
    /// Who sees events go by.
    pub(crate) tails: Tails,
    /// Who waits for an event.
    pub(crate) waiters: Waiters,
    /// Who sees how things end.
    pub(crate) outcomes: Outcomes,
    /// Who counts.
    pub(crate) meter: Meter,
    /// Who tells collectors of traces.
    pub(crate) traces: Traces,
    /// Who writes what handlers log into the host's own log, where that is asked for.
    echo: Option<Echo>,
}

impl Watchers {
    pub(crate) fn new(clock: Arc<dyn Clock>, traces: Traces, echo: Option<Echo>) -> Self {
        Self {
            logbook: LogBook::default(),
            changes: Changes::default(),
            tails: Tails::default(),
            waiters: Waiters::default(),
            outcomes: Outcomes::default(),
            meter: Meter::new(Arc::clone(&clock)),
            traces,
            echo,
            clock,
        }
    }

    /// Hands over what waits for those outside, as long as that takes a few seconds at most.
    pub(crate) async fn close(&self) {
        self.traces.close().await;
        if let Some(echo) = &self.echo {
            echo.close().await;
        }
    }
}

impl Watchers {
    fn gated(&self, subscription: &SubscriptionId, pause: Option<&Pause>) {
        if let Some(change) = Change::gate(self.clock.wall(), subscription, pause) {
            self.changes.show(change);
        }
    }
}

impl Observe for Watchers {
    fn published(&self, event: &Arc<Event>) {
        self.tails.show(event);
        self.meter.published(event);
        self.traces.published(event, || self.clock.wall());
    }

    fn refused(&self, tenant: &Tenant) {
        self.meter.refused(tenant);
    }

    fn attempted(&self, event: &Arc<Event>, subscription: &SubscriptionId, attempt: &Attempt) {
        self.meter.attempted(subscription, attempt);
        self.traces.attempted(event, subscription, attempt);
        self.waiters.attempted(event, subscription, attempt);
        self.logbook.write(event, subscription, attempt);
        if let Some(echo) = &self.echo {
            echo.say(event, subscription, attempt);
        }
        self.outcomes.show(event, subscription, || Ending::Attempt(Box::new(attempt.clone())));
    }

    fn settled(&self, event: &Arc<Event>, subscription: &SubscriptionId, settled: &Settled) {
        self.meter.settled(subscription, settled);
        self.traces.settled(event, subscription, settled, || self.clock.wall());
        self.waiters.settled(event, subscription, settled);
        self.outcomes.show(event, subscription, || Ending::Settled(settled.clone()));
    }
    fn paused(&self, subscription: &SubscriptionId, pause: &Pause) {
        self.gated(subscription, Some(pause));
    }

    fn resumed(&self, subscription: &SubscriptionId) {
        self.gated(subscription, None);
    }
}
