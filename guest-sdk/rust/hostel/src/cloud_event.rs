//! CloudEvents 1.0 in the binary mode of its HTTP binding: as headers and body of an event.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{BodyError, Event};
use crate::publish::{Message, PublishError, publish_message};

const PREFIX: &str = "ce-";
const CONTENT_TYPE: &str = "Content-Type";

/// An event as CloudEvents 1.0 describes it. [`Event::cloud_event`] reads it, [`publish_cloud_event`] publishes it.
///
/// ```
/// use hostel::CloudEvent;
///
/// # fn example(event: hostel::Event<'_>) -> hostel::Result {
/// let asked = event.cloud_event()?; // No CloudEvent: rejected, with the reason.
/// let mut answer = CloudEvent::new(format!("answer-{}", asked.id), "/orders", "com.example.order.packed");
/// answer.subject = asked.subject.clone();
/// answer.extensions.insert("traceparent".to_owned(), "00-1".to_owned());
/// hostel::publish_cloud_event("orders.packed", answer.json(&serde_json::json!({ "parcels": 1 }))?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudEvent {
    /// What identifies the event among those of its source.
    pub id: String,
    /// Where it happened: a URI reference.
    pub source: String,
    /// What kind of thing happened: the attribute `type`.
    pub kind: String,
    /// What it is about, within its source.
    pub subject: Option<String>,
    /// When it happened, in RFC 3339.
    pub time: Option<String>,
    /// The media type of the data.
    pub data_content_type: Option<String>,
    /// The schema of the data: a URI.
    pub data_schema: Option<String>,
    /// All other attributes, by names of a-z and 0-9. Their values are strings, whatever their type: `5`, `true`.
    pub extensions: BTreeMap<String, String>,
    /// The data; empty if there are none.
    pub data: Vec<u8>,
}

/// Why an event is not a CloudEvent, or a CloudEvent cannot be published. By `?` it becomes a rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloudEventError {
    /// An attribute that every CloudEvent has is missing or empty.
    Missing(&'static str),
    /// A name that no extension may have.
    Name(String),
    /// The value of an attribute is malformed: `specversion` is not `1.0`, or a header is not encoded as it should be.
    Value(String),
}

impl Event<'_> {
    /// The event as a CloudEvent. The host has checked it if it came over HTTP.
    ///
    /// # Errors
    /// [`CloudEventError`] when it is none.
    pub fn cloud_event(&self) -> Result<CloudEvent, CloudEventError> {
        let mut event = CloudEvent::default();
        let mut version = None;
        for (header, value) in self.headers() {
            if header.eq_ignore_ascii_case(CONTENT_TYPE) {
                event.data_content_type = Some(value);
                continue;
            }
            let Some((start, name)) = header.split_at_checked(PREFIX.len()) else { continue };
            if !start.eq_ignore_ascii_case(PREFIX) {
                continue;
            }
            let name = name.to_ascii_lowercase();
            let value = decode(&value).ok_or_else(|| CloudEventError::Value(name.clone()))?;
            match &*name {
                "specversion" => version = Some(value),
                "id" => event.id = value,
                "source" => event.source = value,
                "type" => event.kind = value,
                "subject" => event.subject = Some(value),
                "time" => event.time = Some(value),
                "dataschema" => event.data_schema = Some(value),
                _ => drop(event.extensions.insert(name, value)),
            }
        }
        match version.as_deref() {
            None => return Err(CloudEventError::Missing("specversion")),
            Some("1.0") => event.check()?,
            Some(_) => return Err(CloudEventError::Value("specversion".to_owned())),
        }
        event.data = self.body().to_vec();
        Ok(event)
    }
}

impl CloudEvent {
    /// An event with the attributes that every one has, and without data.
    #[must_use]
    pub fn new(id: impl Into<String>, source: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { id: id.into(), source: source.into(), kind: kind.into(), ..Self::default() }
    }

