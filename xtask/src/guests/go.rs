//! Go's handlers: `go build` makes a core module of WASI preview 1, and [`Wrapper`] makes a component of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::component::Wrapper;
use crate::process::{self, command};
use crate::repository;

/// The first Go that can export functions to WebAssembly.
const OLDEST: (u32, u32) = (1, 24);

/// Whether Go is there and new enough.
///
/// # Errors
/// Says what is missing and what brings it.
pub(crate) fn check() -> Result<()> {
    let cure = format!("install Go {}.{} or newer and have `go` on PATH", OLDEST.0, OLDEST.1);
    if process::on_path("go").is_none() {
        bail!("there is no Go; {cure}");
    }
    let text = process::capture(command("go").args(["env", "GOVERSION"]))?;
    match version(text.trim()) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => bail!("Go is `{}`; {cure}", text.trim()),
    }
}

/// `(1, 26)` of `go1.26.8`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("go")?.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Compiles the handler in `folder` and returns its component, in a folder for what is built on the way.
pub(crate) fn build(folder: &Path, wrapper: &Wrapper) -> Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default();
    let built = repository::target().join("guests-build/go").join(name);
    std::fs::create_dir_all(&built)?;
    let (module, component) = (built.join("module.wasm"), built.join("component.wasm"));
    // No paths of this machine in stack traces; a library, or Go would call `main` and end.
    let mut go = go(folder);
    go.env("GOOS", "wasip1").env("GOARCH", "wasm");
    process::run(go.args(["build", "-trimpath", "-buildmode=c-shared", "-o"]).arg(&module).arg("."))?;
    wrapper.wrap(&module, &component)?;
    Ok(component)
}

/// The native unit tests in `folder`, with one `--- PASS` or `--- FAIL` line for each. `go vet` is part of it.
pub(crate) fn test(folder: &Path) -> Command {
    let mut go = go(folder);
    go.args(["test", "-v", "./..."]);
    go
}

/// Go in a folder, asking no network: neither for a newer Go nor for modules. Without the state of the repository, or
/// each commit would make other components.
fn go(folder: &Path) -> Command {
    let mut go = command("go");
    go.current_dir(folder)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off");
    go
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(version("go1.26.8"), Some((1, 26)));
        assert_eq!(version("go1.24rc1"), Some((1, 24)));
        assert_eq!(version("devel +abc"), None);
        assert!(version("go1.9").unwrap() < OLDEST);
    }
}
