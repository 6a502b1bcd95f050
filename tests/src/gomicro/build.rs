//! Building the drivers with the ordinary Go client and their committed `go.sum`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::Version;
use crate::repository;

/// What is already known. One failure is as good as ten.
static BUILT: Mutex<BTreeMap<Version, Result<(), String>>> = Mutex::new(BTreeMap::new());

/// Where the drivers are built to.
pub(super) fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    own.ancestors().nth(3).expect("tests are in target/<profile>/deps").join("gomicro")
}

/// Builds a version's driver.
///
/// # Errors
/// Why that is not possible here: no Go, or modules that cannot be fetched. What is wrong with the driver itself is a
/// panic.
pub(super) fn build(version: Version) -> Result<(), String> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(version).or_insert_with(|| build_now(version)).clone()
}

fn build_now(version: Version) -> Result<(), String> {
    let source = repository().join("tests/interop/gomicro").join(version.folder());
    fs::create_dir_all(folder()).expect("a folder below target");
    // Other test programs may build the same.
    let lock = File::create(folder().join("lock")).expect("a file below target");
    lock.lock().expect("files can be locked");
    fetch(&source)?;
    let output = go(&source).args(["build", "-o"]).arg(version.program()).arg(".").output().expect("go ran before");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the driver in `{}` does not build:\n{said}", source.display());
    Ok(())
}

/// Brings the modules here. Apart from building: without a network this says nothing about the driver.
fn fetch(source: &Path) -> Result<(), String> {
    let listed = go(source).args(["list", "-deps", "."]).output();
    let output = listed.map_err(|error| format!("cannot run `go`: {error}; cure: install Go 1.24 or newer"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let is_ours = ["go.sum", "checksum", "SECURITY ERROR", "updates to go.mod"].iter().any(|text| said.contains(text));
    assert!(output.status.success() || !is_ours, "`{}`: {said}", source.display());
    if output.status.success() {
        return Ok(());
    }
    let why = said.lines().find(|line| !line.starts_with("go: downloading")).unwrap_or("it does not say why");
    Err(format!("the Go modules of the driver cannot be fetched: {why}"))
}

fn go(source: &Path) -> Command {
    let mut command = Command::new("go");
    // As committed, whatever the environment says. A clone without history builds as well, and so does one without a C
    // compiler.
    command
        .current_dir(source)
        .env("GOFLAGS", "-mod=readonly -trimpath -buildvcs=false")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0");
    command
}
