//! Who has announced itself: enough to tell watchers of a node once and not at each of its three announcements.
//!
//! Of each node only its name and a digest of the rest is kept, and of a bounded number of nodes. Where more announce
//! themselves the one heard longest ago is forgotten, and would be news again: watchers may hear of it twice, as they
//! do with go-micro, but memory does not grow.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hostel_event::port::ChangeKind;
use hostel_event::time::Moment;

use crate::mdns::packet::{self, Told};

/// What is known of nodes that announced themselves.
pub(crate) struct Heard {
    limit: usize,
    nodes: HashMap<String, Known>,
    /// Names by when they were heard, the longest ago first.
    order: BTreeMap<u64, String>,
    count: u64,
}

struct Known {
    digest: u64,
    heard: u64,
    /// The record's TTL: what is not announced again for so long is news.
    until: Moment,
}

impl Heard {
    /// Remembers up to `limit` nodes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), nodes: HashMap::new(), order: BTreeMap::new(), count: 0 }
    }

    /// What an announcement changes, and whether another node was forgotten for it. `None` if it is no news.
    pub(crate) fn hear(&mut self, told: &Told, now: Moment) -> (Option<ChangeKind>, bool) {
        let before = self.nodes.remove(&told.name);
        if let Some(before) = &before {
            self.order.remove(&before.heard);
        }
        if told.leaves {
            // Told even of a node that was not heard before: a watcher may know it from an answer.
            return (Some(ChangeKind::Delete), false);
        }
        let forgot = self.nodes.len() >= self.limit;
        if forgot && let Some((_, name)) = self.order.pop_first() {
            self.nodes.remove(&name);
        }
        let digest = digest(told);
        self.count += 1;
        self.order.insert(self.count, told.name.clone());
        let until = now.after(Duration::from_secs(packet::TTL.into()));
        self.nodes.insert(told.name.clone(), Known { digest, heard: self.count, until });
        let kind = match before {
            Some(before) if now >= before.until => Some(ChangeKind::Create),
            Some(before) => (before.digest != digest).then_some(ChangeKind::Update),
            None => Some(ChangeKind::Create),
        };
        (kind, forgot)
    }
}

fn digest(told: &Told) -> u64 {
    let mut hasher = DefaultHasher::new();
    (told.address, &told.text).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, port: u16) -> Told {
        let address = ([127, 0, 0, 1], port).into();
        Told { name: name.to_owned(), address, text: b"text".to_vec(), leaves: false }
    }

    fn at(seconds: u64) -> Moment {
        Moment::new(Duration::from_secs(seconds))
    }

    #[test]
    fn a_node_is_news_once_and_again_when_it_changed_or_left() {
        let mut heard = Heard::new(10);
        let mut check = |told: &Told, now, expected| assert_eq!(heard.hear(told, at(now)), (expected, false), "{now}");
        check(&told("a", 1), 0, Some(ChangeKind::Create));
        check(&told("a", 1), 1, None);
        check(&told("a", 1), 3, None);
        check(&told("a", 2), 4, Some(ChangeKind::Update));
        let gone = Told { leaves: true, ..told("a", 2) };
        check(&gone, 5, Some(ChangeKind::Delete));
        check(&told("a", 2), 6, Some(ChangeKind::Create));
        check(&told("a", 2), 6 + 120, Some(ChangeKind::Create));
        check(&Told { leaves: true, ..told("never seen", 2) }, 130, Some(ChangeKind::Delete));
    }

    #[test]
    fn a_hundred_thousand_announcements_keep_no_more_than_the_limit() {
        let mut heard = Heard::new(100);
        let forgotten = (0..100_000).filter(|number| heard.hear(&told(&format!("n{number}"), 1), at(0)).1).count();
        assert_eq!((heard.nodes.len(), heard.order.len(), forgotten), (100, 100, 99_900));
        assert_eq!(heard.hear(&told("n99999", 1), at(0)), (None, false), "the newest is known");
        assert_eq!(heard.hear(&told("n0", 1), at(0)), (Some(ChangeKind::Create), true), "the oldest is not");
    }
}
