//! Which member of a queue group gets an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Entry;

/// How a queue group chooses among its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The member with the least out for each delivery that it may run; between equals by lot.
    LeastLoaded,
    /// By lot, each node with the same chance, as go-micro does.
    Random,
    /// One node after the other.
    RoundRobin,
}

/// Draws lots and takes turns.
pub(super) struct Chooser {
    choice: Choice,
    /// The state of the generator: SplitMix64 needs no more than a counter, so that publishers share it without a lock.
    state: AtomicU64,
}

impl Chooser {
    pub(super) const fn new(choice: Choice, seed: u64) -> Self {
        Self { choice, state: AtomicU64::new(seed) }
    }

    /// One of the members, each of which stands for as many nodes as its place says; `None` if there are none.
    pub(super) fn pick<'a>(&self, members: &[&'a Arc<Entry>]) -> Option<&'a Arc<Entry>> {
        match self.choice {
            _ if members.len() < 2 => members.first().copied(),
            Choice::Random => self.by_lot(members),
            Choice::RoundRobin => {
                let turn = members.first()?.account.turn.fetch_add(1, Ordering::Relaxed);
                at_node(members, turn % nodes(members).max(1))
            }
            Choice::LeastLoaded => {
                let least = members.iter().map(|entry| entry.load()).min()?;
                let equals: Vec<&Arc<Entry>> = members.iter().filter(|entry| entry.load() <= least).copied().collect();
                // Who was the least loaded may have got something meanwhile.
                if equals.is_empty() { self.by_lot(members) } else { self.by_lot(&equals) }
            }
        }
    }

    fn by_lot<'a>(&self, members: &[&'a Arc<Entry>]) -> Option<&'a Arc<Entry>> {
        let nodes = nodes(members).max(1) as u64;
        // The remainder's bias is some 2^-50 for any real number of nodes.
        let node = usize::try_from(self.draw() % nodes).unwrap_or(0);
        at_node(members, node)
    }

    /// SplitMix64, by Sebastiano Vigna, after Steele, Lea and Flood: "Fast splittable pseudorandom number generators",
    /// 2014.
    fn draw(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How many nodes the members stand for together.
fn nodes(members: &[&Arc<Entry>]) -> usize {
    members.iter().map(|entry| entry.subscription.place.nodes()).sum()
}

/// The member that stands for node number `node` when they are counted through; the first if none stands for any.
fn at_node<'a>(members: &[&'a Arc<Entry>], mut node: usize) -> Option<&'a Arc<Entry>> {
    for entry in members {
        let nodes = entry.subscription.place.nodes();
        if node < nodes {
            return Some(entry);
        }
        node -= nodes;
    }
    members.first().copied()
}
