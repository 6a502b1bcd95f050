//! `wasi:messaging@0.2.0-draft`: messages that a guest holds, sending them, and asking with them.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::Resource;

use hostel_event::headers::Headers;
use hostel_event::message::{Event, Message};
use hostel_event::port::{Call, PublishError, RequestError};
use hostel_event::reply::REPLY_TO_HEADER;

use crate::bindings::hostel::handler::types as contract;
use crate::bindings::wasi_messaging::wasi::messaging::types::{Error, Host, HostClient, HostMessage, Metadata};
use crate::bindings::wasi_messaging::wasi::messaging::{producer, request_reply};
use crate::capability::publisher::text;
use crate::state::State;

/// Bytes of all messages that a guest may hold at once: what it may hand to the host in one call by default.
const HELD_LIMIT: usize = 16 * 1024 * 1024;
/// What holding a pair of metadata costs beside its bytes, so that empty ones are bounded too.
const PAIR_COST: usize = 64;
/// The header that the draft calls a content type.
const CONTENT_TYPE: &str = "Content-Type";
/// The entries of an event's metadata that are no headers of it: its id, and which attempt this is. They name the event
/// that is handled, and are never sent on.
const EVENT_ID: &str = "Hostel-Event-Id";
const ATTEMPT: &str = "Hostel-Attempt";

/// A client. There is one broker, so that it has nothing to say.
#[expect(unreachable_pub, reason = "the generated bindings re-export it under their own name")]
pub struct Connected;

/// A message that the guest holds.
#[derive(Debug, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it under their own name")]
pub struct Held {
    topic: Option<String>,
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
    data: Bytes,
}

/// What the guest wants of an answer.
#[derive(Debug, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it under their own name")]
pub struct Options {
    timeout: Option<Duration>,
    replies: Option<NonZeroUsize>,
}

impl Held {
    /// The message of the event that is handled.
    pub(crate) fn of(call: &Call) -> Self {
        let mut held = Self::heard(&call.event);
        held.metadata.push((EVENT_ID.to_owned(), call.event.id.as_str().to_owned()));
        held.metadata.push((ATTEMPT.to_owned(), call.attempt.to_string()));
        held
    }

    /// The message of any event.
    fn heard(event: &Event) -> Self {
        let headers = &event.message.headers;
        let others = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE));
        Self {
            topic: Some(event.topic.as_str().to_owned()),
            content_type: headers.get(CONTENT_TYPE).map(ToOwned::to_owned),
            metadata: others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            data: event.message.body.clone(),
        }
    }

    /// The same as Hostel keeps it.
    fn message(&self) -> Result<Message, Error> {
        let mut headers = Headers::new();
        let content_type = self.content_type.iter().map(|value| (CONTENT_TYPE, value.as_str()));
        let metadata = self.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in content_type.chain(metadata) {
            if !name.eq_ignore_ascii_case(EVENT_ID) && !name.eq_ignore_ascii_case(ATTEMPT) {
                headers.append(name, value).map_err(|error| Error::Other(error.to_string()))?;
            }
        }
        Ok(Message { headers, body: self.data.clone() })
    }

    /// Where an answer to it goes.
    fn reply_to(&self) -> Option<&str> {
        let mut metadata = self.metadata.iter();
        metadata.find(|(name, _)| name.eq_ignore_ascii_case(REPLY_TO_HEADER)).map(|(_, value)| value.as_str())
    }

    fn bytes(&self) -> usize {
        let texts = self.topic.as_ref().map_or(0, String::len) + self.content_type.as_ref().map_or(0, String::len);
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len() + PAIR_COST).sum();
        texts + metadata + self.data.len()
    }
}

impl State {
    /// Gives the guest a message.
    pub(crate) fn hold(&mut self, held: Held) -> wasmtime::Result<Resource<Held>> {
        let message = self.table.push(held)?;
        self.bound_held()?;
        Ok(message)
    }

    /// Changes a message that the guest holds.
    fn change(&mut self, message: &Resource<Held>, change: impl FnOnce(&mut Held)) -> wasmtime::Result<()> {
        change(self.table.get_mut(message)?);
        self.bound_held()
    }

    /// Ends a guest that makes the host keep too much. Counted anew each time: a guest holds a few messages, and at most
    /// as many as it may hold of anything.
    fn bound_held(&mut self) -> wasmtime::Result<()> {
        let bytes: usize = self.table.iter_mut().filter_map(|entry| entry.downcast_ref().map(Held::bytes)).sum();
        if bytes > HELD_LIMIT {
            return Err(wasmtime::Error::msg(format!("the handler holds messages of more than {HELD_LIMIT} bytes")));
        }
        Ok(())
    }
}

fn refusal(error: contract::PublishError) -> Error {
    match error {
        contract::PublishError::Denied(text) => Error::PermissionDenied(text),
        contract::PublishError::Overloaded(_) | contract::PublishError::Failed(_) => Error::Connection(text(error)),
        other => Error::Other(text(other)),
    }
}

fn unanswered(error: &RequestError) -> Error {
    match error {
        RequestError::Timeout(_) => Error::Timeout,
        RequestError::Publish(
            PublishError::TooLarge { .. } | PublishError::Id(_) | PublishError::Header(_) | PublishError::Timing(_),
        ) => Error::Other(error.to_string()),
        _ => Error::Connection(error.to_string()),
    }
}

