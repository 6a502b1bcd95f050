//! A request that came in: for which node, on which topic, with which message.
//!
//! Whether the node is known, and the method and the path right, is the endpoint's to say.

use bytes::Bytes;

use hostel_event::headers::{HeaderError, Headers};
use hostel_event::message::Message;
use hostel_event::topic::{Topic, TopicError};

use crate::http::wire::message::{self, Parsed};
use crate::http::wire::refusal::Refusal;
use crate::http::wire::{Generation, query};

/// What of a request counts.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its path: v1 posts to its own.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// Its content type, if it has one.
    pub content_type: Option<&'a str>,
    /// Its body, whole.
    pub body: &'a [u8],
}

/// What a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The node that it is for; may be empty.
    pub node_id: String,
    /// Whose header named the topic.
    pub generation: Generation,
    /// The topic; an error if it is one that only go-micro knows, which then nobody here has subscribed to.
    pub topic: Result<Topic, TopicError>,
    /// The message, headers sorted by name. v1's `:topic` is not among them, `Micro-Topic` is.
    pub message: Message,
}

/// Reads a request with every leniency that go-micro has.
///
/// # Errors
/// [`Refusal`], as go-micro would refuse it; or because of a header that Hostel does not take.
pub fn decode(request: &Request<'_>) -> Result<Inbound, Refusal> {
    // Go reads a form from the body, and then nothing is left of it.
    let body = if is_form(request.content_type) { &[] } else { request.body };
    // On `null` go-micro panics; it is a message without a topic.
    let parsed = message::parse(body).map_err(Refusal::Body)?.ok_or(Refusal::Topic)?;
    if parsed.too_many {
        return Err(HeaderError::TooMany.into());
    }
    let (generation, topic) = topic(&parsed, request.path).ok_or(Refusal::Topic)?;
    let topic = Topic::new(topic);
    let mut headers = Headers::new();
    for (name, value) in &parsed.headers {
        if generation == Generation::First && name == Generation::First.topic_header() {
            continue;
        }
        headers.append(name, value)?;
    }
    Ok(Inbound {
        node_id: request.query.map(query::id).unwrap_or_default(),
        generation,
        topic,
        message: Message { headers, body: Bytes::from(parsed.body) },
    })
}

/// The topic, from the header that belongs to the path or else from the other one: go-micro's subscribers know one only,
/// but a v1 message may have both, of which `Micro-Topic` may name another topic.
fn topic<'a>(parsed: &'a Parsed<'_>, path: &str) -> Option<(Generation, &'a str)> {
    let order = if path == Generation::First.path() {
        [Generation::First, Generation::Second]
    } else {
        [Generation::Second, Generation::First]
    };
    order.into_iter().find_map(|generation| {
        let wanted = generation.topic_header();
        let at = parsed.headers.binary_search_by(|(name, _)| name.as_ref().cmp(wanted)).ok()?;
        let topic = parsed.headers.get(at)?.1.as_ref();
        (!topic.is_empty()).then_some((generation, topic))
    })
}

fn is_form(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
