//! The dead letters of the memory broker: the newest, as far as the settings allow.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::dead_letter::{DeadLetter, Filter};
use hostel_event::id::{DeadLetterId, Ids};
use hostel_event::message::{Event, Message};
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Clock, DeadLetterError, DeadLetters};
use hostel_event::subscription::Subscription;
use hostel_event::time::Timestamp;

use super::token::Kept;
use super::{Memory, Settings, deliver, reserve_all};
use crate::telemetry;

/// Dead letters, oldest first.
pub(crate) struct Graveyard {
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Ids,
    graves: Mutex<Graves>,
}

#[derive(Default)]
struct Graves {
    letters: VecDeque<Arc<DeadLetter>>,
    bytes: usize,
    dropped: u64,
}

impl Graveyard {
    pub(crate) fn new(settings: Settings, clock: Arc<dyn Clock>, ids: Ids) -> Self {
        Self { settings, clock, ids, graves: Mutex::default() }
    }

    /// Keeps a dead letter, dropping the oldest where there is no room.
    pub(crate) fn bury(&self, subscription: &Subscription, event: Arc<Event>, reason: String, history: Vec<Attempt>) {
        let mut graves = self.graves.lock();
        let letter = Arc::new(DeadLetter {
            id: self.ids.dead_letter(),
            subscription: subscription.id.clone(),
            event,
            reason,
            history,
            died_at: self.clock.wall(),
        });
        graves.bytes += size(&letter);
        // By time and id, as lists give them: ids of one millisecond are in no order.
        let at = graves.letters.iter().rposition(|other| place(other) < place(&letter)).map_or(0, |before| before + 1);
        graves.letters.insert(at, letter);
        while graves.letters.len() > self.settings.dead_letters || graves.bytes > self.settings.dead_letter_bytes {
            let Some(oldest) = graves.letters.pop_front() else { break };
            graves.bytes -= size(&oldest);
            graves.dropped += 1;
            telemetry::dead_letter_dropped(graves.dropped);
        }
    }

    fn find(&self, tenant: &Tenant, id: &DeadLetterId) -> Option<Arc<DeadLetter>> {
        let graves = self.graves.lock();
        graves
            .letters
            .iter()
            .find(|letter| letter.id == *id && letter.subscription.tenant() == tenant.as_str())
            .cloned()
    }

    /// Takes one out; `None` if somebody else has.
    fn exhume(&self, id: &DeadLetterId) -> Option<Arc<DeadLetter>> {
        let mut graves = self.graves.lock();
        let at = graves.letters.iter().position(|letter| letter.id == *id)?;
        let letter = graves.letters.remove(at)?;
        graves.bytes -= size(&letter);
        Some(letter)
    }
}

/// Where a dead letter stands among others.
fn place(letter: &DeadLetter) -> (Timestamp, &DeadLetterId) {
    (letter.died_at, &letter.id)
}

/// What a dead letter takes: the event, and what its attempts said.
fn size(letter: &DeadLetter) -> usize {
    let said = |attempt: &Attempt| {
        let outcome = &attempt.report.outcome;
        let lines = attempt.report.log.lines.iter().map(|line| line.text.len() + line.context.len());
        outcome.reason().map_or(0, str::len) + outcome.stack().map_or(0, str::len) + lines.sum::<usize>()
    };
    letter.event.bytes() + letter.reason.len() + letter.history.iter().map(said).sum::<usize>()
}

impl Memory {
    fn redrive_now(
        &self,
        tenant: &Tenant,
        id: &DeadLetterId,
        message: Option<Message>,
    ) -> Result<Arc<DeadLetter>, DeadLetterError> {
        let graveyard = &self.shared.graveyard;
        let letter = graveyard.find(tenant, id).ok_or_else(|| DeadLetterError::Unknown(id.clone()))?;
        let table = self.shared.table.read();
        let entry = table
            .entries
            .get(&letter.subscription)
            .ok_or_else(|| DeadLetterError::NoSubscription(letter.subscription.clone()))?;
        let event = letter.event_with(message);
        let kept = Kept::reserve(event, &self.shared)?;
        reserve_all(&[entry])?;
        if graveyard.exhume(id).is_none() {
            entry.release();
            return Err(DeadLetterError::Unknown(id.clone()));
        }
        deliver(&self.shared, entry, &kept);
        Ok(letter)
    }
}

impl DeadLetters for Memory {
    fn search(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        before: Option<&DeadLetterId>,
        limit: usize,
    ) -> Vec<Arc<DeadLetter>> {
        let graves = self.shared.graveyard.graves.lock();
        let newest_first = graves.letters.iter().rev().filter(|letter| letter.subscription.tenant() == tenant.as_str());
        let accepted = |letter: &&Arc<DeadLetter>| filter.accepts(letter);
        match before {
            None => newest_first.filter(accepted).take(limit).cloned().collect(),
            Some(id) => {
                let older = newest_first.skip_while(|letter| letter.id != *id).skip(1);
                older.filter(accepted).take(limit).cloned().collect()
            }
        }
    }

    fn oldest(&self, tenant: &Tenant, after: Option<(Timestamp, &DeadLetterId)>, limit: usize) -> Vec<Arc<DeadLetter>> {
        let graves = self.shared.graveyard.graves.lock();
        let mine = graves.letters.iter().filter(|letter| letter.subscription.tenant() == tenant.as_str());
        let behind = mine.filter(|letter| after.is_none_or(|after| place(letter) > after));
        behind.take(limit).cloned().collect()
    }

    fn get(&self, tenant: &Tenant, id: &DeadLetterId) -> Option<Arc<DeadLetter>> {
        self.shared.graveyard.find(tenant, id)
    }

    fn redrive(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        Box::pin(ready(self.redrive_now(tenant, id, None)))
    }

    fn redrive_as(
        &self,
        tenant: &Tenant,
        id: &DeadLetterId,
        message: Message,
    ) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        Box::pin(ready(self.redrive_now(tenant, id, Some(message))))
    }

    fn discard(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        let graveyard = &self.shared.graveyard;
        let found = graveyard.find(tenant, id).and_then(|_| graveyard.exhume(id));
        Box::pin(ready(found.ok_or_else(|| DeadLetterError::Unknown(id.clone()))))
    }
}
