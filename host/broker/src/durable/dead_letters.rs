//! The dead letters of the durable broker: in the log, with the whole event and every attempt.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use uuid::Uuid;

use hostel_event::dead_letter::{DeadLetter, Filter};
use hostel_event::id::DeadLetterId;
use hostel_event::message::Message;
use hostel_event::name::Tenant;
use hostel_event::port::{DeadLetterError, DeadLetters};
use hostel_event::time::Timestamp;
use hostel_log::batch::{Batch, Precondition};
use hostel_log::error::{CommitError, Conflict, ReadError};
use hostel_log::record::{self as log, Millis};
use hostel_log::settings::Sync;

use super::line::Publication;
use super::{Shared, publish_error, record};
use crate::chain::chain;
use crate::telemetry;

/// Dead letters read at a time.
const PAGE: usize = 128;

/// The log's id of a dead letter; `None` if the text is no UUID, and so no id of ours.
pub(crate) fn number(id: &DeadLetterId) -> Option<log::DeadLetterId> {
    Uuid::try_parse(id.as_str()).ok().map(|uuid| log::DeadLetterId(uuid.into_bytes()))
}

/// A dead letter as the port has it. What cannot be read is said in the log and left out.
fn read(found: log::DeadLetter) -> Option<Arc<DeadLetter>> {
    let id = Uuid::from_bytes(found.id.0).to_string();
    match record::read_dead_letter(found.detail, &found.tenant) {
        Ok((subscription, event, history)) => Some(Arc::new(DeadLetter {
            id: DeadLetterId::parse(&id),
            subscription,
            event: Arc::new(event),
            reason: found.reason,
            history,
            died_at: Timestamp::from_millis(found.at.0),
        })),
        Err(error) => {
            telemetry::cannot_read_dead_letter(&id, &error.to_string());
            None
        }
    }
}

impl Shared {
    fn find(&self, tenant: &Tenant, id: &DeadLetterId) -> Option<Arc<DeadLetter>> {
        match self.log.snapshot().dead_letter(number(id)?) {
            Ok(found) => read(found.filter(|found| found.tenant == tenant.as_str())?),
            Err(error) => {
                telemetry::cannot_read_dead_letter(id.as_str(), &chain(&error));
                None
            }
        }
    }

    /// Delivers again, with another message if one is given.
    async fn deliver_again(
        &self,
        tenant: &Tenant,
        id: &DeadLetterId,
        message: Option<Message>,
    ) -> Result<Arc<DeadLetter>, DeadLetterError> {
        let unknown = || DeadLetterError::Unknown(id.clone());
        let letter = self.find(tenant, id).ok_or_else(unknown)?;
        let event = letter.event_with(message);
        let mut batch = taken(id).ok_or_else(unknown)?;
        let answer = {
            let table = self.table.read();
            let entry = table.entries.get(&letter.subscription);
            let entry = entry.ok_or_else(|| DeadLetterError::NoSubscription(letter.subscription.clone()))?;
            let targets = vec![Arc::clone(&entry.lane)];
            batch.publish(self.kept_as(&event, &targets, None));
            let sync = self.settings.policy(&event.topic).sync;
            let topic = self.topics.key(&event.tenant, &event.topic);
            self.line.commit(&self.log, (batch, sync), vec![Publication { event, topic, targets }])
        };
        let outcome = match answer {
            Ok(answer) => answer.await.unwrap_or(Err(CommitError::Closed)),
            Err(error) => Err(error),
        };
        outcome.map(|_| letter).map_err(|error| failed(id, error))
    }

    async fn forget_letter(&self, tenant: &Tenant, id: &DeadLetterId) -> Result<Arc<DeadLetter>, DeadLetterError> {
        let unknown = || DeadLetterError::Unknown(id.clone());
        let letter = self.find(tenant, id).ok_or_else(unknown)?;
        let batch = taken(id).ok_or_else(unknown)?;
        let outcome = self.log.commit(batch, Sync::Always).await;
        outcome.map(|_| letter).map_err(|error| failed(id, error))
    }

