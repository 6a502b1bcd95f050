//! Rust: cargo builds for `wasm32-wasip2`, whose linker makes a component; or, for a project that says that it does
//! without WASI, for `wasm32-unknown-unknown` with the same linker.
//!
//! Two tool chains do: a Rust that has the target, as `rustup target add` makes it, or Debian's second Rust with its
//! library sources, for machines that do not reach Rust's own downloads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hostel_api::document;
use hostel_api::problem::Code;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::author::project::Project;
use crate::author::tool;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Where a project says how it is to be built.
const PROJECT: &str = "Cargo.toml";

/// What a project is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Rust's whole library.
    Wasi,
    /// Without files, clocks and standard streams, and without what it takes to import them.
    Bare,
}

/// Cargo.toml, as far as it speaks to us.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cargo {
    package: Package,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Package {
    metadata: Metadata,
}

/// What stands here for others is not ours to judge.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    hostel: Build,
}

/// `[package.metadata.hostel]`: how a project is built.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Build {
    wasi: bool,
}

impl Default for Build {
    fn default() -> Self {
        Self { wasi: true }
    }
}

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
/// Where it comes from otherwise.
const COMPONENT_LINKER_CURE: &str = "cargo install wasm-component-ld";
/// How cargo is told to make a component where its target makes core modules.
const BARE_LINKER: &str = "target.wasm32-unknown-unknown.linker='wasm-component-ld'";
/// Room for some allocations from the start: each growth of the memory costs more than a small handler does, and room that
/// is not used costs nothing. For the handler alone, so that the author's own flags hold, wherever they stand.
const BARE_ROOM: &str = "-Clink-arg=--initial-heap=262144";

impl Target {
    /// What the project in a folder asks for.
    fn of(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(PROJECT);
        let text = fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let cargo: Cargo = document::from_toml(&text, PROJECT)
            .map_err(|error| Failure::coded(Code::MalformedDocument, error.to_string()))?;
        Ok(if cargo.package.metadata.hostel.wasi { Self::Wasi } else { Self::Bare })
    }

    /// Its name for Rust.
    const fn triple(self) -> &'static str {
        match self {
            Self::Wasi => "wasm32-wasip2",
            Self::Bare => "wasm32-unknown-unknown",
        }
    }
}

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    let target = Target::of(&project.folder)?;
    let mut cargo = cargo_build(&project.folder, target).await?;
    // What comes from cargo is read, and so is not for people.
    let read = ["--message-format", "json-render-diagnostics"];
    match target {
        Target::Wasi => cargo.args(["build", "--release", "--target", target.triple()]).args(read),
        Target::Bare => cargo
            .args(["rustc", "--lib", "--release", "--target", target.triple()])
            .args(["--config", BARE_LINKER])
            .args(read)
            .args(["--", BARE_ROOM]),
    };
    output::talk(&format!("$ cargo build --release --target {}", target.triple()));
    let built = artifact(&mut cargo, &project.folder.join(PROJECT)).await?;
    let bytes = fs::read(&built).map_err(|error| Failure::unreadable(&built, &error))?;
    super::place(&bytes, &project.component)
}

/// Whether there is a tool chain for what stands in a folder.
pub(super) async fn check(folder: &Path) -> Result<(), Failure> {
    // Where there is no project, or none that can be read, for the usual one.
    let target = Target::of(folder).unwrap_or(Target::Wasi);
    cargo_build(folder, target).await.map(drop)
}

/// The cargo of a tool chain that has the target.
async fn cargo_build(folder: &Path, target: Target) -> Result<Command, Failure> {
    let triple = target.triple();
    let has_target = has_target(folder, triple).await;
    // Where Rust has the other target it has this linker as well: it is the target's own.
    if has_target && target == Target::Wasi {
        return Ok(tool::command("cargo", folder));
    }
    let linker = component_linker(folder).await;
    if has_target && linker.is_some() {
        return Ok(tool::command("cargo", folder));
    }
    if DEBIAN.iter().all(|path| Path::new(path).is_file())
        && let Some(linker) = &linker
    {
        return Ok(debian_cargo(folder, linker));
    }
    if has_target {
        return Err(tool::missing(&format!("there is no `{COMPONENT_LINKER}`"), COMPONENT_LINKER_CURE));
    }
    if tool::on_path("cargo").is_none() {
        return Err(tool::missing(
            "there is no `cargo`",
            &format!("install Rust with rustup (rustup.rs), then: rustup target add {triple}"),
        ));
    }
    Err(tool::missing(&format!("this Rust has no target `{triple}`"), &format!("rustup target add {triple}")))
}

async fn has_target(folder: &Path, triple: &str) -> bool {
    let mut rustc = tool::command("rustc", folder);
    let Some(libraries) = tool::ask(rustc.args(["--print", "target-libdir", "--target", triple])).await else {
        return false;
    };
    let entries = fs::read_dir(libraries).into_iter().flatten().flatten();
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
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-19");
    cargo.arg("-Zbuild-std=std,panic_abort");
    cargo
}

/// Runs cargo and returns the component of the package whose manifest is given: only cargo knows where it puts it.
async fn artifact(cargo: &mut Command, manifest: &Path) -> Result<PathBuf, Failure> {
    cargo.stdout(Stdio::piped());
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

    #[test]
    fn a_project_says_whether_it_needs_wasi() {
        let of = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(PROJECT), text).unwrap();
            Target::of(folder.path()).map_err(|error| error.render().unwrap())
        };
        assert_eq!(of("[package]\nname = \"a\"").unwrap(), Target::Wasi);
        assert_eq!(of("[package.metadata.docs.rs]\nall-features = true").unwrap(), Target::Wasi);
        assert_eq!(of("[package.metadata.hostel]\nwasi = true").unwrap(), Target::Wasi);
        assert_eq!(of("[package.metadata.hostel]\nwasi = false").unwrap(), Target::Bare);
        let refused = of("[package.metadata.hostel]\nwassi = false").unwrap_err();
        assert!(refused.contains("`Cargo.toml` line 2") && refused.contains("did you mean `wasi`"), "{refused}");
        assert!(of("[package.metadata.hostel]\nwasi = 1").unwrap_err().contains("wasi"));
        assert!(of("[package").unwrap_err().contains("Cargo.toml"));
    }
}
