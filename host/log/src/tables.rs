//! The trees, one for each key space: what was committed, ordered and readable.
//!
//! A tree keeps the newest writes in memory and the others in tables on the disk, each block with a checksum. What is
//! in memory only is also in the write-ahead log. Nothing is moved to the disk unless [`crate::keeper`] says so, on its
//! own thread, where an error is seen and can be tried again.

use std::collections::HashMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use lsm_tree::compaction::Leveled;
use lsm_tree::compaction::filter::{CompactionFilter, Context, Factory, ItemAccessor, Verdict};
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, DescriptorTable, Guard, SequenceNumberCounter};

use crate::codec;
use crate::error::{Damage, OpenError, ReadError};
use crate::key;
use crate::record::{Offset, TopicId};
use crate::space::Space;
use crate::wal::frame::Writes;

/// Open table files of all trees together. Below the 1024 that many systems allow a process.
const OPEN_FILES: usize = 512;
/// Tables are cut at this size, so that dropping old events frees whole tables early.
const TABLE_BYTES: u64 = 16 << 20;
/// At most so many steps of compaction in a row, so that a checkpoint never waits long.
const STEPS: usize = 64;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);
type Levels = Vec<Option<usize>>;

/// What compaction may leave out, although nobody removed it.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    floors: RwLock<HashMap<u32, u64>>,
    seen_since: AtomicU64,
}

impl Stale {
    /// Events of this topic below this offset are gone.
    pub(crate) fn drop_below(&self, topic: TopicId, floor: Offset) {
        let mut floors = self.floors.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        floors.insert(topic.0, floor.0);
    }

    /// Ids seen before this time may be forgotten.
    pub(crate) fn forget_seen(&self, before: u64) {
        self.seen_since.fetch_max(before, Ordering::Relaxed);
    }

    fn floors(&self) -> HashMap<u32, u64> {
        self.floors.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

struct StaleFactory {
    space: Space,
    stale: Arc<Stale>,
}

impl Factory for StaleFactory {
    fn name(&self) -> &str {
        self.space.name()
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(StaleFilter {
            space: self.space,
            floors: self.stale.floors(),
            seen_since: self.stale.seen_since.load(Ordering::Relaxed),
        })
    }
}

struct StaleFilter {
    space: Space,
    floors: HashMap<u32, u64>,
    seen_since: u64,
}

impl CompactionFilter for StaleFilter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        let is_stale = match self.space {
            Space::Events => {
                let mut reader = codec::Reader::bare(item.key());
                let (topic, offset) = (reader.u32(), reader.u64());
                matches!((topic, offset), (Ok(topic), Ok(offset)) if self.floors.get(&topic).is_some_and(|floor| offset < *floor))
            }
            Space::Seen => codec::read_seen(&item.value()?).is_ok_and(|seen| seen.at.0 < self.seen_since),
            _ => false,
        };
        Ok(if is_stale { Verdict::Destroy } else { Verdict::Keep })
    }
}

/// All trees.
pub(crate) struct Tables {
    trees: Vec<AnyTree>,
    seqno: SequenceNumberCounter,
    pub(crate) stale: Arc<Stale>,
}

/// Says where in a key space something is.
pub(crate) fn place(space: Space, key: &[u8]) -> String {
    let shown = key.iter().take(64).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("key space `{}`, key {shown}", space.name())
}

fn read_error(space: Space, key: &[u8], error: lsm_tree::Error) -> ReadError {
    match error {
        lsm_tree::Error::Io(source) => ReadError::Io { space: space.name(), source },
        error => Damage { place: place(space, key), what: error.to_string() }.into(),
    }
}

impl Tables {
    /// Opens or makes them.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let seqno = SequenceNumberCounter::new(1);
        let visible = SequenceNumberCounter::new(1);
        let cache = Arc::new(Cache::with_capacity_bytes(cache_bytes));
        let files = Arc::new(DescriptorTable::new(OPEN_FILES));
        let stale = Arc::new(Stale::default());
        let mut trees = Vec::with_capacity(Space::ALL.len());
        for space in Space::ALL {
            let path = folder.join(space.name());
            fs::create_dir_all(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
            let mut config = Config::new(&path, seqno.clone(), visible.clone())
                .use_cache(Arc::clone(&cache))
                .use_descriptor_table(Some(Arc::clone(&files)));
            if matches!(space, Space::Events | Space::Seen) {
                let factory = StaleFactory { space, stale: Arc::clone(&stale) };
                config = config.with_compaction_filter_factory(Some(Arc::new(factory)));
            }
            let tree = config.open().map_err(|error| match error {
                lsm_tree::Error::Io(source) => OpenError::Io { path: path.clone(), source },
                error => Damage { place: format!("`{}`", path.display()), what: error.to_string() }.into(),
            })?;
            if let Some(highest) = tree.get_highest_persisted_seqno() {
                seqno.fetch_max(highest + 1);
            }
            trees.push(tree);
        }
        Ok(Self { trees, seqno, stale })
    }

