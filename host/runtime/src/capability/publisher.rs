//! `hostel:handler/publisher`: publishing on topics of the handler's own tenant that its manifest names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hostel_event::headers::Headers;
use hostel_event::message::{Message, ROUTE_HEADER};
use hostel_event::port::{Publication, Publish, PublishError};
use hostel_event::subscription::Audience;
use hostel_event::topic::Topic;

use crate::bindings::hostel::handler::{publisher, types};
use crate::state::State;

impl types::Host for State {}

impl publisher::Host for State {
    async fn publish(&mut self, topic: String, message: types::Message) -> Result<String, types::PublishError> {
        let (publish, publication) = self.admit(&topic, message)?;
        let receipt = publish.publish(publication).await.map_err(|error| refusal(&error))?;
        Ok(receipt.id.as_str().to_owned())
    }
}

impl State {
    /// Checks what the guest wants to publish, and what it may.
    fn admit(
        &self,
        topic: &str,
        message: types::Message,
    ) -> Result<(Arc<dyn Publish>, Publication), types::PublishError> {
        let invalid = |error: &dyn std::error::Error| types::PublishError::Invalid(error.to_string());
        let topic = Topic::new(topic).map_err(|error| invalid(&error))?;
        if !self.grants().may_publish(&topic) {
            return Err(types::PublishError::Denied(format!(
                "handler `{}` may not publish on `{topic}`; add `publish = [\"{topic}\"]` to handler.toml",
                self.handler.name
            )));
        }
        let Some(call) = &self.call else {
            return Err(types::PublishError::Denied(
                "nothing can be published from `lifecycle.init`; publish from `subscriber.handle`".to_owned(),
            ));
        };
        let mut headers = Headers::new();
        for (name, value) in &message.headers {
            headers.append(name, value).map_err(|error| invalid(&error))?;
        }
        // What an event causes has come its way, whatever the guest says.
        headers.remove(ROUTE_HEADER);
        if let Some(route) = call.event.message.headers.get(ROUTE_HEADER) {
            headers.append(ROUTE_HEADER, route).map_err(|error| invalid(&error))?;
        }
        let message = Message { headers, body: Bytes::from(message.body) };
        let publication =
            Publication { tenant: self.handler.tenant.clone(), topic, id: None, audience: Audience::Everyone, message };
        Ok((Arc::clone(&call.publish), publication))
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
        PublishError::Overloaded { retry_after, .. } => types::PublishError::Overloaded(millis(*retry_after)),
        other => types::PublishError::Failed(other.to_string()),
    }
}

/// Whole milliseconds, rounded up so that "soon" is not "now".
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
