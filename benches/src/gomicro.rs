//! Row group 5: go-micro's own cases, with Hostel on either side, beside go-micro with itself in the same rounds.
//!
//! One message at a time: the publisher waits until the subscriber's handler has handled the last. A burst: as many
//! messages as fast as `Publish` returns, and the count of those that were handled once nothing comes any more.
//!
//! go-micro tells a publisher nothing of what becomes of a message, so an acknowledgement is a datagram. In every case
//! this program sends it, as soon as it reads from a pipe that the message was handled: in a line that go-micro's
//! subscriber writes, or in one of the host's log, into which it has what its handler logs. Where Hostel publishes, this program posts
//! to its ingress, which is one process more in the way than go-micro has with itself, and counts against Hostel.

mod driver;
mod namespace;
mod stage;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::Row;
use crate::round::{Group, Measured, Unit};
use crate::scale::Scale;

use namespace::Namespace;
use stage::{Direction, Stage};

/// The name of the subcommand that measures inside of a namespace.
pub(crate) const COMMAND: &str = "beside-go-micro";

/// What one has to know to read the rows.
pub(crate) const NOTE: &str = "Beside go-micro: messages of 1 KiB between processes, brokers found by mDNS, Hostel with \
    its defaults, which write each message to the disk, or with its broker in memory. This program acknowledges, by a \
    datagram, as soon as it reads that a message was handled from a pipe, into which go-micro's subscriber writes, or the \
    host what its handler logs. Where Hostel publishes each message goes through one process more, this one, which posts to its \
    ingress. In a burst go-micro's publisher keeps 64 messages and drops the rest, whoever subscribes; Hostel's publish \
    waits to be told that its message is kept.";

/// Releases of go-micro, by their drivers.
const VERSIONS: [&str; 2] = ["v2", "v5"];

/// Measures the group in a namespace; says why where it is left out.
pub(crate) fn measure(arguments: &[OsString], scale: &Scale, skipped: &mut Vec<String>) -> Result<Group> {
    let mut wanted = VERSIONS.to_vec();
    wanted.retain(|version| cases(version).iter().any(|case| case.is_wanted(scale)));
    if wanted.is_empty() {
        return Ok(Group::default());
    }
    let ready = || {
        wanted.iter().try_for_each(|version| driver::build(version))?;
        Namespace::make()
    };
    let namespace = match ready() {
        Ok(namespace) => namespace,
        Err(error) => {
            skipped.push(format!("go-micro: {error:#}"));
            return Ok(Group::default());
        }
    };
    let mut all = vec![COMMAND.into()];
    all.extend_from_slice(arguments);
    let said = namespace.run(&all)?;
    serde_json::from_slice(&said).context("cannot read the figures from inside the namespace")
}

/// Measures the group. To be called inside.
pub(crate) fn measure_inside(hostel: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let mut group = Group::default();
    for version in VERSIONS {
        let mut cases = cases(version);
        cases.retain(|case| case.is_wanted(scale));
        if cases.is_empty() {
            continue;
        }
        // One version that fails does not lose the other's figures.
        match beside(&mut cases, version, (hostel, component), scale) {
            Ok(()) => group = cases.into_iter().fold(group, |group, case| group.and(case.end(scale))),
            Err(error) => group = group.ended(Err(error.context(format!("cannot measure beside go-micro {version}")))),
        }
    }
    Ok(group)
}

/// Runs the cases in turns.
fn beside(cases: &mut [Case], version: &'static str, (hostel, component): (&Path, &Path), scale: &Scale) -> Result<()> {
    let mut stage = Stage::set(version, hostel, component)?;
    // One round that is not counted, as elsewhere.
    for round in 0..=scale.go_micro_rounds {
        for case in cases.iter_mut() {
            case.run(&mut stage, scale, round > 0)?;
        }
    }
    Ok(())
}

/// What is measured in all directions.
struct Case {
    version: &'static str,
    kind: Kind,
    /// The figures of each round, by direction and then as [`Kind::figures`] has them.
    rounds: [Vec<Vec<f64>>; Direction::ALL.len()],
}

#[derive(Clone, Copy)]
enum Kind {
    Single,
    Burst,
}

