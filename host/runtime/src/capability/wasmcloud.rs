//! `wasmcloud:messaging/consumer@0.2.0`: publishing, and asking for one answer, for components written for wasmCloud.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;

use hostel_event::headers::Headers;
use hostel_event::message::{Event, Message};
use hostel_event::reply::REPLY_TO_HEADER;

use crate::bindings::wasmcloud::wasmcloud::messaging::consumer::Host;
use crate::bindings::wasmcloud::wasmcloud::messaging::types;
use crate::bindings::wasmcloud::wasmcloud::messaging::types::BrokerMessage;
use crate::capability::publisher::text;
use crate::state::State;

impl types::Host for State {}

impl Host for State {
    async fn request(&mut self, subject: String, body: Vec<u8>, timeout_ms: u32) -> Result<BrokerMessage, String> {
        let message = Message { headers: Headers::new(), body: Bytes::from(body) };
        let admitted = self.admit(&subject, message).map_err(text)?;
        let patience = Duration::from_millis(timeout_ms.into());
        let answers = admitted.ask(NonZeroUsize::MIN, patience).await.map_err(|error| error.to_string())?;
        // As long as one is wanted at least one comes.
        let answer = answers.first().ok_or_else(|| "nobody answered".to_owned())?;
        self.meter.traffic.got(answer.message.bytes());
        Ok(broker_message(answer))
    }

    async fn publish(&mut self, msg: BrokerMessage) -> Result<(), String> {
        let mut headers = Headers::new();
        if let Some(topic) = &msg.reply_to {
            headers.append(REPLY_TO_HEADER, topic).map_err(|error| error.to_string())?;
        }
        let message = Message { headers, body: Bytes::from(msg.body) };
        let admitted = self.admit(&msg.subject, message).map_err(text)?;
        admitted.publish().await.map(drop).map_err(text)
    }
}

/// An event as wasmCloud's components know it. Its other headers have no place there.
pub(crate) fn broker_message(event: &Event) -> BrokerMessage {
    BrokerMessage {
        subject: event.topic.as_str().to_owned(),
        body: event.message.body.to_vec(),
        reply_to: event.message.headers.get(REPLY_TO_HEADER).map(ToOwned::to_owned),
    }
}