    /// With a value as JSON for its data, and the media type of that unless it has another.
    ///
    /// # Errors
    /// [`PublishError::Encode`] when it cannot be written as JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Result<Self, PublishError> {
        self.data = serde_json::to_vec(value).map_err(PublishError::Encode)?;
        self.data_content_type.get_or_insert_with(|| "application/json".to_owned());
        Ok(self)
    }

    /// The data as JSON. `T` may borrow from them.
    ///
    /// # Errors
    /// [`BodyError::Json`] when they are not JSON or not a `T`.
    pub fn data_json<'b, T: Deserialize<'b>>(&'b self) -> Result<T, BodyError> {
        serde_json::from_slice(&self.data).map_err(BodyError::Json)
    }

    /// The message that it is: a header for each attribute, and the data as the body.
    ///
    /// # Errors
    /// [`CloudEventError`] when a required attribute is empty or an extension has no good name.
    pub fn into_message(self) -> Result<Message, CloudEventError> {
        self.check()?;
        let known = [
            ("specversion", Some("1.0")),
            ("id", Some(&*self.id)),
            ("source", Some(&*self.source)),
            ("type", Some(&*self.kind)),
            ("subject", self.subject.as_deref()),
            ("time", self.time.as_deref()),
            ("dataschema", self.data_schema.as_deref()),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let extensions = self.extensions.iter().map(|(name, value)| (&**name, &**value));
        let mut headers: Vec<(String, String)> =
            known.chain(extensions).map(|(name, value)| (format!("{PREFIX}{name}"), encode(value))).collect();
        if let Some(media_type) = self.data_content_type {
            headers.push((CONTENT_TYPE.to_owned(), media_type));
        }
        Ok(Message { headers, body: self.data })
    }

    fn check(&self) -> Result<(), CloudEventError> {
        let required = [("id", &self.id), ("source", &self.source), ("type", &self.kind)];
        if let Some((missing, _)) = required.into_iter().find(|(_, value)| value.is_empty()) {
            return Err(CloudEventError::Missing(missing));
        }
        let known = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"];
        let is_name = |name: &str| {
            let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            plain && !name.is_empty() && !known.contains(&name)
        };
        match self.extensions.keys().find(|name| !is_name(name)) {
            None => Ok(()),
            Some(name) => Err(CloudEventError::Name(name.clone())),
        }
    }
}

/// Publishes a CloudEvent and returns the new event's id, which is not the CloudEvent's `id`.
///
/// # Errors
/// [`PublishError::Invalid`] when it lacks an attribute or an extension has no good name; any other [`PublishError`] as
/// with [`publish_message`]. Nothing was published then.
pub fn publish_cloud_event(topic: &str, event: CloudEvent) -> Result<String, PublishError> {
    let message = event.into_message().map_err(|error| PublishError::Invalid(error.to_string()))?;
    publish_message(topic, message)
}

/// As the HTTP binding says, section "HTTP Header Values".
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => encoded.push_str(&format!("%{byte:02X}")),
            0x21..=0x7e => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Out of its quotes if it has some, then percent-decoded, once.
fn decode(text: &str) -> Option<String> {
    let mut plain = text.to_owned();
    if let Some(quoted) = text.strip_prefix('"') {
        plain.clear();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' if characters.as_str().is_empty() => break,
                '"' => return None,
                '\\' => plain.push(characters.next()?),
                c => plain.push(c),
            }
        }
    }
    let mut bytes = Vec::with_capacity(plain.len());
    let mut rest = plain.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for CloudEventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing("specversion") => {
                f.write_str("the event is no CloudEvent: it has no header `ce-specversion`")
            }
            Self::Missing(name) => write!(f, "attribute `{name}` is missing"),
            Self::Name(name) => write!(f, "an extension cannot be called `{name}`; names are of a-z and 0-9"),
            Self::Value(name) => write!(f, "the value of attribute `{name}` is malformed"),
        }
    }
}

