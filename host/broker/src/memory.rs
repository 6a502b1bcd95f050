//! The broker that keeps everything in memory and forgets it when the process ends.
//!
//! It has no queue of its own: an accepted event goes to the sink of each matching subscription at once, and what is
//! counted here is how much is out. That count is the bound: when a subscription has `window` deliveries out, or all
//! events together take `Settings::bytes`, a publish is refused whole and its publisher told to come again.
//!
//! A publish takes the table of subscriptions for reading only, so publishers do not wait for one another.
//!
//! What an attempt did takes effect with its ack in one step: its writes are checked and done under one lock, and then
//! what it published goes out, which cannot fail any more. It goes beyond windows and bytes if it must, since there was
//! room when the handler asked; by how much is bounded by what the attempts that run may do.
//!
//! A token that is dropped unused gives the event up, unless its subscription has ended and was a member of a queue
//! group: then another member gets it.

mod dead_letters;
mod key_value;
mod token;

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::{Mutex, RwLock};

use hostel_event::delivery::Delivery;
use hostel_event::id::Ids;
use hostel_event::key_value::{Effects, Key};
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::port::{
    Admitted, Broker, Clock, DeadLetters, Guarantees, KeyValue, Pause, PublishError, Receipt, Sink, Start,
    SubscribeError, Unsubscribed,
};
use hostel_event::routes::Routes;
use hostel_event::subscription::{Audience, Subscription, SubscriptionId};

use crate::choice::{Choice, Chooser, Member};
use dead_letters::Graveyard;
use key_value::Store;
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
    /// Bytes of all keys and values that handlers keep.
    pub key_value_bytes: usize,
    /// How a queue group chooses among its members.
    pub choice: Choice,
    /// Where the lots of that choice begin.
    pub seed: u64,
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
    chooser: Chooser,
    graveyard: Graveyard,
    store: Store,
}

#[derive(Default)]
struct Table {
    routes: HashMap<Tenant, Routes<Arc<Entry>>>,
    entries: HashMap<SubscriptionId, Arc<Entry>>,
}

/// A subscription under the rules of now.
pub(crate) struct Entry {
    subscription: Arc<Subscription>,
    sink: Arc<dyn Sink>,
    account: Arc<Account>,
}

/// What there is of a subscription, whichever rules it goes by; shared by the entries that replace one another.
#[derive(Default)]
struct Account {
    /// Its deliveries that are out.
    out: AtomicUsize,
    /// Whose turn it is in the queue group of which this is the first member.
    turn: AtomicUsize,
    /// It has ended.
    ended: AtomicBool,
    /// Why nothing of it starts.
    pause: Mutex<Option<Pause>>,
    /// What it had when it ended and another member of its queue group has now.
    handed_over: AtomicUsize,
}