impl Kind {
    /// What is said of a round beside the name, and in which unit.
    const fn figures(self) -> &'static [(&'static str, Unit)] {
        match self {
            Self::Single => {
                &[("", Unit::Rate), (", half within", Unit::Microseconds), (", 99 of 100 within", Unit::Microseconds)]
            }
            Self::Burst => &[(", handled", Unit::Arrived)],
        }
    }
}

fn cases(version: &'static str) -> Vec<Case> {
    [Kind::Single, Kind::Burst].map(|kind| Case { version, kind, rounds: Default::default() }).into()
}

impl Case {
    fn name(&self, direction: Direction, figure: &str) -> String {
        let version = self.version;
        let way = match direction {
            Direction::Itself => format!("go-micro {version} to go-micro {version}"),
            Direction::In => format!("go-micro {version} to Hostel"),
            Direction::InMemory => format!("go-micro {version} to Hostel in memory"),
            Direction::Out => format!("Hostel to go-micro {version}"),
        };
        let what = match self.kind {
            Kind::Single => "one at a time",
            Kind::Burst => "a burst",
        };
        format!("{way}, {what}{figure}")
    }

    fn rows(&self) -> Vec<Row> {
        let row = |direction, figure| Row {
            subject: self.name(direction, figure),
            limit: self.name(Direction::Itself, figure),
        };
        let directions = [Direction::In, Direction::InMemory, Direction::Out];
        let figures = self.kind.figures();
        figures.iter().flat_map(|(figure, _)| directions.map(|direction| row(direction, figure))).collect()
    }

    fn is_wanted(&self, scale: &Scale) -> bool {
        self.rows().iter().any(|row| scale.wants(&row.subject))
    }

    fn run(&mut self, stage: &mut Stage, scale: &Scale, counts: bool) -> Result<()> {
        for (direction, rounds) in Direction::ALL.into_iter().zip(&mut self.rounds) {
            let figures = match self.kind {
                Kind::Single => stage.single(direction, scale.single)?.to_vec(),
                Kind::Burst => vec![stage.burst(direction, scale.burst)?],
            };
            if counts {
                rounds.push(figures);
            }
        }
        Ok(())
    }

    fn end(self, scale: &Scale) -> Group {
        let events = match self.kind {
            Kind::Single => scale.single,
            Kind::Burst => scale.burst,
        };
        let mut measured = Vec::new();
        for (direction, rounds) in Direction::ALL.into_iter().zip(&self.rounds) {
            for (at, (figure, unit)) in self.kind.figures().iter().enumerate() {
                let figures = rounds.iter().filter_map(|round| round.get(at).copied()).collect();
                measured.push(Measured { name: self.name(direction, figure), unit: *unit, events, figures });
            }
        }
        let rows = self.rows().into_iter().filter(|row| scale.wants(&row.subject)).collect();
        Group { measured, rows, failures: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Group {
        let scale = Scale { only: Some("to Hostel in memory".to_owned()), ..Scale::QUICK };
        let mut group = Group::default();
        for mut case in cases("v5") {
            let figures: Vec<f64> = case.kind.figures().iter().map(|_| 1.0).collect();
            case.rounds.iter_mut().for_each(|rounds| rounds.push(figures.clone()));
            group = group.and(case.end(&scale));
        }
        group
    }

    #[test]
    fn what_a_row_is_about_is_measured_in_one_unit() {
        let Group { measured, rows, .. } = measured();
        let unit = |name: &str| measured.iter().find(|one| one.name == name).map(|one| one.unit).unwrap();
        assert!(rows.iter().all(|row| unit(&row.subject) == unit(&row.limit)), "{rows:?}");
    }

    #[test]
    fn only_wanted_rows_are_told() {
        let rows = measured().rows;
        let names: Vec<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
        let expected = [
            "go-micro v5 to Hostel in memory, one at a time",
            "go-micro v5 to Hostel in memory, one at a time, half within",
            "go-micro v5 to Hostel in memory, one at a time, 99 of 100 within",
            "go-micro v5 to Hostel in memory, a burst, handled",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn figures_from_inside_are_read_as_they_were_written() {
        let measured = measured().ended(Err(anyhow::anyhow!("a case failed")));
        let text = serde_json::to_string(&measured).unwrap();
        let again: Group = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{measured:?}"), format!("{again:?}"));
    }
}
