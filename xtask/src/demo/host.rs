//! The demo's host: a process with ports and a data directory of its own, ended whatever happens.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::{process, repository};

/// How long a host may take until it listens. A debug build does in well under a second.
const START: Duration = Duration::from_secs(60);
/// How long a host may take to end before it is killed.
const STOP: Duration = Duration::from_secs(15);

/// A host that runs.
pub(super) struct Host {
    program: PathBuf,
    child: Child,
    log: Receiver<String>,
    ingress: String,
    admin: String,
    data: TempDir,
}

impl Host {
    /// Starts a host on free ports and waits until it listens.
    pub(super) fn start(program: PathBuf) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("demo-").tempdir_in(repository::target())?;
        let mut command = hostel(&program);
        command.args(["serve", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--log", "info", "--data-dir"]).arg(data.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", program.display()))?;
        let output = child.stderr.take().context("the host has no standard error")?;
        let (sender, log) = channel();
        // Ends with the host's output, and that with the host.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        let mut host = Self { program, child, log, ingress: String::new(), admin: String::new(), data };
        (host.ingress, host.admin) = host.listens()?;
        println!("\n--- A host. Events go to {}, operators to {}", host.ingress, host.admin);
        Ok(host)
    }

    /// Reads the log up to the line that says where the host listens.
    fn listens(&mut self) -> Result<(String, String)> {
        let began = Instant::now();
        let mut seen = Vec::new();
        loop {
            match self.log.recv_timeout(START.saturating_sub(began.elapsed())) {
                Ok(line) => match addresses(&line) {
                    Some(addresses) => return Ok(addresses),
                    None => seen.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the host did not listen within {} s; it said:\n{}", START.as_secs(), seen.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the host ended with {}; it said:\n{}", self.child.wait()?, seen.join("\n"))
                }
            }
        }
    }

    /// Where the host keeps its data.
    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Shows a command of the command line and runs it against this host.
    pub(super) fn run(&self, words: &[&str]) -> Result<()> {
        process::run(self.client().args(words))
    }

    /// Asks this host with a command that prints JSON, or that is not expected to print. Exit code 1 is an answer, too:
    /// an event may have been given up.
    pub(super) fn ask(&self, words: &[String], input: Option<&[u8]>) -> Result<Value> {
        let mut command = self.client();
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = process::shown(&command);
        let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            pipe.write_all(input).with_context(|| format!("`{shown}` does not take its input"))?;
        }
        let output = child.wait_with_output()?;
        if output.stdout.is_empty() {
            bail!("`{shown}` printed nothing: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("`{shown}` printed something other than JSON"))
    }

    fn client(&self) -> Command {
        let mut command = hostel(&self.program);
        command.env("HOSTEL_INGRESS_URL", &self.ingress).env("HOSTEL_ADMIN_URL", &self.admin);
        command
    }

    /// Prints what the host logged so far, for a demo that failed.
    pub(super) fn tell_log(&self) {
        println!("\nthe host's log:");
        self.log.try_iter().for_each(|line| println!("{line}"));
    }

    /// Ends the host in good order.
    pub(super) fn stop(&mut self) -> Result<()> {
        // Rust's library knows only the signal that kills; the shell knows this one on every machine.
        process::capture(process::command("sh").args(["-c", "kill -TERM \"$0\""]).arg(self.child.id().to_string()))?;
        let began = Instant::now();
        loop {
            match self.log.recv_timeout(STOP.saturating_sub(began.elapsed())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("the host did not end within {} s of SIGTERM", STOP.as_secs()),
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the host ended with {status}");
        }
        println!("the host ended in good order");
        Ok(())
    }

    /// Leaves the host running and shows its log until somebody ends it.
    pub(super) fn keep(&mut self) -> Result<()> {
        let program = repository::shown(&self.program);
        println!("the host goes on; Ctrl-C ends it. Try:");
        println!("  {program} publish greetings.you 'good morning' --wait --ingress-url {}", self.ingress);
        println!("  {program} dead-letters list --admin-url {}", self.admin);
        println!("  {program} logs --follow --admin-url {}\n", self.admin);
        for line in &self.log {
            println!("{line}");
        }
        let status = self.child.wait()?;
        println!("the host ended with {status}");
        Ok(())
    }
}

impl Drop for Host {
    /// Whatever went wrong, no host is left behind. After a stop there is none, and both calls say so.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, without what the user's own environment would tell it.
fn hostel(program: &Path) -> Command {
    let mut command = process::command(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("HOSTEL_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Where the host listens, if a line of its log says so.
fn addresses(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
    Some((text("ingress")?, text("admin")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_where_the_host_listens_is_found() {
        let line = r#"{"level":"INFO","fields":{"message":"ready","ingress":"http://a:1","admin":"http://b:2"}}"#;
        assert_eq!(addresses(line), Some(("http://a:1".to_owned(), "http://b:2".to_owned())));
        assert_eq!(addresses(r#"{"level":"INFO","fields":{"message":"deployed"}}"#), None);
        assert_eq!(addresses("warning: not JSON"), None);
    }

    #[test]
    fn a_host_that_ends_at_once_is_told_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hostel");
        std::fs::write(&script, "#!/bin/sh\necho 'error: no such luck' >&2\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        std::fs::create_dir_all(repository::target()).unwrap();
        let error = Host::start(script).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "the host ended with exit status: 1; it said:\nerror: no such luck");
    }
}
