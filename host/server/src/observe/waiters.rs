//! Publishers that wait for their event to be settled.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use hostel_event::id::EventId;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::Settled;
use hostel_event::subscription::SubscriptionId;

type Key = (Tenant, EventId);

/// See the module's page.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Arc<Registered>,
}

#[derive(Default)]
struct Registered {
    /// How many wait. Read before the lock is taken: the usual case is that nobody does.
    count: AtomicUsize,
    /// Two publishers may wait for one id, when both gave it.
    by_event: Mutex<HashMap<Key, Vec<Arc<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    progress: Mutex<HashMap<SubscriptionId, Progress>>,
    changed: Notify,
}

/// How far a subscription is with an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Attempts that ended, oldest first.
    pub(crate) attempts: Vec<Attempt>,
    /// How it ended; `None` while it has not.
    pub(crate) settled: Option<Settled>,
}

/// A place in the queue of those who wait. Made before the event is published, so that nothing is missed; gone with
/// this value.
pub(crate) struct Waiter {
    key: Key,
    slot: Arc<Slot>,
    waiting: Arc<Registered>,
}

impl Waiters {
    /// Begins to collect what happens to an event that is about to be published.
    pub(crate) fn expect(&self, tenant: Tenant, id: EventId) -> Waiter {
        let (key, slot) = ((tenant, id), Arc::new(Slot::default()));
        self.waiting.by_event.lock().entry(key.clone()).or_default().push(Arc::clone(&slot));
        self.waiting.count.fetch_add(1, Ordering::AcqRel);
        Waiter { key, slot, waiting: Arc::clone(&self.waiting) }
    }

    pub(crate) fn attempted(&self, event: &Event, subscription: &SubscriptionId, attempt: &Attempt) {
        self.tell(event, subscription, |progress| progress.attempts.push(attempt.clone()));
    }

    pub(crate) fn settled(&self, event: &Event, subscription: &SubscriptionId, settled: &Settled) {
        self.tell(event, subscription, |progress| progress.settled = Some(settled.clone()));
    }

    fn tell(&self, event: &Event, subscription: &SubscriptionId, change: impl Fn(&mut Progress)) {
        if self.waiting.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let waiting = self.waiting.by_event.lock();
        let Some(slots) = waiting.get(&(event.tenant.clone(), event.id.clone())) else { return };
        for slot in slots {
            change(slot.progress.lock().entry(subscription.clone()).or_default());
            slot.changed.notify_waiters();
        }
    }
}

impl Waiter {
    /// Waits until each of these subscriptions is done with the event, or `patience` is over; says how far each is,
    /// in the order asked. Cancelling is safe.
    pub(crate) async fn wait(
        self,
        subscriptions: &[SubscriptionId],
        patience: Duration,
    ) -> Vec<(SubscriptionId, Progress)> {
        let all_settled = async {
            loop {
                let mut changed = std::pin::pin!(self.slot.changed.notified());
                // Enabled before the look, so that a change between the look and the wait is noticed.
                changed.as_mut().enable();
                let done = {
                    let progress = self.slot.progress.lock();
                    let settled = |id| progress.get(id).is_some_and(|progress: &Progress| progress.settled.is_some());
                    subscriptions.iter().all(settled)
                };
                if done {
                    return;
                }
                changed.await;
            }
        };
        // Whether it ended in time shows in the progress itself.
        let _ = tokio::time::timeout(patience, all_settled).await;
        let progress = self.slot.progress.lock();
        subscriptions.iter().map(|id| (id.clone(), progress.get(id).cloned().unwrap_or_default())).collect()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiting.by_event.lock();
        if let Some(slots) = waiting.get_mut(&self.key) {
            slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
            if slots.is_empty() {
                waiting.remove(&self.key);
            }
        }
        self.waiting.count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::message::Message;
    use hostel_event::name::HandlerName;
    use hostel_event::pattern::Pattern;
    use hostel_event::time::Timestamp;
    use hostel_event::topic::Topic;

    use super::*;

    fn event(tenant: &str) -> Event {
        Event {
            id: EventId::new("1").unwrap(),
            tenant: Tenant::new(tenant).unwrap(),
            topic: Topic::new("a").unwrap(),
            published_at: Timestamp::default(),
            expires_at: None,
            message: Message::default(),
        }
    }

    fn subscription(handler: &str) -> SubscriptionId {
        let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new(handler).unwrap());
        SubscriptionId::new(&tenant, &handler, &Pattern::new("a").unwrap())
    }

    fn expect(waiters: &Waiters) -> Waiter {
        let event = event("acme");
        waiters.expect(event.tenant, event.id)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_settled_before_the_wait_began_counts() {
        let waiters = Waiters::default();
        let waiter = expect(&waiters);
        waiters.settled(&event("acme"), &subscription("a"), &Settled::Ack);
        let progress = waiter.wait(&[subscription("a")], Duration::from_secs(60)).await;
        assert_eq!(progress[0].1.settled, Some(Settled::Ack));
        assert_eq!(waiters.waiting.by_event.lock().len(), 0);
        assert_eq!(waiters.waiting.count.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_when_the_last_is_settled() {
        let waiters = Arc::new(Waiters::default());
        let waiter = expect(&waiters);
        let wanted = [subscription("a"), subscription("b")];
        let waiting = tokio::spawn(async move { waiter.wait(&wanted, Duration::from_secs(60)).await });
        waiters.settled(&event("acme"), &subscription("a"), &Settled::Ack);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        waiters.settled(&event("acme"), &subscription("b"), &Settled::Discarded);
        let progress = waiting.await.unwrap();
        assert_eq!(progress[1].1.settled, Some(Settled::Discarded));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_wait_tells_how_far_it_was() {
        let waiters = Waiters::default();
        let waiter = expect(&waiters);
        waiters.settled(&event("rival"), &subscription("a"), &Settled::Ack);
        let progress = waiter.wait(&[subscription("a")], Duration::from_secs(1)).await;
        assert_eq!(progress[0].1.settled, None, "another tenant's event of the same id is another event");
    }
}
