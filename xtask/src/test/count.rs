//! Counting tests: runs `cargo test`, passes its output on line by line, and adds up its `test result:` lines.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// How a line begins with which a test says that it could not be run here, and why.
const SKIPPED: &str = "SKIPPED: ";

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) filtered: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            filtered: self.filtered + other.filtered,
        }
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s`.
    fn parse(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let place = match what {
                "passed" => &mut counts.passed,
                "failed" => &mut counts.failed,
                "ignored" => &mut counts.ignored,
                "filtered out" => &mut counts.filtered,
                _ => continue,
            };
            *place = number.parse().ok()?;
        }
        Some(counts)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        for (number, what) in [(self.failed, "failed"), (self.ignored, "ignored"), (self.filtered, "filtered out")] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        Ok(())
    }
}

/// Runs a `cargo test`; its status and what it counted.
pub(super) fn run(command: &mut Command) -> Result<(ExitStatus, Counts)> {
    let shown = process::shown(command);
    println!("$ {shown}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().context("cargo has no standard output")?;
    let counts = add_up(output, std::io::stdout())?;
    Ok((child.wait()?, counts))
}

/// Passes lines on as they come, and adds up the counts in them.
fn add_up(from: impl Read, mut to: impl Write) -> Result<Counts> {
    let mut from = BufReader::new(from);
    let (mut counts, mut skipped) = (Counts::default(), 0);
    let mut line = Vec::new();
    // By bytes: a test may print what is not UTF-8, and that is no reason to lose the rest.
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        skipped += u64::from(text.starts_with(SKIPPED));
        if let Some(more) = Counts::parse(text.trim_end()) {
            counts = counts.plus(more);
        }
        line.clear();
    }
    // libtest knows no test that skips itself, and counts it as passed.
    counts.passed = counts.passed.saturating_sub(skipped);
    counts.ignored += skipped;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(Counts::parse(line), Some(Counts { passed: 3, failed: 2, ignored: 1, filtered: 4 }));
        assert_eq!(Counts::parse("test result_is_kept ... ok"), None);
        assert_eq!(Counts::parse("running 3 tests"), None);
    }

    #[test]
    fn a_test_that_skips_itself_has_not_passed() {
        let output = b"SKIPPED: a_test: no network namespaces here\ntest result: ok. 5 passed; 0 failed; 0 ignored\n";
        let counts = add_up(&output[..], std::io::sink()).unwrap();
        assert_eq!(counts, Counts { passed: 4, failed: 0, ignored: 1, filtered: 0 });
    }

    #[test]
    fn lines_are_passed_on_as_they_are_and_results_added_up() {
        let output = b"test result: ok. 2 passed; 0 failed; 0 ignored\n\xff\n\
                       test result: FAILED. 5 passed; 3 failed; 1 ignored\nno end";
        let mut passed_on = Vec::new();
        let counts = add_up(&output[..], &mut passed_on).unwrap();
        assert_eq!(counts, Counts { passed: 7, failed: 3, ignored: 1, filtered: 0 });
        assert_eq!(passed_on, output);
    }
}
