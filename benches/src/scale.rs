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
    };
    /// For a look whether it runs at all.
    pub(crate) const QUICK: Self =
        Self { rounds: 2, only: None, in_process: 2_000, many: 2_000, many_bare: 4_000, one: 500, one_bare: 1_000 };
    /// How long anything that should happen may take; it only bounds a failure.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
}
