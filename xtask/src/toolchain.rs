//! The tool chain that compiles guests to `wasm32-wasip2`: finding one, or installing one.
//!
//! Two ways, tried in this order: whatever is ready, then whatever can be made ready.
//! - The active Rust has the target, or `rustup target add` brings it.
//! - Debian packages a second Rust with its library sources; cargo compiles the library for the target from them. This
//!   is for machines that reach Debian's packages but not Rust's own downloads.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::{self, cargo, command};
use crate::repository;

/// What guests are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// What a handler that does without WASI is compiled for.
pub(crate) const BARE: &str = "wasm32-unknown-unknown";

/// Picks a way by name, for those who test the ways themselves: `rustup` or `debian`.
const WISH: &str = "XTASK_GUEST_TOOLCHAIN";

/// The compiler and its cargo, the library's sources, the linker, and the C library that Rust's own links to.
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19", "wasi-libc"];

/// The linker that wraps a core module as a component, for a Rust that comes without it. The newest when this was
/// written; any that takes `--wasm-ld-path` does.
const COMPONENT_LINKER: (&str, &str) = ("wasm-component-ld", "0.5.31");

/// A tool chain that is ready.
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// The Rust that runs this chore.
    Active,
    /// Debian's packages.
    Debian {
        /// Where `wasm-component-ld` stands.
        linker_folder: PathBuf,
    },
}

impl Toolchain {
    /// Which way was taken, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Active => format!("the active Rust tool chain, which has {TARGET}"),
            Self::Debian { linker_folder } => format!(
                "Debian's packages ({}), with wasm-component-ld from {}",
                PACKAGES.join(", "),
                linker_folder.display()
            ),
        }
    }

    /// `cargo build` for the target.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut command = match self {
            Self::Active => build(cargo()),
            Self::Debian { linker_folder } => debian_cargo_build(linker_folder),
        };
        command.args(["--target", TARGET]);
        command
    }

    /// `cargo build` for [`BARE`], whose linker makes a component as the other's does; as `hostel build` has it.
    pub(crate) fn cargo_build_bare(&self) -> Result<Command> {
        let mut command = match self {
            Self::Active => {
                if !active_has(BARE) {
                    add_target(BARE)?;
                }
                build(cargo())
            }
            Self::Debian { linker_folder } => debian_cargo_build(linker_folder),
        };
        let debian = "'-Clink-arg=--wasm-ld-path=/usr/bin/wasm-ld-19', ";
        let flags = if matches!(self, Self::Active) { "" } else { debian };
        command.args(["--target", BARE]);
        command.args(["--config", &format!("target.{BARE}.linker='{}'", COMPONENT_LINKER.0)]);
        command.args(["--config", &format!("target.{BARE}.rustflags=[{flags}'-Clink-arg=--initial-heap=262144']")]);
        Ok(command)
    }
}

fn build(mut cargo: Command) -> Command {
    cargo.arg("build");
    cargo
}

/// Finds a tool chain, and installs one when none is ready.
pub(crate) fn find() -> Result<Toolchain> {
    let wish = env::var(WISH).ok().filter(|name| !name.is_empty());
    let (active, debian) = match wish.as_deref() {
        None => (true, true),
        Some("rustup") => (true, false),
        Some("debian") => (false, true),
        Some(other) => bail!("{WISH} is `{other}`; it may be `rustup` or `debian`"),
    };
    if active && active_has(TARGET) {
        return Ok(Toolchain::Active);
    }
    let missing = missing_packages();
    if debian && missing.is_empty() {
        return debian_toolchain();
    }
    let mut failures = Vec::new();
    if active {
        println!("the active Rust tool chain has no {TARGET}; trying rustup");
        match add_target(TARGET) {
            Ok(()) => return Ok(Toolchain::Active),
            Err(error) => failures.push(format!("- {error:#}\n  cure: rustup target add {TARGET}")),
        }
    }
    if debian {
        println!("going Debian's way: missing are {}", missing.join(", "));
        match install(&missing).and_then(|()| debian_toolchain()) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => failures.push(format!("- {error:#}\n  cure: {}", install_line(&missing))),
        }
    }
    Err(anyhow!("no Rust tool chain can compile to {TARGET}:\n{}", failures.join("\n")))
}

fn active_has(target: &str) -> bool {
    let folder = process::capture(command("rustc").args(["--print", "target-libdir", "--target", target]));
    let Ok(entries) = folder.and_then(|folder| Ok(std::fs::read_dir(folder.trim())?)) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn add_target(target: &str) -> Result<()> {
    if process::on_path("rustup").is_none() {
        bail!("rustup is not on PATH");
    }
    let mut rustup = command("rustup");
    rustup.args(["target", "add", target]);
    // There is another way: one unanswered download is enough to take it.
    if env::var_os("RUSTUP_MAX_RETRIES").is_none() {
        rustup.env("RUSTUP_MAX_RETRIES", "0");
    }
    process::run(&mut rustup)?;
    if !active_has(target) {
        bail!(
            "rustup added {target}, and the active rustc still does not have it; is another rustc before it on PATH?"
        );
    }
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let installed = |package: &str| {
        process::capture(command("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev}", package]))
            .is_ok_and(|status| status.trim() == "ii")
    };
    PACKAGES.into_iter().filter(|package| !installed(package)).collect()
}

