//! The codec against what go-micro was seen to do, what Go's standard library does, and itself.

mod captured;
mod corpus;
mod limits;
mod properties;

use std::fs;
use std::path::Path;

use bytes::Bytes;

use hostel_event::headers::Headers;
use hostel_event::id::EventId;
use hostel_event::message::{Event, Message};
use hostel_event::name::Tenant;
use hostel_event::time::Timestamp;
use hostel_event::topic::Topic;

/// A file of `tests/fixtures/gomicro`.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gomicro").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()))
}

fn event(topic: &str, pairs: &[(&str, &str)], body: &[u8]) -> Event {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.append(name, value).unwrap();
    }
    Event {
        id: EventId::new("e1").unwrap(),
        tenant: Tenant::new("default").unwrap(),
        topic: Topic::new(topic).unwrap(),
        published_at: Timestamp::from_millis(0),
        expires_at: None,
        message: Message { headers, body: Bytes::copy_from_slice(body) },
    }
}
