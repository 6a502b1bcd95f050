//! A request that goes out, byte for byte as go-micro posts it.
//!
//! The body is the same for every node of one generation: it is made once for an event.

use std::borrow::Cow;

use bytes::Bytes;

use hostel_event::message::{Event, ID_HEADER};

use crate::http::wire::{Generation, base64, escape, query};

/// The header that names the codec of a message's body.
const MESSAGE_TYPE: &str = "Content-Type";
/// The header of a typed event's id. v4 and later write `Micro-ID`.
const MICRO_ID: &str = "Micro-Id";

/// Path and query of the request for a node.
#[must_use]
pub fn target(generation: Generation, node_id: &str) -> String {
    let path = generation.path();
    let mut target = String::with_capacity(path.len() + "?id=".len() + node_id.len());
    target.push_str(path);
    target.push('?');
    query::write_id(&mut target, node_id);
    target
}

/// The body of the request.
///
/// To the message's headers come the topic, `Hostel-Id`, and `Micro-Id` unless it has one; any that named a topic or the
/// event's id before go. The values of one name are joined by `, `.
#[must_use]
pub fn body(event: &Event, generation: Generation) -> Bytes {
    let message = &event.message;
    // What the headers take when every byte is plain: four quotes, colon and comma for each.
    let room = message.headers.bytes() + 6 * message.headers.len() + message.body.len().div_ceil(3) * 4 + 256;
    let mut json = Vec::with_capacity(room);
    json.extend_from_slice(br#"{"Header":{"#);
    for (at, (name, value)) in headers(event, generation).into_iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        escape::text(&mut json, name);
        json.push(b':');
        escape::text(&mut json, &value);
    }
    json.extend_from_slice(br#"},"Body":""#);
    base64::encode(&mut json, &message.body);
    json.extend_from_slice(br#""}"#);
    Bytes::from(json)
}

/// go-micro chooses the codec by the content type, and finds it only in this case of letters.
fn as_go_looks_for_it(name: &str) -> &str {
    if name.eq_ignore_ascii_case(MESSAGE_TYPE) { MESSAGE_TYPE } else { name }
}

/// The headers as go-micro is to see them: sorted by name, each name once.
fn headers(event: &Event, generation: Generation) -> Vec<(&str, Cow<'_, str>)> {
    let given = &event.message.headers;
    let ours = [Generation::First.topic_header(), Generation::Second.topic_header(), ID_HEADER];
    let mut headers: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(given.len() + 3);
    headers.push((generation.topic_header(), event.topic.as_str().into()));
    if generation == Generation::First {
        // v1's broker takes its own header out, and v1's server then looks for the other, which v1's client has set.
        headers.push((Generation::Second.topic_header(), event.topic.as_str().into()));
    }
    headers.push((ID_HEADER, event.id.as_str().into()));
    if given.get(MICRO_ID).is_none() {
        headers.push((MICRO_ID, event.id.as_str().into()));
    }
    let kept = given.iter().filter(|(name, _)| !ours.iter().any(|own| own.eq_ignore_ascii_case(name)));
    headers.extend(kept.map(|(name, value)| (as_go_looks_for_it(name), Cow::Borrowed(value))));
    // Stable: values of one name stay in their order.
    headers.sort_by_key(|(name, _)| *name);
    headers.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            let joined = earlier.1.to_mut();
            joined.push_str(", ");
            joined.push_str(&later.1);
        }
        same
    });
    headers
}
