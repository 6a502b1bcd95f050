//! How events are carried: limits and pauses.

use std::time::Duration;

use hostel_event::subscription::RetryPolicy;

use crate::choice::Choice;
use crate::http::circuit;

/// How events are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a node that is new is left alone. go-micro registers a subscriber before it attaches its handler, and
    /// answers 200 to what comes between, which nobody has handled then.
    pub settling: Duration,
    /// Requests at a time to each node of a queue group. A broadcast node gets one at a time.
    pub concurrency: usize,
    /// Which node of a queue group gets an event.
    pub selector: Choice,
    /// What follows an answer that is a failure.
    pub retry: RetryPolicy,
    /// How often an event is tried on nodes that are reached and do not answer.
    pub unanswered: u32,
    /// How long an event waits for a node that is away.
    pub retention: Duration,
    /// The pause after no node could be reached; it doubles each time.
    pub pause: Duration,
    /// What that pause never exceeds.
    pub pause_limit: Duration,
    /// How many hosts an event may leave.
    pub hops: usize,
    /// Bytes of all that waits for remote subscriptions; beyond it, those whose nodes are away give up their oldest.
    pub backlog_bytes: usize,
    /// When a node is left alone for a while.
    pub circuit: circuit::Settings,
}

impl Default for Settings {
    /// Twelve attempts without an answer take about a minute and a half with the pauses of the circuit, longer than a
    /// subscriber takes to restart; 16 hosts are more than any chain that is meant. 24 h, 100 ms, 5 s and 64 MiB, a
    /// quarter of the memory broker's bytes, are arbitrary. 3 s to settle: with 1 s a test on a loaded machine lost
    /// messages to go-micro v5 now and then.
    fn default() -> Self {
        Self {
            settling: Duration::from_secs(3),
            concurrency: 1,
            selector: Choice::Random,
            retry: RetryPolicy::default(),
            unanswered: 12,
            retention: Duration::from_secs(24 * 60 * 60),
            pause: Duration::from_millis(100),
            pause_limit: Duration::from_secs(5),
            hops: 16,
            backlog_bytes: 64 * 1024 * 1024,
            circuit: circuit::Settings::default(),
        }
    }
}

impl Settings {
    /// How long to wait after so many rounds without reaching anyone.
    pub(super) fn pause(&self, rounds: u32) -> Duration {
        let factor = 1_u32.checked_shl(rounds).unwrap_or(u32::MAX);
        self.pause.saturating_mul(factor).min(self.pause_limit)
    }
}
