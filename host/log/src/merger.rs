//! The merger: the one thread that merges tables and lets go of what is stale in them. Nothing waits for it but space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::{io, thread};

use crate::error::Damage;
use crate::keeper::Wake;
use crate::queue::Order;
use crate::shared::Shared;
use crate::space::Space;

/// Tables of ids that were seen are written anew when they have grown by this much beyond twice what they last were.
const SEEN_SLACK: u64 = 16 << 20;

pub(crate) struct Merger {
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    /// What the ids that were seen took when they were last written anew.
    seen_bytes: u64,
}

impl Merger {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, wake: Arc<Wake>) -> io::Result<thread::JoinHandle<()>> {
        let merger = Self { shared, wake, seen_bytes: 0 };
        thread::Builder::new().name("log-merge".to_owned()).spawn(move || merger.run())
    }

    fn run(mut self) {
        while let Some(reclaims) = self.wake.next(None) {
            self.merge(!reclaims.is_empty());
            for reply in reclaims {
                let _ = reply.send(Ok(()));
            }
        }
    }

    fn merge(&mut self, everything: bool) {
        if let Err((space, error)) = self.try_merge(everything) {
            self.not_merged(space, &error);
        }
        // Readers that come now no longer need the tables that were just replaced.
        let (reply, refreshed) = sync_channel(1);
        if self.shared.queue.order(Order::Refresh(reply))
            && refreshed.recv().is_ok()
            && let Err(error) = self.shared.tables.sweep(self.shared.watermark())
        {
            self.not_merged(Space::Meta, &error);
        }
    }

    fn try_merge(&mut self, everything: bool) -> Result<(), (Space, lsm_tree::Error)> {
        self.shared.tables.drop_tables().map_err(|error| (Space::Events, error))?;
        // Merging needs space before it gives any back.
        let is_tight = self.shared.disk.free(&self.shared.folder).is_ok_and(|free| free < self.shared.settings.reserve);
        if is_tight && !everything {
            return Ok(());
        }
        self.shared.tables.compact(self.shared.watermark())?;
        self.drop_events(everything).map_err(|error| (Space::Events, error))?;
        self.forget_seen(everything).map_err(|error| (Space::Seen, error))
    }

    fn drop_events(&self, everything: bool) -> lsm_tree::Result<()> {
        let dropped = self.shared.dropped_bytes.swap(0, Ordering::Relaxed);
        if !everything && dropped == 0 {
            return Ok(());
        }
        // Tables in which a little still lives are written anew only when most of them is dead: what is written is
        // then less than what was dropped.
        let taken = self.shared.tables.disk_bytes(Space::Events);
        let live = self.shared.live_bytes.load(Ordering::Relaxed);
        if everything || taken > 2 * live + self.shared.settings.checkpoint_bytes {
            for space in [Space::Events, Space::Stretches] {
                self.shared.tables.rewrite(space, self.shared.watermark())?;
            }
        }
        Ok(())
    }

    fn forget_seen(&mut self, everything: bool) -> lsm_tree::Result<()> {
        if everything || self.shared.tables.disk_bytes(Space::Seen) > 2 * self.seen_bytes + SEEN_SLACK {
            self.shared.tables.rewrite(Space::Seen, self.shared.watermark())?;
            self.seen_bytes = self.shared.tables.disk_bytes(Space::Seen);
        }
        Ok(())
    }

    fn not_merged(&self, space: Space, error: &lsm_tree::Error) {
        match error {
            lsm_tree::Error::Io(error) => crate::telemetry::not_merged(&self.shared.folder, &error.to_string()),
            error => self.shared.found_damage(Damage {
                place: format!("tables of key space `{}`", space.name()),
                what: error.to_string(),
            }),
        }
    }
}
