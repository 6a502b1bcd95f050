//! CloudEvents in JSON (CloudEvents JSON format 1.0.2): read strictly, written whole.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use hostel_event::cloud_event::{Builder, CloudEvent, CloudEventError, KNOWN, MediaType};
use hostel_event::headers::COUNT_LIMIT;

/// The media type that data have in JSON when nothing is said of it.
const JSON: &str = "application/json";

/// Why a body is not a CloudEvent in JSON, or not a batch of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Not JSON, not UTF-8, or another shape.
    #[error("the body is not a CloudEvent in JSON: {0}")]
    Event(serde_json::Error),
    /// The same, of a batch.
    #[error("the body is not a batch of CloudEvents in JSON: {0}")]
    Batch(serde_json::Error),
    /// An attribute that breaks a rule of CloudEvents.
    #[error(transparent)]
    Attribute(#[from] CloudEventError),
    /// An attribute or the data that breaks a rule of the JSON format.
    #[error("attribute `{0}` {1}")]
    Member(String, &'static str),
    /// The data break a rule.
    #[error("{0}")]
    Data(&'static str),
    /// Any of these, in a batch.
    #[error("event {index} of the batch: {error}")]
    Of {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<ReadError>,
    },
}

/// Reads one event.
pub(crate) fn read(body: &[u8]) -> Result<CloudEvent, ReadError> {
    event(serde_json::from_slice(body).map_err(ReadError::Event)?)
}

/// Reads a batch of at most so many events.
pub(crate) fn read_batch(body: &[u8], limit: usize) -> Result<Vec<CloudEvent>, ReadError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let elements = deserializer.deserialize_seq(Elements(limit)).map_err(ReadError::Batch)?;
    deserializer.end().map_err(ReadError::Batch)?;
    let read_element = |(index, element): (usize, &RawValue)| {
        let members = serde_json::from_str(element.get()).map_err(ReadError::Event);
        members.and_then(event).map_err(|error| ReadError::Of { index, error: Box::new(error) })
    };
    elements.into_iter().enumerate().map(read_element).collect()
}

/// Whether a text in this charset is one in UTF-8 as well; `None`: nothing is said of it.
pub(crate) fn is_utf8(charset: Option<&str>) -> bool {
    matches!(charset, None | Some("utf-8" | "utf8" | "us-ascii" | "ascii"))
}

/// The members of an object, with their values as they stand there.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    // As many attributes as a message has headers, and `data`.
                    if members.len() > COUNT_LIMIT {
                        return Err(A::Error::custom(format_args!("it has more than {COUNT_LIMIT} attributes")));
                    }
                    if members.iter().any(|(own, _)| *own == name) {
                        let name: String = name.chars().take(64).collect();
                        return Err(A::Error::custom(format_args!("member `{name}` stands there twice")));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of an array, at most so many.
struct Elements(usize);

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while all.len() < self.0 {
            match elements.next_element()? {
                Some(element) => all.push(element),
                None => return Ok(all),
            }
        }
        match elements.next_element::<IgnoredAny>()? {
            None => Ok(all),
            Some(_) => Err(A::Error::custom(format_args!("it has more than {} events", self.0))),
        }
    }
}

/// Makes an event of an object's members.
fn event(Members(members): Members<'_>) -> Result<CloudEvent, ReadError> {
    let mut builder = Builder::new();
    let (mut data, mut base64) = (None, None);
    for (name, value) in members {
        match &*name {
            "data" => data = Some(value),
            "data_base64" => base64 = (value.get() != "null").then_some(value),
            name => {
                if let Some(text) = attribute(name, value.get())? {
                    builder.set(name, &text)?;
                }
            }
        }
    }
    let data = match (data, base64) {
        (Some(_), Some(_)) => return Err(ReadError::Data("there are both `data` and `data_base64`; give one of them")),
        (None, None) => Bytes::new(),
        (None, Some(value)) => decoded(value)?,
        (Some(value), None) => {
            if builder.get("datacontenttype").is_none() {
                builder.set("datacontenttype", JSON)?;
            }
            plain(value, builder.get("datacontenttype").unwrap_or(JSON))?
        }
    };
    Ok(builder.build(data)?)
}

