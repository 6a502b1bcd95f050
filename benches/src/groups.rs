//! Which groups of rows there are, in the order in which they are measured, and what one has to know to read them. A group
//! that fails leaves the others' figures alone.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::machine::Machine;
use crate::plot::Plot;
use crate::round::{Group, Measured};
use crate::scale::Scale;
use crate::{
    Run, distance, gomicro, idle, in_process, isolation, kept, languages, neighbours, over_http, pace, peer,
    preemption, store, subscriptions, swap, tenants, work,
};

/// Measures all groups; says what was left out, and why.
pub(crate) fn measure(options: &Run, scale: &Scale, skipped: &mut Vec<String>) -> All {
    let (hostel, hello, guests) = (&options.hostel, &options.component, &options.guests);
    let mut all = All { group: Group::default(), distances: Vec::new(), began: Instant::now() };
    all.take("in process", || in_process::measure(hello, scale));
    all.take("preemption", || preemption::measure((hello, guests), scale));
    all.take("languages", || languages::measure(guests, scale, skipped));
    all.take("over HTTP", || over_http::measure(hostel, hello, scale));
    all.take("other hosts over HTTP", || over_http::measure_others(hostel, (hello, guests), scale, skipped));
    all.take("beside `wasmtime serve`", || peer::measure(hostel, (hello, guests), scale, skipped));
    all.take("at a pace", || pace::measure(hostel, hello, scale));
    all.take("hot swaps", || swap::measure(hostel, hello, scale));
    all.take("a neighbour", || isolation::measure(hostel, (hello, guests), scale));
    all.take("subscriptions", || subscriptions::measure(scale));
    all.take("idle handlers", || idle::measure(hello, scale));
    all.take("many tenants", || tenants::measure(hostel, hello, scale));
    all.take("remote nodes", || neighbours::measure(scale));
    all.take("the log", || store::measure(scale, skipped));
    all.take("a start on a large log", || kept::measure(hostel, hello, scale));
    all.take("beside go-micro", || gomicro::measure(&options.arguments(), scale, skipped));
    all
}

/// What was measured.
pub(crate) struct All {
    pub(crate) group: Group,
    /// How far the cores were from one another, in nanoseconds, when each group began.
    pub(crate) distances: Vec<f64>,
    began: Instant,
}

impl All {
    /// Says that a group begins, and measures it.
    fn take(&mut self, what: &str, measure: impl FnOnce() -> Result<Group>) {
        let distance = distance::measure();
        self.distances.extend(distance);
        let apart = distance.map(|distance| format!("; cores {distance:.0} ns apart")).unwrap_or_default();
        progress(self.began.elapsed(), &format!("{what}{apart}"));
        let group = measure()
            .unwrap_or_else(|error| Group::default().ended(Err(error.context(format!("cannot measure {what}")))));
        self.group = std::mem::take(&mut self.group).and(group);
    }
}

#[expect(clippy::print_stderr, reason = "a run takes long, and its output is data")]
fn progress(since: Duration, what: &str) {
    let seconds = since.as_secs();
    eprintln!("{:2}:{:02} measuring {what}", seconds / 60, seconds % 60);
}

/// Draws what makes a curve into files of this folder. What was not measured is not drawn.
pub(crate) fn draw(measured: &[Measured], folder: &Path) -> Result<()> {
    let plots = [("durable-publishes.svg", store::plot(measured)), ("latency-at-a-pace.svg", pace::plot(measured))];
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    for (file, plot) in plots {
        let path = folder.join(file);
        let Some(text) = plot.as_ref().map(Plot::svg) else { continue };
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// What one has to know to read the table.
pub(crate) fn notes(machine: &Machine, distances: &[f64], is_quick: bool) -> Vec<String> {
    let distances: Vec<String> = distances.iter().map(|distance| format!("{distance:.0}")).collect();
    let mut notes = vec![
        format!("The event is a JSON body of {} bytes; the handler logs a line and acknowledges.", work::body().len()),
        format!(
            "Over HTTP the load generator, a process of its own, shares the {} cores with the server that it measures, \
             in the limit's column as in ours.",
            machine.cores
        ),
        "With one connection most of the time goes into waking threads that sleep, which takes longer the less the cores \
         have to do: these rows tell of a latency, and their ratios say little."
            .to_owned(),
        format!(
            "A cache line took so many ns from one core to another and back when the groups began, in their order: {}. Of \
             virtual machines it may change, and figures of several threads change with it.",
            distances.join(", ")
        ),
        "Remote nodes each hear a topic of their own; memory is that of a process with nothing else in it.".to_owned(),
        "Durable commits are made by threads that wait for each: the log's and the file's in this process, those of NATS \
         over a connection for each, on loopback."
            .to_owned(),
        gomicro::NOTE.to_owned(),
        "A ratio is taken round by round. One round of each ran before and is not counted.".to_owned(),
    ];
    if is_quick {
        notes
            .push("A quick run: few rounds of few events, to see whether it runs. The figures mean little.".to_owned());
    }
    notes
}
