//! Rounds: every contender once, then every contender again, so that what changes on the machine over the run changes
//! it for all of them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::report::Row;
use crate::scale::Scale;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Events in a second.
    Rate,
    /// Memory.
    Mebibytes,
    /// Memory, of what takes little.
    Kibibytes,
    /// Time.
    Microseconds,
    /// Events of a round that came to their end.
    Arrived,
}

/// Something that is measured, by its speed unless it says otherwise.
pub(crate) struct Contender<'a> {
    name: String,
    unit: Unit,
    /// Events of one round.
    events: usize,
    /// Handles so many events and gives the round's figure.
    run: Box<dyn FnMut(usize) -> Result<f64> + 'a>,
}

/// What the rounds of one contender gave.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// Events of one round.
    pub(crate) events: usize,
    /// One for each round in the order of the rounds.
    pub(crate) figures: Vec<f64>,
}

/// What a group of rows gave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) measured: Vec<Measured>,
    /// All about what was measured.
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Group {
    /// With what came of the group's last step, which takes no figure away.
    pub(crate) fn ended(mut self, last: Result<()>) -> Self {
        self.failures.extend(last.err().map(|error| format!("{error:#}")));
        self
    }

    /// With another's.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.measured.extend(other.measured);
        self.rows.extend(other.rows);
        self.failures.extend(other.failures);
        self
    }
}

impl<'a> Contender<'a> {
    /// Whose `run` handles so many events and says how long that took.
    pub(crate) fn new(name: &str, events: usize, mut run: impl FnMut(usize) -> Result<Duration> + 'a) -> Self {
        Self::of(name, Unit::Rate, events, move |events| rate(events, run(events)?))
    }

    /// Whose `run` gives the round's figure itself.
    pub(crate) fn of(name: &str, unit: Unit, events: usize, run: impl FnMut(usize) -> Result<f64> + 'a) -> Self {
        Self { name: name.to_owned(), unit, events, run: Box::new(run) }
    }

    fn figure(&mut self) -> Result<f64> {
        (self.run)(self.events).with_context(|| format!("cannot measure `{}`", self.name))
    }
}

/// Events in a second.
pub(crate) fn rate(events: usize, took: Duration) -> Result<f64> {
    if took.is_zero() {
        bail!("{events} events took no time");
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let events = events as f64;
    Ok(events / took.as_secs_f64())
}

/// Measures what the wanted rows are about; says which rows those are. A contender that fails takes its rows with it and
/// leaves the others'.
pub(crate) fn measure(scale: &Scale, mut contenders: Vec<Contender<'_>>, mut rows: Vec<Row>) -> Group {
    if scale.only.is_some() {
        rows.retain(|row| scale.wants(&row.subject));
        contenders.retain(|one| rows.iter().any(|row| row.subject == one.name || row.limit == one.name));
    }
    let (measured, failures) = interleave(scale.rounds, contenders);
    let is_there = |name: &str| measured.iter().any(|one| one.name == name);
    rows.retain(|row| is_there(&row.subject) && is_there(&row.limit));
    Group { measured, rows, failures }
}

/// Runs one round that is not counted, in which caches fill and pools grow, and then `rounds` that are. Who fails is out
/// from then on; says why.
fn interleave(rounds: usize, contenders: Vec<Contender<'_>>) -> (Vec<Measured>, Vec<String>) {
    let mut failures = Vec::new();
    let mut running: Vec<_> = contenders.into_iter().map(|one| (one, Vec::with_capacity(rounds))).collect();
    for round in 0..=rounds {
        running.retain_mut(|(contender, figures)| match contender.figure() {
            Ok(figure) => {
                if round > 0 {
                    figures.push(figure);
                }
                true
            }
            Err(error) => {
                failures.push(format!("{error:#}"));
                false
            }
        });
    }
    let measured = |(contender, figures): (Contender<'_>, Vec<f64>)| Measured {
        name: contender.name,
        unit: contender.unit,
        events: contender.events,
        figures,
    };
    (running.into_iter().map(measured).collect(), failures)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_and_the_first_round_is_not_counted() {
        let turns = RefCell::new(String::new());
        let contender = |name: &'static str, millis| {
            let turns = &turns;
            Contender::new(name, 10, move |_| {
                turns.borrow_mut().push_str(name);
                Ok(Duration::from_millis(millis))
            })
        };
        let (measured, failures) = interleave(2, vec![contender("a", 1), contender("b", 10)]);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(*turns.borrow(), "ababab");
        assert_eq!(measured[0].figures, [10_000.0, 10_000.0]);
        assert_eq!(measured[1].figures, [1000.0, 1000.0]);
    }

    #[test]
    fn only_what_the_wanted_rows_need_is_measured() {
        let contender = |name: &'static str| Contender::new(name, 1, |_| Ok(Duration::from_secs(1)));
        let contenders = ["limit", "ours, many", "ours, one", "other limit"].map(contender).into();
        let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
        let rows = vec![row("ours, many", "limit"), row("ours, one", "other limit")];
        let scale = Scale { only: Some("many".to_owned()), ..Scale::QUICK };
        let Group { measured, rows, .. } = measure(&scale, contenders, rows);
        let names: Vec<&str> = measured.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["limit", "ours, many"]);
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_failure_names_its_contender_and_takes_only_its_own_rows() {
        let steady = |name: &'static str| Contender::new(name, 1, |_| Ok(Duration::from_secs(1)));
        let mut rounds = 0;
        // A peer that dies in the middle: what it gave until then is compared with nothing.
        let dying = Contender::new("peer", 1, move |_| {
            rounds += 1;
            if rounds < 3 { Ok(Duration::from_secs(1)) } else { bail!("no luck") }
        });
        let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
        let scale = Scale { rounds: 3, ..Scale::QUICK };
        let contenders = vec![steady("ours"), dying, steady("limit")];
        let group = measure(&scale, contenders, vec![row("ours", "peer"), row("ours", "limit")]);
        assert_eq!(group.failures, ["cannot measure `peer`: no luck"]);
        let limits: Vec<&str> = group.rows.iter().map(|row| row.limit.as_str()).collect();
        assert_eq!(limits, ["limit"]);
        assert!(group.measured.iter().all(|one| one.name != "peer" && one.figures.len() == 3));
        let group = group.ended(Err(anyhow::anyhow!("it did not close")));
        assert_eq!((group.failures.len(), group.rows.len()), (2, 1));
    }
}
