//! `cargo xtask bench`: builds the guests and, for release, the host and the program that measures it, and runs that.

use std::fs;
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
    /// Also draw the figures that make a curve, as SVG files in this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Also measure what takes long to prepare.
    #[arg(long)]
    long: bool,
    /// First install the peers that cargo can install, into the target directory's folder `tools`. It compiles
    /// `wasmtime serve`, for some ten minutes, once.
    #[arg(long)]
    peers: bool,
}

/// Of the peer `wasmtime serve`: the version that the host is built with, and what it needs to serve components.
const WASMTIME: [&str; 7] = [
    "install",
    "wasmtime-cli",
    "--locked",
    "--no-default-features",
    "--features",
    "run,serve,compile,component-model,component-model-async,pooling-allocator,parallel-compilation",
    "--version",
];

/// Measures and prints a table.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let ready = setup::run()?;
    let guests = guests::build(&ready)?;
    guests::build_for_benches(&ready)?;
    if options.peers {
        let version = locked("wasmtime")?;
        // Apart from the host's: another lock file, so that nothing could be shared.
        let (tools, build) = (repository::target().join("tools"), repository::target().join("tools-build"));
        let mut install = cargo();
        process::run(install.args(WASMTIME).arg(version).arg("--root").arg(tools).env("CARGO_TARGET_DIR", build))?;
    }
    let hello = guests.get("hello").context("there is no sample handler `hello`")?;
    for language in Language::OTHERS {
        if let Built::Skipped(reason) = guests::build_other(language)? {
            println!("SKIPPED: handlers in {}: {reason}", language.name());
        }
    }
    // Of the whole workspace, so that both are built on the same dependencies, and these once.
    process::run(cargo().args(["build", "--release", "--locked", "--workspace", "--bin", "hostel", "--bin", "bench"]))?;
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
    if let Some(folder) = &options.plot {
        bench.arg("--plot").arg(std::path::absolute(folder)?);
    }
    if options.long {
        bench.arg("--long");
    }
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}

/// The version of a package in the repository's lock file.
fn locked(package: &str) -> Result<String> {
    let path = repository::root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", repository::shown(&path)))?;
    let name = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|line| *line != name).nth(1);
    let version = version.and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).with_context(|| format!("`{package}` is not in `Cargo.lock`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_of_the_version_that_the_host_is_built_with() {
        assert!(locked("wasmtime").unwrap().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(locked("no-such-package").unwrap_err().to_string(), "`no-such-package` is not in `Cargo.lock`");
    }
}
