//! Whether a peer is worth a try: a circuit breaker for each, as a state machine that is told the time.
//!
//! Only what fails on the way counts: no connection, a time-out, a connection that closed without an answer. A peer that
//! answers, whatever it answers, is there.

use std::time::Duration;

use hostel_event::time::Moment;

/// When a circuit opens and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row after which it opens; at least 1.
    pub failures: u32,
    /// How long it is open at first; it doubles with each probe that fails.
    pub pause: Duration,
    /// What the pause never exceeds.
    pub pause_limit: Duration,
}

impl Default for Settings {
    /// Five failures, 1 s, at most 30 s. Arbitrary: with the courier's backoff a peer that restarts within a second is
    /// not given up, and one that is gone costs two connection attempts a minute.
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(1), pause_limit: Duration::from_secs(30) }
    }
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Requests go through.
    Closed,
    /// None go through before the moment.
    Open {
        /// When a probe may go through.
        until: Moment,
    },
    /// One request is on its way to find out.
    Probing,
}

/// The circuit breaker of one peer.
#[derive(Debug, Clone)]
pub struct Circuit {
    settings: Settings,
    state: State,
    /// Failures in a row.
    failures: u32,
    /// How long it will be open the next time.
    pause: Duration,
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, state: State::Closed, failures: 0, pause: settings.pause }
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the last request failed on its way.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether so many failed in a row that it opened and has not closed since.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether a request may go through now.
    #[must_use]
    pub fn allows(&self, now: Moment) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => now >= until,
            State::Probing => false,
        }
    }

    /// When a request may go through that may not now; `None` if it may, or waits for a probe's end.
    #[must_use]
    pub fn next_probe(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Open { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// A request goes through.
    pub fn begin(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
    }

    /// The peer answered.
    pub fn succeed(&mut self) {
        *self = Self::new(self.settings);
    }

    /// The peer did not answer.
    pub fn fail(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::Closed && self.failures < self.settings.failures {
            return;
        }
        // Of requests that began before it opened, later failures say nothing new.
        if !matches!(self.state, State::Open { .. }) {
            self.state = State::Open { until: now.after(self.pause) };
            self.pause = self.pause.saturating_mul(2).min(self.settings.pause_limit);
        }
    }

    /// A request ended without saying anything about the peer.
    pub fn abandon(&mut self, now: Moment) {
        if self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }

    /// There is reason to believe that the peer is back: a probe may go through at once.
    pub fn hasten(&mut self, now: Moment) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Settings =
        Settings { failures: 3, pause: Duration::from_secs(1), pause_limit: Duration::from_secs(3) };

    fn at(seconds: u64) -> Moment {
        Moment::new(Duration::from_secs(seconds))
    }

    fn broken() -> Circuit {
        let mut circuit = Circuit::new(QUICK);
        (0..3).for_each(|_| circuit.fail(at(0)));
        circuit
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut circuit = Circuit::new(QUICK);
        for _ in 0..10 {
            circuit.fail(at(0));
            circuit.fail(at(0));
            circuit.succeed();
        }
        assert!(circuit.allows(at(0)) && !circuit.is_failing());
        circuit.fail(at(0));
        assert!(circuit.is_failing() && !circuit.is_broken());
        assert_eq!(broken().state(), State::Open { until: at(1) });
        assert!(!broken().allows(at(0)));
    }

    #[test]
    fn one_probe_at_a_time_goes_through_and_pauses_double_to_their_limit() {
        let mut circuit = broken();
        let mut now = at(0);
        for pause in [1, 2, 3, 3] {
            let until = now.after(Duration::from_secs(pause));
            assert_eq!(circuit.next_probe(now), Some(until));
            now = until;
            assert!(circuit.allows(now));
            circuit.begin();
            assert!(!circuit.allows(now) && circuit.next_probe(now).is_none());
            circuit.fail(now);
        }
        now = at(60);
        circuit.begin();
        circuit.succeed();
        assert_eq!(circuit.state(), State::Closed);
        (0..3).for_each(|_| circuit.fail(now));
        assert_eq!(circuit.next_probe(now), Some(at(61)), "the pause begins anew");
    }

    #[test]
    fn late_failures_do_not_lengthen_the_pause() {
        let mut circuit = broken();
        (0..100).for_each(|_| circuit.fail(at(0)));
        assert_eq!(circuit.state(), State::Open { until: at(1) });
    }

    #[test]
    fn news_of_the_peer_and_a_probe_without_an_end_let_the_next_through() {
        let mut circuit = broken();
        circuit.hasten(at(0));
        assert!(circuit.allows(at(0)));
        circuit.begin();
        circuit.hasten(at(0));
        assert!(!circuit.allows(at(0)), "one probe is enough");
        circuit.abandon(at(0));
        assert!(circuit.allows(at(0)));
        circuit.begin();
        circuit.fail(at(0));
        assert_eq!(circuit.next_probe(at(0)), Some(at(2)), "news alone does not shorten the pauses to come");
    }
}
