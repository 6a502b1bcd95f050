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

/// Measures what the wanted rows are about; says which rows those are.
pub(crate) fn measure(
    scale: &Scale,
    mut contenders: Vec<Contender<'_>>,
    mut rows: Vec<Row>,
) -> Result<(Vec<Measured>, Vec<Row>)> {
    if scale.only.is_some() {
        rows.retain(|row| scale.wants(&row.subject));
        contenders.retain(|one| rows.iter().any(|row| row.subject == one.name || row.limit == one.name));
    }
    Ok((interleave(scale.rounds, contenders)?, rows))
}

/// Runs one round that is not counted, in which caches fill and pools grow, and then `rounds` that are.
fn interleave(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Result<Vec<Measured>> {
    for contender in &mut contenders {
        contender.figure()?;
    }
    let mut figures = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, figures) in contenders.iter_mut().zip(&mut figures) {
            figures.push(contender.figure()?);
        }
    }
    let measured = |(contender, figures): (Contender<'_>, Vec<f64>)| Measured {
        name: contender.name,
        unit: contender.unit,
        events: contender.events,
        figures,
    };
    Ok(contenders.into_iter().zip(figures).map(measured).collect())
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
        let measured = interleave(2, vec![contender("a", 1), contender("b", 10)]).unwrap();
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
        let (measured, rows) = measure(&scale, contenders, rows).unwrap();
        let names: Vec<&str> = measured.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["limit", "ours, many"]);
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_failure_names_its_contender() {
        let contender = Contender::new("broken", 1, |_| bail!("no luck"));
        let error = interleave(1, vec![contender]).err().unwrap();
        assert_eq!(format!("{error:#}"), "cannot measure `broken`: no luck");
    }
}
