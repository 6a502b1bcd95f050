//! The table and the JSON document.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::round::Measured;
use crate::statistics::{Summary, ratios};

/// One line of the table: something measured and the limit that it is held against, by their names.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) subject: String,
    pub(crate) limit: String,
}

/// Everything that a run tells.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Rounds that were counted.
    rounds: usize,
    rows: Vec<Line>,
    /// What else one has to know to read the figures.
    notes: Vec<String>,
    /// Events in a second of each round, by what was measured.
    samples: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, Serialize)]
struct Line {
    subject: Figure,
    limit: Figure,
    /// Of the two, round by round.
    ratio: Summary,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    /// Events of one round.
    events: usize,
    events_per_second: Summary,
    /// Wall time of a round over its events, from the median.
    microseconds_per_event: f64,
}

impl Report {
    pub(crate) fn new(machine: Machine, measured: &[Measured], rows: &[Row], notes: Vec<String>) -> Result<Self> {
        let find = |name: &str| {
            measured.iter().find(|one| one.name == name).with_context(|| format!("`{name}` was not measured"))
        };
        let line = |row: &Row| {
            let (subject, limit) = (find(&row.subject)?, find(&row.limit)?);
            let ratio = Summary::of(&ratios(&subject.rates, &limit.rates)).context("there was no round")?;
            Ok(Line { subject: figure(subject)?, limit: figure(limit)?, ratio })
        };
        Ok(Self {
            machine,
            rounds: measured.iter().map(|one| one.rates.len()).max().unwrap_or_default(),
            rows: rows.iter().map(line).collect::<Result<_>>()?,
            notes,
            samples: measured.iter().map(|one| (one.name.clone(), one.rates.clone())).collect(),
        })
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(crate) fn markdown(&self) -> String {
        let Machine { processor, cores, kernel, rustc, wasmtime, load } = &self.machine;
        let mut text = format!(
            "{processor}, {cores} cores; Linux {kernel}; rustc {rustc}; wasmtime {wasmtime}; load before the run {load}.\n\
             {} rounds; each figure is the median and, in brackets, the least and the most.\n\n\
             | what | events/s | µs/event | limit | its events/s | its µs/event | ratio |\n\
             |---|---|---|---|---|---|---|\n",
            self.rounds
        );
        for Line { subject, limit, ratio } in &self.rows {
            // A String takes everything.
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {} | {} | {:.1} | {:.2} ({:.2}–{:.2}) |",
                subject.name,
                rates(&subject.events_per_second),
                subject.microseconds_per_event,
                limit.name,
                rates(&limit.events_per_second),
                limit.microseconds_per_event,
                ratio.median,
                ratio.min,
                ratio.max,
            );
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

fn figure(measured: &Measured) -> Result<Figure> {
    let summary = Summary::of(&measured.rates).context("there was no round")?;
    Ok(Figure {
        name: measured.name.clone(),
        events: measured.events,
        events_per_second: summary,
        microseconds_per_event: 1e6 / summary.median,
    })
}

fn rates(summary: &Summary) -> String {
    format!("{} ({}–{})", grouped(summary.median), grouped(summary.min), grouped(summary.max))
}

/// A whole number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let text = |text: &str| text.to_owned();
        Machine {
            processor: text("CPU"),
            cores: 2,
            kernel: text("6.1"),
            rustc: text("1.95.0"),
            wasmtime: text("48.0.8"),
            load: text("0.10"),
        }
    }

    fn measured(name: &str, rates: &[f64]) -> Measured {
        Measured { name: name.to_owned(), events: 10, rates: rates.to_vec() }
    }

    #[test]
    fn a_row_tells_both_figures_and_the_ratio_of_each_round() {
        let measured = [measured("ours", &[1000.0, 500.0, 2000.0]), measured("theirs", &[4000.0, 1000.0, 4000.0])];
        let rows = [Row { subject: "ours".to_owned(), limit: "theirs".to_owned() }];
        let report = Report::new(machine(), &measured, &rows, vec!["a note".to_owned()]).unwrap();
        let markdown = report.markdown();
        let row = "| ours | 1,000 (500–2,000) | 1000.0 | theirs | 4,000 (1,000–4,000) | 250.0 | 0.50 (0.25–0.50) |";
        assert!(markdown.lines().any(|line| line == row), "{markdown}");
        assert!(markdown.ends_with("\n- a note\n"), "{markdown}");
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["rows"][0]["ratio"]["median"], 0.5);
        assert_eq!(json["samples"]["theirs"][1], 1000.0);
    }

    #[test]
    fn a_row_about_what_was_not_measured_is_an_error() {
        let rows = [Row { subject: "ours".to_owned(), limit: "theirs".to_owned() }];
        let error = Report::new(machine(), &[measured("ours", &[1.0])], &rows, Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "`theirs` was not measured");
    }

    #[test]
    fn thousands_are_set_apart() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0.4, "0");
        check(999.0, "999");
        check(1000.0, "1,000");
        check(1_234_567.0, "1,234,567");
    }
}