/// The canonical string of an attribute's value; `None` if it is null, which is the same as absent.
fn attribute<'a>(name: &str, value: &'a str) -> Result<Option<Cow<'a, str>>, ReadError> {
    let error = |why| Err(ReadError::Member(name.chars().take(64).collect(), why));
    let is_known = KNOWN.contains(&name);
    match value.bytes().next() {
        Some(b'"') => match serde_json::from_str(value) {
            Ok(Name(text)) => Ok(Some(text)),
            Err(_) => error("is not a text: it has half of a surrogate pair, or a character that must be escaped"),
        },
        Some(b'n') => Ok(None),
        Some(b't' | b'f') if !is_known => Ok(Some(value.into())),
        Some(b'-' | b'0'..=b'9') if !is_known => match value.parse::<i32>() {
            // Written anew: JSON knows `-0`.
            Ok(number) => Ok(Some(number.to_string().into())),
            Err(_) => error("is a number with a fraction or beyond 32 bits; write it as a string"),
        },
        _ if is_known => error("is not a string"),
        _ => error("is an object or array; attributes are strings, whole numbers, `true` or `false`"),
    }
}

fn decoded(value: &RawValue) -> Result<Bytes, ReadError> {
    let text =
        serde_json::from_str::<Name<'_>>(value.get()).map_err(|_| ReadError::Data("`data_base64` is not a string"))?;
    let bytes = BASE64.decode(text.0.as_bytes());
    bytes
        .map(Bytes::from)
        .map_err(|_| ReadError::Data("`data_base64` is not base64 (RFC 4648, section 4, with padding)"))
}

/// The bytes of `data`: JSON as it stands there, or a text in the charset of its type.
fn plain(value: &RawValue, media_type: &str) -> Result<Bytes, ReadError> {
    // What is no media type is refused by that name when the event is built; it has been, in fact.
    let Some(media_type) = MediaType::parse(media_type) else { return Ok(Bytes::new()) };
    let charset = media_type.charset();
    if !is_utf8(charset.as_deref()) {
        return Err(ReadError::Data(
            "`data` is in a charset other than UTF-8, which `datacontenttype` names; give its bytes as `data_base64`",
        ));
    }
    let text = if media_type.is_json() {
        Cow::Borrowed(value.get())
    } else {
        match serde_json::from_str(value.get()) {
            Ok(Name(text)) => text,
            Err(_) => {
                return Err(ReadError::Data(
                    "`data` is not a string, though `datacontenttype` is not JSON; give a string, or `data_base64`",
                ));
            }
        }
    };
    if matches!(charset.as_deref(), Some("us-ascii" | "ascii")) && !text.is_ascii() {
        return Err(ReadError::Data("`data` has characters that are not in US-ASCII, which `datacontenttype` names"));
    }
    // Copied: as a part of the body it would keep all of that in memory.
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

/// An event as it is written: every attribute as a string, data that are JSON as that, texts as strings, and all others
/// in base64. It is one line, whatever the data have.
pub(crate) struct Written<'a>(pub(crate) &'a CloudEvent);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.attributes() {
            map.serialize_entry(name, value)?;
        }
        let data = self.0.data();
        match as_text(self.0) {
            _ if data.is_empty() => {}
            Some(Text::Json(text)) => map.serialize_entry("data", &text)?,
            Some(Text::Plain(text)) => map.serialize_entry("data", text)?,
            None => map.serialize_entry("data_base64", &BASE64.encode(data))?,
        }
        map.end()
    }
}

enum Text<'a> {
    Json(Box<RawValue>),
    Plain(&'a str),
}

/// The data as text, if that is what they say they are; so that reading it gives the same bytes, but for blanks around
/// JSON and line ends in it, which mean nothing there.
fn as_text(event: &CloudEvent) -> Option<Text<'_>> {
    let media_type = event.media_type()?;
    let charset = media_type.charset();
    let text = str::from_utf8(event.data()).ok().filter(|_| is_utf8(charset.as_deref()))?;
    if matches!(charset.as_deref(), Some("us-ascii" | "ascii")) && !text.is_ascii() {
        return None;
    }
    if media_type.is_json() {
        // In strings they are escaped, so these stand between values.
        let line = text.trim_matches([' ', '\t', '\n', '\r']).replace(['\n', '\r'], " ");
        RawValue::from_string(line).ok().map(Text::Json)
    } else {
        media_type.is_text().then_some(Text::Plain(text))
    }
}

#[cfg(test)]
mod tests;
