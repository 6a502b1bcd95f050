//! CloudEvents 1.0: their attributes and rules, and which part of a Hostel event is which attribute.
//!
//! A CloudEvent is kept in a message in binary mode ([`binary`]): each attribute but `datacontenttype` is a header `ce-…`,
//! `datacontenttype` is `Content-Type`, and the data are the body. So a handler in any language sees it without knowing
//! JSON. Structured JSON is the ingress's business and does not stand here.

mod binary;
mod media_type;
mod rule;
mod time;
mod uri;
pub mod value;

use bytes::Bytes;
use uuid::Uuid;

use crate::headers::HeaderError;
use crate::id::EventId;
use crate::message::Event;

pub use binary::{Mode, PREFIX, SPECVERSION_HEADER, claims, from_message};
pub use media_type::MediaType;
pub use rule::Rule;

/// The only version of the specification that is taken.
pub const SPECVERSION: &str = "1.0";
/// The attributes that the specification names, in the order in which they are written. All others are extensions.
pub const KNOWN: [&str; 8] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];
/// Those that every CloudEvent has.
pub const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The most characters of a name or a value that an error repeats. Arbitrary: enough to find it again.
const EXCERPT: usize = 64;

/// An event as CloudEvents 1.0 describes it. It has all required attributes, and every attribute keeps to its rule.
///
/// Values are the canonical strings of the specification's types: a Boolean is `true`, an Integer `5`. Absent data and
/// empty data are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent {
    attributes: Vec<(Box<str>, Box<str>)>,
    data: Bytes,
}

/// Why something is not a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloudEventError {
    /// An attribute breaks a rule.
    #[error("attribute `{attribute}` {rule}")]
    Attribute {
        /// Which, or as much of its name as is worth repeating.
        attribute: String,
        /// The rule, and how it is broken.
        rule: Rule,
    },
    /// There are more attributes than a message has room for in its headers.
    #[error("the attributes do not fit into the headers of a message")]
    Headers(#[from] HeaderError),
}

impl CloudEventError {
    pub(crate) fn new(attribute: &str, rule: Rule) -> Self {
        Self::Attribute { attribute: excerpt(attribute), rule }
    }
}

/// The attributes of a CloudEvent while they come in, one after another.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    attributes: Vec<(Box<str>, Box<str>)>,
}

impl Builder {
    /// No attributes.
    #[must_use]
    pub const fn new() -> Self {
        Self { attributes: Vec::new() }
    }

    /// Sets an attribute, known or an extension, to the canonical string of its value.
    ///
    /// # Errors
    /// [`CloudEventError::Attribute`] when the name or the value breaks a rule, or the attribute is set already.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), CloudEventError> {
        rule::check_name(name).map_err(|rule| CloudEventError::new(name, rule))?;
        rule::check_value(name, value).map_err(|rule| CloudEventError::new(name, rule))?;
        // At most as many as a message has headers: what comes beyond cannot be kept, and is not searched through.
        if self.attributes.len() > crate::headers::COUNT_LIMIT {
            return Err(HeaderError::TooMany.into());
        }
        if self.get(name).is_some() {
            return Err(CloudEventError::new(name, Rule::Twice));
        }
        self.attributes.push((name.into(), value.into()));
        Ok(())
    }

    /// The value of an attribute that is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// The event with these attributes and this data.
    ///
    /// # Errors
    /// [`CloudEventError::Attribute`] when a required attribute is missing.
    pub fn build(mut self, data: Bytes) -> Result<CloudEvent, CloudEventError> {
        if let Some(missing) = REQUIRED.into_iter().find(|name| self.get(name).is_none()) {
            return Err(CloudEventError::new(missing, Rule::Missing));
        }
        // Stable: extensions stay in the order in which they came.
        self.attributes
            .sort_by_key(|(name, _)| KNOWN.iter().position(|known| **known == **name).unwrap_or(KNOWN.len()));
        Ok(CloudEvent { attributes: self.attributes, data })
    }
}

impl CloudEvent {
    /// A Hostel event as a CloudEvent, for those that know nothing else.
    ///
    /// One that is a CloudEvent is that. Of any other, and of one whose attributes are malformed, `id` is the event's id,
    /// `source` is `/tenants/{tenant}/topics/{topic}`, `type` the topic, `time` when it was published, and
    /// `datacontenttype` its `Content-Type` if that is well-formed.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        if let Ok(Some(own)) = from_message(&event.message) {
            return own;
        }
        let id = event.id.as_str();
        // An event's id may hold a few characters that a CloudEvent's may not.
        let id = if rule::check_value("id", id).is_ok() { id.into() } else { opaque(id).into() };
        let mut attributes: Vec<(Box<str>, Box<str>)> = vec![
            ("specversion".into(), SPECVERSION.into()),
            ("id".into(), id),
            ("source".into(), format!("/tenants/{}/topics/{}", event.tenant, event.topic).into()),
            ("type".into(), event.topic.as_str().into()),
            ("time".into(), time::written(event.published_at).into()),
        ];
        if let Some(media_type) =
            event.message.headers.get("content-type").filter(|text| MediaType::parse(text).is_some())
        {
            attributes.push(("datacontenttype".into(), media_type.into()));
        }
        Self { attributes, data: event.message.body.clone() }
    }

    /// What identifies the event among those of its source.
    #[must_use]
    pub fn id(&self) -> &str {
        self.required("id")
    }

    /// Where it happened: a URI reference.
    #[must_use]
    pub fn source(&self) -> &str {
        self.required("source")
    }

    /// What kind of thing happened: the attribute `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.required("type")
    }

    /// What it is about, within its source.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.get("subject")
    }

    /// When it happened: RFC 3339, as its producer wrote it.
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        self.get("time")
    }

    /// The media type of the data.
    #[must_use]
    pub fn data_content_type(&self) -> Option<&str> {
        self.get("datacontenttype")
    }

    /// The schema of the data: a URI.
    #[must_use]
    pub fn data_schema(&self) -> Option<&str> {
        self.get("dataschema")
    }

    /// The value of an attribute, known or an extension.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// Name and value of every attribute: first those that the specification names, then extensions in their order.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Name and value of every extension, in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes().filter(|(name, _)| !KNOWN.contains(name))
    }

    /// The data as bytes; empty if there are none.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The id of the Hostel event that this is, so that the same CloudEvent published twice is one event, and those of
    /// two sources with the same `id` are two.
    ///
    /// `source`, a blank and `id`; no source has a blank in it. What is longer than an event's id may be becomes a UUID
    /// of version 5 of that text.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        let text = format!("{} {}", self.source(), self.id());
        // Both are free of control characters and not empty, so that only its length can be wrong, and a UUID's is not.
        EventId::new(&text)
            .or_else(|_| EventId::new(&opaque(&text)))
            .unwrap_or_else(|_| unreachable!("a UUID is an id"))
    }

    fn required(&self, name: &str) -> &str {
        // `build` and `of` make none without it.
        self.get(name).unwrap_or_default()
    }
}

/// A text of fixed length in the place of one that will not do. SHA-1 is enough: who can make two of them collide could
/// as well publish the same `id` twice.
fn opaque(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).to_string()
}

fn find<'a>(attributes: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
}

/// As much of a text as an error repeats.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
