//! What the threads of a log and its readers share: the tables, how well the log is, and which readers there are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::error::{CommitError, Damage};
use crate::queue::Queue;
use crate::settings::Settings;
use crate::tables::Tables;

/// How well a log is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it takes no more commits until it is opened again.
    pub poisoned: Option<String>,
    /// Whether commits are refused because there is no space.
    pub is_full: bool,
    /// Damage that was found while tables were merged; readers of the place get it as an error too.
    pub damage: Option<Damage>,
}

/// Readers by their time, and the time that new readers get.
#[derive(Debug)]
struct Readers {
    visible: u64,
    open: BTreeMap<u64, usize>,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) tables: Tables,
    pub(crate) queue: Queue,
    readers: Mutex<Readers>,
    health: Mutex<Health>,
    is_poisoned: AtomicBool,
    /// The keeper could not write tables for want of space.
    pub(crate) keeper_is_full: AtomicBool,
    /// The last commit found less free than the reserve, and not that a write failed though there seemed to be enough.
    pub(crate) lacks_space: AtomicBool,
    /// Bytes of events that are kept.
    pub(crate) live_bytes: AtomicU64,
    /// Bytes of events that were dropped since tables were last looked through for them.
    pub(crate) dropped_bytes: AtomicU64,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, settings: Settings, disk: Arc<dyn Disk>, tables: Tables) -> Self {
        let readers = Readers { visible: tables.now(), open: BTreeMap::new() };
        Self {
            folder,
            settings,
            disk,
            queue: Queue::new(&settings),
            tables,
            readers: Mutex::new(readers),
            health: Mutex::default(),
            is_poisoned: AtomicBool::new(false),
            keeper_is_full: AtomicBool::new(false),
            lacks_space: AtomicBool::new(false),
            live_bytes: AtomicU64::new(0),
            dropped_bytes: AtomicU64::new(0),
        }
    }

    /// A time to read at, kept readable until it is given back.
    pub(crate) fn begin_read(&self) -> u64 {
        let mut readers = self.readers.lock();
        let at = readers.visible;
        *readers.open.entry(at).or_default() += 1;
        at
    }

    pub(crate) fn end_read(&self, at: u64) {
        let mut readers = self.readers.lock();
        if let Some(count) = readers.open.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                readers.open.remove(&at);
            }
        }
    }

    /// New readers see everything before this time.
    pub(crate) fn show(&self, until: u64) {
        let mut readers = self.readers.lock();
        readers.visible = readers.visible.max(until);
    }

    /// What is older than this time and was overwritten, nobody reads any more.
    pub(crate) fn watermark(&self) -> u64 {
        let readers = self.readers.lock();
        let oldest = readers.open.first_key_value().map_or(readers.visible, |(at, _)| *at);
        oldest.min(readers.visible).saturating_sub(1)
    }

    /// Takes no more commits. The first reason stays.
    pub(crate) fn poison(&self, reason: String) -> CommitError {
        let mut health = self.health.lock();
        let kept = health.poisoned.get_or_insert_with(|| {
            crate::telemetry::poisoned(&self.folder, &reason);
            reason
        });
        let reason = kept.clone();
        self.is_poisoned.store(true, Ordering::Release);
        CommitError::Poisoned { reason }
    }

    /// Why it takes no more commits.
    pub(crate) fn poisoned(&self) -> Option<CommitError> {
        if !self.is_poisoned.load(Ordering::Acquire) {
            return None;
        }
        self.health.lock().poisoned.clone().map(|reason| CommitError::Poisoned { reason })
    }

    /// Sees whether a disk that was full has space again: whoever waits for that before it sends anything would otherwise
    /// wait for ever, since a commit alone looks.
    pub(crate) fn look_for_space(&self) {
        if self.lacks_space.load(Ordering::Relaxed)
            && !self.keeper_is_full.load(Ordering::Relaxed)
            && self.disk.free(&self.folder).is_ok_and(|free| free >= self.settings.reserve)
        {
            self.lacks_space.store(false, Ordering::Relaxed);
            self.set_full(false);
        }
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        let mut health = self.health.lock();
        if health.is_full != is_full {
            health.is_full = is_full;
            crate::telemetry::full(&self.folder, is_full);
        }
    }

    pub(crate) fn found_damage(&self, damage: Damage) {
        crate::telemetry::damaged(&self.folder, &damage);
        self.health.lock().damage = Some(damage);
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }
}
