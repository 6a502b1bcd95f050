//! The stages of a deployment, for whoever waits for it: which one begins, as it begins, and how long each took.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use hostel_api::change::StageBegunView;
use hostel_api::view::StageView;

/// Stages that may wait to be told. A deployment has less than ten.
const WAITING: usize = 32;

/// Stages in their order.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    began: Instant,
    /// The one that is under way, and when it began.
    current: Option<(&'static str, Instant)>,
    ended: Vec<(&'static str, Duration)>,
    /// Who is told as each begins.
    told: Option<mpsc::Sender<StageBegunView>>,
}

impl Stages {
    /// Nobody is told of these before the end.
    pub(crate) fn silent() -> Self {
        Self { began: Instant::now(), current: None, ended: Vec::new(), told: None }
    }

    /// Somebody is, there.
    pub(crate) fn telling() -> (Self, mpsc::Receiver<StageBegunView>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { told: Some(sender), ..Self::silent() }, receiver)
    }

    /// A stage begins, and the one that was under way ends.
    pub(crate) fn enter(&mut self, stage: &'static str) {
        let now = self.end();
        self.current = Some((stage, now));
        if let Some(told) = &self.told {
            let elapsed = now.saturating_duration_since(self.began);
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            // Who does not look any more need not be told.
            let _ = told.try_send(StageBegunView { stage: stage.to_owned(), elapsed_ms });
        }
    }

    /// What is under way has turned out to be another stage.
    pub(super) fn is_in_truth(&mut self, stage: &'static str) {
        if let Some((name, _)) = &mut self.current {
            *name = stage;
        }
    }

    /// The stage that was under way ends; says when that was.
    pub(super) fn end(&mut self) -> Instant {
        let now = Instant::now();
        if let Some((stage, began)) = self.current.take() {
            self.ended.push((stage, now.saturating_duration_since(began)));
        }
        now
    }

    /// Those that have ended, when nobody is told any more.
    pub(super) fn ended(mut self) -> Self {
        self.end();
        Self { told: None, ..self }
    }

    pub(crate) fn view(&self) -> Vec<StageView> {
        let view = |(stage, took): &(&'static str, Duration)| StageView {
            stage: (*stage).to_owned(),
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        self.ended.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_is_told_as_it_begins_and_listed_once_it_ended() {
        let (mut stages, mut told) = Stages::telling();
        stages.enter("check");
        assert_eq!(told.try_recv().unwrap().stage, "check");
        assert_eq!(stages.view(), []);
        stages.enter("compile");
        stages.is_in_truth("load");
        assert_eq!(told.try_recv().unwrap().stage, "compile");
        let ended = stages.ended();
        let names: Vec<String> = ended.view().into_iter().map(|view| view.stage).collect();
        assert_eq!(names, ["check", "load"]);
        assert!(told.recv().await.is_none(), "what is kept of them holds no stream open");
    }
}
