//! `cargo xtask demo`: a host, the sample handlers and real events, from nothing to a table of what became of them.
//!
//! Everything goes through the program `hostel`, as a person would do it. What is expected stands beside each piece of
//! input; a demo that sees anything else fails.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{guests, repository, setup};

use host::Host;
use input::Sample;
use report::{Expected, Report};

mod host;
mod input;
mod report;

/// Shared by the sender of the webhooks and the handler that checks them.
const SECRET: &str = "It's a Secret to Everybody";
/// How long the events that handlers publish get to be handled. Far more than they need: it only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Options {
    /// Leave the host running in the foreground afterwards.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    guests::build(&setup::run()?)?;
    let program = guests::build_host()?;
    let mut host = Host::start(program)?;
    let outcome = show(&host);
    if outcome.is_err() {
        host.tell_log();
    }
    let problems = outcome?;
    if options.keep {
        host.keep()?;
    } else {
        host.stop()?;
    }
    for problem in &problems {
        println!("not as expected: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Deploys, publishes and reports; returns what was not as expected.
fn show(host: &Host) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    println!("\n--- Three handlers. `hello` hears what it is sent and what the other two publish.");
    let hears = ["--topic", "greetings.>", "--topic", "students.welcomed", "--topic", "webhooks.>"];
    deploy(host, "hello", &hears)?;
    deploy(host, "student-registrations", &[])?;
    // As it happens to operators: the secret was forgotten.
    deploy(host, "webhook-router", &["--config", "webhook-secret="])?;

    let commits = commits(host)?;
    let early = early_webhook(host, &mut problems)?;

    println!("\n--- Registrations of students, some of them bad.");
    let students = input::registrations()?;
    publish(host, &students, &mut problems)?;

    println!("\n--- Webhooks, signed by their sender; some wrongly, some not at all.");
    let webhooks = input::webhooks(SECRET)?;
    publish(host, &webhooks, &mut problems)?;

    let good = |samples: &[Sample]| samples.iter().filter(|sample| sample.rejected.is_none()).count();
    let (welcomed, routed) = (good(&students), good(&webhooks) + early);
    let expected = [
        Expected { handler: "hello", handled: commits + welcomed + routed, dead: 0 },
        Expected { handler: "student-registrations", handled: welcomed, dead: students.len() - welcomed },
        Expected { handler: "webhook-router", handled: routed, dead: webhooks.len() + early - routed },
    ];
    let report = settle(host)?;
    println!("\n--- What became of it.\n\n{report}");
    problems.extend(report.problems(&expected));
    Ok(problems)
}

fn deploy(host: &Host, name: &str, flags: &[&str]) -> Result<()> {
    let manifest = format!("handlers/rust/{name}/handler.toml");
    host.run(&[&["deploy", &manifest], flags].concat())
}

/// Publishes a line for each commit of this repository and waits until all are handled; how many there were.
fn commits(host: &Host) -> Result<usize> {
    let (what, lines) = input::history()?;
    println!("\n--- {} {what}, one JSON each.", lines.len());
    let Some(first) = lines.first() else { bail!("there is no input: neither commits nor packages") };
    println!("    such as {first}");
    let file = host.data().join("history.jsonl");
    std::fs::write(&file, lines.join("\n")).context("cannot write the demo's input")?;
    let file = file.to_string_lossy();
    host.run(&["publish", "greetings.history", "--lines", &file, "-H", "Content-Type: application/json", "--wait"])?;
    Ok(lines.len())
}

/// A webhook that comes before its handler is set up: tried again until it is. How many there were.
fn early_webhook(host: &Host, problems: &mut Vec<String>) -> Result<usize> {
    println!("\n--- A webhook comes while its handler has no secret: it is tried again, not lost.");
    let mut samples = input::webhooks(SECRET)?;
    samples.truncate(1);
    for sample in &samples {
        host.ask(&sample.arguments(&["--json"]), Some(&sample.body))?;
    }
    let retried = |report: &Report| report.retried("webhook-router") > 0;
    let report = poll(host, retried).context("the webhook was not tried again")?;
    println!("    attempts repeated so far: {}", report.retried("webhook-router"));
    deploy(host, "webhook-router", &["--config", &format!("webhook-secret={SECRET}")])?;
    let report = poll(host, Report::is_idle).context("the webhook was not handled after its handler was set up")?;
    if report.dead_letters() > 0 {
        problems.push("the early webhook was given up".to_owned());
    }
    println!("    with the secret it was handled.");
    Ok(samples.len())
}

/// Publishes samples, waits for each and shows how it went.
fn publish(host: &Host, samples: &[Sample], problems: &mut Vec<String>) -> Result<()> {
    for sample in samples {
        let answer = host.ask(&sample.arguments(&["--wait", "--json"]), Some(&sample.body))?;
        let settled = report::settlement(&answer)?;
        println!("    {:38}  {}", sample.note, settled.shown());
        if let Some(problem) = settled.problem(sample.rejected.as_deref()) {
            problems.push(format!("`{}`: {problem}", sample.note));
        }
    }
    Ok(())
}

/// Waits until nothing is on its way: the last events are those that handlers published.
fn settle(host: &Host) -> Result<Report> {
    poll(host, Report::is_idle).context("the host does not come to rest")
}

/// Asks for a report until it is as wanted. Each question is a process of its own, which is pause enough.
fn poll(host: &Host, wanted: impl Fn(&Report) -> bool) -> Result<Report> {
    let began = Instant::now();
    loop {
        let report =
            Report::read(&list(host, &["subscriptions"])?, &list(host, &["dead-letters", "list", "-n", "100"])?)?;
        if wanted(&report) {
            return Ok(report);
        }
        if began.elapsed() > PATIENCE {
            bail!("after {} s it stands so:\n{report}", PATIENCE.as_secs());
        }
    }
}

fn list(host: &Host, command: &[&str]) -> Result<Vec<Value>> {
    let mut words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    words.push("--json".to_owned());
    let answer = host.ask(&words, None)?;
    let items = answer.get("items").unwrap_or(&answer).as_array();
    items.cloned().with_context(|| format!("`hostel {}` printed no list: {answer}", command.join(" ")))
}

/// Where the demo's fixtures are.
fn fixtures() -> std::path::PathBuf {
    repository::root().join("xtask/demo")
}
