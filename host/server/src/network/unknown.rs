//! Messages that peers sent to nodes which are not ours: counted, and told of without flooding the log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use hostel_event::port::Clock;
use hostel_event::time::Moment;

use crate::telemetry;

/// How often the log hears of it. Arbitrary: soon enough to be seen, and no flood.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module's page.
pub(super) struct Unknown {
    clock: Arc<dyn Clock>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: Option<Moment>,
    /// Those since the log last heard of one.
    since: u64,
}

impl Unknown {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, told: Mutex::default() }
    }

    /// Another one. The first of each second is told with its peer and id, and with how many were not.
    pub(super) fn tell(&self, node_id: &str, peer: SocketAddr) {
        let now = self.clock.now();
        let mut told = self.told.lock();
        if told.last.is_some_and(|last| now.since(last) < PAUSE) {
            told.since += 1;
            return;
        }
        told.last = Some(now);
        let unsaid = std::mem::take(&mut told.since);
        drop(told);
        telemetry::unknown_node(peer, node_id, unsaid);
    }
}
