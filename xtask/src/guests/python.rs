//! Handlers in Python: a virtual environment in the target directory holds the SDK's pinned tools, and `hostel.build` of
//! the SDK makes a component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::fresh;
use crate::process::{self, command};
use crate::repository;

const CURE: &str = "install Python 3.11 or newer with venv; on Debian and its relatives: apt-get install python3-venv";

/// Whether Python is there, new enough and able to make a virtual environment.
///
/// # Errors
/// Says what is missing and the command that brings it.
pub(crate) fn check() -> Result<()> {
    if process::on_path("python3").is_none() {
        bail!("there is no `python3`; {CURE}");
    }
    let asks = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))";
    if !process::succeeds(command("python3").args(["-c", asks])) {
        bail!("`python3` is too old or lacks venv; {CURE}");
    }
    Ok(())
}

/// Builds the handler in `folder` to `component`, unless that is newer. Its module is called as the folder, with `_` for
/// `-`.
pub(crate) fn build(folder: &Path, component: &Path) -> Result<()> {
    fresh::unless_fresh(&[sdk(), folder.to_owned()], component, || {
        let module = folder.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        let mut python = python(install()?.join("bin/python"));
        python.args(["-m", "hostel.build", &module, "--folder"]).arg(folder).arg("--output").arg(component);
        process::run(&mut python)
    })
}

/// The unit tests in `folder`. They need Python alone.
pub(crate) fn test(folder: &Path) -> Command {
    let mut python = python("python3".into());
    python.current_dir(folder).args(["-m", "unittest"]);
    python
}

/// Makes the virtual environment, unless it holds what the lock file names.
fn install() -> Result<PathBuf> {
    let folder = repository::target().join("guests-build/python");
    let lock = sdk().join("requirements-build.txt");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read `{}`", lock.display()))?;
    let installed = folder.join("installed-requirements.txt");
    if fs::read(&installed).is_ok_and(|old| old == wanted) {
        return Ok(folder);
    }
    process::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = command(folder.join("bin/python"));
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r"]).arg(lock);
    process::run(&mut pip)?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write `{}`", installed.display()))?;
    Ok(folder)
}

fn sdk() -> PathBuf {
    repository::root().join("guest-sdk/python")
}

/// Python with the SDK, leaving nothing among the sources.
fn python(program: PathBuf) -> Command {
    let mut python = command(program);
    python.env("PYTHONPATH", sdk().join("src")).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}
