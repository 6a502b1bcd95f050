//! A network namespace for the rows with go-micro: its registry speaks mDNS, which would reach everyone otherwise.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Lets `lo` carry multicast. Nothing else is in the namespace.
const SET_UP: &str =
    "ip link set lo up multicast on && ip route add 224.0.0.251 dev lo src 127.0.0.1 && exec \"$0\" \"$@\"";

/// How a namespace is made here.
pub(super) struct Namespace {
    options: &'static [&'static str],
}

impl Namespace {
    /// Finds out how this system makes one.
    pub(super) fn make() -> Result<Self> {
        // Second for those who are not root.
        let ways = [["--net"].as_slice(), ["--user", "--map-root-user", "--net"].as_slice()];
        let allowed = |options: &&[&str]| {
            let probe = Command::new("unshare").args(*options).args(["sh", "-c", SET_UP, "true"]).output();
            probe.is_ok_and(|output| output.status.success())
        };
        let options = ways.into_iter().find(allowed).context(
            "this system does not allow a network namespace; cure: run it as root, with `unshare` (util-linux) and \
             `ip` (iproute2)",
        )?;
        Ok(Self { options })
    }

    /// Runs this very program inside and returns what it wrote.
    pub(super) fn run(&self, arguments: &[OsString]) -> Result<Vec<u8>> {
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new("unshare");
        command.args(self.options).args(["sh", "-c", SET_UP]).arg(own).args(arguments);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run `unshare`")?;
        ensure!(output.status.success(), "the part of the run inside the namespace failed: {}", output.status);
        Ok(output.stdout)
    }
}
