//! Admission: the one way in for messages, from the wire and from guests alike.
//!
//! It checks a message against the host's limits, gives it id and times, and has the broker keep it. What it lets in is
//! an event; what it refuses is nothing.

mod ask;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::future::BoxFuture;

use hostel_event::headers::Headers;
use hostel_event::id::{EventId, Ids};
use hostel_event::message::{DELIVER_AT_HEADER, EXPIRES_HEADER, Event, ID_HEADER};
use hostel_event::port::{Admitted, Broker, Clock, Observe, Publication, Publish, PublishError, Receipt};
use hostel_event::reply::is_reply;
use hostel_event::time::Timestamp;
use hostel_event::trace::{Context, PARENT_HEADER, TraceId};

use crate::quota::{Candidate, Quotas};
use crate::reply::Replies;

/// What admission needs.
#[derive(Clone)]
pub struct Parts {
    /// Who keeps what is admitted.
    pub broker: Arc<dyn Broker>,
    /// Tells the time of publishing.
    pub clock: Arc<dyn Clock>,
    /// Gives ids to events without one.
    pub ids: Ids,
    /// Hears what was admitted.
    pub observe: Arc<dyn Observe>,
    /// The most bytes a message may have, headers and body together.
    pub message_bytes: usize,
    /// How much each tenant may publish.
    pub quotas: Arc<Quotas>,
}

/// Lets messages in until it is closed.
pub struct Admission {
    parts: Parts,
    replies: Replies,
    closed: AtomicBool,
    /// Events that bring no trace begin one, and one in so many of those is told of; `None`: they begin none.
    one_in: Option<u32>,
}

impl Admission {
    /// Open admission.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, replies: Replies::default(), closed: AtomicBool::new(false), one_in: None }
    }

    /// The same, where an event that brings no trace begins one, of which one in so many is to be told of; 0: none.
    #[must_use]
    pub fn tracing(self, one_in: u32) -> Self {
        Self { one_in: Some(one_in), ..self }
    }

    /// Refuses whatever comes from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Who keeps what is admitted.
    pub(crate) fn broker(&self) -> &dyn Broker {
        &*self.parts.broker
    }

    /// How much each tenant may use.
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.parts.quotas
    }

    /// The most bytes a message may have, headers and body together.
    pub(crate) fn message_bytes(&self) -> usize {
        self.parts.message_bytes
    }

    /// Tells of an event that was published: whoever watches, and whoever waits for it as a reply.
    pub(crate) fn tell(&self, event: &Arc<Event>) {
        self.replies.show(event);
        self.parts.observe.published(event);
    }

    /// Lets a message in that is to be kept with an attempt's ack, if there is room for it now.
    pub(crate) fn stage(&self, publication: Publication) -> Result<Admitted, PublishError> {
        let admitted = self.admit(publication)?;
        match self.parts.broker.room_for(&admitted) {
            Ok(()) => Ok(admitted),
            Err(error) => {
                if matches!(error, PublishError::Overloaded { .. }) {
                    self.parts.observe.refused(&admitted.event.tenant);
                }
                Err(error)
            }
        }
    }

    fn admit(&self, publication: Publication) -> Result<Admitted, PublishError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        let Publication { tenant, topic, id, audience, mut message } = publication;
        // No part of the event.
        let given = message.headers.remove(ID_HEADER);
        let (bytes, limit) = (message.bytes(), self.parts.message_bytes);
        if bytes > limit {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        let (id, given_id) = match given {
            Some(given) => (EventId::new(&given)?, true),
            None => (id.unwrap_or_else(|| self.parts.ids.event()), false),
        };
        let published_at = self.parts.clock.wall();
        let expires_at = expiry(&mut message.headers, published_at)?;
        let not_before = delay(&mut message.headers, published_at)?;
        if not_before.is_some() && !self.parts.broker.guarantees().delays {
            let text =
                format!("header `{DELIVER_AT_HEADER}`: this host's broker publishes nothing later; leave it out");
            return Err(PublishError::Timing(text));
        }
        // The last check, so that what is refused for something else does not count.
        let candidate = Candidate { tenant: &tenant, now: self.parts.clock.now(), bytes };
        self.parts.quotas.admit(&candidate, || self.parts.broker.stored(&tenant))?;
        let mut event = Event { id, tenant, topic, published_at, expires_at, message };
        self.trace(&mut event);
        Ok(Admitted { event: Arc::new(event), audience, given_id, not_before })
    }
}

impl Admission {
    /// Begins a trace with an event that brings none.
    fn trace(&self, event: &mut Event) {
        let Some(one_in) = self.one_in.filter(|_| event.message.headers.get(PARENT_HEADER).is_none()) else { return };
        let is_sampled = TraceId::begun_by(event).is_one_in(one_in);
        let context = Context::begun_by(event, is_sampled);
        // Where there is no room for one more header the event goes without.
        let _ = event.message.headers.append(PARENT_HEADER, &context.to_string());
    }
}

/// When the event expires. The header stays, with the point in time that it means now: who passes the event on, or makes
/// another of it, does not make it younger.
fn expiry(headers: &mut Headers, now: Timestamp) -> Result<Option<Timestamp>, PublishError> {
    let Some(text) = headers.remove(EXPIRES_HEADER) else { return Ok(None) };
    let expires_at = timing::parse(EXPIRES_HEADER, &text, now)?;
    headers.append(EXPIRES_HEADER, &timing::write(expires_at))?;
    Ok(Some(expires_at))
}

/// When the event is to be published; `None` for at once.
fn delay(headers: &mut Headers, now: Timestamp) -> Result<Option<Timestamp>, PublishError> {
    let Some(text) = headers.remove(DELIVER_AT_HEADER) else { return Ok(None) };
    let not_before = timing::parse(DELIVER_AT_HEADER, &text, now)?;
    Ok((not_before > now).then_some(not_before))
}

impl Publish for Admission {
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Receipt, PublishError>> {
        Box::pin(async move {
            let admitted = self.admit(publication)?;
            let event = Arc::clone(&admitted.event);
            if is_reply(&event.topic) {
                self.tell(&event);
                return Ok(Receipt { id: event.id.clone(), subscriptions: Vec::new() });
            }
            let kept = self.parts.broker.publish(admitted).await;
            match &kept {
                Ok(_) => self.tell(&event),
                Err(PublishError::Overloaded { .. }) => self.parts.observe.refused(&event.tenant),
                Err(_) => {}
            }
            kept
        })
    }
}

#[cfg(test)]
mod tests;