impl Entry {
    /// Takes one place in the window, if there is one.
    fn reserve(&self) -> bool {
        let window = self.subscription.window;
        self.account
            .out
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |out| (out < window).then_some(out + 1))
            .is_ok()
    }

    /// Takes a place even beyond the window, for what was taken on before: by another member of the group, or when there
    /// was room.
    fn reserve_beyond(&self) {
        self.account.out.fetch_add(1, Ordering::AcqRel);
    }

    fn has_room(&self) -> bool {
        self.account.out.load(Ordering::Acquire) < self.subscription.window
    }

    fn release(&self) {
        self.account.out.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Member for Entry {
    fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    fn out(&self) -> usize {
        self.account.out.load(Ordering::Acquire)
    }

    fn turn(&self) -> &AtomicUsize {
        &self.account.turn
    }
}

impl Memory {
    /// An empty broker.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, ids: Ids) -> Self {
        let graveyard = Graveyard::new(settings, clock, ids);
        let chooser = Chooser::new(settings.choice, settings.seed);
        let (table, bytes) = (RwLock::default(), AtomicUsize::new(0));
        let store = Store::new(settings.key_value_bytes);
        let shared = Shared { settings, table, bytes, chooser, graveyard, store };
        Self { shared: Arc::new(shared) }
    }

    /// Bytes of all events that are not settled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Acquire)
    }

    fn keep(&self, event: Arc<Event>, audience: &Audience) -> Result<Receipt, PublishError> {
        let table = self.shared.table.read();
        let chosen = match table.routes.get(&event.tenant) {
            Some(routes) => self.shared.chooser.choose(routes, &event.topic, audience),
            None => Vec::new(),
        };
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
            deliver(&self.shared, entry, &kept);
        }
        Ok(receipt)
    }

    /// Whether [`keep`](Self::keep) would find room.
    fn has_room(&self, event: &Event, audience: &Audience) -> Result<(), PublishError> {
        let table = self.shared.table.read();
        let Some(routes) = table.routes.get(&event.tenant) else { return Ok(()) };
        let mut hearers: Vec<&Arc<Entry>> = Vec::new();
        routes.visit(&event.topic, |entry| {
            if audience.includes(&entry.subscription) {
                hearers.push(entry);
            }
        });
        if hearers.is_empty() {
            return Ok(());
        }
        let bytes = self.shared.bytes.load(Ordering::Acquire).saturating_add(event.bytes());
        if bytes > self.shared.settings.bytes {
            return Err(overloaded("the memory broker".to_owned()));
        }
        // Nobody is chosen yet, which would use up a turn: of a queue group it is enough that one member has room.
        let stands_in = |full: &Entry| {
            let shares = |entry: &Entry| entry.subscription.shares_with(&full.subscription);
            hearers.iter().any(|entry| shares(entry) && entry.has_room())
        };
        match hearers.iter().find(|entry| !entry.has_room() && !stands_in(entry)) {
            None => Ok(()),
            Some(entry) => Err(full(entry)),
        }
    }

    fn begin(&self, subscription: Arc<Subscription>, sink: Arc<dyn Sink>) -> Result<(), SubscribeError> {
        if subscription.start != Start::Latest {
            let text = "this one keeps no events that are settled, so that no subscription begins with them";
            return Err(SubscribeError::Broker(text.to_owned()));
        }
        let mut table = self.shared.table.write();
        if table.entries.contains_key(&subscription.id) {
            return Err(SubscribeError::Exists(subscription.id.clone()));
        }
        table.insert(&Arc::new(Entry { subscription, sink, account: Arc::default() }));
        Ok(())
    }

    fn change(&self, subscription: Arc<Subscription>) -> Result<(), SubscribeError> {
        let mut table = self.shared.table.write();
        let old = table.remove(&subscription.id)?;
        let (sink, account) = (Arc::clone(&old.sink), Arc::clone(&old.account));
        table.insert(&Arc::new(Entry { subscription, sink, account }));
        Ok(())
    }

    fn end(&self, id: &SubscriptionId) -> Result<Unsubscribed, SubscribeError> {
        let mut table = self.shared.table.write();
        let entry = table.remove(id)?;
        // Before the table is free: no token may find neither its own entry nor another.
        entry.account.ended.store(true, Ordering::Release);
        drop(table);
        // The table is free again: forgetting drops tokens, which look for another member of the group in it, and who
        // settles or publishes meanwhile must not wait.
        let forgotten = entry.sink.forget(id);
        let handed_over = entry.account.handed_over.load(Ordering::Acquire);
        Ok(Unsubscribed { discarded: forgotten.saturating_sub(handed_over), handed_over })
    }
}

/// Hands out a delivery for which a place is reserved.
fn deliver(shared: &Arc<Shared>, entry: &Arc<Entry>, kept: &Arc<Kept>) {
    let token = Token::new(Arc::clone(entry), Arc::clone(kept), Arc::clone(shared));
    entry.sink.deliver(Delivery {
        subscription: entry.subscription.id.clone(),
        event: Arc::clone(kept.event()),
        history: Vec::new(),
        settle: Box::new(token),
    });
}

