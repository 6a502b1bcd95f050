//! Who waits for the replies to a request: told of each event that is published on its reply topic.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::reply::is_reply;
use hostel_event::topic::Topic;

/// Requests that wait at the same time. Arbitrary: above what a host runs invocations of.
const WAITING_LIMIT: usize = 16 * 1024;
/// Answers to one request that are kept before its asker looks. Bounds what an asker for any number makes the host keep.
const ANSWERS_LIMIT: usize = 64;

type Key = (Tenant, Topic);

/// All who wait.
#[derive(Default)]
pub(crate) struct Replies {
    /// How many wait. Read before the lock is taken: the usual case is that nobody does.
    count: AtomicUsize,
    waiting: Mutex<HashMap<Key, mpsc::Sender<Arc<Event>>>>,
}

/// A place among those who wait. Made before the question is published, so that no answer is missed; gone with this
/// value.
pub(crate) struct Waiting<'a> {
    replies: &'a Replies,
    key: Key,
    answers: mpsc::Receiver<Arc<Event>>,
}

impl Replies {
    /// Begins to wait for what is published on a reply topic that nobody else has; at most so many answers are kept.
    ///
    /// # Errors
    /// How many wait, if no more may.
    pub(crate) fn expect(&self, tenant: Tenant, topic: Topic, answers: NonZeroUsize) -> Result<Waiting<'_>, usize> {
        let (sender, receiver) = mpsc::channel(answers.get().min(ANSWERS_LIMIT));
        let key = (tenant, topic);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_LIMIT {
            return Err(waiting.len());
        }
        waiting.insert(key.clone(), sender);
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(Waiting { replies: self, key, answers: receiver })
    }

    /// Shows an event to whoever waits for it. One that comes when as many wait to be read as may is lost.
    pub(crate) fn show(&self, event: &Arc<Event>) {
        if self.count.load(Ordering::Acquire) == 0 || !is_reply(&event.topic) {
            return;
        }
        let key = (event.tenant.clone(), event.topic.clone());
        if let Some(sender) = self.waiting.lock().get(&key) {
            let _ = sender.try_send(Arc::clone(event));
        }
    }
}

#[cfg(test)]
impl Replies {
    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }
}

impl Waiting<'_> {
    /// The next answer. Cancelling loses none.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        self.answers.recv().await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.replies.waiting.lock().remove(&self.key);
        self.replies.count.fetch_sub(1, Ordering::AcqRel);
    }
}
