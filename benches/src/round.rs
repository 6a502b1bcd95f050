//! Rounds: every contender once, then every contender again, so that what changes on the machine over the run changes
//! it for all of them.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::report::Row;
use crate::scale::Scale;

/// Something whose speed is measured.
pub(crate) struct Contender<'a> {
    name: String,
    /// Events of one round.
    events: usize,
    /// Handles so many events and says how long that took.
    run: Box<dyn FnMut(usize) -> Result<Duration> + 'a>,
}

/// What the rounds of one contender gave.
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Events of one round.
    pub(crate) events: usize,
    /// Events in a second, one figure for each round in the order of the rounds.
    pub(crate) rates: Vec<f64>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &str, events: usize, run: impl FnMut(usize) -> Result<Duration> + 'a) -> Self {
        Self { name: name.to_owned(), events, run: Box::new(run) }
    }

    fn rate(&mut self) -> Result<f64> {
        let took = (self.run)(self.events).with_context(|| format!("cannot measure `{}`", self.name))?;
        if took.is_zero() {
            bail!("`{}` took no time for {} events", self.name, self.events);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
        let events = self.events as f64;
        Ok(events / took.as_secs_f64())
    }
}

/// Measures what the wanted rows are about; says which rows those are.
pub(crate) fn measure(
    scale: &Scale,
    mut contenders: Vec<Contender<'_>>,
    mut rows: Vec<Row>,
) -> Result<(Vec<Measured>, Vec<Row>)> {
    if let Some(only) = &scale.only {
        rows.retain(|row| row.subject.contains(only));
        contenders.retain(|one| rows.iter().any(|row| row.subject == one.name || row.limit == one.name));
    }
    Ok((interleave(scale.rounds, contenders)?, rows))
}

/// Runs one round that is not counted, in which caches fill and pools grow, and then `rounds` that are.
fn interleave(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Result<Vec<Measured>> {
    for contender in &mut contenders {
        contender.rate()?;
    }
    let mut rates = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, rates) in contenders.iter_mut().zip(&mut rates) {
            rates.push(contender.rate()?);
        }
    }
    let measured = |(contender, rates): (Contender<'_>, Vec<f64>)| Measured {
        name: contender.name,
        events: contender.events,
        rates,
    };
    Ok(contenders.into_iter().zip(rates).map(measured).collect())
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
        assert_eq!(measured[0].rates, [10_000.0, 10_000.0]);
        assert_eq!(measured[1].rates, [1000.0, 1000.0]);
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
