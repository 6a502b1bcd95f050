//! Admission: the one way in for messages, from the wire and from guests alike.
//!
//! It checks a message against the host's limits, gives it id and times, and has the broker keep it. What it lets in is
//! an event; what it refuses is nothing.

mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::future::BoxFuture;

use hostel_event::headers::Headers;
use hostel_event::id::{EventId, Ids};
use hostel_event::message::{DELIVER_AT_HEADER, EXPIRES_HEADER, Event, ID_HEADER};
use hostel_event::port::{Admitted, Broker, Clock, Observe, Publication, Publish, PublishError, Receipt};
use hostel_event::time::Timestamp;

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
}

/// Lets messages in until it is closed.
pub struct Admission {
    parts: Parts,
    closed: AtomicBool,
}

impl Admission {
    /// Open admission.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, closed: AtomicBool::new(false) }
    }

    /// Refuses whatever comes from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Who keeps what is admitted.
    pub(crate) fn broker(&self) -> &dyn Broker {
        &*self.parts.broker
    }

    /// The most bytes a message may have, headers and body together.
    pub(crate) fn message_bytes(&self) -> usize {
        self.parts.message_bytes
    }

    /// Lets a message in that is to be kept with an attempt's ack, if there is room for it now.
    pub(crate) fn stage(&self, publication: Publication) -> Result<Admitted, PublishError> {
        let admitted = self.admit(publication)?;
        match self.parts.broker.room_for(&admitted) {
            Ok(()) => Ok(admitted),
            Err(error) => {
                if matches!(error, PublishError::Overloaded { .. }) {
                    self.parts.observe.refused();
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
        let (bytes, limit) = (message.bytes(), self.parts.message_bytes);
        if bytes > limit {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        let given = message.headers.remove(ID_HEADER);
        let (id, given_id) = match (id, given) {
            (Some(id), _) => (id, true),
            (None, Some(given)) => (EventId::new(&given)?, true),
            (None, None) => (self.parts.ids.event(), false),
        };
        let published_at = self.parts.clock.wall();
        let expires_at = expiry(&mut message.headers, published_at)?;
        let not_before = delay(&mut message.headers, published_at)?;
        if not_before.is_some() && !self.parts.broker.guarantees().delays {
            let text =
                format!("header `{DELIVER_AT_HEADER}`: this host's broker publishes nothing later; leave it out");
            return Err(PublishError::Timing(text));
        }
        let event = Arc::new(Event { id, tenant, topic, published_at, expires_at, message });
        Ok(Admitted { event, audience, given_id, not_before })
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
            let kept = self.parts.broker.publish(admitted).await;
            match &kept {
                Ok(_) => self.parts.observe.published(&event),
                Err(PublishError::Overloaded { .. }) => self.parts.observe.refused(),
                Err(_) => {}
            }
            kept
        })
    }
}

#[cfg(test)]
mod tests;
