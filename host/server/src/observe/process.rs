//! What the host itself uses of the machine, from `/proc`. On a system without it there is nothing to tell.

use std::fs;
use std::path::Path;

/// Ticks in a second in what the kernel tells programs. It has been 100 on every architecture that Rust is built for.
const TICKS: f64 = 100.0;

/// The process as it stands. What is `None` cannot be told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    /// Bytes of memory that are its own or shared, and there.
    pub(crate) resident: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
    /// Seconds since 1970.
    pub(crate) started: Option<f64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) most_files: Option<u64>,
    pub(crate) threads: Option<u64>,
}

impl Process {
    /// This process, now. Blocks for as long as a few small files take.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (status, stat, limits) = (read("/proc/self/status"), read("/proc/self/stat"), read("/proc/self/limits"));
        let machine = read("/proc/stat");
        Self {
            resident: field(&status, "VmRSS:").map(|kib| kib * 1024),
            threads: field(&status, "Threads:"),
            cpu_seconds: cpu(&stat),
            started: started(&stat, &machine),
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| u64::try_from(files.count()).unwrap_or(u64::MAX)),
            most_files: field(&limits, "Max open files"),
        }
    }
}

/// The bytes of all files in a folder and below.
pub(crate) fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It went while it was looked at.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// The first number behind a name at the begin of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The fields behind the name of the program, which may hold anything, parentheses too. The first is the third of all.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default()
}

fn ticks(stat: &str, field: usize) -> Option<f64> {
    fields(stat).get(field - 3)?.parse().ok()
}

fn cpu(stat: &str) -> Option<f64> {
    Some((ticks(stat, 14)? + ticks(stat, 15)?) / TICKS)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
fn started(stat: &str, machine: &str) -> Option<f64> {
    Some(field(machine, "btime")? as f64 + ticks(stat, 22)? / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1234 99 5";

    #[test]
    fn what_the_kernel_says_is_read_whatever_the_program_is_called() {
        assert_eq!(cpu(STAT), Some(3.0));
        assert_eq!(started(STAT, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_012.34));
        assert_eq!(field("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(
            field("Max open files            1024                 4096                 files", "Max open files"),
            Some(1024)
        );
        assert_eq!((cpu(""), started("", ""), field("", "x")), (None, None, None));
    }

    #[test]
    fn a_folder_has_the_bytes_of_its_files_and_of_those_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 10]).unwrap();
        fs::write(folder.path().join("c"), [0; 5]).unwrap();
        assert_eq!(bytes_in(folder.path()), 15);
        assert_eq!(bytes_in(&folder.path().join("nothing")), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_can_be_told_of() {
        let process = Process::now();
        assert!(
            process.resident > Some(0) && process.open_files > Some(0) && process.started > Some(1e9),
            "{process:?}"
        );
    }
}
