//! CloudEvents in requests to publish: one in binary mode, one structured, or a batch.
//!
//! Whichever way one comes, it goes on as a message in binary mode. What their attributes and rules are is said in
//! [`hostel_event::cloud_event`]; what stands here is which way a request comes, and what becomes of a batch.

pub(super) mod json;

use axum::body::Body;
use http::{Response, StatusCode};

use hostel_api::problem::Code;
use hostel_api::view::PublishedBatchView;
use hostel_event::cloud_event::{self, CloudEvent, CloudEventError, MediaType, Mode};
use hostel_event::headers::Headers;
use hostel_event::id::EventId;
use hostel_event::message::{ID_HEADER, Message};
use hostel_event::name::Tenant;
use hostel_event::port::PublishError;
use hostel_event::topic::Topic;

use super::Ingress;
use super::publish::published;
use crate::answer::{self, Failure};

/// The most events in one batch. Arbitrary: at a millisecond each, what a publisher may be let wait for.
const BATCH_LIMIT: usize = 1_000;

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The message's body: of a CloudEvent in binary mode, or of anything else.
    Plain,
    /// One CloudEvent in JSON.
    Structured,
    /// Several in JSON.
    Batch,
}

impl Form {
    /// What a request's headers say of its body.
    pub(super) fn of(headers: &Headers) -> Result<Self, Failure> {
        let content_type = headers.get("content-type").unwrap_or_default();
        let (form, format) = match Mode::of(content_type) {
            Mode::Binary => return Ok(Self::Plain),
            Mode::Structured { format } => (Self::Structured, format),
            Mode::Batch { format } => (Self::Batch, format),
        };
        if !format.eq_ignore_ascii_case("+json") {
            let text = format!("`{content_type}` is a format of CloudEvents that this host does not know");
            return Err(Failure::new(Code::UnknownEventFormat, text));
        }
        let charset = MediaType::parse(content_type).map(|media_type| media_type.charset());
        match charset {
            Some(charset) if json::is_utf8(charset.as_deref()) => Ok(form),
            _ => {
                let text =
                    format!("`{content_type}` is not read: JSON is UTF-8, so that `charset` can be nothing else");
                Err(Failure::new(Code::UnknownEventFormat, text))
            }
        }
    }

    /// The most bytes of a body whose message may have so many: base64 adds a third to the data, and the attributes
    /// have at most six bytes in JSON for one in the headers.
    pub(super) fn limit(self, message: usize) -> usize {
        match self {
            Self::Plain => message,
            Self::Structured | Self::Batch => message.saturating_mul(4) / 3 + 6 * hostel_event::headers::TOTAL_LIMIT,
        }
    }

    /// Refuses what makes no sense for a batch.
    pub(super) fn check(self, headers: &Headers, waits: bool) -> Result<(), Failure> {
        if self == Self::Batch && waits {
            let text = "`wait=settled` does not wait for a batch; publish its events one by one";
            return Err(Failure::new(Code::MalformedQuery, text));
        }
        if self == Self::Batch && headers.get(ID_HEADER).is_some() {
            let text = format!("header `{ID_HEADER}` cannot name every event of a batch; each has its own `id`");
            return Err(Failure::new(Code::MalformedHeaders, text));
        }
        Ok(())
    }
}

/// The one message in a request, with the event's id if it is a CloudEvent whose publisher gave no other.
///
/// `message` has the request's headers and body.
pub(super) fn single(form: Form, message: Message) -> Result<(Message, Option<EventId>), Failure> {
    let event = match form {
        Form::Plain => match cloud_event::from_message(&message) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok((message, None)),
            Err(error) => return Err(malformed(&error)),
        },
        Form::Structured | Form::Batch => {
            json::read(&message.body).map_err(|error| Failure::new(Code::MalformedCloudEvent, error.to_string()))?
        }
    };
    let id = message.headers.get(ID_HEADER).is_none().then(|| event.event_id());
    let message = event.into_message(&message.headers).map_err(|error| malformed(&error))?;
    Ok((message, id))
}

