//! Row group: how long a publisher waits for its event to be settled when events come at a given pace, and not as fast as
//! answers come: at a tenth, half and four fifths of what the host can take. Beside it the bare server at the same pace.
//!
//! A request is due at a point in time, whether a connection is free for it then or not; where none is, the wait for one
//! counts. The generator's own timer, which is a millisecond coarse, does not.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::over_http::{MANY, Servers};
use crate::plot::{Hue, Plot, Stroke};
use crate::report::Row;
use crate::round::{self, Contender, Group, Measured, Unit, rate};
use crate::scale::Scale;

/// Shares of the peak, in hundredths.
const PACES: [u32; 3] = [10, 50, 80];
/// Which of a thousand sorted waits are told.
const RANKS: [(usize, &str); 3] = [(500, "p50"), (990, "p99"), (999, "p99.9")];

fn hosted(pace: u32, rank: &str) -> String {
    format!("{rank} of publish until settled, at {pace} % of the peak")
}

fn bare(pace: u32, rank: &str) -> String {
    format!("{rank} of bare hyper, at the same {pace} %")
}

/// The name of what is measured at a pace, of a rank.
type Named = fn(u32, &str) -> String;

/// What was measured of the group, drawn. None without the host's figures.
pub(crate) fn plot(measured: &[Measured]) -> Option<Plot> {
    let curves: [(&str, Named, Hue); 2] =
        [("publish until settled", hosted, Hue::Subject), ("bare hyper", bare, Hue::Limit)];
    let strokes = [Stroke::Solid, Stroke::Dashed, Stroke::Dotted];
    let mut plot = Plot::new("How long an answer takes at a steady pace", "of the host's peak", "µs");
    for pace in PACES {
        plot.mark(f64::from(pace), &format!("{pace} %"));
    }
    for (told, named, hue) in curves {
        for ((_, rank), stroke) in RANKS.into_iter().zip(strokes) {
            let points = PACES.map(|pace| (f64::from(pace), named(pace, rank)));
            plot.curve(&format!("{told}, {rank}"), (hue, stroke), points, measured);
        }
    }
    plot.has(Hue::Subject).then_some(plot)
}

/// Measures the group.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let named = PACES.iter().flat_map(|pace| RANKS.iter().map(move |(_, rank)| (*pace, *rank)));
    let rows: Vec<Row> =
        named.map(|(pace, rank)| Row { subject: hosted(pace, rank), limit: bare(pace, rank) }).collect();
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let servers = Servers::start(program, component)?;
    // The first round warms up, and is not counted here either.
    servers.hosted(&servers.wait, MANY, scale.many)?;
    let peak = rate(scale.many, servers.hosted(&servers.wait, MANY, scale.many)?)?;
    let waits = RefCell::new(Waits::default());
    let mut contenders = Vec::new();
    for pace in PACES {
        let due = peak * f64::from(pace) / 100.0;
        let requests = requests(due, scale.paced);
        // All figures of one run stand together, so that it is made once.
        for (rank, name) in RANKS {
            let (servers, waits) = (&servers, &waits);
            let run = move |requests| {
                waits.borrow_mut().at((pace, false), rank, || servers.paced(&servers.bare_wait, MANY, (due, requests)))
            };
            contenders.push(Contender::of(&bare(pace, name), Unit::Microseconds, requests, run));
        }
        for (rank, name) in RANKS {
            let (servers, waits) = (&servers, &waits);
            let run = move |requests| {
                waits.borrow_mut().at((pace, true), rank, || servers.paced(&servers.wait, MANY, (due, requests)))
            };
            contenders.push(Contender::of(&hosted(pace, name), Unit::Microseconds, requests, run));
        }
    }
    Ok(round::measure(scale, contenders, rows))
}

/// As many as are due in that time.
fn requests(due: f64, time: Duration) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count far below 2^52")]
    let requests = (due * time.as_secs_f64()) as usize;
    requests.max(1)
}

/// The waits of one run, from which several figures are taken. Runs are told apart by `T`.
pub(crate) struct Waits<T> {
    of: Option<T>,
    sorted: Vec<Duration>,
    told: Vec<usize>,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self { of: None, sorted: Vec::new(), told: Vec::new() }
    }
}

impl<T: PartialEq> Waits<T> {
    /// The wait of a rank, in microseconds. A new run is made where the last one was another's or has told this already.
    pub(crate) fn at(&mut self, of: T, rank: usize, run: impl FnOnce() -> Result<Vec<Duration>>) -> Result<f64> {
        if self.of.as_ref() != Some(&of) || self.told.contains(&rank) {
            let mut waits = run()?;
            waits.sort_unstable();
            *self = Self { of: Some(of), sorted: waits, told: Vec::new() };
        }
        self.told.push(rank);
        Ok(ranked(&self.sorted, rank)?.as_secs_f64() * 1e6)
    }
}

/// What so many of a thousand are not above.
pub(crate) fn ranked(sorted: &[Duration], rank: usize) -> Result<Duration> {
    let at = (sorted.len() * rank).div_ceil(1000).saturating_sub(1);
    sorted.get(at).copied().context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_what_so_many_of_a_thousand_are_not_above() {
        let waits: Vec<Duration> = (1..=2000).map(Duration::from_micros).collect();
        let check = |rank, micros| assert_eq!(ranked(&waits, rank).unwrap(), Duration::from_micros(micros));
        check(500, 1000);
        check(990, 1980);
        check(999, 1998);
        assert!(ranked(&[], 500).is_err());
    }

    #[test]
    fn a_run_is_made_once_for_all_its_figures() {
        let mut waits = Waits::default();
        let mut runs = 0;
        for (of, rank) in
            [((10, true), 500), ((10, true), 990), ((10, false), 500), ((10, true), 500), ((10, true), 500)]
        {
            let run = || {
                runs += 1;
                Ok(vec![Duration::from_micros(7)])
            };
            assert!((waits.at(of, rank, run).unwrap() - 7.0).abs() < 1e-9);
        }
        assert_eq!(runs, 4);
    }
}
