//! How a subscription joins, comes back after a restart, and changes. How it ends stands in [`super::ending`].

use std::sync::Arc;

use hostel_event::port::{Sink, SubscribeError};
use hostel_event::subscription::Subscription;
use hostel_log::batch::Batch;
use hostel_log::error::CommitError;
use hostel_log::record::{Kind, Offset, SubscriptionNumber};
use hostel_log::settings::Sync;

use super::lane::{Entry, Lane, Seat};
use super::queue::Queue;
use super::record::{self, Known};
use super::{NEXT_NUMBER, Shared};

impl Shared {
    pub(crate) async fn subscribe(
        &self,
        subscription: Arc<Subscription>,
        sink: Arc<dyn Sink>,
    ) -> Result<(), SubscribeError> {
        let mut next_number = self.changing.lock().await;
        let id = &subscription.id;
        let known = {
            let table = self.table.read();
            if table.entries.contains_key(id) {
                return Err(SubscribeError::Exists(id.clone()));
            }
            table.orphans().find(|lane| lane.id() == id).cloned()
        };
        let lane = match known {
            Some(lane) => lane,
            None => self.remember(&subscription, &mut next_number).await?,
        };
        let entry = Arc::new(Entry { subscription, lane: Arc::clone(&lane) });
        let replay = {
            let mut table = self.table.write();
            table.insert(&entry);
            table.replays.get(lane.id()).cloned()
        };
        for lane in replay.iter().chain([&lane]) {
            if lane.seat(Seat { window: 0, sink: Arc::clone(&sink) }) {
                self.feeding.feed(lane);
            }
        }
        self.share_window(&entry);
        Ok(())
    }

    /// Gives a subscription its number.
    async fn remember(&self, subscription: &Subscription, next_number: &mut u32) -> Result<Arc<Lane>, SubscribeError> {
        let Subscription { id, tenant, pattern, queue, .. } = subscription.clone();
        let number = SubscriptionNumber(*next_number);
        let known = Known { number, id, tenant, pattern, queue, ended: false, replay: None };
        // Nothing that is in the log by now is for it.
        let floor = self.line.end();
        self.introduce(&known, floor, next_number).await.map_err(|error| subscribe_error(&error))?;
        Ok(Arc::new(Lane::new(known, Queue::new(), None)))
    }

    /// Keeps what is to be remembered of a lane, and that its number is taken.
    pub(crate) async fn introduce(
        &self,
        known: &Known,
        floor: Offset,
        next_number: &mut u32,
    ) -> Result<(), CommitError> {
        let following = next_number
            .checked_add(1)
            .ok_or_else(|| CommitError::TooLarge { what: "there are no more numbers for subscriptions".to_owned() })?;
        let mut batch = Batch::new();
        batch.put_document(Kind::Subscription, document_key(known.number), record::known(known));
        batch.put_document(Kind::Host, NEXT_NUMBER.to_owned(), following.to_be_bytes().to_vec());
        batch.advance(known.number, floor);
        self.log.commit(batch, Sync::Always).await?;
        *next_number = following;
        Ok(())
    }

    pub(crate) async fn resubscribe(&self, subscription: Arc<Subscription>) -> Result<(), SubscribeError> {
        let _changing = self.changing.lock().await;
        let entry = {
            let mut table = self.table.write();
            let id = &subscription.id;
            let old = table.remove(id).ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
            let entry = Arc::new(Entry { lane: Arc::clone(&old.lane), subscription });
            table.insert(&entry);
            entry
        };
        self.share_window(&entry);
        Ok(())
    }

    /// Divides a subscription's window between what comes and a replay, which gets a quarter. Each has one place at
    /// least, so that a window of one is two while a replay is under way.
    pub(crate) fn share_window(&self, entry: &Entry) {
        let window = entry.subscription.window;
        let replay = self.table.read().replays.get(entry.lane.id()).cloned();
        let share = replay.as_ref().map_or(0, |_| (window / 4).max(1));
        if entry.lane.resize(window.saturating_sub(share).max(1)) {
            self.feeding.feed(&entry.lane);
        }
        if let Some(replay) = replay
            && replay.resize(share)
        {
            self.feeding.feed(&replay);
        }
    }
}

/// The key of a subscription's document: its number, not its name, since one that has ended may still hand over what it
/// had while another of the same name begins.
pub(crate) fn document_key(number: SubscriptionNumber) -> String {
    format!("{:010}", number.0)
}

pub(crate) fn subscribe_error(error: &CommitError) -> SubscribeError {
    SubscribeError::Broker(error.to_string())
}
