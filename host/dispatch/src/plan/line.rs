//! The lines of an ordered lane: for each key, what of it may go on and what waits behind it.
//!
//! A key is held from when its first delivery arrives until that one is done with, sleeping and being settled included.
//! What arrives meanwhile stands in line. A key that nothing holds and nobody waits for is forgotten, so that there are
//! never more lines than deliveries.

use std::collections::{HashMap, VecDeque};

use super::Ticket;

/// What deliveries have in common that go one after another: a hash of the header's value. Two values that share one
/// wait for each other in vain, which does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Lines {
    by_key: HashMap<Key, Line>,
    /// How many stand in line, over all keys.
    behind: usize,
}

#[derive(Debug, Default)]
struct Line {
    /// How many deliveries hold the key: usually one; two while one that acknowledged early runs on.
    holds: usize,
    behind: VecDeque<Ticket>,
}

impl Lines {
    /// How many stand in line, over all keys.
    pub(super) fn behind(&self) -> usize {
        self.behind
    }

    /// How many keys are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// A delivery arrives. Says whether it may go on and now holds the key; otherwise it stands in line, as the first
    /// of all if it was there before.
    pub(super) fn arrive(&mut self, key: Key, ticket: Ticket, was_there: bool) -> bool {
        let line = self.by_key.entry(key).or_default();
        if line.holds == 0 {
            line.holds = 1;
            return true;
        }
        self.behind += 1;
        match was_there {
            true => line.behind.push_front(ticket),
            false => line.behind.push_back(ticket),
        }
        false
    }

    /// Someone else holds the key as well.
    pub(super) fn hold(&mut self, key: Key) {
        self.by_key.entry(key).or_default().holds += 1;
    }

    /// One of those who hold the key lets it go. Says who may go on, who then holds it.
    pub(super) fn release(&mut self, key: Key) -> Option<Ticket> {
        let line = self.by_key.get_mut(&key)?;
        line.holds = line.holds.saturating_sub(1);
        if line.holds > 0 {
            return None;
        }
        match line.behind.pop_front() {
            Some(next) => {
                line.holds = 1;
                self.behind -= 1;
                Some(next)
            }
            None => {
                self.by_key.remove(&key);
                None
            }
        }
    }

    /// Everyone who stands in line.
    pub(super) fn into_behind(self) -> impl Iterator<Item = Ticket> {
        self.by_key.into_values().flat_map(|line| line.behind)
    }
}
