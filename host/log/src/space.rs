//! The key spaces: one tree each. What their keys and values are stands in `docs/wire/log.md`.

/// A key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Space {
    /// Counters of the store.
    Meta = 0,
    /// Tenant and name to topic.
    Topics = 1,
    /// Topic and offset to event.
    Events = 2,
    /// Topic and first offset to stretch.
    Stretches = 3,
    /// Subscription to floor.
    Cursors = 4,
    /// Subscription and block of 1024 offsets to bitmap.
    Settled = 5,
    /// Subscription and offset to delivery.
    Deliveries = 6,
    /// Due time, subscription and offset.
    Due = 7,
    /// Due time and stamp to scheduled publish.
    Scheduled = 8,
    /// Id to dead letter.
    DeadLetters = 9,
    /// Tenant, time and id of dead letters.
    DeadLetterTimes = 10,
    /// Tenant, bucket and key to value.
    Values = 11,
    /// Tenant, scope and id to offset and time.
    Seen = 12,
    /// Kind and key to document.
    Documents = 13,
}

impl Space {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::Meta,
        Self::Topics,
        Self::Events,
        Self::Stretches,
        Self::Cursors,
        Self::Settled,
        Self::Deliveries,
        Self::Due,
        Self::Scheduled,
        Self::DeadLetters,
        Self::DeadLetterTimes,
        Self::Values,
        Self::Seen,
        Self::Documents,
    ];

    /// Its number on the disk.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The one with this number.
    pub(crate) fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name, and that of its folder.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Topics => "topics",
            Self::Events => "events",
            Self::Stretches => "stretches",
            Self::Cursors => "cursors",
            Self::Settled => "settled",
            Self::Deliveries => "deliveries",
            Self::Due => "due",
            Self::Scheduled => "scheduled",
            Self::DeadLetters => "dead-letters",
            Self::DeadLetterTimes => "dead-letter-times",
            Self::Values => "values",
            Self::Seen => "seen",
            Self::Documents => "documents",
        }
    }
}
