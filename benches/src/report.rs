//! The table and the JSON document.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::round::{Measured, Unit};
use crate::statistics::{Summary, ratios};

/// One line of the table: something measured and the limit that it is held against, by their names.
#[derive(Debug, Serialize, Deserialize)]
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
    /// The figure of each round, by what was measured.
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
    unit: Unit,
    figure: Summary,
}

impl Report {
    pub(crate) fn new(machine: Machine, measured: &[Measured], rows: &[Row], notes: Vec<String>) -> Result<Self> {
        let find = |name: &str| {
            measured.iter().find(|one| one.name == name).with_context(|| format!("`{name}` was not measured"))
        };
        let line = |row: &Row| {
            let (subject, limit) = (find(&row.subject)?, find(&row.limit)?);
            let ratio = Summary::of(&ratios(&subject.figures, &limit.figures)).context("there was no round")?;
            Ok(Line { subject: figure(subject)?, limit: figure(limit)?, ratio })
        };
        Ok(Self {
            machine,
            rounds: measured.iter().map(|one| one.figures.len()).max().unwrap_or_default(),
            rows: rows.iter().map(line).collect::<Result<_>>()?,
            notes,
            samples: measured.iter().map(|one| (one.name.clone(), one.figures.clone())).collect(),
        })
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(crate) fn markdown(&self) -> String {
        let Machine { processor, cores, kernel, rustc, wasmtime, load } = &self.machine;
        let mut text = format!(
            "{processor}, {cores} cores; Linux {kernel}; rustc {rustc}; wasmtime {wasmtime}; load before the run {load}.\n\
             {} rounds at most; each figure is the median and, in brackets, the least and the most.\n",
            self.rounds
        );
        let (rates, others): (Vec<&Line>, Vec<&Line>) =
            self.rows.iter().partition(|line| line.subject.unit == Unit::Rate);
        if !rates.is_empty() {
            text.push_str(
                "\n| what | events/s | µs/event | limit | its events/s | its µs/event | ratio |\n|---|---|---|---|---|---|---|\n",
            );
            rates.into_iter().for_each(|line| rate_row(&mut text, line));
        }
        if !others.is_empty() {
            text.push_str("\n| what | figure | limit or peer | its figure | ratio |\n|---|---|---|---|---|\n");
            others.into_iter().for_each(|line| other_row(&mut text, line));
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// A row of the table of speeds.
fn rate_row(text: &mut String, Line { subject, limit, ratio }: &Line) {
    let time = |figure: &Figure| 1e6 / figure.figure.median;
    // A String takes everything.
    let _ = writeln!(
        text,
        "| {} | {} | {:.1} | {} | {} | {:.1} | {:.2} ({:.2}–{:.2}) |",
        subject.name,
        spread(&subject.figure),
        time(subject),
        limit.name,
        spread(&limit.figure),
        time(limit),
        ratio.median,
        ratio.min,
        ratio.max,
    );
}

/// A row of the table of everything else.
fn other_row(text: &mut String, Line { subject, limit, ratio }: &Line) {
    let told = |figure: &Figure| match figure.unit {
        Unit::Rate => format!("{} events/s", spread(&figure.figure)),
        Unit::Mebibytes => format!("{} MiB", tenths(&figure.figure)),
        Unit::Kibibytes => format!("{} KiB", tenths(&figure.figure)),
        Unit::Microseconds => format!("{} µs", spread(&figure.figure)),
        Unit::Arrived => format!("{} of {}", spread(&figure.figure), figure.events),
    };
    // A String takes everything.
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {:.2} ({:.2}–{:.2}) |",
        subject.name,
        told(subject),
        limit.name,
        told(limit),
        ratio.median,
        ratio.min,
        ratio.max,
    );
}

fn figure(measured: &Measured) -> Result<Figure> {
    let figure = Summary::of(&measured.figures).context("there was no round")?;
    Ok(Figure { name: measured.name.clone(), events: measured.events, unit: measured.unit, figure })
}

fn spread(summary: &Summary) -> String {
    format!("{} ({}–{})", grouped(summary.median), grouped(summary.min), grouped(summary.max))
}

fn tenths(Summary { median, min, max }: &Summary) -> String {
    format!("{median:.1} ({min:.1}–{max:.1})")
}

/// A whole number with a comma between thousands.
pub(crate) fn grouped(number: f64) -> String {
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
        Measured { name: name.to_owned(), unit: Unit::Rate, events: 10, figures: rates.to_vec() }
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
    fn what_is_no_speed_has_a_table_with_units() {
        let all =
            |name: &str, unit, figure| Measured { name: name.to_owned(), unit, events: 10, figures: vec![figure] };
        let measured = [
            all("much", Unit::Mebibytes, 3.0),
            all("little", Unit::Mebibytes, 1.5),
            all("most", Unit::Arrived, 9.0),
            all("all", Unit::Arrived, 10.0),
        ];
        let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
        let report =
            Report::new(machine(), &measured, &[row("much", "little"), row("most", "all")], Vec::new()).unwrap();
        let markdown = report.markdown();
        let has = |row: &str| assert!(markdown.lines().any(|line| line == row), "{markdown}");
        has("| much | 3.0 (3.0–3.0) MiB | little | 1.5 (1.5–1.5) MiB | 2.00 (2.00–2.00) |");
        has("| most | 9 (9–9) of 10 | all | 10 (10–10) of 10 | 0.90 (0.90–0.90) |");
        assert!(!markdown.contains("events/s"), "{markdown}");
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
