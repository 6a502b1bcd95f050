//! Changes on their way to watchers: one bounded buffer for each, and a count of what did not fit.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use hostel_event::port::{Change, Watch};

use crate::telemetry;

/// Where changes are told and watchers join.
pub(crate) struct Hub {
    buffer: usize,
    watchers: Mutex<Watchers>,
}

#[derive(Default)]
struct Watchers {
    queues: Vec<Weak<Queue>>,
    closed: bool,
}

struct Queue {
    /// The only service wanted, or all.
    name: Option<String>,
    waiting: Mutex<Waiting>,
    /// One watcher waits on it, and `notify_one` keeps a permit for it: nothing told between a look and a wait is missed.
    told: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Shared by all watchers: a change is as large as its service.
    changes: VecDeque<Arc<Change>>,
    lost: u64,
    closed: bool,
}

/// One watcher's end.
pub(crate) struct Watcher {
    queue: Arc<Queue>,
}

/// What a look into the buffer found.
pub(crate) enum Look {
    /// The oldest change.
    Change(Change),
    /// Nothing yet.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

impl Hub {
    /// A hub whose watchers may be `buffer` changes behind.
    pub(crate) fn new(buffer: usize) -> Self {
        Self { buffer: buffer.max(1), watchers: Mutex::default() }
    }

    /// Changes from now on.
    pub(crate) fn watch(&self, name: Option<&str>) -> Watcher {
        let mut watchers = self.watchers.lock();
        let waiting = Mutex::new(Waiting { closed: watchers.closed, ..Waiting::default() });
        let queue = Arc::new(Queue { name: name.map(str::to_owned), waiting, told: Notify::new() });
        // Here too, so that watchers which come and go leave nothing behind where nothing changes.
        watchers.queues.retain(|queue| queue.strong_count() > 0);
        watchers.queues.push(Arc::downgrade(&queue));
        Watcher { queue }
    }

    /// Puts a change into the buffer of everyone who wants it. Where there is no room the oldest makes way: what is
    /// newest says most about who is there now.
    pub(crate) fn tell(&self, change: Change) {
        let change = Arc::new(change);
        self.watchers.lock().queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            if queue.name.as_ref().is_none_or(|name| *name == change.service.name) {
                queue.push(&change, self.buffer);
            }
            true
        });
    }

    /// Ends all watches once their buffers are empty.
    pub(crate) fn close(&self) {
        let mut watchers = self.watchers.lock();
        watchers.closed = true;
        for queue in watchers.queues.iter().filter_map(Weak::upgrade) {
            queue.waiting.lock().closed = true;
            queue.told.notify_one();
        }
    }
}

impl Queue {
    fn push(&self, change: &Arc<Change>, buffer: usize) {
        let mut waiting = self.waiting.lock();
        if waiting.changes.len() >= buffer {
            waiting.changes.pop_front();
            waiting.lost = waiting.lost.saturating_add(1);
            telemetry::change_lost(waiting.lost);
        }
        waiting.changes.push_back(Arc::clone(change));
        drop(waiting);
        self.told.notify_one();
    }
}

impl Watcher {
    /// Takes the oldest change, without waiting.
    pub(crate) fn look(&self) -> Look {
        let mut waiting = self.queue.waiting.lock();
        match waiting.changes.pop_front() {
            Some(change) => Look::Change(Arc::unwrap_or_clone(change)),
            None if waiting.closed => Look::Closed,
            None => Look::Empty,
        }
    }

    /// Waits until a look may find something. May return early.
    pub(crate) async fn told(&self) {
        self.queue.told.notified().await;
    }
}

impl Watch for Watcher {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(async {
            loop {
                match self.look() {
                    Look::Change(change) => return Some(change),
                    Look::Closed => return None,
                    Look::Empty => self.told().await,
                }
            }
        })
    }

    fn lost(&self) -> u64 {
        self.queue.waiting.lock().lost
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::port::{ChangeKind, Service};

    use super::*;

    fn change(name: &str) -> Change {
        Change { kind: ChangeKind::Create, service: Service { name: name.to_owned(), ..Service::default() } }
    }

    #[tokio::test]
    async fn a_slow_watcher_keeps_the_newest_and_is_told_how_many_it_lost() {
        let hub = Hub::new(2);
        let mut slow = hub.watch(None);
        for name in ["1", "2", "3", "4", "5"] {
            hub.tell(change(name));
        }
        assert_eq!(slow.lost(), 3);
        assert_eq!(slow.next().await, Some(change("4")));
        assert_eq!(slow.next().await, Some(change("5")));
        hub.tell(change("6"));
        assert_eq!(slow.next().await, Some(change("6")));
        assert_eq!(slow.lost(), 3);
    }

    #[tokio::test]
    async fn a_watcher_of_one_service_loses_nothing_to_others() {
        let hub = Hub::new(1);
        let mut one = hub.watch(Some("a"));
        hub.tell(change("a"));
        hub.tell(change("b"));
        assert_eq!((one.next().await, one.lost()), (Some(change("a")), 0));
    }

    #[tokio::test]
    async fn closing_lets_watchers_read_what_is_there_and_then_end() {
        let hub = Hub::new(8);
        let mut early = hub.watch(None);
        hub.tell(change("a"));
        hub.close();
        assert_eq!(early.next().await, Some(change("a")));
        assert_eq!(early.next().await, None);
        assert_eq!(hub.watch(None).next().await, None);
    }

    #[test]
    fn watchers_that_left_are_forgotten() {
        let hub = Hub::new(8);
        for _ in 0..1000 {
            drop(hub.watch(None));
        }
        assert!(hub.watchers.lock().queues.len() <= 1);
    }
}
