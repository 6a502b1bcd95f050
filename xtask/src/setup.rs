//! `cargo xtask setup`: makes ready what the host, guests and tests need.

use anyhow::{Context, Result};

use crate::process::{self, cargo, command};
use crate::toolchain::{self, Toolchain};

/// What is ready after the set-up.
pub(crate) struct Ready {
    /// Compiles guests.
    pub(crate) toolchain: Toolchain,
}

/// Finds or installs `make` and the guests' tool chain, and says which way it took.
pub(crate) fn run() -> Result<Ready> {
    if process::on_path("make").is_none() {
        println!("installing make, with which the host's allocator is compiled");
        toolchain::install(&["make"]).context("the host does not compile without `make`; install it")?;
    }
    println!("looking for a tool chain that compiles to {}", toolchain::TARGET);
    let toolchain = toolchain::find()?;
    println!("guests are compiled by {}", toolchain.describe());
    Ok(Ready { toolchain })
}

/// Whether `cargo <name>` works, after trying to add it with rustup as `component`.
pub(crate) fn has_component(name: &str, component: &str) -> bool {
    let works = || process::succeeds(cargo().args([name, "--version"]));
    if works() {
        return true;
    }
    // Failure is the caller's to report: it knows what is skipped for want of the component.
    process::on_path("rustup").is_some()
        && process::run(command("rustup").args(["component", "add", component])).is_ok()
        && works()
}
