//! Messages, and events: messages that were published.

use bytes::Bytes;

use crate::headers::Headers;
use crate::id::EventId;
use crate::name::Tenant;
use crate::time::Timestamp;
use crate::topic::Topic;

/// The header by which a publisher gives the event's id.
pub const ID_HEADER: &str = "Hostel-Id";

/// The header by which a publisher says from when on nobody wants the event any more.
pub const EXPIRES_HEADER: &str = "Hostel-Expires";

/// The header by which a publisher says when to publish the event.
pub const DELIVER_AT_HEADER: &str = "Hostel-Deliver-At";

/// The header that names the hosts that an event and those that caused it have left, so that what goes round in a circle
/// comes to an end.
pub const ROUTE_HEADER: &str = "Hostel-Route";

/// What a publisher hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Name and value pairs.
    pub headers: Headers,
    /// Any bytes.
    pub body: Bytes,
}

impl Message {
    /// The bytes that keeping it takes, headers and body.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.headers.bytes() + self.body.len()
    }
}

/// A message published on a topic of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique within its tenant and the dedupe window.
    pub id: EventId,
    /// Whose event it is.
    pub tenant: Tenant,
    /// Where it was published.
    pub topic: Topic,
    /// When it was published.
    pub published_at: Timestamp,
    /// From when on nobody wants it any more; `None`: it does not age.
    pub expires_at: Option<Timestamp>,
    /// What was published.
    pub message: Message,
}

impl Event {
    /// The bytes that keeping it takes: message, id and topic.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.bytes() + self.id.as_str().len() + self.topic.as_str().len()
    }
}
