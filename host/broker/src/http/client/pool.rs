//! Connections that are kept while nothing goes over them, and room for new ones.
//!
//! All connections take a place of a semaphore, idle or not. Where none is left, the connection that was idle longest is
//! closed, whoever it leads to: peers that are many share the places, instead of the first ones keeping them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::Connection;
use super::{Endpoint, Settings};

/// How long a kept connection may take until it takes a request. Arbitrary; a sound one needs a turn of its task.
const READY_LIMIT: Duration = Duration::from_millis(100);

pub(super) struct Pool {
    per_peer: usize,
    limit: Duration,
    places: Arc<Semaphore>,
    /// How many wait for a place.
    waiting: AtomicUsize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The newest last.
    by_peer: HashMap<Endpoint, Vec<Kept>>,
    /// By when they were put here, the oldest first.
    by_age: BTreeMap<u64, Endpoint>,
    /// The number of the next.
    next: u64,
}

struct Kept {
    number: u64,
    since: Instant,
    connection: Connection,
}

impl Pool {
    pub(super) fn new(settings: &Settings) -> Self {
        let places = settings.connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            per_peer: settings.idle_per_peer,
            limit: settings.idle_limit,
            places: Arc::new(Semaphore::new(places)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
        }
    }

    /// The connection to a peer that was used last and can be used again.
    pub(super) async fn take(&self, peer: &Endpoint) -> Option<Connection> {
        loop {
            let (mut connection, shared) = {
                let mut idle = self.idle.lock();
                let kept = idle.newest(peer)?;
                let fresh = kept.since.elapsed() < self.limit && !kept.connection.is_closed();
                match kept.connection.share() {
                    Some(shared) if fresh => {
                        idle.put(peer, kept.connection);
                        (shared, true)
                    }
                    None if fresh => (kept.connection, false),
                    _ => continue,
                }
            };
            // One over which an answer came before the request was whole may never be ready.
            if tokio::time::timeout(READY_LIMIT, connection.ready()).await == Ok(true) {
                return Some(connection);
            }
            if shared {
                // Its other handle is closed too and found so in the next turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Keeps a connection for the next request, and lets go of what is too old or too much.
    pub(super) fn put(&self, peer: &Endpoint, connection: Connection) {
        let mut idle = self.idle.lock();
        let known = idle.by_peer.get(peer);
        // One that is shared is here while it is used.
        let here = known.is_some_and(|kept| kept.iter().any(|kept| kept.connection.share().is_some()));
        let full = known.map_or(0, Vec::len) >= self.per_peer;
        // Who waits for a place gets this one's.
        let wanted = self.waiting.load(Ordering::Acquire) > 0;
        let surplus = full || (here && connection.share().is_some());
        if !(wanted || surplus || connection.is_closed()) {
            idle.put(peer, connection);
        }
        idle.drop_older(self.limit);
    }

    /// Waits for room for one more connection; `None` if there never will be.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        // The place comes free when the connection's task has ended.
        self.idle.lock().drop_oldest();
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    pub(super) fn clear(&self) {
        *self.idle.lock() = Idle::default();
    }
}

/// Somebody who waits for a place, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Idle {
    fn newest(&mut self, peer: &Endpoint) -> Option<Kept> {
        let of_peer = self.by_peer.get_mut(peer)?;
        let kept = of_peer.pop()?;
        if of_peer.is_empty() {
            self.by_peer.remove(peer);
        }
        self.by_age.remove(&kept.number);
        Some(kept)
    }

    fn put(&mut self, peer: &Endpoint, connection: Connection) {
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, peer.clone());
        let kept = Kept { number, since: Instant::now(), connection };
        self.by_peer.entry(peer.clone()).or_default().push(kept);
    }

    fn drop_oldest(&mut self) {
        let Some((number, peer)) = self.by_age.pop_first() else { return };
        let Some(of_peer) = self.by_peer.get_mut(&peer) else { return };
        of_peer.retain(|kept| kept.number != number);
        if of_peer.is_empty() {
            self.by_peer.remove(&peer);
        }
    }

    fn drop_older(&mut self, limit: Duration) {
        while let Some((number, peer)) = self.by_age.first_key_value() {
            let of_peer = self.by_peer.get(peer);
            let oldest = of_peer.and_then(|of_peer| of_peer.iter().find(|kept| kept.number == *number));
            if oldest.is_some_and(|kept| kept.since.elapsed() < limit) {
                return;
            }
            self.drop_oldest();
        }
    }
}
