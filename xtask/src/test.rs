//! `cargo xtask test`: sets up, builds and runs every check there is, and says what was skipped and why.
//!
//! A step that fails does not stop the others, except those that need what it makes. The last line is
//! `N passed, N failed, N skipped`, for machines to read.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::guests::{self, Built, Language};
use crate::process::{self, cargo};
use crate::repository;
use crate::setup::{self, Ready};
use crate::table;

use count::Counts;

pub(crate) mod conformance;
mod count;

/// The release that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

#[derive(Args)]
pub(crate) struct Options {
    /// Also run the tests that take minutes.
    #[arg(long)]
    long: bool,
    /// Install cargo-deny when it is missing. It compiles for minutes.
    #[arg(long)]
    deny: bool,
    /// Run only the tests whose names contain this, and no other checks.
    filter: Option<String>,
}

/// How a step ended.
enum Ended {
    Passed(Counts),
    Failed(Counts, String),
    Skipped(String),
}

struct Step {
    name: &'static str,
    ended: Ended,
    took: Duration,
}

/// Runs everything. Fails when any of it did.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut steps = Steps(Vec::new());
    let host = build(&mut steps);
    languages(&mut steps);
    checks(&mut steps, options);
    tests(&mut steps, options, host.clone());
    document(&mut steps, options, host);
    dependencies(&mut steps, options);
    Ok(steps.report())
}

struct Steps(Vec<Step>);

impl Steps {
    /// Runs one step under its name. An error is a failure without counted tests.
    fn step<T>(&mut self, name: &'static str, act: impl FnOnce() -> Result<(T, Ended)>) -> Option<T> {
        println!("\n=== {name}");
        let began = Instant::now();
        let (value, ended) = match act() {
            Ok((value, ended)) => (Some(value), ended),
            Err(error) => (None, Ended::Failed(Counts::default(), format!("{error:#}"))),
        };
        match &ended {
            Ended::Passed(_) => {}
            Ended::Failed(_, reason) => println!("FAILED: {name}: {reason}"),
            Ended::Skipped(reason) => println!("SKIPPED: {name}: {reason}"),
        }
        self.0.push(Step { name, ended, took: began.elapsed() });
        value
    }

    fn run<T>(&mut self, name: &'static str, act: impl FnOnce() -> Result<T>) -> Option<T> {
        self.step(name, || Ok((act()?, Ended::Passed(Counts::default()))))
    }

    fn skip(&mut self, name: &'static str, reason: impl Into<String>) {
        self.step(name, || Ok(((), Ended::Skipped(reason.into()))));
    }

    /// Runs `cargo test` and counts what it ran.
    fn cargo_test(&mut self, name: &'static str, command: &mut Command) {
        self.step(name, || {
            let (status, counts) = count::run(command)?;
            let ended = match (status.success(), counts.failed) {
                (true, 0) if counts.passed == 0 && counts.filtered == 0 => {
                    Ended::Failed(counts, "no test ran".to_owned())
                }
                (true, 0) => Ended::Passed(counts),
                (_, 0) => Ended::Failed(counts, format!("`{}` ended with {status}", process::shown(command))),
                (_, failed) => Ended::Failed(counts, format!("{failed} failed")),
            };
            Ok(((), ended))
        });
    }

