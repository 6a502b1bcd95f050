//! Whether a lane may start anything: not while it is paused, by an operator or because its handler keeps failing.

use std::collections::VecDeque;

use hostel_event::port::PausedBy;
use hostel_event::subscription::Quarantine;
use hostel_event::time::Moment;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Gate {
    paused: Option<PausedBy>,
    /// When the newest faults came, since the last ack; at most as many as it takes.
    faults: VecDeque<Moment>,
    /// Counts how often it began anew. What an attempt of an earlier epoch says of the handler is out of date.
    epoch: u64,
}

impl Gate {
    pub(super) fn paused(&self) -> Option<PausedBy> {
        self.paused
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// An attempt that began in `epoch` was acknowledged.
    pub(super) fn acked(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.faults.clear();
        }
    }

    /// An attempt that began in `epoch` ended in a fault of the handler's. Says whether that was one too many.
    pub(super) fn faulted(&mut self, now: Moment, epoch: u64, rule: Quarantine) -> bool {
        let enough = usize::try_from(rule.faults).unwrap_or(usize::MAX);
        if enough == 0 || epoch != self.epoch || self.paused.is_some() {
            return false;
        }
        self.faults.push_back(now);
        while self.faults.len() > enough || self.faults.front().is_some_and(|first| now.since(*first) > rule.window) {
            self.faults.pop_front();
        }
        if self.faults.len() < enough {
            return false;
        }
        self.faults.clear();
        self.paused = Some(PausedBy::Quarantine);
        true
    }

    /// Closes it. An operator's pause takes the place of the host's.
    pub(super) fn pause(&mut self, by: PausedBy) {
        self.paused = Some(by);
    }

    /// Opens it, and forgets what there was against the handler.
    pub(super) fn resume(&mut self) {
        self.paused = None;
        self.renew();
    }

    /// The handler is another one from now on: that ends a quarantine, and no operator's pause.
    pub(super) fn renew(&mut self) {
        self.epoch += 1;
        self.faults.clear();
        if self.paused == Some(PausedBy::Quarantine) {
            self.paused = None;
        }
    }
}
