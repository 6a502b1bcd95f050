//! Who of those that hear a topic gets an event: everyone in no queue group, and one member of each group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hostel_event::routes::Routes;
use hostel_event::subscription::{Audience, Subscription};
use hostel_event::topic::Topic;

use crate::lot;

/// How a queue group chooses: a broker among its members, and a courier among the nodes of a remote one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The member with the least out for each delivery that it may run, or the node with the fewest requests on their
    /// way; between equals by lot.
    LeastLoaded,
    /// By lot, each node with the same chance, as go-micro does.
    Random,
    /// One node after the other.
    RoundRobin,
}

/// A subscription as a broker holds it.
pub(crate) trait Member {
    /// Its rules.
    fn subscription(&self) -> &Subscription;

    /// How many of its deliveries it has on its hands.
    fn out(&self) -> usize;

    /// Whose turn it is in the queue group of which this is the first member.
    fn turn(&self) -> &AtomicUsize;
}

/// How busy a member is: its deliveries for each that may run at the same time. In 1/1024.
fn load<M: Member>(member: &M) -> usize {
    member.out().saturating_mul(1024) / member.subscription().concurrency.max(1)
}

/// Draws lots and takes turns.
pub(crate) struct Chooser {
    choice: Choice,
    /// Of the lots; publishers share it without a lock.
    counter: AtomicU64,
}

impl Chooser {
    pub(crate) const fn new(choice: Choice, seed: u64) -> Self {
        Self { choice, counter: AtomicU64::new(seed) }
    }

    /// Everyone of the audience who hears the topic and is in no queue group, and one member of each group.
    pub(crate) fn choose<'a, M: Member>(
        &self,
        routes: &'a Routes<Arc<M>>,
        topic: &Topic,
        audience: &Audience,
    ) -> Vec<&'a Arc<M>> {
        let (mut chosen, mut members) = (Vec::new(), Vec::new());
        routes.visit(topic, |member| {
            let subscription = member.subscription();
            if audience.includes(subscription) {
                let list: &mut Vec<&Arc<M>> = if subscription.queue.is_none() { &mut chosen } else { &mut members };
                list.push(member);
            }
        });
        while let Some(first) = members.first().copied() {
            let group: Vec<&Arc<M>> =
                members.extract_if(.., |member| member.subscription().shares_with(first.subscription())).collect();
            chosen.extend(self.pick(&group));
        }
        chosen
    }

    /// One of the members, each of which stands for as many nodes as its place says; `None` if there are none.
    pub(crate) fn pick<'a, M: Member>(&self, members: &[&'a Arc<M>]) -> Option<&'a Arc<M>> {
        match self.choice {
            _ if members.len() < 2 => members.first().copied(),
            Choice::Random => self.by_lot(members),
            Choice::RoundRobin => {
                let turn = members.first()?.turn().fetch_add(1, Ordering::Relaxed);
                at_node(members, turn % nodes(members).max(1))
            }
            Choice::LeastLoaded => {
                let least = members.iter().map(|member| load(&***member)).min()?;
                let equals: Vec<&Arc<M>> =
                    members.iter().filter(|member| load(&****member) <= least).copied().collect();
                // Who was the least loaded may have got something meanwhile.
                if equals.is_empty() { self.by_lot(members) } else { self.by_lot(&equals) }
            }
        }
    }

    fn by_lot<'a, M: Member>(&self, members: &[&'a Arc<M>]) -> Option<&'a Arc<M>> {
        let counter = self.counter.fetch_add(lot::STEP, Ordering::Relaxed).wrapping_add(lot::STEP);
        at_node(members, lot::below(counter, nodes(members)))
    }
}

/// How many nodes the members stand for together.
fn nodes<M: Member>(members: &[&Arc<M>]) -> usize {
    members.iter().map(|member| member.subscription().place.nodes()).sum()
}

/// The member that stands for node number `node` when they are counted through; the first if none stands for any.
fn at_node<'a, M: Member>(members: &[&'a Arc<M>], mut node: usize) -> Option<&'a Arc<M>> {
    for member in members {
        let nodes = member.subscription().place.nodes();
        if node < nodes {
            return Some(member);
        }
        node -= nodes;
    }
    members.first().copied()
}