    fn report(&self) -> ExitCode {
        let rows: Vec<[String; 4]> = self.0.iter().map(row).collect();
        println!("\n{}", table::lay_out(["step", "result", "took", ""], &rows));
        let total = self.0.iter().map(counted).fold(Counts::default(), Counts::plus);
        println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.ignored);
        if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn row(step: &Step) -> [String; 4] {
    let (result, counts, reason) = match &step.ended {
        Ended::Passed(counts) => ("passed", *counts, ""),
        Ended::Failed(counts, reason) => ("FAILED", *counts, reason.as_str()),
        Ended::Skipped(reason) => ("skipped", Counts::default(), reason.as_str()),
    };
    let tests = if counts == Counts::default() { String::new() } else { counts.to_string() };
    let reason = reason.lines().next().unwrap_or_default().to_owned();
    let note = [tests, reason].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    [step.name.to_owned(), result.to_owned(), format!("{:.1} s", step.took.as_secs_f64()), note]
}

/// What a step adds to the last line: its tests; a failure without a failed test is one, and so is a skipped step.
fn counted(step: &Step) -> Counts {
    match &step.ended {
        Ended::Passed(counts) => *counts,
        Ended::Failed(counts, _) => Counts { failed: counts.failed.max(1), ..*counts },
        Ended::Skipped(_) => Counts { ignored: 1, ..Counts::default() },
    }
}

/// Everything that the tests of a whole host need; `None` when it could not be made.
fn build(steps: &mut Steps) -> Option<PathBuf> {
    let ready: Option<Ready> = steps.run("guest tool chain", setup::run);
    let guests = match &ready {
        Some(ready) => steps.run("guests", || guests::build(ready)),
        None => {
            steps.skip("guests", "no tool chain compiles them");
            None
        }
    };
    let host = steps.run("host", guests::build_host);
    guests.and(host)
}

/// Builds and tests the handlers in languages whose tools a machine may lack. A whole host is tested with what was made.
fn languages(steps: &mut Steps) {
    for language in Language::OTHERS {
        let built = steps.step(build_name(language), || {
            Ok(match guests::build_other(language)? {
                Built::All => (true, Ended::Passed(Counts::default())),
                Built::Skipped(reason) => (false, Ended::Skipped(reason)),
            })
        });
        if built == Some(true) {
            steps.run(test_name(language), || guests::test_other(language));
        }
    }
}

const fn build_name(language: Language) -> &'static str {
    match language {
        Language::Rust => "guests",
        Language::Javascript => "guests: JavaScript",
        Language::Typescript => "guests: TypeScript",
        Language::Python => "guests: Python",
        Language::Go => "guests: Go",
        Language::C => "guests: C",
    }
}

const fn test_name(language: Language) -> &'static str {
    match language {
        Language::Rust => "tests: handlers",
        Language::Javascript => "tests: SDK, handlers in JavaScript",
        Language::Typescript => "tests: handlers in TypeScript",
        Language::Python => "tests: SDK, handlers in Python",
        Language::Go => "tests: SDK, handlers in Go",
        Language::C => "tests: SDK, handlers in C",
    }
}

fn checks(steps: &mut Steps, options: &Options) {
    const FORMAT: &str = "format";
    const LINTS: &str = "lints";
    if options.filter.is_some() {
        steps.skip(FORMAT, "a filter was given");
        steps.skip(LINTS, "a filter was given");
        return;
    }
    if setup::has_component("fmt", "rustfmt") {
        steps.run(FORMAT, || {
            process::run(cargo().args(["fmt", "--all", "--check"]))?;
            for manifest in GUEST_WORKSPACES {
                process::run(cargo().args(["fmt", "--all", "--check", "--manifest-path", manifest]))?;
            }
            Ok(())
        });
    } else {
        steps.skip(FORMAT, "no rustfmt; cure: rustup component add rustfmt");
    }
    if setup::has_component("clippy", "clippy") {
        steps.run(LINTS, || {
            let args = ["--workspace", "--all-targets", "--locked"];
            process::run(cargo().arg("clippy").args(args).args(["--", "--deny", "warnings"]))?;
            for manifest in GUEST_WORKSPACES {
                let mut command = cargo();
                command.arg("clippy").args(args).args(["--manifest-path", manifest, "--", "--deny", "warnings"]);
                process::run(command.env("CARGO_TARGET_DIR", native_target()))?;
            }
            Ok(())
        });
    } else {
        steps.skip(LINTS, "no clippy; cure: rustup component add clippy");
    }
}

const SDK: &str = "guest-sdk/rust/Cargo.toml";
const HANDLERS: &str = "handlers/rust/Cargo.toml";
/// Workspaces apart from the host's; their code also compiles natively.
const GUEST_WORKSPACES: [&str; 3] = [SDK, HANDLERS, "benches/guests/Cargo.toml"];

fn native_target() -> PathBuf {
    repository::target().join("guests-native")
}

