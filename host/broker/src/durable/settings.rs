//! What the operator says about this broker.

use std::time::Duration;

use hostel_event::pattern::Pattern;
use hostel_event::topic::Topic;
use hostel_log::settings::Sync;

use crate::choice::Choice;

/// How the broker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of all events that are out. What does not fit waits in the log.
    pub memory: usize,
    /// An id that its publisher gave counts as seen for so long.
    pub dedupe: Duration,
    /// How a queue group chooses among its members.
    pub choice: Choice,
    /// Where the lots of that choice begin.
    pub seed: u64,
    /// How topics are kept; the first pattern that hears a topic counts.
    pub topics: Vec<(Pattern, Policy)>,
    /// How all other topics are kept.
    pub policy: Policy,
    /// How often the broker looks after its own: floors, timers after a jump of the clock.
    pub tick: Duration,
    /// How often it drops what need not be kept any more.
    pub retain_every: Duration,
}

/// How the events of a topic are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When a publish, and what counts as much, is answered.
    pub sync: Sync,
    /// How long events stay.
    pub retention: Retention,
}

/// How long the events of a topic stay. What is `None` does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So long after they were published.
    pub age: Option<Duration>,
    /// So many bytes, the newest.
    pub bytes: Option<u64>,
    /// So many events, the newest.
    pub events: Option<u64>,
    /// What of those that somebody has not settled.
    pub unsettled: Unsettled,
}

/// What retention does with events that somebody has not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// They stay, and so does all of the topic that came after them.
    Keep,
    /// They go, and are lost for who has not settled them.
    Drop,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            dedupe: Duration::from_secs(120),
            choice: Choice::LeastLoaded,
            seed: 0,
            topics: Vec::new(),
            policy: Policy::default(),
            tick: Duration::from_secs(1),
            retain_every: Duration::from_secs(5),
        }
    }
}

impl Default for Policy {
    /// Synced always; a week of history, at most 1 GiB of each topic, without loss of what is not settled. The numbers are
    /// arbitrary: enough for a replay after a bad weekend, and a bound for the disk.
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        let retention = Retention { age: Some(week), bytes: Some(1 << 30), events: None, unsettled: Unsettled::Keep };
        Self { sync: Sync::Always, retention }
    }
}

impl Settings {
    /// How a topic is kept.
    #[must_use]
    pub fn policy(&self, topic: &Topic) -> &Policy {
        self.topics.iter().find(|(pattern, _)| pattern.matches(topic)).map_or(&self.policy, |(_, policy)| policy)
    }
}
