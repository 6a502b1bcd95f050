//! The broker that keeps everything in memory and forgets it when the process ends.
//!
//! It has no queue of its own: an accepted event goes to the sink of each matching subscription at once, and what is
//! counted here is how much is out. That count is the bound: when a subscription has `window` deliveries out, or all
//! events together take `Settings::bytes`, a publish is refused whole and its publisher told to come again.
//!
//! A publish takes the table of subscriptions for reading only, so publishers do not wait for one another.

mod dead_letters;
mod token;

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::RwLock;

use hostel_event::delivery::Delivery;
use hostel_event::id::Ids;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::port::{
    Broker, Clock, DeadLetters, Guarantees, PublishError, Receipt, Sink, SubscribeError, Unsubscribed,
};
use hostel_event::routes::Routes;
use hostel_event::subscription::{Subscription, SubscriptionId};

use dead_letters::Graveyard;
use token::{Kept, Token};

/// When a publisher that found no room should come again. Arbitrary: a handler that is behind by a whole window needs
/// about that long to make room worth coming for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of all events that are not settled.
    pub bytes: usize,
    /// How many dead letters are kept; the oldest go first.
    pub dead_letters: usize,
    /// Bytes of all dead letters; the oldest go first.
    pub dead_letter_bytes: usize,
}

/// The memory broker. Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    settings: Settings,
    table: RwLock<Table>,
    /// Bytes of all events that are not settled.
    bytes: AtomicUsize,
    graveyard: Graveyard,
}

#[derive(Default)]
struct Table {
    routes: HashMap<Tenant, Routes<Arc<Entry>>>,
    entries: HashMap<SubscriptionId, Arc<Entry>>,
}

/// A subscription and how many of its deliveries are out.
pub(crate) struct Entry {
    subscription: Arc<Subscription>,
    sink: Arc<dyn Sink>,
    /// Shared with the entry that replaces this one when the subscription changes.
    out: Arc<AtomicUsize>,
}

impl Entry {
    /// Takes one place in the window, if there is one.
    fn reserve(&self) -> bool {
        let window = self.subscription.window;
        self.out.fetch_update(Ordering::AcqRel, Ordering::Acquire, |out| (out < window).then_some(out + 1)).is_ok()
    }

    fn release(&self) {
        self.out.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Memory {
    /// An empty broker.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, ids: Ids) -> Self {
        let graveyard = Graveyard::new(settings, clock, ids);
        let shared = Shared { settings, table: RwLock::default(), bytes: AtomicUsize::new(0), graveyard };
        Self { shared: Arc::new(shared) }
    }

    /// Bytes of all events that are not settled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Acquire)
    }

    fn keep(&self, event: Arc<Event>) -> Result<Receipt, PublishError> {
        let table = self.shared.table.read();
        let chosen = table.routes.get(&event.tenant).map(|routes| choose(routes, &event)).unwrap_or_default();
        let mut receipt = Receipt { id: event.id.clone(), subscriptions: Vec::with_capacity(chosen.len()) };
        if chosen.is_empty() {
            return Ok(receipt);
        }
        let kept = Kept::reserve(event, &self.shared)?;
        reserve_all(&chosen)?;
        // The table is held while delivering, so that a subscription that ends either gets this event before it ends
        // or not at all.
        for entry in chosen {
            receipt.subscriptions.push(entry.subscription.id.clone());
            self.deliver(entry, &kept);
        }
        Ok(receipt)
    }

    /// Hands over a delivery for which a place is reserved.
    fn deliver(&self, entry: &Arc<Entry>, kept: &Arc<Kept>) {
        let token = Token::new(Arc::clone(entry), Arc::clone(kept), Arc::clone(&self.shared));
        entry.sink.deliver(Delivery {
            subscription: entry.subscription.id.clone(),
            event: Arc::clone(kept.event()),
            history: Vec::new(),
            settle: Box::new(token),
        });
    }

