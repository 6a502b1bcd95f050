//! What `hostel dev` shows of each event: what its handler logged, and in one line how it ended.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use hostel_event::id::EventId;
use hostel_event::outcome::{Attempt, LogLine, LogSource, Outcome as How};
use hostel_event::port::Settled;

use crate::cli::text;
use crate::observe::outcomes::{Ending, Outcome};

/// Events in the making that are remembered. Beyond it, the number of attempts of some is not shown.
const REMEMBERED: usize = 10_000;

/// What was shown so far of events that have not ended.
#[derive(Debug, Default)]
pub(super) struct Shown {
    attempts: HashMap<EventId, (u32, Duration)>,
}

impl Shown {
    /// The lines for an ending.
    pub(super) fn lines(&mut self, outcome: &Outcome) -> String {
        let event = &outcome.event;
        let head = text::line(&format!("{}  {}", event.id, event.topic));
        match &outcome.ending {
            Ending::Attempt(attempt) => {
                if self.attempts.len() >= REMEMBERED {
                    self.attempts.clear();
                }
                self.attempts.insert(event.id.clone(), (attempt.number, attempt.report.usage.wall));
                attempted(&head, attempt)
            }
            Ending::Settled(settled) => {
                let attempts = self.attempts.remove(&event.id);
                format!("{head}  {}\n", ended(settled, attempts))
            }
        }
    }
}

/// What an attempt logged, and how it ended if that is not the end of the event.
fn attempted(head: &str, attempt: &Attempt) -> String {
    let Attempt { number, report, .. } = attempt;
    let mut lines: String = report.log.lines.iter().map(logged).collect();
    if let Some(note) = report.log.note(attempt.began) {
        lines += &logged(&note);
    }
    if let Some(stack) = report.outcome.stack() {
        lines += &text::indent(stack, "        ");
    }
    if matches!(report.outcome, How::Retry { .. } | How::Fault(_)) {
        let how = report.outcome.as_str();
        let reason = text::line(report.outcome.reason().unwrap_or_default());
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{head}  {how} in attempt {number}: {reason}");
    }
    lines
}

fn logged(line: &LogLine) -> String {
    let context = match line.source {
        LogSource::Logging => text::line(&line.context),
        LogSource::Stdout => "stdout".to_owned(),
        LogSource::Stderr => "stderr".to_owned(),
        LogSource::Host => "host".to_owned(),
    };
    let separator = if context.is_empty() { "" } else { ": " };
    format!("    {:<5} {context}{separator}{}\n", line.level.as_str(), text::line(&line.text))
}

fn ended(settled: &Settled, attempts: Option<(u32, Duration)>) -> String {
    let how = match settled {
        Settled::Ack => "ack".to_owned(),
        Settled::DeadLetter { reason } => format!("dead letter: {}", text::line(reason)),
        Settled::Discarded => "discarded".to_owned(),
        Settled::Expired => "expired".to_owned(),
    };
    match (attempts, settled) {
        (Some((1, wall)), Settled::Ack) => format!("{how} in {}", milliseconds(wall)),
        (Some((number, wall)), Settled::Ack) => format!("{how} in {}, attempt {number}", milliseconds(wall)),
        (Some((number, _)), _) if number > 1 => format!("{how} ({})", text::counted(u64::from(number), "attempt")),
        _ => how,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_a_line() {
        let check = |settled, attempts, expected: &str| assert_eq!(ended(&settled, attempts), expected);
        let wall = Duration::from_micros(1_240);
        check(Settled::Ack, Some((1, wall)), "ack in 1.2 ms");
        check(Settled::Ack, Some((3, wall)), "ack in 1.2 ms, attempt 3");
        check(Settled::Ack, None, "ack");
        let reason = || "no `name`\u{1b}".to_owned();
        check(Settled::DeadLetter { reason: reason() }, Some((1, wall)), "dead letter: no `name`\\u{1b}");
        check(Settled::DeadLetter { reason: reason() }, Some((5, wall)), "dead letter: no `name`\\u{1b} (5 attempts)");
        check(Settled::Expired, None, "expired");
    }
}
