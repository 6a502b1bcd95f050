//! How much is measured.

use std::time::Duration;

/// Rounds, and the events of one round. The counts of a full run were picked so that each contender's round lasts
/// between half a second and three on a machine of two cores: long against a timer's tick, short against what else
/// changes on a machine.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// Only rows in whose name this stands.
    pub(crate) only: Option<String>,
    /// In this process.
    pub(crate) in_process: usize,
    /// Over HTTP, many connections.
    pub(crate) many: usize,
    /// Over HTTP, many connections, where nothing is handled.
    pub(crate) many_bare: usize,
    /// Over HTTP, one connection.
    pub(crate) one: usize,
    /// Over HTTP, one connection, where nothing is handled.
    pub(crate) one_bare: usize,
    /// How long requests come at a pace.
    pub(crate) paced: Duration,
    /// Swaps of a handler under load.
    pub(crate) swaps: usize,
    /// Handlers that share a component, idle.
    pub(crate) idle: usize,
    /// Handlers with a component of their own, idle.
    pub(crate) idle_own: usize,
    /// Tenants of one host, with ten handlers each.
    pub(crate) tenants: usize,
    /// Events in a log on which a host is started; a tenth of them is not settled. None where that is not asked for.
    pub(crate) kept: Option<usize>,
    /// Published past many remote nodes.
    pub(crate) routed: usize,
    /// Committed to a disk; fewer where publishers are few.
    pub(crate) durable: usize,
    /// Rounds with go-micro, each of which waits for bursts to come to rest.
    pub(crate) go_micro_rounds: usize,
    /// With go-micro, one at a time.
    pub(crate) single: usize,
    /// With go-micro, all at once. go-micro's own case has 10,000.
    pub(crate) burst: usize,
}

impl Scale {
    /// For figures.
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        only: None,
        in_process: 60_000,
        many: 40_000,
        many_bare: 80_000,
        one: 10_000,
        one_bare: 10_000,
        paced: Duration::from_secs(2),
        swaps: 200,
        idle: 10_000,
        idle_own: 100,
        tenants: 1_000,
        kept: None,
        routed: 100_000,
        durable: 4_000,
        go_micro_rounds: 5,
        single: 2_000,
        burst: 10_000,
    };
    /// For a look whether it runs at all.
    pub(crate) const QUICK: Self = Self {
        rounds: 2,
        only: None,
        in_process: 2_000,
        many: 2_000,
        many_bare: 4_000,
        one: 500,
        one_bare: 1_000,
        paced: Duration::from_millis(200),
        swaps: 10,
        idle: 500,
        idle_own: 5,
        tenants: 10,
        kept: Some(5_000),
        routed: 2_000,
        durable: 500,
        go_micro_rounds: 1,
        single: 200,
        burst: 1_000,
    };
    /// Events in a log on which a host is started, where that is all that was asked for, and where what takes long was:
    /// to fill the first takes half a minute, the second some minutes.
    pub(crate) const KEPT: usize = 1_000_000;
    pub(crate) const KEPT_LONG: usize = 10_000_000;
    /// How long anything that should happen may take; it only bounds a failure.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

    /// Whether the row of this name is to be measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.contains(only))
    }
}
