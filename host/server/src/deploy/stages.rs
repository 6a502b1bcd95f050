//! How long the stages of a deployment took, for whoever waits for it.

use std::time::{Duration, Instant};

use hostel_api::view::StageView;

/// Stages that ended, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    /// When the last one ended.
    at: Instant,
    ended: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// The first stage begins.
    pub(super) fn begin() -> Self {
        Self { at: Instant::now(), ended: Vec::new() }
    }

    /// A stage ends, and the next one begins.
    pub(super) fn end(&mut self, stage: &'static str) {
        let now = Instant::now();
        self.ended.push((stage, now.saturating_duration_since(self.at)));
        self.at = now;
    }

    pub(crate) fn view(&self) -> Vec<StageView> {
        let view = |(stage, took): &(&'static str, Duration)| StageView {
            stage: (*stage).to_owned(),
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        self.ended.iter().map(view).collect()
    }
}