/// The messages of a batch, each with the event's id; all, or the first that is none.
fn several(message: &Message, limit: usize) -> Result<Vec<(Message, EventId)>, Failure> {
    let batch = json::read_batch(&message.body, BATCH_LIMIT);
    let batch = batch.map_err(|error| Failure::new(Code::MalformedCloudEvent, error.to_string()))?;
    let written = |(index, event): (usize, CloudEvent)| {
        let id = event.event_id();
        let message = event.into_message(&message.headers).map_err(|error| malformed(&error).of_event(index))?;
        let bytes = message.bytes();
        if bytes > limit {
            return Err(Failure::from(PublishError::TooLarge { bytes, limit }).of_event(index));
        }
        Ok((message, id))
    };
    batch.into_iter().enumerate().map(written).collect()
}

fn malformed(error: &CloudEventError) -> Failure {
    match error {
        CloudEventError::Headers(cause) => {
            let failure = Failure::new(Code::MalformedHeaders, format!("{error}: {cause}"));
            failure.with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        _ => Failure::new(Code::MalformedCloudEvent, error.to_string()),
    }
}

impl Ingress {
    /// Publishes the events of a batch one after another, once every one of them is known to be well-formed.
    ///
    /// What one of them cannot be kept for ends it: those before it are published and those after it are not.
    pub(super) async fn publish_batch(
        &self,
        (tenant, topic): (&Tenant, &Topic),
        message: &Message,
    ) -> Result<Response<Body>, Failure> {
        let batch = several(message, self.settings.body_limit)?;
        let all = batch.len();
        let mut events = Vec::with_capacity(all);
        for (message, id) in batch {
            match self.keep((tenant, topic), Some(id), message).await {
                Ok(receipt) => events.push(published(topic, &receipt)),
                Err(failure) if events.is_empty() => return Err(failure),
                Err(failure) => {
                    let kept = events.len();
                    let text = format!("{kept} of {all} events were published, those from index {kept} on were not");
                    return Err(failure.in_part(Code::BatchInPart, &text));
                }
            }
        }
        Ok(answer::json(StatusCode::ACCEPTED, &PublishedBatchView { events }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str) -> Result<Form, u16> {
        let mut headers = Headers::new();
        headers.append("Content-Type", content_type).unwrap();
        Form::of(&headers).map_err(|failure| failure.status())
    }

    #[test]
    fn the_content_type_tells_the_form() {
        assert_eq!(of("application/json"), Ok(Form::Plain));
        assert_eq!(of(""), Ok(Form::Plain));
        assert_eq!(Form::of(&Headers::new()).map_err(|failure| failure.status()), Ok(Form::Plain));
        assert_eq!(of("application/cloudevents+json"), Ok(Form::Structured));
        assert_eq!(of("Application/CloudEvents+JSON; Charset=\"UTF-8\""), Ok(Form::Structured));
        assert_eq!(of("application/cloudevents-batch+json; charset=us-ascii"), Ok(Form::Batch));
    }

    #[test]
    fn an_unknown_format_and_charset_are_refused() {
        for text in [
            "application/cloudevents",
            "application/cloudevents-batch",
            "application/cloudevents+avro",
            "application/cloudevents-batch+xml",
            "application/cloudevents+json; charset=utf-16",
            "application/cloudevents+json; charset",
        ] {
            assert_eq!(of(text), Err(415), "{text}");
        }
    }

    #[test]
    fn a_publishers_own_id_wins() {
        let body: &'static [u8] = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let mut message = Message { headers: Headers::new(), body: body.into() };
        let (_, id) = single(Form::Structured, message.clone()).unwrap();
        assert_eq!(id.unwrap().as_str(), "/s 1");
        message.headers.append(ID_HEADER, "own").unwrap();
        let (message, id) = single(Form::Structured, message).unwrap();
        assert_eq!((id, message.headers.get(ID_HEADER)), (None, Some("own")));
    }
}