impl Host for State {}

impl HostClient for State {
    /// The broker is the host's, whatever it is called.
    fn connect(&mut self, _: String) -> wasmtime::Result<Result<Resource<Connected>, Error>> {
        Ok(Ok(self.table.push(Connected)?))
    }

    fn disconnect(&mut self, client: Resource<Connected>) -> wasmtime::Result<Result<(), Error>> {
        self.table.get(&client)?;
        Ok(Ok(()))
    }

    fn drop(&mut self, client: Resource<Connected>) -> wasmtime::Result<()> {
        self.table.delete(client)?;
        Ok(())
    }
}

impl HostMessage for State {
    fn new(&mut self, data: Vec<u8>) -> wasmtime::Result<Resource<Held>> {
        self.hold(Held { data: data.into(), ..Held::default() })
    }

    fn topic(&mut self, message: Resource<Held>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&message)?.topic.clone())
    }

    fn content_type(&mut self, message: Resource<Held>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&message)?.content_type.clone())
    }

    fn set_content_type(&mut self, message: Resource<Held>, content_type: String) -> wasmtime::Result<()> {
        self.change(&message, |held| held.content_type = Some(content_type))
    }

    fn data(&mut self, message: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&message)?.data.to_vec())
    }

    fn set_data(&mut self, message: Resource<Held>, data: Vec<u8>) -> wasmtime::Result<()> {
        self.change(&message, |held| held.data = data.into())
    }

    fn metadata(&mut self, message: Resource<Held>) -> wasmtime::Result<Option<Metadata>> {
        let metadata = &self.table.get(&message)?.metadata;
        Ok((!metadata.is_empty()).then(|| metadata.clone()))
    }

    fn add_metadata(&mut self, message: Resource<Held>, key: String, value: String) -> wasmtime::Result<()> {
        self.change(&message, |held| held.metadata.push((key, value)))
    }

    fn set_metadata(&mut self, message: Resource<Held>, metadata: Metadata) -> wasmtime::Result<()> {
        self.change(&message, |held| held.metadata = metadata)
    }

    fn remove_metadata(&mut self, message: Resource<Held>, key: String) -> wasmtime::Result<()> {
        self.change(&message, |held| held.metadata.retain(|(name, _)| !name.eq_ignore_ascii_case(&key)))
    }

    fn drop(&mut self, message: Resource<Held>) -> wasmtime::Result<()> {
        self.table.delete(message)?;
        Ok(())
    }
}

impl producer::Host for State {
    async fn send(
        &mut self,
        client: Resource<Connected>,
        topic: String,
        message: Resource<Held>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.table.get(&client)?;
        let held = self.table.delete(message)?;
        Ok(self.send_held(&topic, &held).await)
    }
}

impl State {
    fn send_held(&self, topic: &str, held: &Held) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let admitted = held.message().and_then(|message| self.admit(topic, message).map_err(refusal));
        async move { admitted?.publish().await.map(drop).map_err(refusal) }
    }
}

impl request_reply::HostRequestOptions for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Options>> {
        Ok(self.table.push(Options::default())?)
    }

    fn set_timeout_ms(&mut self, options: Resource<Options>, timeout_ms: u32) -> wasmtime::Result<()> {
        self.table.get_mut(&options)?.timeout = Some(Duration::from_millis(timeout_ms.into()));
        Ok(())
    }

    fn set_expected_replies(&mut self, options: Resource<Options>, expected: u32) -> wasmtime::Result<()> {
        self.table.get_mut(&options)?.replies = usize::try_from(expected).ok().and_then(NonZeroUsize::new);
        Ok(())
    }

    fn drop(&mut self, options: Resource<Options>) -> wasmtime::Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}

impl request_reply::Host for State {
    async fn request(
        &mut self,
        client: Resource<Connected>,
        topic: String,
        message: Resource<Held>,
        options: Option<Resource<Options>>,
    ) -> wasmtime::Result<Result<Vec<Resource<Held>>, Error>> {
        self.table.get(&client)?;
        let Options { timeout, replies } = match options {
            Some(options) => self.table.delete(options)?,
            None => Options::default(),
        };
        let message = self.table.get(&message)?.message();
        let admitted = match message.and_then(|message| self.admit(&topic, message).map_err(refusal)) {
            Ok(admitted) => admitted,
            Err(error) => return Ok(Err(error)),
        };
        // Without a timeout of its own it waits until the handler's deadline ends it.
        let asked = admitted.ask(replies.unwrap_or(NonZeroUsize::MIN), timeout.unwrap_or(Duration::MAX));
        let answers = match asked.await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(unanswered(&error))),
        };
        let mut heard = Vec::new();
        for answer in answers {
            self.meter.traffic.got(answer.message.bytes());
            heard.push(self.hold(Held::heard(&answer))?);
        }
        Ok(Ok(heard))
    }

    async fn reply(
        &mut self,
        reply_to: Resource<Held>,
        message: Resource<Held>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let held = self.table.delete(message)?;
        let Some(topic) = self.table.get(&reply_to)?.reply_to().map(ToOwned::to_owned) else {
            let text = format!("nobody waits for an answer: the message has no `{REPLY_TO_HEADER}`");
            return Ok(Err(Error::Other(text)));
        };
        Ok(self.send_held(&topic, &held).await)
    }
}
