//! Which groups of rows there are, in the order in which they are measured, and what one has to know to read them. A group
//! that fails leaves the others' figures alone.

use std::path::Path;

use anyhow::{Context, Result};

use crate::machine::Machine;
use crate::plot::Plot;
use crate::round::{Group, Measured};
use crate::scale::Scale;
use crate::{
    Run, gomicro, idle, in_process, isolation, kept, languages, neighbours, over_http, pace, peer, preemption, store,
    subscriptions, swap, tenants, work,
};

/// Measures all groups; says what was left out, and why.
pub(crate) fn measure(options: &Run, scale: &Scale, skipped: &mut Vec<String>) -> Group {
    let (hostel, hello, guests) = (&options.hostel, &options.component, &options.guests);
    let mut all = Group::default();
    let mut take = |what: &str, group: Result<Group>| {
        let group =
            group.unwrap_or_else(|error| Group::default().ended(Err(error.context(format!("cannot measure {what}")))));
        all = std::mem::take(&mut all).and(group);
    };
    take("in process", in_process::measure(hello, scale));
    take("preemption", preemption::measure((hello, guests), scale));
    take("languages", languages::measure(guests, scale, skipped));
    take("over HTTP", over_http::measure(hostel, hello, scale));
    take("other hosts over HTTP", over_http::measure_others(hostel, (hello, guests), scale, skipped));
    take("beside `wasmtime serve`", peer::measure(hostel, (hello, guests), scale, skipped));
    take("at a pace", pace::measure(hostel, hello, scale));
    take("hot swaps", swap::measure(hostel, hello, scale));
    take("a neighbour", isolation::measure(hostel, (hello, guests), scale));
    take("subscriptions", subscriptions::measure(scale));
    take("idle handlers", idle::measure(hello, scale));
    take("many tenants", tenants::measure(hostel, hello, scale));
    take("remote nodes", neighbours::measure(scale));
    take("the log", store::measure(scale, skipped));
    take("a start on a large log", kept::measure(hostel, hello, scale));
    take("beside go-micro", gomicro::measure(&options.arguments(), scale, skipped));
    all
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
pub(crate) fn notes(machine: &Machine, is_quick: bool) -> Vec<String> {
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
