//! Binary mode: a CloudEvent as headers and body of a message, and which mode a request is in.

use super::{Builder, CloudEvent, CloudEventError, MediaType, Rule, value};
use crate::headers::Headers;
use crate::message::Message;

/// What the headers of attributes begin with.
pub const PREFIX: &str = "ce-";
/// The header that makes a message a CloudEvent.
pub const SPECVERSION_HEADER: &str = "ce-specversion";

const CONTENT_TYPE: &str = "Content-Type";

/// How a CloudEvent stands in an HTTP request, as its `Content-Type` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// Attributes in headers, data in the body, if it is a CloudEvent at all.
    Binary,
    /// One whole event in the body.
    Structured {
        /// The event format, such as `+json`.
        format: &'a str,
    },
    /// Several whole events in the body.
    Batch {
        /// The event format, such as `+json`.
        format: &'a str,
    },
}

impl<'a> Mode<'a> {
    /// What a `Content-Type` says.
    #[must_use]
    pub fn of(content_type: &'a str) -> Self {
        // The longer prefix first: the shorter one begins it.
        if let Some(rest) = after(content_type, "application/cloudevents-batch") {
            Self::Batch { format: format(rest) }
        } else if let Some(rest) = after(content_type, "application/cloudevents") {
            Self::Structured { format: format(rest) }
        } else {
            Self::Binary
        }
    }
}

fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn format(rest: &str) -> &str {
    rest.split(';').next().unwrap_or_default().trim()
}

/// Whether a message says that it is a CloudEvent. One without `ce-specversion` is none, whatever other headers it has.
#[must_use]
pub fn claims(headers: &Headers) -> bool {
    headers.get(SPECVERSION_HEADER).is_some()
}

/// The name of the attribute that a header stands for, as it came.
fn attribute(header: &str) -> Option<&str> {
    after(header, PREFIX)
}

/// Reads a CloudEvent from a message in binary mode; `None` if it does not say that it is one.
///
/// # Errors
/// [`CloudEventError`] when it says so and is not.
pub fn from_message(message: &Message) -> Result<Option<CloudEvent>, CloudEventError> {
    if !claims(&message.headers) {
        return Ok(None);
    }
    let mut builder = Builder::new();
    for (header, encoded) in message.headers.iter() {
        if let Some(name) = attribute(header) {
            // HTTP does not tell case; attributes are in lower case.
            let name = name.to_ascii_lowercase();
            if name == "datacontenttype" {
                return Err(CloudEventError::new(&name, Rule::IsContentType));
            }
            let decoded = value::decode(encoded).map_err(|error| CloudEventError::new(&name, Rule::Encoding(error)))?;
            builder.set(&name, &decoded)?;
        } else if header.eq_ignore_ascii_case(CONTENT_TYPE) {
            // Not percent-encoded: it is the header that HTTP knows.
            builder.set("datacontenttype", encoded)?;
        }
    }
    builder.build(message.body.clone()).map(Some)
}

impl CloudEvent {
    /// Writes it as a message in binary mode, after other headers. What of those stands for an attribute is left out:
    /// the event's own are right.
    ///
    /// # Errors
    /// [`CloudEventError::Headers`] when there is no room for all attributes.
    pub fn into_message(self, others: &Headers) -> Result<Message, CloudEventError> {
        let mut headers = Headers::new();
        for (name, value) in others.iter() {
            if attribute(name).is_none() && !name.eq_ignore_ascii_case(CONTENT_TYPE) {
                headers.append(name, value)?;
            }
        }
        for (name, value) in self.headers() {
            headers.append(&name, &value)?;
        }
        Ok(Message { headers, body: self.data })
    }

    /// The headers of binary mode: `ce-…` with encoded values, and `Content-Type` if it has data of a known type.
    pub fn headers(&self) -> impl Iterator<Item = (String, String)> {
        self.attributes().map(|(name, text)| match name {
            "datacontenttype" => (CONTENT_TYPE.to_owned(), text.to_owned()),
            name => (format!("{PREFIX}{name}"), value::encode(text).into_owned()),
        })
    }

    /// The media type of the data, taken apart.
    #[must_use]
    pub fn media_type(&self) -> Option<MediaType<'_>> {
        self.data_content_type().and_then(MediaType::parse)
    }
}