impl std::error::Error for CloudEventError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn minimum() -> testing::Event {
        let event = testing::Event::new("a").header("Ce-Specversion", "1.0").header("ce-id", "1");
        event.header("CE-SOURCE", "/s").header("ce-type", "t")
    }

    fn read(event: testing::Event) -> Result<CloudEvent, crate::Error> {
        let mut read = None;
        let handle = |event: Event<'_>| -> crate::Result {
            read = Some(event.cloud_event()?);
            Ok(())
        };
        testing::run(handle, event).result?;
        Ok(read.unwrap())
    }

    #[test]
    fn a_cloud_event_is_read_with_what_nobody_knows() {
        let event = minimum()
            .header("ce-subject", "Euro%20%e2%82%ac")
            .header("ce-time", "2018-04-05T03:56:24Z")
            .header("ce-comexample", r#""a \"b\"""#)
            .header("Content-Type", "application/json")
            .header("X-Other", "1")
            .body(r#"{"a":1}"#);
        let event = read(event).unwrap();
        assert_eq!((&*event.id, &*event.source, &*event.kind), ("1", "/s", "t"));
        assert_eq!(event.subject.as_deref(), Some("Euro €"));
        assert_eq!(event.time.as_deref(), Some("2018-04-05T03:56:24Z"));
        assert_eq!(event.extensions, BTreeMap::from([("comexample".to_owned(), r#"a "b""#.to_owned())]));
        assert_eq!(event.data_content_type.as_deref(), Some("application/json"));
        assert_eq!(event.data_json::<serde_json::Value>().unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn what_is_no_cloud_event_is_rejected_with_its_reason() {
        let check = |event: testing::Event, expected: &str| {
            let error = read(event).unwrap_err();
            assert!(error.is_reject());
            assert_eq!(error.reason(), expected);
        };
        check(testing::Event::new("a"), "the event is no CloudEvent: it has no header `ce-specversion`");
        check(testing::Event::new("a").header("ce-specversion", "1.0"), "attribute `id` is missing");
        check(
            testing::Event::new("a").header("ce-specversion", "0.3"),
            "the value of attribute `specversion` is malformed",
        );
        for value in ["%C0%A0", "100%", "\"a", "\"a\" b", "\"\\"] {
            check(minimum().header("ce-ext", value), "the value of attribute `ext` is malformed");
        }
        check(minimum().header("ce-my-ext", ""), "an extension cannot be called `my-ext`; names are of a-z and 0-9");
    }

    #[test]
    fn what_is_published_is_read_again() {
        let mut event = CloudEvent::new("7", "/orders", "com.example.packed").json(&json!([1])).unwrap();
        event.subject = Some("100% \"sure\" €\\".to_owned());
        event.data_schema = Some("https://example.com/s".to_owned());
        event.extensions.insert("empty".to_owned(), String::new());
        let published = event.clone();
        let handle = |_: Event<'_>| -> crate::Result {
            publish_cloud_event("orders.packed", published)?;
            Ok(())
        };
        let run = testing::run(handle, testing::Event::new("a"));
        run.result.unwrap();
        let message = &run.published[0];
        assert_eq!(message.headers[4], ("ce-subject".to_owned(), "100%25%20%22sure%22%20%E2%82%AC\\".to_owned()));
        let again =
            message.headers.iter().fold(testing::Event::new("a"), |event, (name, value)| event.header(name, value));
        assert_eq!(read(again.body(&*message.body)).unwrap(), event);
    }

    #[test]
    fn what_cannot_be_published_is_a_rejection() {
        let check = |event: CloudEvent, expected: &str| {
            let error = crate::Error::from(publish_cloud_event("a", event).unwrap_err());
            assert_eq!(error, crate::reject(format!("the message was refused: {expected}")));
        };
        check(CloudEvent::new("", "/s", "t"), "attribute `id` is missing");
        for name in ["A", "", "a-b", "time", "data"] {
            let mut event = CloudEvent::new("1", "/s", "t");
            event.extensions.insert(name.to_owned(), String::new());
            check(event, &format!("an extension cannot be called `{name}`; names are of a-z and 0-9"));
        }
    }
}
