//! How far a deployment is, shown to whoever waits: one line that changes on a terminal, a line for each of the long
//! stages elsewhere, nothing where only data is asked for.

use std::io::IsTerminal;
use std::time::Duration;

use hostel_api::change::StageBegunView;
use hostel_api::client::{ClientError, Progress};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::super::{output, text, usage};

/// How often the line is written anew. Arbitrary: often enough for eyes.
const TICK: Duration = Duration::from_millis(100);
/// From when on it is said how long a stage has lasted.
const LONG: Duration = Duration::from_secs(1);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Plain,
    Nothing,
}

/// A call that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// The host has not begun: it is being asked.
    Asking,
    /// So many bytes are to be uploaded.
    Uploading(u64),
    /// The host is there.
    Stage(String),
}

/// See the module's page.
pub(super) struct Show {
    mode: Mode,
    /// What is deployed, as people know it.
    name: String,
    at: At,
    since: Instant,
}

impl Show {
    /// Of what is called `name`; `quiet`: only data is asked for.
    pub(super) fn new(name: &str, quiet: bool) -> Self {
        let mode = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Nothing,
            (false, true) => Mode::Terminal,
            (false, false) => Mode::Plain,
        };
        Self { mode, name: name.to_owned(), at: At::Asking, since: Instant::now() }
    }

    /// Waits for an upload of so many bytes.
    pub(super) async fn upload<T>(
        &mut self,
        bytes: u64,
        call: impl AsyncFnOnce(Progress) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.enter(At::Uploading(bytes));
        self.follow(call).await
    }

    /// Waits for a deployment.
    pub(super) async fn deploy<T>(
        &mut self,
        call: impl AsyncFnOnce(Progress) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.enter(At::Asking);
        self.follow(call).await
    }

    async fn follow<T>(
        &mut self,
        call: impl AsyncFnOnce(Progress) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let (progress, mut begun) = Progress::new();
        let mut call = std::pin::pin!(call(progress.clone()));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let came = loop {
            tokio::select! {
                biased;
                Some(stage) = begun.recv() => self.enter(At::Stage(stage.stage)),
                came = &mut call => break came,
                _ = tick.tick() => self.draw(progress.sent()),
            }
        };
        self.rest(&mut begun);
        came
    }

    /// Stages that began just before the end, and the end of the line.
    fn rest(&mut self, begun: &mut mpsc::Receiver<StageBegunView>) {
        while let Ok(stage) = begun.try_recv() {
            self.enter(At::Stage(stage.stage));
        }
        if self.mode == Mode::Terminal {
            output::say("\r\u{1b}[K");
        }
    }

    fn enter(&mut self, at: At) {
        (self.at, self.since) = (at, Instant::now());
        if self.mode == Mode::Plain
            && let Some(line) = plain(&self.at, &self.name)
        {
            output::talk(&text::line(&line));
        }
    }

    fn draw(&self, sent: u64) {
        if self.mode == Mode::Terminal {
            let line = live(&self.at, &self.name, (sent, self.since.elapsed()));
            output::say(&format!("\r\u{1b}[K{}", text::line(&line)));
        }
    }
}

/// The line of a log, for stages that may last.
fn plain(at: &At, name: &str) -> Option<String> {
    Some(match at {
        At::Uploading(bytes) => format!("uploading `{name}` ({})", usage::bytes(*bytes)),
        At::Stage(stage) if matches!(stage.as_str(), "compile" | "init") => format!("{} `{name}`", doing(stage)),
        At::Asking | At::Stage(_) => return None,
    })
}

/// The line on a terminal.
fn live(at: &At, name: &str, (sent, lasted): (u64, Duration)) -> String {
    let what = match at {
        At::Asking => return format!("deploying `{name}`"),
        At::Uploading(bytes) => {
            // Of nothing, all is there.
            let percent = sent.saturating_mul(100).checked_div(*bytes).unwrap_or(100);
            return format!("uploading `{name}`: {} of {}, {percent} %", usage::bytes(sent), usage::bytes(*bytes));
        }
        At::Stage(stage) => format!("{} `{name}`", doing(stage)),
    };
    if lasted < LONG { what } else { format!("{what}: {} s", lasted.as_secs()) }
}

fn doing(stage: &str) -> &str {
    match stage {
        "check" => "checking",
        "compile" => "compiling",
        "load" => "loading",
        "keep" => "keeping",
        "init" => "preparing",
        "switch" => "switching to",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> At {
        At::Stage(name.to_owned())
    }

    #[test]
    fn a_terminal_sees_how_far_it_is() {
        let check = |at: At, so_far: (u64, u64), expected: &str| {
            assert_eq!(live(&at, "hello", (so_far.0, Duration::from_secs(so_far.1))), expected);
        };
        check(At::Asking, (0, 9), "deploying `hello`");
        check(At::Uploading(3 << 20), (1 << 20, 0), "uploading `hello`: 1.0MiB of 3.0MiB, 33 %");
        check(At::Uploading(0), (0, 0), "uploading `hello`: 0B of 0B, 100 %");
        check(stage("compile"), (0, 0), "compiling `hello`");
        check(stage("compile"), (0, 4), "compiling `hello`: 4 s");
        check(stage("init"), (0, 1), "preparing `hello`: 1 s");
        check(stage("verify"), (0, 0), "verify `hello`");
    }

    #[test]
    fn a_log_has_a_line_for_what_may_last() {
        assert_eq!(plain(&At::Uploading(1 << 20), "hello").as_deref(), Some("uploading `hello` (1.0MiB)"));
        assert_eq!(plain(&stage("compile"), "hello").as_deref(), Some("compiling `hello`"));
        assert_eq!(plain(&stage("init"), "hello").as_deref(), Some("preparing `hello`"));
        for quick in ["check", "keep", "load", "switch"] {
            assert_eq!(plain(&stage(quick), "hello"), None);
        }
    }
}
