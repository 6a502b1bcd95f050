//! Quotas: how much of a host a tenant may use, and what its share is when there is not enough for all.
//!
//! What a quota is, not who holds tenants to it: that is dispatch for events and deliveries, and the server for what is
//! deployed and connected. A rate may be used in a burst of one second's worth.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// How much of a host a tenant may use. `None`: as much as there is.
///
/// Who publishes beyond it is refused and told when to come again; deliveries beyond it wait. Nothing is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Events published in a second, by outsiders and by its own handlers together.
    pub events: Option<NonZeroU32>,
    /// Attempts begun in a second.
    pub deliveries: Option<NonZeroU32>,
    /// Handlers that run at the same time.
    pub invocations: Option<NonZeroUsize>,
    /// CPU time that its handlers may take in a second of time: one second is one core. Less than [`Quota::CPU_LEAST`]
    /// is taken for that.
    pub cpu: Option<Duration>,
    /// Linear memory, in bytes, that all that runs may reach together: the sum of the limits of its handlers, once for
    /// each invocation. One invocation may always run, even if its limit is more.
    pub memory: Option<u64>,
    /// Bytes that the broker keeps of it.
    pub stored_bytes: Option<u64>,
    /// Handlers deployed.
    pub handlers: Option<usize>,
    /// Connections that its handlers have open to the outside.
    pub connections: Option<usize>,
    /// Its share of the host, in proportion to those of other tenants, when there is not enough for all.
    pub weight: NonZeroU32,
}

impl Quota {
    /// The least CPU time in a second that a tenant can be held to: a tenth of a percent of a core. With less, a handler
    /// that runs once would keep its tenant waiting for hours.
    pub const CPU_LEAST: Duration = Duration::from_millis(1);
    /// As much as there is, with the share of one.
    pub const UNLIMITED: Self = Self {
        events: None,
        deliveries: None,
        invocations: None,
        cpu: None,
        memory: None,
        stored_bytes: None,
        handlers: None,
        connections: None,
        weight: NonZeroU32::MIN,
    };
}

impl Default for Quota {
    fn default() -> Self {
        Self::UNLIMITED
    }
}