    fn begin(&self, subscription: Arc<Subscription>, sink: Arc<dyn Sink>) -> Result<(), SubscribeError> {
        let mut table = self.shared.table.write();
        if table.entries.contains_key(&subscription.id) {
            return Err(SubscribeError::Exists(subscription.id.clone()));
        }
        table.insert(&Arc::new(Entry { subscription, sink, out: Arc::default() }));
        Ok(())
    }

    fn change(&self, subscription: Arc<Subscription>) -> Result<(), SubscribeError> {
        let mut table = self.shared.table.write();
        let old = table.remove(&subscription.id)?;
        table.insert(&Arc::new(Entry { subscription, sink: Arc::clone(&old.sink), out: Arc::clone(&old.out) }));
        Ok(())
    }

    fn end(&self, id: &SubscriptionId) -> Result<Unsubscribed, SubscribeError> {
        let entry = self.shared.table.write().remove(id)?;
        // The table is free again: forgetting drops tokens, and who settles or publishes meanwhile must not wait.
        Ok(Unsubscribed { discarded: entry.sink.forget(id) })
    }
}

/// Every broadcast subscription that hears the event, and of each queue group the member with the least to do.
fn choose<'a>(routes: &'a Routes<Arc<Entry>>, event: &Event) -> Vec<&'a Arc<Entry>> {
    let mut chosen: Vec<&Arc<Entry>> = Vec::new();
    routes.visit(&event.topic, |entry| {
        let Some(queue) = &entry.subscription.queue else { return chosen.push(entry) };
        let rival = chosen.iter_mut().find(|other| other.subscription.queue.as_ref() == Some(queue));
        match rival {
            None => chosen.push(entry),
            Some(rival) => {
                if load(entry) < load(rival) {
                    *rival = entry;
                }
            }
        }
    });
    chosen
}

/// How busy a member of a queue group is: its deliveries out for each that may run at the same time. In 1/1024.
fn load(entry: &Entry) -> usize {
    entry.out.load(Ordering::Acquire).saturating_mul(1024) / entry.subscription.concurrency.max(1)
}

/// Takes a place in the window of each, or of none.
fn reserve_all(entries: &[&Arc<Entry>]) -> Result<(), PublishError> {
    for (done, entry) in entries.iter().enumerate() {
        if !entry.reserve() {
            entries.iter().take(done).for_each(|reserved| reserved.release());
            let what = format!("subscription `{}`", entry.subscription.id);
            return Err(PublishError::Overloaded { what, retry_after: RETRY_AFTER });
        }
    }
    Ok(())
}

impl Table {
    fn insert(&mut self, entry: &Arc<Entry>) {
        let Subscription { id, tenant, pattern, .. } = &*entry.subscription;
        self.routes.entry(tenant.clone()).or_default().insert(pattern, Arc::clone(entry));
        self.entries.insert(id.clone(), Arc::clone(entry));
    }

    fn remove(&mut self, id: &SubscriptionId) -> Result<Arc<Entry>, SubscribeError> {
        let entry = self.entries.remove(id).ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
        let Subscription { tenant, pattern, .. } = &*entry.subscription;
        if let Some(routes) = self.routes.get_mut(tenant) {
            routes.remove(pattern, |other| other.subscription.id == *id);
            if routes.is_empty() {
                self.routes.remove(tenant);
            }
        }
        Ok(entry)
    }
}

impl Broker for Memory {
    fn guarantees(&self) -> Guarantees {
        Guarantees { durable: false, acks: true, redelivers: false, delays: false, orders: true, atomic_effects: false }
    }

    fn publish(&self, event: Arc<Event>) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(ready(self.keep(event)))
    }

    fn subscribe(
        &self,
        subscription: Arc<Subscription>,
        sink: Arc<dyn Sink>,
    ) -> BoxFuture<'_, Result<(), SubscribeError>> {
        Box::pin(ready(self.begin(subscription, sink)))
    }

    fn resubscribe(&self, subscription: Arc<Subscription>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        Box::pin(ready(self.change(subscription)))
    }

    fn unsubscribe(&self, id: &SubscriptionId) -> BoxFuture<'_, Result<Unsubscribed, SubscribeError>> {
        Box::pin(ready(self.end(id)))
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        self
    }
}

#[cfg(test)]
mod tests;
