//! Dead letters: events that a subscription gave up, kept with their story.

use std::sync::Arc;

use crate::id::DeadLetterId;
use crate::message::{Event, Message};
use crate::outcome::Attempt;
use crate::pattern::Pattern;
use crate::subscription::SubscriptionId;
use crate::time::Timestamp;

/// An event that was rejected or ran out of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its own id; sorts by the time it died.
    pub id: DeadLetterId,
    /// Which subscription gave it up.
    pub subscription: SubscriptionId,
    /// The event, whole.
    pub event: Arc<Event>,
    /// Why, in one line.
    pub reason: String,
    /// Every attempt, oldest first.
    pub history: Vec<Attempt>,
    /// When it was given up.
    pub died_at: Timestamp,
}

impl DeadLetter {
    /// Its event, with another message in the place of its own if one is given.
    #[must_use]
    pub fn event_with(&self, message: Option<Message>) -> Arc<Event> {
        match message {
            None => Arc::clone(&self.event),
            Some(message) => Arc::new(Event { message, ..Event::clone(&self.event) }),
        }
    }
}

/// Which dead letters are meant. What is `None` does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Those whose event's topic this pattern hears.
    pub topic: Option<Pattern>,
    /// Those with this text in their reason, whatever its ASCII case.
    pub reason: Option<String>,
    /// Those given up then or later.
    pub since: Option<Timestamp>,
    /// Those given up before.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a dead letter is among those meant.
    #[must_use]
    pub fn accepts(&self, letter: &DeadLetter) -> bool {
        self.accepts_what_it_says(letter.died_at, &letter.reason)
            && self.subscription.as_ref().is_none_or(|wanted| *wanted == letter.subscription)
            && self.topic.as_ref().is_none_or(|wanted| wanted.matches(&letter.event.topic))
    }

    /// The same by time and reason alone, before the event is read.
    #[must_use]
    pub fn accepts_what_it_says(&self, died_at: Timestamp, reason: &str) -> bool {
        self.since.is_none_or(|since| died_at >= since)
            && self.until.is_none_or(|until| died_at < until)
            && self.reason.as_ref().is_none_or(|wanted| contains(reason, wanted))
    }
}

fn contains(text: &str, wanted: &str) -> bool {
    text.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase())
}
