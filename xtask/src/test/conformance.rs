//! The API against its own document: schemathesis asks a running host what the document says it takes, and a good deal
//! that it does not, and compares the answers.
//!
//! What is looked for: no status of 500 and above but those that are described, and no status, type or shape that is not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use tempfile::TempDir;

use crate::guests;
use crate::process::{self, command};
use crate::repository;

/// How long a host may take until it listens.
const START: Duration = Duration::from_secs(60);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// A stream has no end to compare; what go-micro posts is refused with a 500, since go-micro does.
const LEFT_OUT: [&str; 4] = ["/v1/registry/watch", "/topics/{pattern}/events", "/", "/_sub"];

#[derive(Args)]
pub(crate) struct Options {
    /// Look for minutes instead of seconds.
    #[arg(long)]
    long: bool,
    /// The host's binary; built if it is not given.
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
}

/// Runs it by itself.
pub(crate) fn alone(options: &Options) -> Result<()> {
    if let Some(obstacle) = obstacle() {
        bail!("{obstacle}");
    }
    let host = options.host.clone().map_or_else(guests::build_host, Ok)?;
    run(&host, options.long)
}

/// Why it cannot run here, with a cure; `None`: it can.
pub(super) fn obstacle() -> Option<String> {
    guests::check_python().and_then(|()| install()).err().map(|error| format!("{error:#}"))
}

/// Runs it. Fails when anything was found.
pub(super) fn run(program: &Path, is_long: bool) -> Result<()> {
    let schemathesis = install()?;
    let host = Host::start(program)?;
    host.deploy_hello()?;
    let seconds = if is_long { 300 } else { 20 };
    let everything =
        Round { config: "schemathesis.toml", phases: "examples,coverage,fuzzing", url: &host.admin, seconds };
    let within = Round { config: "within.toml", phases: "fuzzing", url: &host.admin, seconds };
    let ingress =
        Round { config: "schemathesis.toml", phases: "coverage,fuzzing", url: &host.ingress, seconds: seconds / 2 };
    for round in [everything, within, ingress] {
        let mut command = round.command(&schemathesis, &host);
        process::run(&mut command).context("the host and its document do not agree; see above")?;
        // A token that was lost on the way would make every answer a 401, which is described.
        host.proven()?;
    }
    Ok(())
}

/// Makes a virtual environment with what is pinned.
fn install() -> Result<PathBuf> {
    let folder = repository::target().join("schemathesis");
    let lock = ours("requirements.txt");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read `{}`", lock.display()))?;
    let installed = folder.join("installed-requirements.txt");
    let program = folder.join("bin/schemathesis");
    if fs::read(&installed).is_ok_and(|old| old == wanted) && program.is_file() {
        return Ok(program);
    }
    process::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = command(folder.join("bin/python"));
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r"]).arg(lock);
    process::run(&mut pip)?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write `{}`", installed.display()))?;
    Ok(program)
}

fn ours(name: &str) -> PathBuf {
    repository::root().join("xtask/schemathesis").join(name)
}

/// One way to ask.
struct Round<'a> {
    config: &'static str,
    phases: &'static str,
    url: &'a str,
    seconds: u64,
}

impl Round<'_> {
    fn command(&self, program: &Path, host: &Host) -> Command {
        let tag = if self.url == host.ingress { "--include-tag" } else { "--exclude-tag" };
        let mut command = command(program);
        // Where it would leave a cache of its own.
        command.current_dir(host.data.path());
        command.arg("--config-file").arg(ours(self.config)).arg("run").arg(format!("{}/v1/openapi.json", host.admin));
        command.args(["--url", self.url, "--phases", self.phases, "--checks", CHECKS, tag, "Ingress"]);
        command.args(LEFT_OUT.iter().flat_map(|path| ["--exclude-path", path]));
        command.args(["--max-time", &self.seconds.to_string(), "--continue-on-failure", "--warnings", "off"]);
        // Its config reads the token from here, which keeps it out of what is printed.
        command.args(["--no-color", "--generation-database", "none"]).env("HOSTEL_TOKEN", &host.token);
        command
    }
}

/// A host that requires tokens. Killed when it is dropped.
struct Host {
    child: Child,
    data: TempDir,
    admin: String,
    ingress: String,
    /// One of the operator.
    token: String,
    program: PathBuf,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Host {
    fn start(program: &Path) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("schemathesis-").tempdir_in(repository::target())?;
        let config = data.path().join("hostel.toml");
        fs::write(&config, "[access]\nrequire = \"token\"\n")?;
        let mut command = command(program);
        command.args([
            "serve",
            "--ingress",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--config",
        ]);
        command.arg(config).arg("--data-dir").arg(data.path().join("data")).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", program.display()))?;
        let output = child.stderr.take().context("the host has no standard error")?;
        let (sender, lines) = channel();
        // Ends with the host's output, and that with the host. Whoever listens has gone once it is ready.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let (admin, ingress) = std::iter::from_fn(|| lines.recv_timeout(START).ok())
            .find_map(|line| addresses(&line))
            .context("the host did not come to listen")?;
        let mut host = Self { child, data, admin, ingress, token: String::new(), program: program.to_owned() };
        let first = fs::read_to_string(host.data.path().join("data/operator-token")).context("no first token")?;
        host.token = first.trim().to_owned();
        Ok(host)
    }

    fn client(&self) -> Command {
        let mut command = command(&self.program);
        command.env("HOSTEL_ADMIN_URL", &self.admin).env("HOSTEL_TOKEN", &self.token);
        command
    }

    fn deploy_hello(&self) -> Result<()> {
        let hello = repository::guests().join("hello.wasm");
        if !hello.is_file() {
            bail!("`{}` is not there; `cargo xtask guests` builds it", hello.display());
        }
        process::run(self.client().arg("deploy").arg(hello).args(["--topic", "orders.*"]))
    }

    /// Whether the token still opens the door.
    fn proven(&self) -> Result<()> {
        let tenants = process::capture(self.client().args(["tenants", "list", "--json"]))
            .context("the host does not let the token in any more, or has ended")?;
        serde_json::from_str::<Value>(&tenants).map(drop).context("the host lists no tenants")
    }
}

/// Where the host listens for operators and for events, from the line that says so.
fn addresses(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((text("admin")?, text("ingress")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_line_that_has_them() {
        let line = r#"{"level":"INFO","fields":{"message":"ready","ingress":"http://a:1","admin":"http://a:2"}}"#;
        assert_eq!(addresses(line), Some(("http://a:2".to_owned(), "http://a:1".to_owned())));
        assert_eq!(addresses(r#"{"fields":{"message":"pool"}}"#), None);
        assert_eq!(addresses("pool"), None);
    }

    #[test]
    fn what_is_installed_is_pinned_whole() {
        let lock = fs::read_to_string(ours("requirements.txt")).unwrap();
        let pinned = lock.lines().filter(|line| line.contains("==")).count();
        assert!(pinned > 10 && lock.contains("schemathesis=="), "{pinned}");
        for line in lock.lines().filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty()) {
            assert!(line.contains("=="), "{line}");
        }
    }
}
