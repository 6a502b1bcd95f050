//! Batches: changes of any kind that are kept together or not at all, and what must hold for them to be.

use crate::error::CommitError;
use crate::record::{
    DeadLetter, DeadLetterId, Delivery, Kind, Millis, Offset, ScheduledId, SeenKey, SubscriptionNumber, ValueKey,
    Version,
};

/// The longest name: tenant, topic, bucket, key, scope or id. Together with what the store adds, four of them fit into
/// a key.
pub const NAME_LIMIT: usize = 8192;

/// The most bytes in one batch. Sixteen messages of the largest size that the host takes by default.
pub const BATCH_LIMIT: usize = 16 << 20;

/// An id to remember with a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The id.
    pub key: SeenKey,
    /// An id that was seen before this time counts as new: the begin of the window.
    pub since: Millis,
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whose it is.
    pub tenant: String,
    /// Its topic. The topic is made when it is new.
    pub topic: String,
    /// When it was published.
    pub at: Millis,
    /// The event, opaque.
    pub bytes: Vec<u8>,
    /// With an id, an event that was seen before is not kept again; the rest of the batch is.
    pub once: Option<Once>,
}

/// An event to publish later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When.
    pub due: Millis,
    /// Now, for the id.
    pub at: Millis,
    /// Whose it is.
    pub tenant: String,
    /// Where.
    pub topic: String,
    /// The event, opaque.
    pub bytes: Vec<u8>,
    /// With an id, an event that was seen before is not kept again; the rest of the batch is.
    pub once: Option<Once>,
}

/// What must hold when the batch's turn comes, before any of its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The value has this version; [`Version::ABSENT`] if it must not be there.
    Value(ValueKey, Version),
    /// The document has this version; [`Version::ABSENT`] if it must not be there.
    Document(Kind, String, Version),
    /// The dead letter is there.
    DeadLetter(DeadLetterId),
    /// The scheduled publish is there.
    Scheduled(ScheduledId),
    /// The event is not settled for this subscription.
    Unsettled(SubscriptionNumber, Offset),
    /// The id was not seen in its window.
    Unseen(Once),
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Publish(Publish),
    Schedule(Schedule),
    Unschedule(ScheduledId),
    Settle(SubscriptionNumber, Offset),
    Advance(SubscriptionNumber, Offset),
    PutDelivery(SubscriptionNumber, Offset, Delivery),
    RemoveDelivery(SubscriptionNumber, Offset),
    ForgetSubscription(SubscriptionNumber),
    PutDeadLetter(DeadLetter),
    RemoveDeadLetter(DeadLetterId),
    PutValue(ValueKey, Vec<u8>),
    RemoveValue(ValueKey),
    PutDocument(Kind, String, Vec<u8>),
    RemoveDocument(Kind, String),
    DropEvents { tenant: String, topic: String, below: Offset },
}

/// Changes that are kept together or not at all. They take effect in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) changes: Vec<Change>,
    pub(crate) bytes: usize,
    too_long: Option<&'static str>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What became of each publish, in order.
    pub published: Vec<Published>,
    /// What became of each schedule, in order.
    pub scheduled: Vec<ScheduledOutcome>,
    /// The stamp that all values and documents written by this batch have.
    pub version: Version,
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The event stands here.
    Kept(Offset),
    /// It was seen before and stands here; `None` if it is scheduled.
    Duplicate(Option<Offset>),
}

