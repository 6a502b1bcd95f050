//! `bench`: measures what the host does in one run, each figure against a limit that is measured in the same rounds.
//!
//! `bench run` prints Markdown tables. What the rows are stands in [`in_process`], [`languages`], [`over_http`], [`pace`],
//! [`swap`], [`isolation`], [`subscriptions`], [`idle`], [`neighbours`], [`store`] and [`gomicro`]; how they are measured
//! in [`round`] and [`statistics`]. What cannot be measured here is said on standard error and below the tables.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use machine::Machine;
use report::Report;
use scale::Scale;

mod bare;
mod gomicro;
mod host;
mod idle;
mod in_process;
mod isolation;
mod jetstream;
mod languages;
mod load;
mod machine;
mod neighbours;
mod over_http;
mod pace;
mod report;
mod round;
mod scale;
mod spine;
mod statistics;
mod store;
mod subscriptions;
mod swap;
mod work;

/// Measures the host against its limits.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures and prints a table.
    Run(Run),
    /// Serves as the limit of the HTTP rows; `run` starts it.
    #[command(name = bare::COMMAND, hide = true)]
    BareHyper,
    /// Tells what memory so many remote nodes take; `run` starts it.
    #[command(name = neighbours::COMMAND, hide = true)]
    RemoteNodes {
        nodes: usize,
        /// Whether events go to them.
        #[arg(long)]
        served: bool,
    },
    /// Tells what memory idle handlers take; `run` starts it.
    #[command(name = idle::COMMAND, hide = true)]
    IdleHandlers(idle::Shape),
    /// Keeps a core busy; `run` starts it.
    #[command(name = isolation::COMMAND, hide = true)]
    Busy,
    /// Measures beside go-micro in a network namespace; `run` starts it there.
    #[command(name = gomicro::COMMAND, hide = true)]
    GoMicro(Run),
}

#[derive(Args)]
struct Run {
    /// The binary `hostel`, built for release.
    #[arg(long)]
    hostel: PathBuf,
    /// The component of the sample handler `hello`.
    #[arg(long)]
    component: PathBuf,
    /// Where the sample handlers of all languages are, in a folder for each.
    #[arg(long)]
    guests: PathBuf,
    /// Only see whether it runs: few rounds of few events. The figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only the rows in whose name this stands, such as `64 connections`.
    #[arg(long)]
    only: Option<String>,
    /// Also write the figures, with those of each round, to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[expect(clippy::print_stderr, reason = "a program talks to the person who runs it")]
fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(options) => run(&options),
        Command::BareHyper => bare::serve(),
        Command::RemoteNodes { nodes, served } => neighbours::tell(nodes, served),
        Command::IdleHandlers(shape) => idle::tell(&shape),
        Command::Busy => {
            isolation::compute();
            Ok(())
        }
        Command::GoMicro(options) => beside_go_micro(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn run(options: &Run) -> Result<()> {
    let machine = Machine::look();
    let scale = options.scale();
    let mut skipped = Vec::new();
    let mut groups = vec![
        in_process::measure(&options.component, &scale)?,
        languages::measure(&options.guests, &scale, &mut skipped)?,
        over_http::measure(&options.hostel, &options.component, &scale)?,
        over_http::measure_others(&options.hostel, &options.component, &scale)?,
        pace::measure(&options.hostel, &options.component, &scale)?,
        swap::measure(&options.hostel, &options.component, &scale)?,
        isolation::measure(&options.hostel, (&options.component, &options.guests), &scale)?,
        subscriptions::measure(&scale)?,
        idle::measure(&options.component, &scale)?,
        neighbours::measure(&scale)?,
        store::measure(&scale, &mut skipped)?,
    ];
    groups.push(gomicro::measure(&options.arguments(), &scale, &mut skipped)?);
    let (mut measured, mut rows) = (Vec::new(), Vec::new());
    for (more, more_rows) in groups {
        measured.extend(more);
        rows.extend(more_rows);
    }
    skipped.iter().for_each(|skipped| warn(skipped));
    let mut notes = notes(&machine, options.quick);
    notes.extend(skipped.iter().map(|skipped| format!("SKIPPED: {skipped}")));
    if rows.is_empty() {
        bail!("no row has `{}` in its name", options.only.as_deref().unwrap_or_default());
    }
    let report = Report::new(machine, &measured, &rows, notes)?;
    println!("{}", report.markdown());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()?).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// The part of a run that is inside a namespace. Its figures go to the part that is outside.
#[expect(clippy::print_stdout, reason = "whoever starts this reads it")]
fn beside_go_micro(options: &Run) -> Result<()> {
    let measured = gomicro::measure_inside(&options.hostel, &options.component, &options.scale())?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

impl Run {
    fn scale(&self) -> Scale {
        let scale = if self.quick { Scale::QUICK } else { Scale::FULL };
        Scale { only: self.only.clone(), ..scale }
    }

    /// What to give this program so that it reads the same options.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["--hostel".into(), self.hostel.clone().into(), "--component".into(), self.component.clone().into()];
        arguments.extend(["--guests".into(), self.guests.clone().into()]);
        if self.quick {
            arguments.push("--quick".into());
        }
        if let Some(only) = &self.only {
            arguments.extend(["--only".into(), only.into()]);
        }
        arguments
    }
}

#[expect(clippy::print_stderr, reason = "what was not measured is to be heard")]
fn warn(skipped: &str) {
    eprintln!("SKIPPED: {skipped}");
}

/// What one has to know to read the table.
fn notes(machine: &Machine, quick: bool) -> Vec<String> {
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
    if quick {
        notes
            .push("A quick run: few rounds of few events, to see whether it runs. The figures mean little.".to_owned());
    }
    notes
}
