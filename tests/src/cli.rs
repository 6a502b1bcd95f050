//! The command line, run as a user runs it.

use std::process::Stdio;

use tokio::process::Command;

use crate::binary;
use crate::host::{Host, PATIENCE};

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// `hostel` for this host.
#[must_use]
pub fn hostel(host: &Host) -> Command {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .env("HOSTEL_ADMIN_URL", format!("http://{}", host.admin))
        .env("HOSTEL_INGRESS_URL", format!("http://{}", host.ingress))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn run(host: &Host, arguments: &[&str]) -> Ran {
    let child = hostel(host).args(arguments).spawn().expect("the command starts");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("ends in time").expect("runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
