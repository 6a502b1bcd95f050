//! go-micro's side: the drivers of `tests/interop/gomicro/`, built by the ordinary Go client and driven line by line.
//!
//! What a driver understands is in `tests/interop/gomicro/protocol/driver.go`. Its publisher asks the registry once and
//! then believes a cache, so it is to be started when whom it shall reach is registered.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::scale::Scale;

/// Where its sources are, seen from the repository's root.
const SOURCES: &str = "tests/interop/gomicro";
/// The service of go-micro's broker from its second generation on.
const BROKER: &str = "micro.http.broker";
/// Between two looks at what nobody tells of.
const LOOK: Duration = Duration::from_millis(20);

/// Builds a version's driver, such as `v5`.
pub(super) fn build(version: &str) -> Result<()> {
    let source = Path::new(SOURCES).join(version);
    ensure!(source.is_dir(), "`{}` is not here; cure: run this in the repository's root", source.display());
    let program = program(version)?;
    let folder = program.parent().context("the driver is in no folder")?;
    fs::create_dir_all(folder)?;
    // Others may build the same.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let mut go = Command::new("go");
    // As committed, whatever the environment says.
    go.current_dir(&source)
        .env("GOFLAGS", "-mod=readonly -trimpath -buildvcs=false")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".");
    let output = go.output().context("cannot run `go`; cure: install Go 1.24 or newer")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the driver of go-micro {version} does not build: {}", said.trim());
    Ok(())
}

/// Where a driver is once it is built.
fn program(version: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let target = own.ancestors().nth(2).context("this program is not in `target/<profile>`")?;
    Ok(target.join("gomicro").join(version))
}

/// What became of a publish, as far as go-micro's publisher knows.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Published {
    failed: u64,
    /// With a window to the last acknowledgement.
    pub(super) took_ns: u64,
    /// 0 without a window.
    #[serde(default)]
    pub(super) p50_ns: u64,
    /// 0 without a window.
    #[serde(default)]
    pub(super) p99_ns: u64,
}

/// A message that a subscriber handled, as far as it is to be acknowledged.
#[derive(Deserialize)]
struct Saw {
    header: HashMap<String, String>,
}

/// Acknowledges a message: by a datagram with its number, to whom its publisher names.
pub(super) fn acknowledge(socket: &UdpSocket, number: &str, address: &str) -> Result<()> {
    let address: SocketAddr = address.parse().context("a message has no address")?;
    socket.send_to(number.as_bytes(), address)?;
    Ok(())
}

/// A go-micro program. Killed when it is dropped.
pub(super) struct Driver {
    child: Child,
    stdin: ChildStdin,
    /// What it answered. What it saw is acknowledged and not kept: it counts that itself.
    answers: Receiver<Value>,
}

impl Driver {
    pub(super) fn start(version: &str) -> Result<Self> {
        let mut command = Command::new(program(version)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("cannot start the driver of go-micro {version}"))?;
        let stdin = child.stdin.take().context("the driver has no standard input")?;
        let stdout = child.stdout.take().context("the driver has no standard output")?;
        let (sender, answers) = sync_channel(16);
        let acknowledgements = UdpSocket::bind(("127.0.0.1", 0))?;
        // Ends with the driver's output.
        thread::spawn(move || read(BufReader::new(stdout), &sender, &acknowledgements));
        let driver = Self { child, stdin, answers };
        driver.answer("start")?;
        Ok(driver)
    }

    /// `broker.Subscribe`. What it sees is acknowledged here.
    pub(super) fn subscribe(&mut self, topic: &str) -> Result<()> {
        self.ask(&json!({ "do": "subscribe", "topic": topic, "queue": "", "relayed": true })).map(drop)
    }

    /// How often its handlers were called.
    pub(super) fn received(&mut self) -> Result<u64> {
        let answer = self.ask(&json!({ "do": "count" }))?;
        answer.get("received").and_then(Value::as_u64).context("the driver does not say how much it received")
    }

    /// `broker.Publish` of so many; with a window of 0 as fast as they go.
    pub(super) fn publish(&mut self, topic: &str, body: &str, count: usize, window: usize) -> Result<Published> {
        let command = json!({ "do": "publish", "topic": topic, "body": body, "count": count, "window": window });
        let published: Published = serde_json::from_value(self.ask(&command)?)?;
        ensure!(published.failed == 0, "{} publishes failed", published.failed);
        Ok(published)
    }

    /// Waits until its registry knows who hears a topic.
    pub(super) fn until_heard(&mut self, topic: &str) -> Result<()> {
        until(&format!("somebody hears `{topic}`"), || {
            let answer = self.ask(&json!({ "do": "services", "name": BROKER }));
            // Nobody there is an error to go-micro.
            let Ok(answer) = answer else { return Ok(false) };
            let services = answer.get("services").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut nodes = services.iter().filter_map(|service| service.get("nodes")?.as_array()).flatten();
            Ok(nodes.any(|node| node.pointer("/metadata/topic").and_then(Value::as_str) == Some(topic)))
        })
    }

    fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.stdin, "{command}").context("the driver does not read")?;
        let answer = self.answer(command.get("do").and_then(Value::as_str).context("a command has a name")?)?;
        match answer.get("error").and_then(Value::as_str) {
            None | Some("") => Ok(answer),
            Some(error) => bail!("the driver did not do {command}: {error}"),
        }
    }

    fn answer(&self, to: &str) -> Result<Value> {
        let answer = self.answers.recv_timeout(Scale::PATIENCE);
        let answer = answer.with_context(|| format!("the driver did not answer `{to}`"))?;
        ensure!(answer.get("did").and_then(Value::as_str) == Some(to), "the driver answers `{to}` with {answer}");
        Ok(answer)
    }
}

impl Drop for Driver {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on answers, and acknowledges what a driver saw where its publisher waits for that.
fn read(mut lines: impl BufRead, answers: &SyncSender<Value>, acknowledgements: &UdpSocket) {
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.contains("\"did\":") {
            let Ok(answer) = serde_json::from_str(&line) else { return };
            if answers.send(answer).is_err() {
                return;
            }
        } else if let Ok(Saw { header }) = serde_json::from_str(&line)
            && let (Some(number), Some(address)) = (header.get("Number"), header.get("Acknowledge-To"))
        {
            // Who waits in vain says so.
            let _ = acknowledge(acknowledgements, number, address);
        }
        line.clear();
    }
}

/// Waits until a condition holds that nobody tells of.
#[expect(clippy::disallowed_methods, reason = "no guest waits for this thread: the program only measures")]
pub(super) fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !condition()? {
        ensure!(began.elapsed() < Scale::PATIENCE, "not in time: {what}");
        thread::sleep(LOOK);
    }
    Ok(())
}
