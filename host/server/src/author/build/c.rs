//! C: clang makes a core module of WASI preview 1, and a component is made of that.

use std::path::{Path, PathBuf};

use hostel_api::problem::Code;

use crate::author::project::Project;
use crate::author::{sdk, tool};
use crate::cli::failure::Failure;

use super::component;

const COMPILER: &str = "clang-19";
const LINKER: &str = "/usr/bin/wasm-ld-19";
const LIBRARY: &str = "/usr/lib/wasm32-wasi/libc.a";
const CURE: &str = "apt-get install --no-install-recommends clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32";

/// Of the SDK, what is compiled into a component.
const SDK_SOURCES: [&str; 3] = ["src/hostel.c", "src/component.c", "bindings/bindings.c"];

pub(super) async fn build(project: &Project) -> Result<(), Failure> {
    check()?;
    let module = project.work("build")?.join("module.wasm");
    // Relative, so that no folder of this machine is in the component.
    let sdk = Path::new(sdk::FOLDER);
    let mut clang = tool::command(COMPILER, &project.folder);
    clang
        .args(["--target=wasm32-wasi", "--sysroot=/usr", "-I/usr/include/wasm32-wasi", "-L/usr/lib/wasm32-wasi"])
        .args(["-mexec-model=reactor", &format!("-fuse-ld={LINKER}"), "-O2", "-ffunction-sections", "-fdata-sections"])
        .args(["-std=c11", "-Wall", "-Wextra"])
        .arg("-I")
        .arg(sdk.join("include"))
        .arg("-o")
        .arg(&module)
        .args(sources(&project.folder)?)
        .args(SDK_SOURCES.map(|file| sdk.join(file)));
    tool::run(&mut clang).await?;
    component::wrap(project, &module).await
}

pub(super) fn check() -> Result<(), Failure> {
    let missing = match () {
        () if tool::on_path(COMPILER).is_none() => COMPILER,
        () if !Path::new(LINKER).is_file() => LINKER,
        () if !Path::new(LIBRARY).is_file() => LIBRARY,
        () => return Ok(()),
    };
    Err(tool::missing(&format!("`{missing}` is missing"), CURE))
}

/// The project's own sources: those in its folder and in `src`, but not its tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut sources = Vec::new();
    for below in ["", "src"] {
        let entries = std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten();
        let names = entries.map(|entry| Path::new(below).join(entry.file_name()));
        sources.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "c")));
    }
    sources.sort();
    if sources.is_empty() {
        let text = format!("no file in `{}` or its folder `src` ends in .c", folder.display());
        return Err(Failure::coded(Code::BuildFailed, text));
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_those_of_the_project_without_its_tests() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sources(folder.path()).is_err());
        for below in ["src", "tests"] {
            std::fs::create_dir(folder.path().join(below)).unwrap();
        }
        for name in ["b.c", "a.c", "a.h", "src/d.c", "tests/c.c"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(sources(folder.path()).unwrap(), ["a.c", "b.c", "src/d.c"].map(PathBuf::from));
    }
}