fn tests(steps: &mut Steps, options: &Options, host: Option<PathBuf>) {
    let test = |manifest: &str| {
        let mut command = cargo();
        command.args(["test", "--workspace", "--locked", "--no-fail-fast", "--manifest-path", manifest]);
        command.args(options.filter.as_ref().map(|filter| ["--", filter.as_str()]).into_iter().flatten());
        command
    };
    for (name, manifest) in [("tests: SDK", SDK), ("tests: handlers", HANDLERS)] {
        steps.cargo_test(name, test(manifest).env("CARGO_TARGET_DIR", native_target()));
    }
    let name = "tests: workspace";
    let Some(host) = host else {
        steps.skip(name, "the host or the guests were not built");
        return;
    };
    let mut command = test("Cargo.toml");
    command.env("HOSTEL_BIN", host).env("HOSTEL_GUESTS", repository::guests());
    if options.long {
        command.env("HOSTEL_LONG_TESTS", "1");
    }
    steps.cargo_test(name, &mut command);
    if !options.long {
        println!("the tests that take minutes kept to their short form; `cargo xtask test --long` runs them whole");
    }
}

/// Asks a running host for all that the API's document says, and more.
fn document(steps: &mut Steps, options: &Options, host: Option<PathBuf>) {
    const NAME: &str = "tests: API against its document";
    let Some(host) = host else {
        steps.skip(NAME, "the host or the guests were not built");
        return;
    };
    if options.filter.is_some() {
        steps.skip(NAME, "a filter was given");
        return;
    }
    match conformance::obstacle() {
        Some(obstacle) => steps.skip(NAME, obstacle),
        None => {
            steps.run(NAME, || conformance::run(&host, options.long));
        }
    }
}

fn dependencies(steps: &mut Steps, options: &Options) {
    const RULES: &str = "dependencies: licences, duplicates, sources";
    const ADVISORIES: &str = "dependencies: advisories";
    let reason = if options.filter.is_some() {
        Some("a filter was given".to_owned())
    } else {
        cargo_deny(options.deny).err().map(|error| format!("{error:#}"))
    };
    if let Some(reason) = reason {
        steps.skip(RULES, reason.as_str());
        steps.skip(ADVISORIES, reason);
        return;
    }
    let rules = ["deny", "--locked", "check", "licenses", "bans", "sources"];
    steps.run(RULES, || process::run(cargo().args(rules)));
    steps.step(ADVISORIES, || {
        // Apart from the check: without a network this says nothing about our dependencies.
        if process::run(cargo().args(["deny", "fetch", "db"])).is_err() {
            return Ok(((), Ended::Skipped("the advisory database cannot be fetched from here".to_owned())));
        }
        process::run(cargo().args(["deny", "--locked", "check", "advisories"]))?;
        Ok(((), Ended::Passed(Counts::default())))
    });
}

fn cargo_deny(install: bool) -> Result<()> {
    let works = || process::succeeds(cargo().args(["deny", "--version"]));
    if works() {
        return Ok(());
    }
    if install {
        return process::run(cargo().args(["install", "cargo-deny", "--version", CARGO_DENY, "--locked"]));
    }
    bail!(
        "cargo-deny is not installed; cure: cargo xtask test --deny, \
         or cargo install cargo-deny --version {CARGO_DENY} --locked"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(ended: Ended) -> Step {
        Step { name: "name", ended, took: Duration::ZERO }
    }

    #[test]
    fn a_failure_without_failed_tests_counts_as_one() {
        let passed = Counts { passed: 3, ..Counts::default() };
        assert_eq!(counted(&step(Ended::Failed(passed, "did not compile".to_owned()))).failed, 1);
        let failed = Counts { failed: 2, ..Counts::default() };
        assert_eq!(counted(&step(Ended::Failed(failed, "2 failed".to_owned()))).failed, 2);
    }

    #[test]
    fn a_skipped_step_counts_as_one_skipped() {
        assert_eq!(counted(&step(Ended::Skipped("why".to_owned()))), Counts { ignored: 1, ..Counts::default() });
    }

    #[test]
    fn a_step_that_cannot_run_fails_with_its_reason() {
        let mut steps = Steps(Vec::new());
        let value: Option<()> = steps.run("name", || bail!("no disk"));
        assert!(value.is_none());
        let [step] = steps.0.as_slice() else { panic!("one step") };
        assert_eq!(row(step)[3], "no disk");
        assert_eq!(counted(step).failed, 1);
    }
}