/// What became of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduledOutcome {
    /// It waits under this id.
    Kept(ScheduledId),
    /// It was seen before and stands here; `None` if it is scheduled.
    Duplicate(Option<Offset>),
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds what must hold.
    pub fn require(&mut self, precondition: Precondition) -> &mut Self {
        match &precondition {
            Precondition::Value(key, _) => self.value_key(key),
            Precondition::Document(_, key, _) => self.name("a document's key", key),
            Precondition::Unseen(once) => self.once(Some(once)),
            _ => self.weigh(0),
        }
        self.preconditions.push(precondition);
        self
    }

    /// Publishes an event.
    pub fn publish(&mut self, publish: Publish) -> &mut Self {
        self.name("a tenant", &publish.tenant);
        self.name("a topic", &publish.topic);
        self.once(publish.once.as_ref());
        self.add(publish.bytes.len(), Change::Publish(publish))
    }

    /// Keeps an event until its time. When it has come, publish it and [`unschedule`](Self::unschedule) it in one batch
    /// with [`Precondition::Scheduled`].
    pub fn schedule(&mut self, schedule: Schedule) -> &mut Self {
        self.name("a tenant", &schedule.tenant);
        self.name("a topic", &schedule.topic);
        self.once(schedule.once.as_ref());
        self.add(schedule.bytes.len(), Change::Schedule(schedule))
    }

    /// Forgets a scheduled publish.
    pub fn unschedule(&mut self, id: ScheduledId) -> &mut Self {
        self.add(0, Change::Unschedule(id))
    }

    /// Settles an event for a subscription, whatever the way. If it is settled, the batch fails with
    /// [`Conflict::Settled`](crate::error::Conflict::Settled): effects that are committed with a settlement take effect
    /// once. A delivery record is not removed by this.
    pub fn settle(&mut self, subscription: SubscriptionNumber, offset: Offset) -> &mut Self {
        self.add(0, Change::Settle(subscription, offset))
    }

    /// Raises a subscription's floor: everything below is done. What was remembered of it is let go. A floor never
    /// goes down. Raise it now and then, not with each settlement: each block of 1024 offsets above the floor in which
    /// something is settled costs 140 bytes.
    pub fn advance(&mut self, subscription: SubscriptionNumber, floor: Offset) -> &mut Self {
        self.add(0, Change::Advance(subscription, floor))
    }

    /// Remembers a delivery that failed and when it is due again, in the place of what was remembered.
    pub fn put_delivery(&mut self, to: SubscriptionNumber, offset: Offset, delivery: Delivery) -> &mut Self {
        self.add(delivery.history.len(), Change::PutDelivery(to, offset, delivery))
    }

    /// Forgets a delivery.
    pub fn remove_delivery(&mut self, subscription: SubscriptionNumber, offset: Offset) -> &mut Self {
        self.add(0, Change::RemoveDelivery(subscription, offset))
    }

    /// Forgets cursor and deliveries of a subscription; its dead letters stay.
    pub fn forget_subscription(&mut self, subscription: SubscriptionNumber) -> &mut Self {
        self.add(0, Change::ForgetSubscription(subscription))
    }

    /// Keeps a dead letter.
    pub fn put_dead_letter(&mut self, letter: DeadLetter) -> &mut Self {
        self.name("a tenant", &letter.tenant);
        self.add(letter.detail.len() + letter.reason.len(), Change::PutDeadLetter(letter))
    }

    /// Removes a dead letter, if it is there.
    pub fn remove_dead_letter(&mut self, id: DeadLetterId) -> &mut Self {
        self.add(0, Change::RemoveDeadLetter(id))
    }

    /// Writes a value.
    pub fn put_value(&mut self, key: ValueKey, bytes: Vec<u8>) -> &mut Self {
        self.value_key(&key);
        self.add(bytes.len(), Change::PutValue(key, bytes))
    }

    /// Removes a value, if it is there.
    pub fn remove_value(&mut self, key: ValueKey) -> &mut Self {
        self.value_key(&key);
        self.add(0, Change::RemoveValue(key))
    }

    /// Writes a document.
    pub fn put_document(&mut self, kind: Kind, key: String, bytes: Vec<u8>) -> &mut Self {
        self.name("a document's key", &key);
        self.add(bytes.len(), Change::PutDocument(kind, key, bytes))
    }

    /// Removes a document, if it is there.
    pub fn remove_document(&mut self, kind: Kind, key: String) -> &mut Self {
        self.name("a document's key", &key);
        self.add(0, Change::RemoveDocument(kind, key))
    }

    /// Drops the events of a topic below an offset. They are gone for readers at once; space comes back as tables are
    /// compacted, at the latest with [`Log::reclaim`](crate::log::Log::reclaim). Whether a subscription still needs
    /// them is the caller's to know: see [`crate::retention`].
    pub fn drop_events(&mut self, tenant: String, topic: String, below: Offset) -> &mut Self {
        self.add(0, Change::DropEvents { tenant, topic, below })
    }

    /// Refuses what no store can keep.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        if let Some(what) = self.too_long {
            return Err(CommitError::TooLarge { what: format!("{what} is longer than {NAME_LIMIT} bytes") });
        }
        if self.bytes > BATCH_LIMIT {
            return Err(CommitError::TooLarge { what: format!("{} bytes, at most {BATCH_LIMIT}", self.bytes) });
        }
        Ok(())
    }

    /// Whether it brings in something new, rather than carrying on or ending what is there. On a disk that fills up the
    /// former is refused first, so that deliveries can be finished and retention can make space.
    pub(crate) fn brings_in(&self) -> bool {
        let is_new = |change: &Change| {
            matches!(change, Change::Publish(_) | Change::Schedule(_) | Change::PutValue(..) | Change::PutDocument(..))
        };
        self.changes.iter().any(is_new)
    }

    fn add(&mut self, bytes: usize, change: Change) -> &mut Self {
        self.weigh(bytes);
        self.changes.push(change);
        self
    }

    /// Counts what it takes to keep something in the queue: its bytes and, roughly, what is around them.
    const fn weigh(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(128);
    }

    fn name(&mut self, what: &'static str, text: &str) {
        self.weigh(text.len());
        if text.len() > NAME_LIMIT {
            self.too_long = Some(what);
        }
    }

    fn value_key(&mut self, key: &ValueKey) {
        self.name("a tenant", &key.tenant);
        self.name("a bucket", &key.bucket);
        self.name("a key", &key.key);
    }

    fn once(&mut self, once: Option<&Once>) {
        if let Some(once) = once {
            self.name("a tenant", &once.key.tenant);
            self.name("a scope", &once.key.scope);
            self.name("an id", &once.key.id);
        }
    }
}
