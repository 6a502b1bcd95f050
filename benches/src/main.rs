//! `bench`: measures what the host does in one run, each figure against a limit that is measured in the same rounds.
//!
//! `bench run` prints Markdown tables. What the rows are stands in the files that [`groups`] names; how they are measured
//! in [`round`] and [`statistics`]. What cannot be measured here, and what failed, is said on standard error and below the
//! tables; after a failure the program ends with 1.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

use machine::Machine;
use report::Report;
use round::Group;
use scale::Scale;

mod bare;
mod distance;
mod gomicro;
mod groups;
mod host;
mod idle;
mod in_process;
mod isolation;
mod jetstream;
mod kept;
mod languages;
mod load;
mod machine;
mod neighbours;
mod over_http;
mod pace;
mod peer;
mod plot;
mod preemption;
mod report;
mod round;
mod scale;
mod spine;
mod statistics;
mod store;
mod subscriptions;
mod swap;
mod tenants;
mod work;

/// The host's own, for the rows that run in this process, and for the limits.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
    /// Also draw the figures that make a curve, as SVG files in this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Also measure what takes long to prepare.
    #[arg(long)]
    long: bool,
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
    let mut skipped = Vec::new();
    let all = groups::measure(options, &options.scale(), &mut skipped);
    let mut notes = groups::notes(&machine, &all.distances, options.quick);
    let Group { measured, rows, failures } = all.group;
    for (word, told) in [("SKIPPED", &skipped), ("FAILED", &failures)] {
        for what in told {
            warn(word, what);
            notes.push(format!("{word}: {what}"));
        }
    }
    if rows.is_empty() && failures.is_empty() {
        match &options.only {
            Some(only) if skipped.is_empty() => bail!("no row has `{only}` in its name"),
            _ => bail!("nothing was measured"),
        }
    }
    let report = Report::new(machine, &measured, &rows, notes)?;
    println!("{}", report.markdown());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()?).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(folder) = &options.plot {
        groups::draw(&measured, folder)?;
    }
    match failures.len() {
        0 => Ok(()),
        count => bail!("{count} of what was to be measured failed; the rest stands above"),
    }
}

/// The part of a run that is inside a namespace. Its figures go to the part that is outside.
#[expect(clippy::print_stdout, reason = "whoever starts this reads it")]
fn beside_go_micro(options: &Run) -> Result<()> {
    let component = options.guests.join("benches").join("acknowledge.wasm");
    let measured = gomicro::measure_inside(&options.hostel, &component, &options.scale())?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

impl Run {
    fn scale(&self) -> Scale {
        let scale = if self.quick { Scale::QUICK } else { Scale::FULL };
        let kept = if self.long { Some(Scale::KEPT_LONG) } else { scale.kept };
        Scale { only: self.only.clone(), kept, ..scale }
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
fn warn(word: &str, what: &str) {
    eprintln!("{word}: {what}");
}
