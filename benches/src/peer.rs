//! Row group: Hostel's publish until settled beside `wasmtime serve`, wasmtime's own HTTP server, which makes an instance of
//! a component for each request: the same runtime in another host.
//!
//! The peer's component does what the sample `hello` does: it reads the body, writes a line and answers. It runs in
//! Hostel as well, through the adapter for `wasi:http`, so that both hosts are seen with the very same bytes. The peer
//! gets what would make it fast: the pool, set as Hostel sets its own, no time-out, no prefixes of lines, and standard
//! output that goes nowhere. It has no broker, no retries, no deadlines and no log of lines to keep.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;

use crate::load::Load;
use crate::machine;
use crate::over_http::{MANY, Servers};
use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;

const PROGRAM: &str = "wasmtime";
/// What the peer says before its address.
const LISTENS: &str = "Serving HTTP on http://";
/// One instance for each request is its default for such components; the rest is the pool, with pages kept as in
/// Hostel's.
const OPTIONS: [&str; 11] = [
    "serve",
    "--addr",
    "127.0.0.1:0",
    "--max-instance-reuse-count",
    "1",
    "--no-logging-prefix",
    "-Scli",
    "-Opooling-allocator=y",
    "-Opooling-pagemap-scan=y",
    "-Opooling-memory-keep-resident=2097152",
    "-Opooling-table-keep-resident=4096",
];

/// Measures the group; says why where it is left out.
pub(crate) fn measure(
    program: &Path,
    (component, guests): (&Path, &Path),
    scale: &Scale,
    skipped: &mut Vec<String>,
) -> Result<Group> {
    let name = |what: &str| format!("{what}, beside `wasmtime serve`, {MANY} connections");
    let (hello, same) =
        (name("HTTP publish with `?wait=settled`"), name("HTTP publish with `?wait=settled` for the same component"));
    let bare = name("bare hyper");
    let peer = format!("`wasmtime serve`: a fresh instance for each request, {MANY} connections");
    let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
    let rows = vec![row(&hello, &peer), row(&same, &peer), row(&hello, &bare), row(&peer, &bare)];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let server = match find() {
        Ok(server) => server,
        Err(error) => {
            skipped.push(format!("`wasmtime serve`: {error:#}"));
            return Ok(Group::default());
        }
    };
    let for_http = guests.join("benches").join("http_hello.wasm");
    let server = Server::start(&server, &for_http)?;
    let load = Load::new(server.address, "/", StatusCode::NO_CONTENT)?;
    let (ours, theirs) = (Servers::start(program, component)?, Servers::start(program, &for_http)?);
    let contenders = vec![
        Contender::new(&bare, scale.many_bare, |n| ours.bare(&ours.bare_wait, MANY, n)),
        Contender::new(&peer, scale.many, |n| ours.bare(&load, MANY, n)),
        Contender::new(&hello, scale.many, |n| ours.hosted(&ours.wait, MANY, n)),
        Contender::new(&same, scale.many, |n| theirs.hosted(&theirs.wait, MANY, n)),
    ];
    Ok(round::measure(scale, contenders, rows))
}

/// A `wasmtime` of the version that the host is built with: installed by the chore, or wherever it is.
fn find() -> Result<PathBuf> {
    let pinned = machine::wasmtime().context("the lock file names no wasmtime")?;
    let mut folders = Vec::new();
    // This program is in a folder of the target directory; the chore installs into another.
    if let Some(target) = env::current_exe()?.ancestors().nth(2) {
        folders.push(target.join("tools/bin"));
    }
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    folders.extend(env::var_os("CARGO_HOME").map(|home| PathBuf::from(home).join("bin")));
    folders.extend(env::home_dir().map(|home| home.join(".cargo/bin")));
    let mut others = Vec::new();
    for program in folders.into_iter().map(|folder| folder.join(PROGRAM)) {
        let Ok(output) = Command::new(&program).arg("--version").output() else { continue };
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if is_like(&said, &pinned) {
            return Ok(program);
        }
        others.push(said);
    }
    let found = if others.is_empty() { "there is none".to_owned() } else { format!("there is {}", others.join(", ")) };
    bail!(
        "{found}, and version {pinned} is wanted, which the host is built with; cure: `cargo xtask bench --peers`, or \
         `cargo install wasmtime-cli --version {pinned} --locked`"
    )
}

/// Whether a program of what it says of itself has the same major and minor version.
fn is_like(said: &str, pinned: &str) -> bool {
    let release = |version: &str| {
        let mut numbers = version.split('.').map(str::to_owned);
        numbers.next().zip(numbers.next())
    };
    let version = said.strip_prefix("wasmtime ").and_then(|rest| rest.split_whitespace().next());
    version.is_some_and(|version| release(version).is_some() && release(version) == release(pinned))
}

/// The peer's process.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path, component: &Path) -> Result<Self> {
        ensure!(component.is_file(), "no component at `{}`; cure: `cargo xtask bench` builds it", component.display());
        let mut command = Command::new(program);
        command.args(OPTIONS).arg(component).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", program.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("it has no standard error")?).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = lines.next() else { bail!("`wasmtime serve` ended; it said:\n{said}") };
            let line = line?;
            if let Some(address) = line.strip_prefix(LISTENS) {
                break address.trim_end_matches('/').parse().context("the address of `wasmtime serve`")?;
            }
            said.push_str(&line);
            said.push('\n');
        };
        // It says no more unless something fails. The thread ends with the peer's output.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| warn(&line)));
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "what a peer says against its measurement is for the person who runs it")]
fn warn(line: &str) {
    eprintln!("wasmtime serve: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_of_the_release_that_the_host_is_built_with() {
        let check = |said: &str, expected| assert_eq!(is_like(said, "48.0.8"), expected, "{said}");
        check("wasmtime 48.0.8 (abcdef 2026-01-01)", true);
        check("wasmtime 48.0.1", true);
        check("wasmtime 48.1.0", false);
        check("wasmtime 49.0.8", false);
        check("wasmtime-cli 48.0.8", false);
        check("", false);
    }
}
