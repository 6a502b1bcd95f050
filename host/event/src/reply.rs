//! Requests and their replies: how one who publishes says where an answer goes.
//!
//! A reply topic belongs to one request. What is published on it goes to whoever waits for it and to those who follow it,
//! and is kept by no broker: a topic for each request would fill the log with names that nobody asks for again.

use crate::id::EventId;
use crate::topic::{LIMIT, Topic, TopicError, is_token};

/// The header by which a publisher says on which topic it wants an answer.
pub const REPLY_TO_HEADER: &str = "Hostel-Reply-To";

/// The first token of every topic that is for replies.
pub const REPLY_TOKEN: &str = "_reply";

/// A topic for the replies to the request of this id, in which a topic's characters stand for themselves and all others
/// for `-`.
///
/// # Errors
/// [`TopicError`], which no id that there is leads to.
pub fn reply_topic(id: &EventId) -> Result<Topic, TopicError> {
    let token: String = id.as_str().chars().map(|c| if is_token(c) { c } else { '-' }).collect();
    let room = LIMIT - REPLY_TOKEN.len() - 1;
    Topic::new(&format!("{REPLY_TOKEN}.{}", token.get(..room).unwrap_or(&token)))
}

/// Whether a topic is for replies.
#[must_use]
pub fn is_reply(topic: &Topic) -> bool {
    let mut tokens = topic.tokens();
    tokens.next() == Some(REPLY_TOKEN) && tokens.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_topic_is_known_by_its_first_token() {
        let check =
            |topic: &str, expected: bool| assert_eq!(is_reply(&Topic::new(topic).unwrap()), expected, "{topic}");
        check("_reply.a", true);
        check("_reply.a.b", true);
        check("_reply", false);
        check("_replying.a", false);
        check("orders._reply.a", false);
    }

    #[test]
    fn any_id_makes_a_topic_of_its_own() {
        let check = |id: &str, expected: &str| {
            assert_eq!(reply_topic(&EventId::new(id).unwrap()).unwrap().as_str(), expected);
        };
        check("0190-ab_C", "_reply.0190-ab_C");
        check("a.b:c/d", "_reply.a-b-c-d");
    }
}