    fn page(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        before: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<Arc<DeadLetter>>, ReadError> {
        let snapshot = self.log.snapshot();
        // The smallest id of a time stands before all others of it.
        let mut at = filter.until.map(|until| (Millis(until.as_millis()), log::DeadLetterId([0; 16])));
        if let Some(before) = before {
            // An id that never was: nothing is older than it.
            let Some(id) = number(before) else { return Ok(Vec::new()) };
            // One that is gone since is looked for at the time in its id.
            let time = snapshot.dead_letter(id)?.map_or_else(|| time_of(id), |found| found.at);
            at = at.into_iter().chain([(time, id)]).min();
        }
        let mut accepted = Vec::new();
        while accepted.len() < limit {
            let page = snapshot.dead_letters_before(tenant.as_str(), at, PAGE)?;
            let Some(last) = page.last() else { break };
            at = Some((last.at, last.id));
            let is_beyond = filter.since.is_some_and(|since| last.at.0 < since.as_millis());
            let likely = page
                .into_iter()
                .filter(|found| filter.accepts_what_it_says(Timestamp::from_millis(found.at.0), &found.reason));
            accepted.extend(likely.filter_map(read).filter(|letter| filter.accepts(letter)));
            if is_beyond {
                break;
            }
        }
        accepted.truncate(limit);
        Ok(accepted)
    }
}

/// A batch that takes a dead letter away, if it is there; `None` if this is no id of ours.
fn taken(id: &DeadLetterId) -> Option<Batch> {
    let number = number(id)?;
    let mut batch = Batch::new();
    batch.require(Precondition::DeadLetter(number)).remove_dead_letter(number);
    Some(batch)
}

fn failed(id: &DeadLetterId, error: CommitError) -> DeadLetterError {
    match error {
        CommitError::Conflict(Conflict::DeadLetter(_)) => DeadLetterError::Unknown(id.clone()),
        error => DeadLetterError::Publish(publish_error(error)),
    }
}

/// The first 48 bits of a UUIDv7 are its time.
fn time_of(id: log::DeadLetterId) -> Millis {
    let time = id.0.iter().take(6).fold(0_u64, |time, byte| time << 8 | u64::from(*byte));
    Millis(time)
}

impl DeadLetters for Shared {
    fn search(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        before: Option<&DeadLetterId>,
        limit: usize,
    ) -> Vec<Arc<DeadLetter>> {
        self.page(tenant, filter, before, limit).unwrap_or_else(|error| {
            telemetry::cannot_read_dead_letter("of a page", &chain(&error));
            Vec::new()
        })
    }

    fn oldest(&self, tenant: &Tenant, after: Option<(Timestamp, &DeadLetterId)>, limit: usize) -> Vec<Arc<DeadLetter>> {
        // The smallest id of a time stands before all others of it.
        let id = |id| number(id).unwrap_or(log::DeadLetterId([0; 16]));
        let after = after.map(|(at, after)| (Millis(at.as_millis()), id(after)));
        match self.log.snapshot().dead_letters(tenant.as_str(), after, limit) {
            Ok(found) => found.into_iter().filter_map(read).collect(),
            Err(error) => {
                telemetry::cannot_read_dead_letter("of a page", &chain(&error));
                Vec::new()
            }
        }
    }

    fn get(&self, tenant: &Tenant, id: &DeadLetterId) -> Option<Arc<DeadLetter>> {
        self.find(tenant, id)
    }

    fn redrive(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        Box::pin(async move { self.deliver_again(&tenant, &id, None).await })
    }

    fn redrive_as(
        &self,
        tenant: &Tenant,
        id: &DeadLetterId,
        message: Message,
    ) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        Box::pin(async move { self.deliver_again(&tenant, &id, Some(message)).await })
    }

    fn discard(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        Box::pin(async move { self.forget_letter(&tenant, &id).await })
    }
}
