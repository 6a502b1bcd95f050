//! Child processes: shown before they run, with an environment that cargo left no traces in.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::repository;

/// The cargo that runs this chore, in the repository's root.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command in the repository's root.
///
/// `cargo run` describes this crate in its child's environment; a cargo further down would take that for its own.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository::root()).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let describes_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if describes_us.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Shows a command, runs it with its output on ours, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to standard output; what it wrote to standard error becomes the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote something other than UTF-8"))
}

/// Whether a command can be started and succeeds; nothing is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Where a program stands on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A command as one would type it, without the folder of its program.
pub(crate) fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_owned();
    let words = std::iter::once(name.as_os_str()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| {
            let word = word.to_string_lossy();
            let word = word.replace(&format!("{}/", repository::root().display()), "");
            if word.contains([' ', '\'']) { format!("'{}'", word.replace('\'', r"'\''")) } else { word }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_words() {
        let error = capture(command("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'echo broken >&2; exit 3'"), "{error}");
        assert!(error.contains("exit status: 3: broken"), "{error}");
    }

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let shown = shown(command("/opt/bin/hostel").args(["deploy", "a b", "it's"]));
        assert_eq!(shown, r"hostel deploy 'a b' 'it'\''s'");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = run(&mut command("no-such-program-anywhere")).unwrap_err().to_string();
        assert_eq!(error, "cannot start `no-such-program-anywhere`");
        assert_eq!(on_path("no-such-program-anywhere"), None);
    }

    #[test]
    fn what_cargo_says_about_this_crate_does_not_reach_children() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some(), "cargo sets it for tests");
        assert_eq!(capture(command("sh").args(["-c", "echo \"[$CARGO_PKG_NAME]\""])).unwrap(), "[]\n");
    }
}