/// Installs packages as Debian does.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if process::on_path("apt-get").is_none() {
        bail!("apt-get is not on PATH: this is not Debian or a relative of it");
    }
    let user = process::capture(command("id").arg("-u"))?;
    if user.trim() != "0" {
        bail!("only root may install packages, and this is user {}", user.trim());
    }
    process::run(command("apt-get").arg("update"))?;
    let mut apt = command("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut apt)
}

fn install_line(packages: &[&str]) -> String {
    let packages = if packages.is_empty() { PACKAGES.join(" ") } else { packages.join(" ") };
    format!("apt-get update && apt-get install {packages}")
}

fn debian_toolchain() -> Result<Toolchain> {
    if let Some(linker_folder) = rustc_linker_folder() {
        return Ok(Toolchain::Debian { linker_folder });
    }
    let (name, version) = COMPONENT_LINKER;
    let root = repository::target().join("tools");
    let installed = root.join("bin");
    if let Some(folder) = process::on_path(name).and_then(|path| Some(path.parent()?.to_owned())) {
        return Ok(Toolchain::Debian { linker_folder: folder });
    }
    if !installed.join(name).is_file() {
        println!("no {name} beside rustc or on PATH; compiling it once");
        process::run(cargo().args(["install", name, "--version", version, "--locked", "--root"]).arg(&root))
            .with_context(|| format!("cannot install {name}"))?;
    }
    Ok(Toolchain::Debian { linker_folder: installed })
}

/// Rust's own distribution carries the linker, whether or not it carries the target.
fn rustc_linker_folder() -> Option<PathBuf> {
    let about = process::capture(command("rustc").arg("-vV")).ok()?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "))?;
    let sysroot = process::capture(command("rustc").args(["--print", "sysroot"])).ok()?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    folder.join(COMPONENT_LINKER.0).is_file().then_some(folder)
}

fn debian_cargo_build(linker_folder: &Path) -> Command {
    let mut command = build(command("/usr/bin/cargo"));
    command.arg("-Zbuild-std=std,panic_abort");
    // The cargo that runs this chore leaves its own compiler, flags and libraries behind; any of them would win over
    // what is set below, or mix two compilers.
    let foreign = [
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "LD_LIBRARY_PATH",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ];
    for name in foreign {
        command.env_remove(name);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(linker_folder.to_owned()).chain(env::split_paths(&path));
    // A folder with a separator in its name cannot be on PATH at all; then the old one has to do.
    command.env("PATH", env::join_paths(folders).unwrap_or(path));
    command.env("RUSTC", "/usr/bin/rustc");
    // `-Z` is for nightly only; Debian's is a stable release, and its library sources are the very ones of its compiler.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env(
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "-C link-self-contained=no -L native=/usr/lib/wasm32-wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-19",
    );
    command
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn the_debian_way_hides_the_other_compiler() {
        let command = Toolchain::Debian { linker_folder: "/opt/linker".into() }.cargo_build();
        let value = |name: &str| command.get_envs().find(|(key, _)| *key == OsStr::new(name)).map(|(_, value)| value);
        assert_eq!(value("RUSTUP_TOOLCHAIN"), Some(None), "removed");
        assert_eq!(value("RUSTFLAGS"), Some(None), "removed");
        assert_eq!(value("RUSTC"), Some(Some(OsStr::new("/usr/bin/rustc"))));
        let path = value("PATH").flatten().unwrap().to_string_lossy().into_owned();
        assert!(path.starts_with("/opt/linker:"), "{path}");
    }

    #[test]
    fn a_component_is_linked_where_the_target_makes_modules() {
        let command = Toolchain::Debian { linker_folder: "/opt/linker".into() }.cargo_build_bare().unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let has = |pair: [&str; 2]| words.windows(2).any(|found| found == pair);
        assert!(has(["--target", "wasm32-unknown-unknown"]), "{words:?}");
        assert!(has(["--config", "target.wasm32-unknown-unknown.linker='wasm-component-ld'"]), "{words:?}");
        assert!(!words.iter().any(|word| word == TARGET), "{words:?}");
    }

    #[test]
    fn the_cure_names_the_packages_that_are_missing() {
        assert_eq!(install_line(&["lld-19"]), "apt-get update && apt-get install lld-19");
    }
}
