//! What the host says became of the events, laid out for people and compared with what was expected.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::table;

/// The longest reason in a table. Arbitrary: what most terminals show in a line beside the rest.
const REASON: usize = 90;

/// What a handler is expected to have done.
pub(super) struct Expected {
    pub(super) handler: &'static str,
    pub(super) handled: usize,
    pub(super) dead: usize,
}

#[derive(Default)]
struct Tally {
    handled: u64,
    retried: u64,
    dead: u64,
    open: u64,
}

struct DeadLetter {
    handler: String,
    topic: String,
    attempts: u64,
    reason: String,
}

/// How every handler is doing, and the dead letters.
pub(super) struct Report {
    handlers: BTreeMap<String, Tally>,
    dead_letters: Vec<DeadLetter>,
}

impl Report {
    /// Reads what `hostel subscriptions --json` and `hostel dead-letters list --json` list.
    pub(super) fn read(subscriptions: &[Value], dead_letters: &[Value]) -> Result<Self> {
        let mut handlers: BTreeMap<String, Tally> = BTreeMap::new();
        for subscription in subscriptions {
            let tally = handlers.entry(text(subscription, "handler")?).or_default();
            tally.handled += number(subscription, "acked")?;
            tally.retried += number(subscription, "retried")?;
            tally.dead += number(subscription, "dead_lettered")?;
            for state in ["waiting", "running", "sleeping"] {
                tally.open += number(subscription, state)?;
            }
        }
        let dead_letters = dead_letters.iter().map(|letter| {
            Ok(DeadLetter {
                handler: text(letter, "handler")?,
                topic: text(letter, "topic")?,
                attempts: number(letter, "attempts")?,
                reason: text(letter, "reason")?,
            })
        });
        Ok(Self { handlers, dead_letters: dead_letters.collect::<Result<_>>()? })
    }

    /// Whether nothing waits, runs or is to be tried again.
    pub(super) fn is_idle(&self) -> bool {
        self.handlers.values().all(|tally| tally.open == 0)
    }

    /// How many attempts of this handler were followed by another.
    pub(super) fn retried(&self, handler: &str) -> u64 {
        self.handlers.get(handler).map_or(0, |tally| tally.retried)
    }

    /// How many events were given up.
    pub(super) fn dead_letters(&self) -> usize {
        self.dead_letters.len()
    }

    /// What differs from what was expected.
    pub(super) fn problems(&self, expected: &[Expected]) -> Vec<String> {
        let mut problems = Vec::new();
        for Expected { handler, handled, dead } in expected {
            let Some(tally) = self.handlers.get(*handler) else {
                problems.push(format!("`{handler}` has no subscription"));
                continue;
            };
            for (what, found, expected) in [("handled", tally.handled, handled), ("gave up", tally.dead, dead)] {
                if usize::try_from(found) != Ok(*expected) {
                    problems.push(format!("`{handler}` {what} {found} events, and {expected} were expected"));
                }
            }
        }
        let listed: usize = expected.iter().map(|expected| expected.dead).sum();
        if self.dead_letters.len() != listed {
            problems.push(format!("{} dead letters are listed, and {listed} were expected", self.dead_letters.len()));
        }
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers: Vec<[String; 5]> = self
            .handlers
            .iter()
            .map(|(name, tally)| {
                let published = tally.handled + tally.dead + tally.open;
                let numbers = [published, tally.handled, tally.retried, tally.dead].map(|number| number.to_string());
                let [published, handled, retried, dead] = numbers;
                [name.clone(), published, handled, retried, dead]
            })
            .collect();
        let header = ["handler", "published", "handled", "retried", "dead-lettered"];
        writeln!(f, "{}", table::lay_out(header, &handlers))?;
        if self.dead_letters.is_empty() {
            return writeln!(f, "no dead letters");
        }
        // The newest come first; people read the table beside the input.
        let letters: Vec<[String; 4]> = self
            .dead_letters
            .iter()
            .rev()
            .map(|letter| {
                let attempts = letter.attempts.to_string();
                [letter.handler.clone(), letter.topic.clone(), attempts, shortened(&letter.reason)]
            })
            .collect();
        write!(f, "{}", table::lay_out(["dead letter of", "topic", "attempts", "reason"], &letters))
    }
}

/// How one event went for the one subscription that heard it.
pub(super) struct Settlement {
    outcome: String,
    attempts: u64,
    reason: Option<String>,
    log: Vec<String>,
}

