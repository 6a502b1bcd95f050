//! The languages' own tools as child processes: shown before they run, with what they say on stderr, and ended with us.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hostel_api::problem::Code;
use tokio::process::Command;

use crate::cli::failure::Failure;
use crate::cli::output;

/// A tool, run in a folder. What it writes to stdout goes to stderr: our stdout is data.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).kill_on_drop(true);
    command
}

/// Shows a command and runs it to its end. Cancelling ends it.
pub(crate) async fn run(command: &mut Command) -> Result<(), Failure> {
    output::talk(&format!("$ {}", shown(command)));
    let status = command.status().await.map_err(|error| unstartable(command, &error))?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Runs a command unseen and returns the text that it wrote to stdout; `None` if it did not succeed.
pub(crate) async fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// A tool ended with an error, which it has told itself.
pub(crate) fn failed(command: &Command, status: std::process::ExitStatus) -> Failure {
    Failure::coded(Code::BuildFailed, format!("`{}` ended with {status}", shown(command)))
}

pub(crate) fn unstartable(command: &Command, error: &io::Error) -> Failure {
    Failure::coded(Code::BuildFailed, format!("cannot start `{}`: {error}", shown(command)))
}

/// Something that a build needs is not there. `cure` brings it, best a single command.
pub(crate) fn missing(what: &str, cure: &str) -> Failure {
    Failure::Coded { code: Code::ToolMissing.as_str().to_owned(), text: what.to_owned(), hint: cure.to_owned() }
}

/// Where a program stands on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A command as one would type it, without the folder of its program.
fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args()).map(|word| {
        let word = word.to_string_lossy();
        if word.contains([' ', '\'']) { format!("'{}'", word.replace('\'', r"'\''")) } else { word.into_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let mut command = command("/opt/bin/go", Path::new("."));
        command.args(["build", "a b", "it's"]);
        assert_eq!(shown(&command), r"go build 'a b' 'it'\''s'");
    }

    #[tokio::test]
    async fn a_failing_tool_is_named_with_its_words() {
        let failure = run(command("sh", Path::new(".")).args(["-c", "exit 3"])).await.unwrap_err();
        let text = failure.render().unwrap();
        assert!(text.starts_with("error[E0061]: `sh -c 'exit 3'` ended with exit status: 3"), "{text}");
        let failure = run(&mut command("no-such-program-anywhere", Path::new("."))).await.unwrap_err();
        assert!(failure.render().unwrap().contains("cannot start `no-such-program-anywhere`"));
    }

    #[tokio::test]
    async fn what_a_tool_answers_comes_without_its_line_end() {
        let folder = Path::new(".");
        assert_eq!(ask(command("sh", folder).args(["-c", "echo 7"])).await.as_deref(), Some("7"));
        assert_eq!(ask(command("sh", folder).args(["-c", "echo 7; exit 1"])).await, None);
    }
}
