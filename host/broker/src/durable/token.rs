//! The token that settles one delivery: one batch in the log for each settlement.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use hostel_event::delivery::{Settle, SettleError, Settlement};
use hostel_event::key_value::{Effects, Key};
use hostel_event::message::Event;
use hostel_event::outcome::Attempt;
use hostel_log::batch::{Batch, Precondition};
use hostel_log::error::{CommitError, Conflict};
use hostel_log::record::{self as log, Millis, Offset, SubscriptionNumber};
use hostel_log::settings::Sync;

use super::budget::Kept;
use super::lane::Lane;
use super::queue::{Attempts, Load};
use super::{Shared, dead_letters, history, record, values};

/// A plain acknowledgement need not be on the disk before its handler goes on: one that is lost is a delivery more. It
/// is written at once, so it outlives the process, and synced within this time, which is arbitrary.
pub(crate) const ACK: Sync = Sync::Interval(Duration::from_millis(100));

/// Settles one delivery. Dropped unused, it has the event delivered again: to the same subscription, or if that has ended
/// to another member of its queue group.
pub(crate) struct Token {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    load: Load,
    kept: Arc<Kept>,
    is_done: bool,
}

impl Token {
    pub(crate) const fn new(shared: Arc<Shared>, lane: Arc<Lane>, load: Load, kept: Arc<Kept>) -> Self {
        Self { shared, lane, load, kept, is_done: false }
    }

    fn at(&self) -> (SubscriptionNumber, Offset) {
        (self.lane.number(), self.load.place.offset)
    }

    fn event(&self) -> &Arc<Event> {
        self.kept.event()
    }

    /// A batch that settles it and forgets what is remembered of its attempts.
    fn batch(&self) -> Batch {
        let (number, offset) = self.at();
        let mut batch = Batch::new();
        batch.settle(number, offset);
        if self.load.has_history {
            batch.remove_delivery(number, offset);
        }
        batch
    }

    fn sync(&self) -> Sync {
        self.shared.settings.policy(&self.event().topic).sync
    }

    async fn ack(&mut self, effects: Effects) -> Result<(), SettleError> {
        let mut batch = self.batch();
        if effects.is_empty() {
            let outcome = self.shared.log.commit(batch, ACK).await;
            return self.ended(outcome.map(|_| ()));
        }
        values::add(&mut batch, effects.writes);
        let outcome = if effects.publications.is_empty() {
            self.shared.log.commit(batch, self.sync()).await.map(|_| ())
        } else {
            self.shared.commit(batch, self.sync(), effects.publications).await.map(|_| ())
        };
        self.ended(outcome)
    }

    async fn give_up(&mut self, reason: String, history: &[Attempt]) -> Result<(), SettleError> {
        let mut batch = self.batch();
        let event = self.event();
        let (subscription, offset) = self.at();
        let Some(id) = dead_letters::number(&self.shared.ids.dead_letter()) else {
            return self.ended(Err(CommitError::Unreadable { reason: "an id that was made is no UUID".to_owned() }));
        };
        batch.put_dead_letter(log::DeadLetter {
            id,
            // Its owner's, whose topic it ever was on.
            tenant: self.lane.known.tenant.as_str().to_owned(),
            at: self.shared.now(),
            subscription,
            offset,
            reason,
            attempts: count(history),
            detail: record::dead_letter(self.lane.id(), event, history),
        });
        let outcome = self.shared.log.commit(batch, self.sync()).await;
        self.ended(outcome.map(|_| ()))
    }

    async fn retry(&mut self, after: Duration, attempts: &[Attempt]) -> Result<(), SettleError> {
        if self.lane.has_ended() {
            // Nobody of this name tries again: whoever gets it begins anew.
            return Ok(());
        }
        let (number, offset) = self.at();
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let due = Millis(self.shared.now().0.saturating_add(after));
        let remembered = log::Delivery { due, attempts: count(attempts), history: history::encode(attempts) };
        let mut batch = Batch::new();
        batch.require(Precondition::Unsettled(number, offset)).put_delivery(number, offset, remembered);
        match self.shared.log.commit(batch, self.sync()).await {
            Ok(_) => {
                self.is_done = true;
                self.lane.sleep(offset, Attempts::Remembered);
                self.shared.keeper.wake_at(due, (number, offset));
                // If it ended meanwhile, the timer finds nobody to give it to.
                if self.lane.has_ended() {
                    self.shared.keeper.left(&self.lane);
                }
                Ok(())
            }
            Err(error) => self.ended(Err(error)),
        }
    }

    /// What follows from the log's answer.
    fn ended(&mut self, outcome: Result<(), CommitError>) -> Result<(), SettleError> {
        let error = match outcome {
            Ok(()) => {
                self.finish();
                return Ok(());
            }
            Err(error) => error,
        };
        match error {
            CommitError::Conflict(Conflict::Settled { .. }) => {
                self.finish();
                Err(SettleError::AlreadySettled)
            }
            // Dropped, the token has it delivered again at once.
            CommitError::Conflict(Conflict::Value { key, .. }) => match Key::new(&key) {
                Ok(key) => Err(SettleError::Conflict(key)),
                Err(_) => Err(SettleError::Failed(format!("key `{key}` was written by another meanwhile"))),
            },
            error => {
                // Not at once: what failed for want of space or time would fail again.
                self.is_done = true;
                self.lane.sleep(self.load.place.offset, Attempts::AsBefore);
                if !matches!(error, CommitError::Poisoned { .. }) {
                    self.shared.keeper.wake_later(&self.shared, self.at());
                }
                Err(SettleError::Failed(error.to_string()))
            }
        }
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.shared.finish(&self.lane, self.load.place.offset);
    }
}

fn count(attempts: &[Attempt]) -> u32 {
    u32::try_from(attempts.len()).unwrap_or(u32::MAX)
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if self.lane.put_back(self.load.place.offset) {
            self.shared.feeding.feed(&self.lane);
        }
        if self.lane.has_ended() {
            self.shared.keeper.left(&self.lane);
        }
    }
}

impl Settle for Token {
    fn settle(mut self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            match settlement {
                Settlement::Ack(effects) => self.ack(effects).await,
                Settlement::Retry { after, history } => self.retry(after, &history).await,
                Settlement::DeadLetter { reason, history } => self.give_up(reason, &history).await,
            }
        })
    }
}