    fn tree(&self, space: Space) -> &AnyTree {
        match self.trees.get(usize::from(space.code())) {
            Some(tree) => tree,
            None => unreachable!("`open` makes a tree for each key space"),
        }
    }

    /// Reads at a time; `u64::MAX` reads the newest.
    pub(crate) fn get(&self, space: Space, key: &[u8], at: u64) -> Result<Option<lsm_tree::UserValue>, ReadError> {
        self.tree(space).get(key, at).map_err(|error| read_error(space, key, error))
    }

    /// Keys from one to before another, in order; to the end of the key space without `to`.
    pub(crate) fn range(
        &self,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
        at: u64,
    ) -> impl DoubleEndedIterator<Item = Result<Pair, ReadError>> + use<> {
        let from = from.to_vec();
        let end = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        // The tree panics where a range ends before it begins.
        let is_empty = to.is_some_and(|to| to <= from.as_slice());
        let pairs = (!is_empty).then(|| self.tree(space).range((Bound::Included(from.clone()), end), at, None));
        pairs.into_iter().flatten().map(move |guard| match guard.into_inner() {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(error) => Err(read_error(space, &from, error)),
        })
    }

    /// Applies a group; answers from which time on it is seen.
    pub(crate) fn apply(&self, writes: &Writes) -> u64 {
        let at = self.seqno.next();
        for ((space, key), value) in writes {
            self.apply_one(*space, key, value.as_deref(), at);
        }
        at + 1
    }

    /// Applies a write of a group that began with [`next`](Self::next).
    pub(crate) fn apply_one(&self, space: Space, key: &[u8], value: Option<&[u8]>, at: u64) {
        let tree = self.tree(space);
        match value {
            Some(value) => tree.insert(key, value, at),
            None => tree.remove(key, at),
        };
    }

    /// A time for a group.
    pub(crate) fn next(&self) -> u64 {
        self.seqno.next()
    }

    /// The time after everything that was applied.
    pub(crate) fn now(&self) -> u64 {
        self.seqno.get()
    }

    /// Seals what is in memory. Only between groups, so that all trees are sealed at the same group.
    pub(crate) fn seal(&self) {
        for tree in &self.trees {
            tree.rotate_memtable();
        }
    }

    /// Writes what is sealed into tables, synced. `watermark` is the time of the oldest reader.
    pub(crate) fn flush(&self, watermark: u64) -> lsm_tree::Result<()> {
        for tree in &self.trees {
            let lock = tree.get_flush_lock();
            tree.flush(&lock, watermark)?;
        }
        Ok(())
    }

    /// Lets go of table files that no reader needs.
    pub(crate) fn sweep(&self, watermark: u64) -> lsm_tree::Result<()> {
        for tree in &self.trees {
            tree.get_version_history_lock().maintenance(&tree.tree_config().path, watermark)?;
        }
        Ok(())
    }

    /// Merges tables until there is nothing to gain.
    pub(crate) fn compact(&self, watermark: u64) -> Result<(), (Space, lsm_tree::Error)> {
        for (space, tree) in Space::ALL.into_iter().zip(&self.trees) {
            let levels = |tree: &AnyTree| (0..7).map(|level| tree.level_table_count(level)).collect::<Levels>();
            for _ in 0..STEPS {
                let before = (tree.next_table_id(), levels(tree));
                let strategy = Leveled::default().with_table_target_size(TABLE_BYTES);
                tree.compact(Arc::new(strategy), watermark).map_err(|error| (space, error))?;
                if before == (tree.next_table_id(), levels(tree)) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Lets go of tables that hold dropped events only.
    pub(crate) fn drop_tables(&self) -> lsm_tree::Result<()> {
        for (topic, floor) in self.stale.floors() {
            let topic = TopicId(topic);
            let from = key::event(topic, Offset(0));
            self.tree(Space::Events).drop_range(from..key::event(topic, Offset(floor)))?;
        }
        Ok(())
    }

    /// Writes a key space anew without what is stale or removed.
    pub(crate) fn rewrite(&self, space: Space, watermark: u64) -> lsm_tree::Result<()> {
        self.tree(space).major_compact(TABLE_BYTES, watermark)
    }

    /// What a key space takes on the disk.
    pub(crate) fn disk_bytes(&self, space: Space) -> u64 {
        self.tree(space).disk_space()
    }
}
