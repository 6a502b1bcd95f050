//! C's handlers: clang makes a core module of WASI preview 1, and [`Wrapper`] makes a component of it. Their unit tests
//! are compiled natively.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::component::Wrapper;
use crate::process::{self, command};
use crate::repository;

/// Debian's names for what is needed.
const PACKAGES: [&str; 4] = ["clang-19", "lld-19", "wasi-libc", "libclang-rt-19-dev-wasm32"];

const COMPILER: &str = "clang-19";
const LINKER: &str = "/usr/bin/wasm-ld-19";
const LIBRARY: &str = "/usr/lib/wasm32-wasi/libc.a";

/// For the SDK and every handler, in components and in tests.
const WARNINGS: [&str; 4] = ["-std=c11", "-Wall", "-Wextra", "-Werror"];

/// Whether clang, its linker and the C library are there.
///
/// # Errors
/// Says what is missing and the command that brings it.
pub(crate) fn check() -> Result<()> {
    let missing = match () {
        () if process::on_path(COMPILER).is_none() => COMPILER,
        () if !Path::new(LINKER).is_file() => LINKER,
        () if !Path::new(LIBRARY).is_file() => LIBRARY,
        () => return Ok(()),
    };
    bail!(
        "`{missing}` is missing; on Debian and its relatives: apt-get install --no-install-recommends {}",
        PACKAGES.join(" ")
    )
}

/// Compiles the handler in `folder` and returns its component, in a folder for what is built on the way.
pub(crate) fn build(folder: &Path, wrapper: &Wrapper) -> Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default();
    let built = repository::target().join("guests-build/c").join(name);
    std::fs::create_dir_all(&built)?;
    let (module, component) = (built.join("module.wasm"), built.join("component.wasm"));
    let sdk = sdk();
    let mut clang = command(COMPILER);
    clang
        .args(["--target=wasm32-wasi", "--sysroot=/usr", "-I/usr/include/wasm32-wasi", "-L/usr/lib/wasm32-wasi"])
        .args(["-mexec-model=reactor", &format!("-fuse-ld={LINKER}"), "-O2", "-ffunction-sections", "-fdata-sections"])
        .args(WARNINGS)
        .arg("-I")
        .arg(sdk.join("include"))
        .arg("-o")
        .arg(&module)
        .args(sources(folder)?)
        .args(["src/hostel.c", "src/component.c", "bindings/bindings.c"].map(|file| sdk.join(file)));
    process::run(&mut clang)?;
    wrapper.wrap(&module, &component)?;
    Ok(component)
}

/// Compiles the unit tests in `tests/` of `folder`, a handler or the SDK itself, and returns the program that runs
/// them. Its last line is `N passed, N failed`.
pub(crate) fn test(folder: &Path) -> Result<Command> {
    let name = folder.file_name().unwrap_or_default();
    let built = repository::target().join("guests-build/c").join(name);
    std::fs::create_dir_all(&built)?;
    let program = built.join("unit-tests");
    let sdk = sdk();
    let mut cc = command("cc");
    cc.args(WARNINGS)
        // Memory that is misused ends the test, in the handler as in the SDK.
        .args(["-D_POSIX_C_SOURCE=200809L", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .arg("-I")
        .arg(sdk.join("include"))
        .arg("-o")
        .arg(&program)
        .args(sources(folder)?)
        .args(sources(&folder.join("tests"))?)
        .args(["src/hostel.c", "src/hostel_test.c"].map(|file| sdk.join(file)));
    process::run(&mut cc)?;
    Ok(command(program))
}

fn sdk() -> PathBuf {
    repository::root().join("guest-sdk/c")
}

/// The files of C in a folder, without those below it.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut sources: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_those_of_the_folder_itself_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tests")).unwrap();
        for name in ["b.c", "a.c", "a.h", "tests/c.c"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = sources(folder.path()).unwrap();
        assert_eq!(names, ["a.c", "b.c"].map(|name| folder.path().join(name)));
    }
}
