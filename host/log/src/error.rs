//! What can go wrong, by operation.

use std::path::PathBuf;

use crate::record::{DeadLetterId, Offset, ScheduledId, SubscriptionNumber, Version};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store `{}` is open in another process", folder.display())]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// It has a format that this version does not read.
    #[error(
        "the store `{}` has format {found}, this version reads format {known}; open it with the version that wrote it",
        folder.display()
    )]
    Format {
        /// The store's folder.
        folder: PathBuf,
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// Bytes are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk failed.
    #[error("cannot open `{}`", path.display())]
    Io {
        /// What was opened.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Bytes that are not what was written. They are never served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damage in {place}: {what}")]
pub struct Damage {
    /// Where: a file and a position, or a key space and a key.
    pub place: String,
    /// What was found.
    pub what: String,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Bytes are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk failed.
    #[error("cannot read key space `{space}`")]
    Io {
        /// Which key space.
        space: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a batch was not kept. Nothing of it is, except as [`CommitError::Poisoned`] says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A precondition does not hold, or something was settled before. Other batches are not touched.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The queue is full; nothing was queued. Try again soon.
    #[error("the log's queue is full")]
    Busy,
    /// The disk is full. The log takes commits again by itself when there is space.
    #[error("the disk is full: {free} bytes are free, {wanted} are wanted")]
    Full {
        /// What is free.
        free: u64,
        /// What must be free, the reserve included.
        wanted: u64,
    },
    /// A write or a sync failed, now or before. Of batches in flight at the failure it is open whether they are kept;
    /// later ones are not. Opening the store again makes it known.
    #[error("the log takes no more commits: {reason}")]
    Poisoned {
        /// What failed.
        reason: String,
    },
    /// The batch, or a key in it, is larger than the store takes.
    #[error("the batch is too large: {what}")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// Something that the batch depends on could not be read.
    #[error("cannot read what the batch depends on: {reason}")]
    Unreadable {
        /// Why, with the place.
        reason: String,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Which precondition does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A value was written since.
    #[error("the value `{key}` in bucket `{bucket}` was written by another")]
    Value {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// Its version now.
        found: Version,
    },
    /// The event is settled for this subscription.
    #[error("offset {offset} was settled before")]
    Settled {
        /// Whose.
        subscription: SubscriptionNumber,
        /// Which.
        offset: Offset,
    },
    /// The dead letter is gone.
    #[error("the dead letter is gone")]
    DeadLetter(DeadLetterId),
    /// The scheduled publish is gone.
    #[error("the scheduled publish is gone")]
    Scheduled(ScheduledId),
    /// The id was seen before.
    #[error("the id `{id}` was seen before")]
    Seen {
        /// The id.
        id: String,
        /// Where its event stands.
        offset: Option<Offset>,
    },
    /// A document was written since.
    #[error("the document `{key}` was written by another")]
    Document {
        /// Its key.
        key: String,
        /// Its version now.
        found: Version,
    },
}
