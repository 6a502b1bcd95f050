//! `cargo xtask …`: the project's own chores. This file answers for the command line; each chore has its own file.

#![expect(clippy::print_stdout, reason = "a chore talks to the person who runs it")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

mod bench;
mod demo;
mod freeze;
mod guests;
mod process;
mod repository;
mod setup;
mod table;
mod test;
mod toolchain;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Makes ready what guests and tests need, and says which way it took.
    Setup,
    /// Builds the sample handlers into `target/guests`, in Rust and every language whose tools are here.
    Guests(guests::Options),
    /// Starts a host, deploys the samples and shows real events being handled.
    Demo(demo::Options),
    /// Measures the host against its limits and prints a table.
    Bench(bench::Options),
    /// Sets up, builds and runs every test, and says what was skipped and why.
    Test(test::Options),
    /// Asks a running host for all that the API's document says, and more, with schemathesis; a part of `test`.
    Conformance(test::conformance::Options),
    /// Writes the digest of each new WIT package into `wit/frozen.lock`.
    FreezeWit(FreezeWit),
}

#[derive(Args)]
struct FreezeWit {
    /// Also overwrite packages that changed: only for a version that nobody has yet.
    #[arg(long)]
    unreleased: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Setup => setup::run().map(|_| ExitCode::SUCCESS),
        Chore::Guests(options) => guests::run(&options).map(|()| ExitCode::SUCCESS),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Test(options) => test::run(&options),
        Chore::Conformance(options) => test::conformance::alone(&options).map(|()| ExitCode::SUCCESS),
        Chore::FreezeWit(FreezeWit { unreleased }) => {
            let mode = if unreleased { freeze::Mode::Overwrite } else { freeze::Mode::AddOnly };
            freeze::run(mode).map(|()| ExitCode::SUCCESS)
        }
    }
}