/// Gives what an ended subscription had to another member of its queue group, if there is one.
fn hand_over(shared: &Arc<Shared>, ended: &Entry, kept: &Arc<Kept>) {
    let table = shared.table.read();
    let Some(routes) = table.routes.get(&ended.subscription.source) else { return };
    let mut members: Vec<&Arc<Entry>> = Vec::new();
    routes.visit(&kept.event().topic, |entry| {
        if entry.subscription.shares_with(&ended.subscription) {
            members.push(entry);
        }
    });
    if let Some(member) = shared.chooser.pick(&members) {
        member.reserve_beyond();
        ended.account.handed_over.fetch_add(1, Ordering::AcqRel);
        deliver(shared, member, kept);
    }
}

/// Takes a place in the window of each, or of none.
fn reserve_all(entries: &[&Arc<Entry>]) -> Result<(), PublishError> {
    for (done, entry) in entries.iter().enumerate() {
        if !entry.reserve() {
            entries.iter().take(done).for_each(|reserved| reserved.release());
            return Err(full(entry));
        }
    }
    Ok(())
}

fn full(entry: &Entry) -> PublishError {
    overloaded(format!("subscription `{}`", entry.subscription.id))
}

fn overloaded(what: String) -> PublishError {
    PublishError::Overloaded { what, retry_after: RETRY_AFTER }
}

/// Has all of these take effect, or none where a key was written by another.
fn commit(shared: &Arc<Shared>, effects: Effects) -> Result<(), Key> {
    let Effects { publications, writes } = effects;
    if !writes.is_empty() {
        shared.store.write_beyond(writes)?;
    }
    if publications.is_empty() {
        return Ok(());
    }
    let table = shared.table.read();
    for Admitted { event, audience, .. } in publications {
        let Some(routes) = table.routes.get(&event.tenant) else { continue };
        let chosen = shared.chooser.choose(routes, &event.topic, &audience);
        if chosen.is_empty() {
            continue;
        }
        let kept = Kept::reserve_beyond(event, shared);
        for entry in chosen {
            entry.reserve_beyond();
            deliver(shared, entry, &kept);
        }
    }
    Ok(())
}

impl Table {
    fn insert(&mut self, entry: &Arc<Entry>) {
        let Subscription { id, source, pattern, .. } = &*entry.subscription;
        self.routes.entry(source.clone()).or_default().insert(pattern, Arc::clone(entry));
        self.entries.insert(id.clone(), Arc::clone(entry));
    }

    fn remove(&mut self, id: &SubscriptionId) -> Result<Arc<Entry>, SubscribeError> {
        let entry = self.entries.remove(id).ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
        let Subscription { source, pattern, .. } = &*entry.subscription;
        if let Some(routes) = self.routes.get_mut(source) {
            routes.remove(pattern, |other| other.subscription.id == *id);
            if routes.is_empty() {
                self.routes.remove(source);
            }
        }
        Ok(entry)
    }
}

impl Broker for Memory {
    fn guarantees(&self) -> Guarantees {
        Guarantees { durable: false, acks: true, redelivers: false, delays: false, orders: true, atomic_effects: true }
    }

    fn publish(&self, admitted: Admitted) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(ready(self.keep(admitted.event, &admitted.audience)))
    }

    fn room_for(&self, admitted: &Admitted) -> Result<(), PublishError> {
        self.has_room(&admitted.event, &admitted.audience)
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

    fn keep_pause(&self, id: &SubscriptionId, pause: Option<Pause>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        let kept = match self.shared.table.read().entries.get(id) {
            Some(entry) => {
                *entry.account.pause.lock() = pause;
                Ok(())
            }
            None => Err(SubscribeError::Unknown(id.clone())),
        };
        Box::pin(ready(kept))
    }

    fn kept_pause(&self, id: &SubscriptionId) -> Option<Pause> {
        self.shared.table.read().entries.get(id).and_then(|entry| entry.account.pause.lock().clone())
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        self
    }

    fn key_value(&self) -> &dyn KeyValue {
        &self.shared.store
    }
}

#[cfg(test)]
mod tests;
