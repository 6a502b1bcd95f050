//! Those who see events go by.

use std::sync::Arc;

use tokio::sync::broadcast;

use hostel_event::message::Event;

/// Events that a watcher may be behind before it loses some.
const BEHIND: usize = 1024;

/// See the module's page.
pub(crate) struct Tails {
    watchers: broadcast::Sender<Arc<Event>>,
}

impl Default for Tails {
    fn default() -> Self {
        Self { watchers: broadcast::Sender::new(BEHIND) }
    }
}

impl Tails {
    /// Shows an event to whoever watches.
    pub(crate) fn show(&self, event: &Arc<Event>) {
        // The usual case is that nobody does, and then nothing is locked or cloned.
        if self.watchers.receiver_count() > 0 {
            // The last watcher may have left in between, which is no error.
            let _ = self.watchers.send(Arc::clone(event));
        }
    }

    /// Begins to watch: every event of every tenant from now on; the caller picks what its reader may see.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Event>> {
        self.watchers.subscribe()
    }
}
