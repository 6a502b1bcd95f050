//! `bench`: measures what the host does in one run, each figure against a limit that is measured in the same rounds.
//!
//! `bench run` prints a Markdown table. What the rows are stands in [`in_process`] and [`over_http`]; how they are
//! measured in [`round`] and [`statistics`].

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use machine::Machine;
use report::Report;
use scale::Scale;

mod bare;
mod host;
mod in_process;
mod load;
mod machine;
mod over_http;
mod report;
mod round;
mod scale;
mod statistics;
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
}

#[derive(Args)]
struct Run {
    /// The binary `hostel`, built for release.
    #[arg(long)]
    hostel: PathBuf,
    /// The component of the sample handler `hello`.
    #[arg(long)]
    component: PathBuf,
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
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    let scale = Scale { only: options.only.clone(), ..scale };
    let (mut measured, mut rows) = in_process::measure(&options.component, &scale)?;
    let (more, more_rows) = over_http::measure(&options.hostel, &options.component, &scale)?;
    measured.extend(more);
    rows.extend(more_rows);
    let notes = notes(&machine, options.quick);
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
        "A ratio is taken round by round. One round of each ran before and is not counted.".to_owned(),
    ];
    if quick {
        notes
            .push("A quick run: few rounds of few events, to see whether it runs. The figures mean little.".to_owned());
    }
    notes
}
