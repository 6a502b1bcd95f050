//! Rust: cargo builds for `wasm32-wasip2`, whose linker makes a component.
//!
//! Two tool chains do: a Rust that has the target, as `rustup target add` makes it, or Debian's second Rust with its
//! library sources, for machines that do not reach Rust's own downloads.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use hostel_api::problem::Code;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::author::project::Project;
use crate::author::tool;
use crate::cli::failure::Failure;
use crate::cli::output;

const TARGET: &str = "wasm32-wasip2";
const CURE: &str = "rustup target add wasm32-wasip2";

/// What Debian's way needs: the compiler, its cargo and library sources, the linker, and the C library below Rust's.
const DEBIAN: [&str; 5] = [
    "/usr/bin/rustc",
    "/usr/bin/cargo",
    "/usr/bin/wasm-ld-19",
    "/usr/lib/wasm32-wasi/libc.a",
    "/usr/lib/rustlib/src/rust/library/Cargo.toml",
];
/// The linker that makes a component of a core module. Debian's Rust comes without it, Rust's own has it.
const COMPONENT_LINKER: &str = "wasm-component-ld";

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    let mut cargo = cargo_build(&project.folder).await?;
    cargo.args(["build", "--release", "--target", TARGET]);
    let built = artifact(&mut cargo, &project.folder.join("Cargo.toml")).await?;
    let bytes = std::fs::read(&built).map_err(|error| Failure::unreadable(&built, &error))?;
    super::place(&bytes, &project.component)
}

/// The cargo of a tool chain that has the target.
pub(super) async fn cargo_build(folder: &Path) -> Result<Command, Failure> {
    if has_target(folder).await {
        return Ok(tool::command("cargo", folder));
    }
    if DEBIAN.iter().all(|path| Path::new(path).is_file())
        && let Some(linker) = component_linker(folder).await
    {
        return Ok(debian_cargo(folder, &linker));
    }
    if tool::on_path("cargo").is_none() {
        return Err(tool::missing(
            "there is no `cargo`",
            "install Rust with rustup (rustup.rs), then: rustup target add wasm32-wasip2",
        ));
    }
    Err(tool::missing(&format!("this Rust has no target `{TARGET}`"), CURE))
}

async fn has_target(folder: &Path) -> bool {
    let mut rustc = tool::command("rustc", folder);
    let Some(libraries) = tool::ask(rustc.args(["--print", "target-libdir", "--target", TARGET])).await else {
        return false;
    };
    let entries = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// The folder of the linker: on `PATH`, or where Rust's own distribution carries it.
async fn component_linker(folder: &Path) -> Option<PathBuf> {
    if let Some(path) = tool::on_path(COMPONENT_LINKER) {
        return path.parent().map(Path::to_owned);
    }
    let about = tool::ask(tool::command("rustc", folder).arg("-vV")).await?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "))?;
    let root = tool::ask(tool::command("rustc", folder).args(["--print", "sysroot"])).await?;
    let folder = Path::new(&root).join("lib/rustlib").join(host).join("bin");
    folder.join(COMPONENT_LINKER).is_file().then_some(folder)
}

/// Debian's cargo with Debian's compiler, which compiles the library for the target from its sources.
fn debian_cargo(folder: &Path, linker: &Path) -> Command {
    let mut cargo = tool::command("/usr/bin/cargo", folder);
    // Any of these would win over what is set below, or mix two compilers.
    for name in
        ["CARGO", "LD_LIBRARY_PATH", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"]
    {
        cargo.env_remove(name);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(linker.to_owned()).chain(std::env::split_paths(&path));
    // A folder with a separator in its name cannot be on PATH at all; then the old one has to do.
    cargo.env("PATH", std::env::join_paths(folders).unwrap_or(path));
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    cargo.env(
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "-C link-self-contained=no -L native=/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-19",
    );
    cargo.arg("-Zbuild-std=std,panic_abort");
    cargo
}

/// Runs cargo and returns the component of the package whose manifest is given: only cargo knows where it puts it.
async fn artifact(cargo: &mut Command, manifest: &Path) -> Result<PathBuf, Failure> {
    output::talk("$ cargo build --release --target wasm32-wasip2");
    cargo.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let mut child = cargo.spawn().map_err(|error| tool::unstartable(cargo, &error))?;
    let mut found = None;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            found = component_of(&line, manifest).or(found);
        }
    }
    let status = child.wait().await.map_err(|error| tool::unstartable(cargo, &error))?;
    if !status.success() {
        return Err(tool::failed(cargo, status));
    }
    found.ok_or_else(|| {
        Failure::coded(
            Code::BuildFailed,
            "cargo made no component; does `[lib]` in Cargo.toml say `crate-type = [\"cdylib\"]`?",
        )
    })
}

fn component_of(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if Path::new(message.get("manifest_path")?.as_str()?) != manifest {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_known_by_its_package() {
        let message = r#"{"manifest_path": "/a/Cargo.toml", "filenames": ["/t/a.d", "/t/a.wasm"]}"#;
        assert_eq!(component_of(message, Path::new("/a/Cargo.toml")), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(component_of(message, Path::new("/b/Cargo.toml")), None);
        assert_eq!(component_of(r#"{"reason": "build-finished"}"#, Path::new("/a/Cargo.toml")), None);
    }
}
