//! What the figures were taken on, as the machine tells it to everyone.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The lock file of the workspace that this program was built from.
const LOCK: &str = include_str!("../../Cargo.lock");

/// See the module's page. What the machine does not tell is `unknown`.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) wasmtime: String,
    /// Of the last minute, before the run: what else the machine was doing.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let kernel = read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned());
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next().map(str::to_owned));
        Self {
            processor: read("/proc/cpuinfo").and_then(|text| processor(&text)).unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.unwrap_or_else(unknown),
            rustc: rustc().unwrap_or_else(unknown),
            wasmtime: wasmtime().unwrap_or_else(unknown),
            load: load.unwrap_or_else(unknown),
        }
    }
}

/// The version of the runtime that the host is built with.
pub(crate) fn wasmtime() -> Option<String> {
    locked(LOCK, "wasmtime")
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("-V").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().strip_prefix("rustc ")?.to_owned())
}

/// The version of a package in a lock file.
fn locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    Some(lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_not_taken_for_one_whose_name_begins_alike() {
        let lock =
            "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
        assert_eq!(locked(lock, "a").as_deref(), Some("2.0.0"));
        assert_eq!(locked(lock, "c"), None);
    }

    #[test]
    fn the_lock_file_names_the_runtime() {
        assert!(locked(LOCK, "wasmtime").is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
    }

    #[test]
    fn the_processor_is_named_once() {
        let text = "processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\nmodel name\t: Some CPU\n";
        assert_eq!(processor(text).as_deref(), Some("Some CPU"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
