//! Those who see how attempts and events end, such as `hostel dev`.

use std::sync::Arc;

use tokio::sync::broadcast;

use hostel_event::message::Event;
use hostel_event::outcome::Attempt;
use hostel_event::port::Settled;
use hostel_event::subscription::SubscriptionId;

/// Endings that a watcher may be behind before it loses some.
const BEHIND: usize = 1024;

/// What became of an event in a subscription, for now or for good.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) event: Arc<Event>,
    pub(crate) subscription: SubscriptionId,
    pub(crate) ending: Ending,
}

/// What ended.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// An attempt. Boxed: it is many times the size of the other.
    Attempt(Box<Attempt>),
    /// All of them.
    Settled(Settled),
}

/// See the module's page.
pub(crate) struct Outcomes {
    watchers: broadcast::Sender<Outcome>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { watchers: broadcast::Sender::new(BEHIND) }
    }
}

impl Outcomes {
    /// Shows how something ended to whoever watches.
    pub(crate) fn show(&self, event: &Arc<Event>, subscription: &SubscriptionId, ending: impl FnOnce() -> Ending) {
        // The usual case is that nobody does, and then nothing is locked or cloned.
        if self.watchers.receiver_count() > 0 {
            let outcome = Outcome { event: Arc::clone(event), subscription: subscription.clone(), ending: ending() };
            // The last watcher may have left in between, which is no error.
            let _ = self.watchers.send(outcome);
        }
    }

    /// Begins to watch: everything of every tenant from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Outcome> {
        self.watchers.subscribe()
    }
}
