//! Handlers in JavaScript and TypeScript: npm installs the SDK's pinned tools, and `hostel-build` of the SDK makes a
//! component.
//!
//! npm installs beside the sources. So that nothing is left among them, it works on a copy of SDK and handler in the
//! target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::fresh;
use crate::process::{self, command};
use crate::repository::{self, shown};

/// The oldest Node that the SDK's tests and tools run on.
const OLDEST: u32 = 20;
const CURE: &str = "install Node 20 or newer with npm; on Debian and its relatives: apt-get install nodejs npm";

/// What a handler is made with, below the repository's root.
const SDK: &str = "guest-sdk/javascript";

/// Whether Node and npm are there and new enough.
///
/// # Errors
/// Says what is missing and the command that brings it.
pub(crate) fn check() -> Result<()> {
    for program in ["node", "npm"] {
        if process::on_path(program).is_none() {
            bail!("there is no `{program}`; {CURE}");
        }
    }
    let text = process::capture(command("node").arg("--version"))?;
    match major(&text) {
        Some(major) if major >= OLDEST => Ok(()),
        _ => bail!("Node is `{}`; {CURE}", text.trim()),
    }
}

/// `20` of `v20.20.2`.
fn major(text: &str) -> Option<u32> {
    text.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Builds the handler in `folder` to `component`, unless that is newer.
pub(crate) fn build(folder: &Path, component: &Path) -> Result<()> {
    let sources = [repository::root().join(SDK), folder.to_owned()];
    fresh::unless_fresh(&sources, component, || {
        install_sdk()?;
        let copy = install(folder)?;
        process::run(npm(&copy).args(["run", "build", "--", "--output"]).arg(component))
    })
}

/// The unit tests of the SDK.
pub(crate) fn test_sdk() -> Result<Command> {
    let copy = install_sdk()?;
    Ok(npm_test(&copy))
}

/// The unit tests of the handler in `folder`.
pub(crate) fn test(folder: &Path) -> Result<Command> {
    install_sdk()?;
    let copy = install(folder)?;
    Ok(npm_test(&copy))
}

fn install_sdk() -> Result<PathBuf> {
    // A test of the SDK compares the contract with its copy.
    mirror(&repository::root().join("wit"))?;
    install(&repository::root().join(SDK))
}

/// Copies a package into the target directory and installs what its lock file names, unless that is installed.
fn install(folder: &Path) -> Result<PathBuf> {
    let copy = mirror(folder)?;
    let lock = fs::read(copy.join("package-lock.json"))
        .with_context(|| format!("`{}` has no package-lock.json", shown(folder)))?;
    let installed = copy.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(copy);
    }
    // No package needs its install script: esbuild's only makes its first start faster.
    process::run(npm(&copy).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    fs::write(&installed, lock).with_context(|| format!("cannot write `{}`", installed.display()))?;
    Ok(copy)
}

/// Copies a folder to its place in the copy of the repository and takes away there what is gone here, but not what npm
/// installed.
fn mirror(folder: &Path) -> Result<PathBuf> {
    let below = folder.strip_prefix(repository::root()).context("a package is in the repository")?;
    let copy = repository::target().join("guests-build/javascript").join(below);
    copy_files(folder, &copy).with_context(|| format!("cannot copy `{}`", shown(folder)))?;
    Ok(copy)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for old in fresh::files(to)? {
        if !from.join(old.strip_prefix(to)?).is_file() {
            fs::remove_file(old)?;
        }
    }
    for file in fresh::files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(&file, target)?;
    }
    Ok(())
}

fn npm_test(copy: &Path) -> Command {
    let mut npm = npm(copy);
    npm.arg("test");
    npm
}

fn npm(copy: &Path) -> Command {
    let mut npm = command("npm");
    npm.current_dir(copy);
    npm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_its_first_number() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20"), None);
    }

    #[test]
    fn a_copy_follows_its_original_and_keeps_what_npm_installed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/a.js"), "a").unwrap();
        copy_files(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("src/a.js")).unwrap(), b"a");
        fs::create_dir(to.join("node_modules")).unwrap();
        fs::write(to.join("node_modules/b.js"), "b").unwrap();
        fs::rename(from.join("src/a.js"), from.join("c.js")).unwrap();
        copy_files(&from, &to).unwrap();
        assert!(!to.join("src/a.js").exists() && to.join("c.js").exists() && to.join("node_modules/b.js").exists());
    }
}
