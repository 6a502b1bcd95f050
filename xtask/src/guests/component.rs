//! Making components of core modules, for languages whose compilers stop there: with `hostel-component`, which is built
//! from `guest-sdk/component` when it is first wanted.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{self, cargo, command};
use crate::repository;

/// The tool, ready to run.
pub(crate) struct Wrapper {
    program: PathBuf,
}

impl Wrapper {
    /// Builds the tool, unless it is built.
    pub(crate) fn build() -> Result<Self> {
        let folder = repository::root().join("guest-sdk/component");
        // Apart from the host's: it is a workspace of its own, so that its features do not reach the host's wasmtime.
        let target = repository::target().join("component-build");
        let mut build = cargo();
        build.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(folder.join("Cargo.toml"));
        process::run(build.env("CARGO_TARGET_DIR", &target)).context("cannot build hostel-component")?;
        Ok(Self { program: target.join("debug/hostel-component") })
    }

    /// Makes a component of a module, and checks that it fits the contract.
    pub(crate) fn wrap(&self, module: &Path, component: &Path) -> Result<()> {
        let wit = repository::root().join("wit");
        process::run(command(&self.program).arg(module).arg(wit).arg(component))
    }
}
