//! What a store is told when it is opened, and how long a commit waits.

use std::time::Duration;

/// When a commit counts as kept.
///
/// | | process dies | machine or power fails |
/// |---|---|---|
/// | `Always` | kept | kept |
/// | `Interval(d)` | kept | what was committed in the last `d` may be lost, from the end backwards |
/// | `Never` | kept | what the system has not written by itself may be lost, from the end backwards |
///
/// A batch is whole or absent in every case, and none is lost while a later one is kept. A batch that waits for less
/// is synced with others that wait for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// After a sync that began once it was written. Commits that arrive meanwhile share the next one.
    Always,
    /// Once it is with the operating system; a sync follows within this time.
    Interval(Duration),
    /// Once it is with the operating system; nobody asks for a sync.
    Never,
}

/// How a store works. The default is for a host; tests use smaller numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Below this much free space what brings in something new is refused as full: publishes, values, documents. Below
    /// half of it everything is. A checkpoint needs about `checkpoint_bytes`, so take at least twice that.
    pub reserve: u64,
    /// After so many bytes in the write-ahead log, memory goes into tables. Bounds memory, and time to open.
    pub checkpoint_bytes: u64,
    /// How many batches may wait to be committed.
    pub queue_batches: usize,
    /// How many bytes of batches may wait to be committed.
    pub queue_bytes: usize,
    /// Memory for blocks of tables.
    pub cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reserve: 128 << 20,
            // Memory holds at most about four times this: see `keeper`.
            checkpoint_bytes: 64 << 20,
            queue_batches: 16_384,
            queue_bytes: 64 << 20,
            cache_bytes: 32 << 20,
        }
    }
}
