//! `hostel:handler/publisher`: publishing on topics of the handler's own tenant that its manifest names. Also what the
//! like of it in other worlds goes through, so that a grant means the same in all.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hostel_event::headers::Headers;
use hostel_event::message::{Event, Message, ROUTE_HEADER};
use hostel_event::port::{Publication, Publish, PublishError, Question, Receipt, Request, RequestError};
use hostel_event::reply::{REPLY_TO_HEADER, is_reply};
use hostel_event::subscription::Audience;
use hostel_event::topic::Topic;

use crate::bindings::hostel::handler::{publisher, types};
use crate::meter::Beyond;
use crate::state::State;

impl types::Host for State {}

impl publisher::Host for State {
    async fn publish(&mut self, topic: String, message: types::Message) -> Result<String, types::PublishError> {
        let mut headers = Headers::new();
        for (name, value) in &message.headers {
            headers.append(name, value).map_err(|error| invalid(&error))?;
        }
        let message = Message { headers, body: Bytes::from(message.body) };
        let receipt = self.admit(&topic, message)?.publish().await?;
        Ok(receipt.id.as_str().to_owned())
    }
}

/// What a guest may publish, and through what. Whatever world its guest is of, it was made by [`State::admit`].
pub(crate) struct Admitted {
    publication: Publication,
    publish: Arc<dyn Publish>,
    request: Arc<dyn Request>,
}

impl Admitted {
    /// Publishes it, with the acknowledgement where the broker holds effects back until then.
    pub(crate) async fn publish(self) -> Result<Receipt, types::PublishError> {
        self.publish.publish(self.publication).await.map_err(|error| refusal(&error))
    }

    /// Publishes it at once and waits for answers.
    pub(crate) async fn ask(self, answers: NonZeroUsize, patience: Duration) -> Result<Vec<Arc<Event>>, RequestError> {
        self.request.request(Question { publication: self.publication, answers, patience }).await
    }
}

impl State {
    /// Checks what the guest wants to publish, and what it may.
    pub(crate) fn admit(&self, topic: &str, mut message: Message) -> Result<Admitted, types::PublishError> {
        let topic = Topic::new(topic).map_err(|error| invalid(&error))?;
        let call = self.call.as_ref();
        let may_answer = || call.is_some_and(|call| is_answer(&topic, &call.event));
        if !self.grants().may_publish(&topic) && !may_answer() {
            self.meter.traffic.deny();
            return Err(types::PublishError::Denied(format!(
                "handler `{}` may not publish on `{topic}`; add `publish = [\"{topic}\"]` to handler.toml",
                self.handler.name
            )));
        }
        let Some(call) = call else {
            return Err(types::PublishError::Denied(
                "nothing can be published from `lifecycle.init`; publish from `subscriber.handle`".to_owned(),
            ));
        };
        // What an event causes has come its way, whatever the guest says.
        message.headers.remove(ROUTE_HEADER);
        if let Some(route) = call.event.message.headers.get(ROUTE_HEADER) {
            message.headers.append(ROUTE_HEADER, route).map_err(|error| invalid(&error))?;
        }
        let limits = &self.handler.limits;
        self.meter.traffic.publishes(message.bytes(), limits).map_err(|beyond| {
            let (limit, key) = match beyond {
                Beyond::Events => (format!("{} events", limits.published_events), "published_events"),
                Beyond::Bytes => (format!("{} bytes of events", limits.published_bytes), "published_bytes"),
            };
            types::PublishError::Denied(format!(
                "handler `{}` may publish at most {limit} in one invocation; its limit is `{key}` in `[limits]` of \
                 handler.toml",
                self.handler.name
            ))
        })?;
        self.meter.traffic.gave(message.bytes());
        let publication =
            Publication { tenant: self.handler.tenant.clone(), topic, id: None, audience: Audience::Everyone, message };
        Ok(Admitted { publication, publish: Arc::clone(&call.publish), request: Arc::clone(&call.request) })
    }
}

/// Whether this is where the event's publisher wants its answer. That one asked, so that no grant is needed; a topic
/// that is not for replies needs one all the same, since anyone may name any.
fn is_answer(topic: &Topic, event: &Event) -> bool {
    is_reply(topic) && event.message.headers.get(REPLY_TO_HEADER) == Some(topic.as_str())
}

fn invalid(error: &dyn std::error::Error) -> types::PublishError {
    types::PublishError::Invalid(error.to_string())
}

/// Why something was not published, for contracts that have nothing but a text for it.
pub(crate) fn text(error: types::PublishError) -> String {
    match error {
        types::PublishError::Denied(text) | types::PublishError::Invalid(text) | types::PublishError::Failed(text) => {
            text
        }
        types::PublishError::TooLarge(limit) => format!("the message has more than {limit} bytes"),
        types::PublishError::Overloaded(ms) => format!("the broker is full; try again in {ms} ms"),
    }
}

/// The host's words in the contract's.
fn refusal(error: &PublishError) -> types::PublishError {
    match error {
        PublishError::TooLarge { limit, .. } => {
            types::PublishError::TooLarge(u64::try_from(*limit).unwrap_or(u64::MAX))
        }
        PublishError::Id(error) => types::PublishError::Invalid(error.to_string()),
        PublishError::Header(error) => types::PublishError::Invalid(error.to_string()),
        PublishError::Timing(text) => types::PublishError::Invalid(text.clone()),
        PublishError::Overloaded { retry_after, .. } | PublishError::Quota { retry_after, .. } => {
            types::PublishError::Overloaded(millis(*retry_after))
        }
        other => types::PublishError::Failed(other.to_string()),
    }
}

/// Whole milliseconds, rounded up so that "soon" is not "now".
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
