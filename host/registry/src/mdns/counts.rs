//! What was ignored, cut or failed, counted and told in the log.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry;

/// How often something was ignored, cut or failed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that are not DNS, and nodes whose text is not go-micro's.
    pub malformed: u64,
    /// Packets from outside the interface's network.
    pub foreign: u64,
    /// Packets that could not be sent.
    pub unsent: u64,
    /// Times that receiving failed.
    pub unreceived: u64,
    /// Questions that had more answers than are taken in.
    pub cut: u64,
    /// Announced nodes that were forgotten for others.
    pub forgotten: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    malformed: AtomicU64,
    foreign: AtomicU64,
    unsent: AtomicU64,
    unreceived: AtomicU64,
    cut: AtomicU64,
    forgotten: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            malformed: read(&self.malformed),
            foreign: read(&self.foreign),
            unsent: read(&self.unsent),
            unreceived: read(&self.unreceived),
            cut: read(&self.cut),
            forgotten: read(&self.forgotten),
        }
    }

    pub(crate) fn malformed(&self, from: SocketAddr, reason: &str) {
        telemetry::malformed_packet(one_more(&self.malformed), from, reason);
    }

    pub(crate) fn foreign(&self, from: SocketAddr) {
        telemetry::foreign_packet(one_more(&self.foreign), from);
    }

    pub(crate) fn unsent(&self, to: SocketAddr, error: &io::Error) {
        telemetry::packet_unsent(one_more(&self.unsent), to, error);
    }

    pub(crate) fn unreceived(&self, error: &io::Error) {
        telemetry::receive_failed(one_more(&self.unreceived), error);
    }

    pub(crate) fn cut(&self, question: &str, limit: usize) {
        telemetry::answers_cut(one_more(&self.cut), question, limit);
    }

    pub(crate) fn forgotten(&self, limit: usize) {
        telemetry::announcement_forgotten(one_more(&self.forgotten), limit);
    }
}

fn one_more(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}
