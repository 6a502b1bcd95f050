//! Row group: what it costs that no guest can hold a thread. The runtime alone, one thread, with the checks that a
//! guest's code makes so that it can be interrupted at its deadline, against code that makes none.
//!
//! `hello` computes next to nothing; `parse` reads its event as JSON again and again, as handlers do; `sieve` counts
//! primes in loops of a few instructions, where a check in each round weighs the most. What is read of clocks for deadline
//! and metering, some 50 ns for an event, and the thread that ticks are in both columns.

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result};

use hostel_runtime::Preemption;

use crate::in_process::{Compiled, Rig};
use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;

/// For how many events of `hello` one of those that compute is counted, about, so that rounds are of a length.
const WEIGHT: usize = 20;

/// Measures the group. `guests` is where the sample handlers are.
pub(crate) fn measure((component, guests): (&Path, &Path), scale: &Scale) -> Result<Group> {
    let name = |what: &str, preemption| match preemption {
        Preemption::On => format!("runtime alone: fresh instance, `{what}`, deadlines held"),
        Preemption::Off => format!("runtime alone: fresh instance, `{what}`, code that cannot be interrupted"),
    };
    let own = |name: &str| guests.join("benches").join(name).with_extension("wasm");
    let cases = [("hello", component.to_owned(), 1), ("parse", own("parse"), WEIGHT), ("sieve", own("sieve"), WEIGHT)];
    let row = |what| Row { subject: name(what, Preemption::On), limit: name(what, Preemption::Off) };
    let rows: Vec<Row> = cases.iter().map(|(what, ..)| row(what)).collect();
    let mut rigs = Vec::new();
    for (what, component, weight) in cases {
        if !scale.wants(&name(what, Preemption::On)) {
            continue;
        }
        for preemption in [Preemption::Off, Preemption::On] {
            let compiled = Compiled::set(&component, (NonZeroU32::MIN, preemption));
            let compiled = compiled.with_context(|| format!("cannot make ready `{what}`"))?;
            rigs.push((name(what, preemption), weight, Rig::new(&compiled, 1)?));
        }
    }
    let mut contenders = Vec::new();
    for (name, weight, rig) in &rigs {
        contenders.push(Contender::new(name, (scale.in_process / weight).max(1), |events| rig.alone(events)));
    }
    let group = round::measure(scale, contenders, rows);
    Ok(rigs.into_iter().map(|(_, _, rig)| rig.close()).fold(group, Group::ended))
}
