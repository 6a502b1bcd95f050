//! `cargo xtask bench`: builds the guests and, for release, the host and the program that measures it, and runs that.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::guests::{Built, Language};
use crate::process::{self, cargo, command};
use crate::{guests, repository, setup};

#[derive(Args)]
pub(crate) struct Options {
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

/// Measures and prints a table.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let guests = guests::build(&setup::run()?)?;
    let hello = guests.get("hello").context("there is no sample handler `hello`")?;
    for language in Language::OTHERS {
        if let Built::Skipped(reason) = guests::build_other(language)? {
            println!("SKIPPED: handlers in {}: {reason}", language.name());
        }
    }
    process::run(cargo().args(["build", "--release", "--locked", "-p", "hostel-server", "-p", "hostel-benches"]))?;
    let built = repository::target().join("release");
    let mut bench = command(built.join("bench"));
    bench
        .arg("run")
        .arg("--hostel")
        .arg(built.join("hostel"))
        .arg("--component")
        .arg(hello)
        .arg("--guests")
        .arg(repository::guests());
    if options.quick {
        bench.arg("--quick");
    }
    if let Some(only) = &options.only {
        bench.args(["--only", only]);
    }
    if let Some(path) = &options.json {
        // The program runs in the repository's root, whoever calls us where.
        bench.arg("--json").arg(std::path::absolute(path)?);
    }
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}
