//! What the store deals in: numbers, names and records, as its callers see them. How they lie on the disk stands in
//! `codec` and `key`.

use std::fmt;

/// Where an event stands. One sequence for the whole store, so that a subscription to a pattern needs one cursor, and
/// "since then" is one comparison. Offsets of one topic grow and have gaps. The first is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970. The store has no clock; its callers do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// The store's number for a topic of a tenant, given at its first event and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u32);

/// The caller's number for a subscription. The store does not hand it out; never use one again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionNumber(pub u32);

/// Stamp of a write, greater than that of every write before it. No write has 0, which stands for "absent".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// What a key has that is not there.
    pub const ABSENT: Self = Self(0);
}

/// The caller's id of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub [u8; 16]);

/// The store's id of a scheduled publish; sorts by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduledId {
    /// When it is due.
    pub due: Millis,
    /// What tells it from others of the same time.
    pub stamp: Version,
}

/// A topic and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its number.
    pub id: TopicId,
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Events below are gone.
    pub floor: Offset,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its topic.
    pub topic: TopicId,
    /// Where it stands.
    pub offset: Offset,
    /// When it was published.
    pub at: Millis,
    /// What the caller gave.
    pub bytes: Vec<u8>,
}

/// A stretch of a topic, about a thousand events. Retention decides by stretches and never reads events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its first event.
    pub first: Offset,
    /// Its last event.
    pub last: Offset,
    /// How many events.
    pub events: u32,
    /// Their bytes, without what the store adds.
    pub bytes: u64,
    /// The earliest time among them.
    pub earliest: Millis,
    /// The latest time among them.
    pub latest: Millis,
}

/// How far a subscription is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything below is settled, or never was for this subscription.
    pub floor: Offset,
    /// Settled at or above the floor, ascending.
    pub settled: Vec<Offset>,
}

impl Cursor {
    /// Whether the subscription is done with this offset.
    #[must_use]
    pub fn is_settled(&self, offset: Offset) -> bool {
        offset < self.floor || self.settled.binary_search(&offset).is_ok()
    }
}

/// A delivery that failed at least once and is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Not before this time again.
    pub due: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// The caller's history of attempts, opaque.
    pub history: Vec<u8>,
}

/// A publish that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Its id.
    pub id: ScheduledId,
    /// Whose it is.
    pub tenant: String,
    /// Where it will be published.
    pub topic: String,
    /// The event, opaque.
    pub bytes: Vec<u8>,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// Whose it is.
    pub tenant: String,
    /// When it was given up.
    pub at: Millis,
    /// Which subscription gave it up.
    pub subscription: SubscriptionNumber,
    /// Where the event stood.
    pub offset: Offset,
    /// Why.
    pub reason: String,
    /// How many attempts it had.
    pub attempts: u32,
    /// The caller's copy of the event and the history, opaque.
    pub detail: Vec<u8>,
}

/// Where a value of a tenant is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueKey {
    /// Whose it is.
    pub tenant: String,
    /// In which bucket.
    pub bucket: String,
    /// Under which key.
    pub key: String,
}

/// A value and the stamp of its last write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Stamp of its last write.
    pub version: Version,
    /// What was written.
    pub bytes: Vec<u8>,
}

/// An id that makes a second publish of the same event known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeenKey {
    /// Whose it is.
    pub tenant: String,
    /// Within which the id is unique, such as a topic.
    pub scope: String,
    /// The id.
    pub id: String,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where its event stands; `None` if it was scheduled.
    pub offset: Option<Offset>,
    /// When it was seen.
    pub at: Millis,
}

/// A document of the desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its key among those of its kind.
    pub key: String,
    /// Stamp of its last write.
    pub version: Version,
    /// Its contents, opaque.
    pub bytes: Vec<u8>,
}

/// The kinds of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A tenant.
    Tenant,
    /// A handler.
    Handler,
    /// A subscription.
    Subscription,
    /// A token.
    Token,
    /// Anything else of the host's own.
    Host,
}

impl Kind {
    /// Its byte on the disk.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Tenant => 1,
            Self::Handler => 2,
            Self::Subscription => 3,
            Self::Token => 4,
            Self::Host => 5,
        }
    }
}
