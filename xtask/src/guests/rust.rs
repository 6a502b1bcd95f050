//! Rust's handlers: one cargo workspace, whose target `wasm32-wasip2` makes components. Also the host, which cargo builds
//! in the same manner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Guests, handler_folders, place};
use crate::process;
use crate::repository::{self, shown};
use crate::setup::Ready;

/// Compiles every handler below `handlers/rust`.
pub(crate) fn build(ready: &Ready) -> Result<Guests> {
    let workspace = repository::root().join("handlers/rust");
    let folders = handler_folders(&workspace)?;
    let built = components(ready, &workspace)?;
    let target = made(repository::guests())?;
    let mut guests = Guests::new();
    for (name, folder) in folders {
        let Some((_, component)) = built.iter().find(|(package, _)| package.starts_with(&folder)) else {
            bail!("`{}` made no component; does its Cargo.toml say `crate-type = [\"cdylib\"]`?", shown(&folder));
        };
        // Under cargo's own name for it, `student_registrations.wasm`: that is what an author finds without this chore.
        let path = target.join(component.file_name().unwrap_or(name.as_ref()));
        let bytes = place(component, &path)?;
        println!("{name}: {} KiB in {}", bytes.div_ceil(1024), shown(&path));
        guests.insert(name, path);
    }
    Ok(guests)
}

/// Compiles the guests that only the benches run, into `target/guests/benches`, and `hello` without WASI into
/// `target/guests/bare`.
pub(crate) fn build_for_benches(ready: &Ready) -> Result<()> {
    let folder = made(repository::guests().join("benches"))?;
    for (_, component) in components(ready, &repository::root().join("benches/guests"))? {
        place(&component, &folder.join(component.file_name().unwrap_or_default()))?;
    }
    let folder = made(repository::guests().join("bare"))?;
    let component = folder.join("hello.wasm");
    // Nobody is to take that of another day for today's.
    if component.exists() {
        fs::remove_file(&component).with_context(|| format!("cannot remove `{}`", component.display()))?;
    }
    let handlers = repository::root().join("handlers/rust");
    let built =
        ready.toolchain.cargo_build_bare().and_then(|cargo| compiled(cargo, &handlers, &["--package", "hello"]));
    match built {
        Ok(built) => {
            for (_, found) in built {
                place(&found, &component)?;
            }
        }
        Err(error) => println!("SKIPPED: `hello` in Rust without WASI: {error:#}"),
    }
    Ok(())
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    Ok(folder)
}

/// Compiles a workspace of guests; gives the folder of each and its component.
fn components(ready: &Ready, workspace: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    compiled(ready.toolchain.cargo_build(), workspace, &["--workspace"])
}

/// The same for some of its packages, with a given `cargo build`.
fn compiled(mut cargo: Command, workspace: &Path, packages: &[&str]) -> Result<Vec<(PathBuf, PathBuf)>> {
    cargo
        .args(["--release", "--locked"])
        .args(packages)
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        // Apart from the host's: another profile and perhaps another compiler.
        .env("CARGO_TARGET_DIR", repository::target().join("guests-build"));
    artifacts(&mut cargo, ".wasm")
}

/// Compiles the host and returns the binary's path.
pub(crate) fn build_host() -> Result<PathBuf> {
    let mut command = process::cargo();
    // `cargo test --workspace` turns on what any test needs of a dependency, and `--package hostel-server` would not:
    // anyhow and tokio would differ, and wasmtime above them be compiled twice, for minutes. One small test beside the
    // binary makes cargo choose as it does there.
    command.args(["build", "--locked", "--workspace", "--bin", "hostel", "--test", "tidy"]);
    let built = artifacts(&mut command, "/hostel")?;
    built.into_iter().map(|(_, path)| path).next().context("cargo built no program called `hostel`")
}

/// Runs a cargo build and returns, for each file it made or found fresh whose name ends so, the folder of its package
/// and its path.
fn artifacts(command: &mut Command, ending: &str) -> Result<Vec<(PathBuf, PathBuf)>> {
    println!("$ {}", process::shown(command));
    command.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", process::shown(command)))?;
    let mut found = Vec::new();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let message: Value = serde_json::from_str(&line?).context("cargo wrote something other than JSON")?;
        found.extend(artifact(&message, ending));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` ended with {status}", process::shown(command));
    }
    Ok(found)
}

fn artifact(message: &Value, ending: &str) -> Option<(PathBuf, PathBuf)> {
    let files = message.get("filenames")?.as_array()?;
    let path = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(ending))?;
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    Some((manifest.parent()?.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_known_by_its_package_folder() {
        let message = serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": "/r/handlers/rust/hello/Cargo.toml",
            "filenames": ["/t/release/hello.d", "/t/release/hello.wasm"],
        });
        let expected = (PathBuf::from("/r/handlers/rust/hello"), PathBuf::from("/t/release/hello.wasm"));
        assert_eq!(artifact(&message, ".wasm"), Some(expected));
        assert_eq!(artifact(&message, ".so"), None);
        assert_eq!(artifact(&serde_json::json!({"reason": "build-finished"}), ".wasm"), None);
    }
}