/// Reads what `hostel publish --wait --json` prints.
pub(super) fn settlement(answer: &Value) -> Result<Settlement> {
    let first = answer.get("subscriptions").and_then(|subscriptions| subscriptions.get(0));
    let one = first.with_context(|| format!("nobody heard the event: {answer}"))?;
    let lines = one.get("log").and_then(Value::as_array).into_iter().flatten();
    Ok(Settlement {
        outcome: text(one, "outcome")?,
        attempts: number(one, "attempts")?,
        reason: text(one, "reason").ok(),
        log: lines.filter_map(|line| text(line, "text").ok()).collect(),
    })
}

impl Settlement {
    /// In a line: the outcome, and why or what was logged.
    pub(super) fn shown(&self) -> String {
        let note = self.reason.clone().unwrap_or_else(|| self.log.join("; "));
        let attempts = if self.attempts == 1 { String::new() } else { format!(" after {} attempts", self.attempts) };
        format!("{:11}{attempts}  {}", self.outcome, shortened(&note))
    }

    /// What differs from what was expected: to be handled, or to be rejected at once for a reason that contains this.
    pub(super) fn problem(&self, rejected: Option<&str>) -> Option<String> {
        let expected = if rejected.is_some() { "dead-letter" } else { "ack" };
        if self.outcome != expected || self.attempts != 1 {
            return Some(format!("expected {expected} after 1 attempt, found {}", self.shown()));
        }
        let reason = self.reason.as_deref().unwrap_or_default();
        let part = rejected.filter(|part| !reason.contains(part))?;
        Some(format!("expected a reason with `{part}`, found `{reason}`"))
    }
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= REASON {
        return line.to_owned();
    }
    line.chars().take(REASON - 1).chain(['…']).collect()
}

fn text(value: &Value, key: &str) -> Result<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no text `{key}` in {value}"))
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value.get(key).and_then(Value::as_u64).with_context(|| format!("no number `{key}` in {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(acked: u64, dead: u64, sleeping: u64) -> Report {
        let subscription = json!({
            "handler": "hello", "acked": acked, "retried": 2, "dead_lettered": dead,
            "waiting": 0, "running": 0, "sleeping": sleeping,
        });
        let letter = json!({"handler": "hello", "topic": "a.b", "attempts": 1, "reason": "no luck\nat all"});
        let letters = vec![letter; usize::try_from(dead).unwrap()];
        Report::read(&[subscription.clone(), subscription], &letters).unwrap()
    }

    #[test]
    fn subscriptions_of_a_handler_are_added_up() {
        let text = report(3, 0, 0).to_string();
        assert!(text.contains("hello    6          6        4        0\n"), "{text}");
        assert!(text.contains("no dead letters"), "{text}");
    }

    #[test]
    fn dead_letters_are_listed_with_the_first_line_of_their_reason() {
        let text = report(3, 1, 0).to_string();
        assert!(text.ends_with("hello           a.b    1         no luck\n"), "{text}");
    }

    #[test]
    fn what_is_open_is_not_idle() {
        assert!(report(1, 0, 0).is_idle());
        assert!(!report(1, 0, 1).is_idle());
    }

    #[test]
    fn other_numbers_than_expected_are_told() {
        let expected = |handled| [Expected { handler: "hello", handled, dead: 0 }];
        assert_eq!(report(3, 0, 0).problems(&expected(6)), Vec::<String>::new());
        assert_eq!(report(3, 0, 0).problems(&expected(7)), ["`hello` handled 6 events, and 7 were expected"]);
        let absent = [Expected { handler: "absent", handled: 0, dead: 0 }];
        assert_eq!(report(3, 0, 0).problems(&absent), ["`absent` has no subscription"]);
    }

    #[test]
    fn an_outcome_other_than_expected_is_told() {
        let answer = |outcome: &str, reason: Value| {
            let one = json!({"outcome": outcome, "attempts": 1, "reason": reason, "log": [{"text": "hi"}]});
            settlement(&json!({"subscriptions": [one]})).unwrap()
        };
        let handled = answer("ack", Value::Null);
        assert_eq!(handled.shown(), "ack          hi");
        assert_eq!(handled.problem(None), None);
        assert!(handled.problem(Some("missing")).is_some());
        let rejected = answer("dead-letter", "missing field `email`".into());
        assert_eq!(rejected.problem(Some("`email`")), None);
        assert!(rejected.problem(Some("`name`")).is_some());
        assert!(rejected.problem(None).is_some());
        assert!(settlement(&json!({"subscriptions": []})).is_err());
    }
}
