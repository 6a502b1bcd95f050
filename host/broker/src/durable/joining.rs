//! How a subscription joins, comes back after a restart, and changes. How it ends stands in [`super::ending`].

use std::sync::Arc;

use hostel_event::port::{Pause, Sink, Start, SubscribeError};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_log::batch::Batch;
use hostel_log::error::CommitError;
use hostel_log::record::{Kind, Offset, SubscriptionNumber};
use hostel_log::settings::Sync;

use super::lane::{Entry, Lane, Remembered, Seat};
use super::queue::Queue;
use super::record::{self, Known};
use super::{NEXT_NUMBER, Shared, replay};

impl Shared {
    pub(crate) async fn subscribe(
        &self,
        subscription: Arc<Subscription>,
        sink: Arc<dyn Sink>,
    ) -> Result<(), SubscribeError> {
        let mut next_number = self.changing.lock().await;
        let id = &subscription.id;
        let found = {
            let table = self.table.read();
            if table.entries.contains_key(id) {
                return Err(SubscribeError::Exists(id.clone()));
            }
            table.absent.get(id).cloned()
        };
        let lane = match found {
            Some(lane) => {
                let remembered = Remembered { queue: subscription.queue.clone(), ..lane.remembered() };
                self.remember(&lane, remembered).await?;
                lane
            }
            None => self.begin_anew(&subscription, &mut next_number).await?,
        };
        let entry = Arc::new(Entry { subscription, lane: Arc::clone(&lane) });
        let (replay, mark) = {
            let mut table = self.table.write();
            table.insert(&entry);
            // The table is still locked: what is in line now is not for it, and everything that comes behind is.
            (table.replays.get(lane.id()).cloned(), self.line.mark())
        };
        if let Some(replay) = &replay {
            // Closed: nothing comes behind.
            self.set_end(replay, mark.await.unwrap_or_else(|_| self.line.end())).await;
        }
        for lane in replay.iter().chain([&lane]) {
            if lane.seat(Seat { window: 0, sink: Arc::clone(&sink) }) {
                self.feeding.feed(lane);
            }
        }
        self.share_window(&entry);
        Ok(())
    }

    /// Gives a subscription its number, and one to the replay of what it gets first.
    async fn begin_anew(
        &self,
        subscription: &Subscription,
        next_number: &mut u32,
    ) -> Result<Arc<Lane>, SubscribeError> {
        let Subscription { id, tenant, source, pattern, queue, .. } = subscription.clone();
        let number = SubscriptionNumber(*next_number);
        let known = Known { number, id, tenant, source, pattern, queue, ended: false, replay: None, pause: None };
        // Nothing that is in the log by now is for it.
        let floor = self.line.end();
        let replay = match subscription.start {
            Start::Latest => None,
            start => {
                let first = self.place(&known, start, floor).await.map_err(SubscribeError::Broker)?;
                let number = SubscriptionNumber(number.0.saturating_add(1));
                Some((Known { number, replay: Some(replay::OPEN), ..known.clone() }, first))
            }
        };
        let news = [(&known, floor)].into_iter().chain(replay.iter().map(|(known, first)| (known, *first)));
        self.introduce(news, next_number).await.map_err(|error| subscribe_error(&error))?;
        if let Some((known, first)) = replay {
            let lane = Arc::new(replay::lane(known, replay::OPEN, first));
            let mut table = self.table.write();
            table.replays.insert(lane.id().clone(), Arc::clone(&lane));
            table.lanes.insert(lane.number(), lane);
        }
        Ok(Arc::new(Lane::new(known, Queue::new(), None)))
    }

    /// Keeps what is to be remembered of lanes, each with the first offset that it may have, and that their numbers are
    /// taken: all of it or none.
    pub(crate) async fn introduce(
        &self,
        news: impl Iterator<Item = (&Known, Offset)> + Send,
        next_number: &mut u32,
    ) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        let mut following = *next_number;
        for (known, floor) in news {
            following = known.number.0.checked_add(1).ok_or_else(|| CommitError::TooLarge {
                what: "there are no more numbers for subscriptions".to_owned(),
            })?;
            batch.put_document(Kind::Subscription, document_key(known.number), record::known(known));
            batch.advance(known.number, floor);
        }
        batch.put_document(Kind::Host, NEXT_NUMBER.to_owned(), following.to_be_bytes().to_vec());
        self.log.commit(batch, Sync::Always).await?;
        *next_number = following;
        Ok(())
    }

    pub(crate) async fn resubscribe(&self, subscription: Arc<Subscription>) -> Result<(), SubscribeError> {
        let _changing = self.changing.lock().await;
        let id = &subscription.id;
        let lane = self.table.read().entries.get(id).map(|entry| Arc::clone(&entry.lane));
        let lane = lane.ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
        let remembered = Remembered { queue: subscription.queue.clone(), ..lane.remembered() };
        self.remember(&lane, remembered).await?;
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

    /// Remembers that a subscription is paused, or not.
    pub(crate) async fn keep_pause(&self, id: &SubscriptionId, pause: Option<Pause>) -> Result<(), SubscribeError> {
        let _changing = self.changing.lock().await;
        let lane = self.table.read().lane_of(id).cloned().ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
        let remembered = Remembered { pause, ..lane.remembered() };
        self.remember(&lane, remembered).await
    }

    /// Writes a lane's document if it is to say something else than it does. The caller holds `changing`.
    async fn remember(&self, lane: &Lane, remembered: Remembered) -> Result<(), SubscribeError> {
        if lane.remembered() == remembered {
            return Ok(());
        }
        let Remembered { queue, pause } = remembered.clone();
        let known = Known { queue, pause, ..lane.known.clone() };
        let mut batch = Batch::new();
        batch.put_document(Kind::Subscription, document_key(known.number), record::known(&known));
        self.log.commit(batch, Sync::Always).await.map_err(|error| subscribe_error(&error))?;
        lane.remember(remembered);
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
