//! From a core module to a component, for languages whose compilers stop there, with the tool `hostel-component`.
//!
//! It stands beside this binary or on `PATH`. Where it does not, it is compiled once, from the source that this binary
//! carries, into the user's cache folder. It is a program of its own, since what it is made of would turn on features
//! of crates that wasmtime is made of, too.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::author::embedded::COMPONENT_TOOL;
use crate::author::project::Project;
use crate::author::{sdk, tool};
use crate::cli::failure::Failure;
use crate::cli::output;

const NAME: &str = "hostel-component";
const CURE: &str =
    "install Rust with rustup (rustup.rs), which compiles it once; or put `hostel-component` beside `hostel`";

/// Makes the project's component of a module. Its types are those of the contract that the SDK in the project has.
pub(super) async fn wrap(project: &Project, module: &Path) -> Result<(), Failure> {
    let program = find(&project.folder).await?;
    let made = module.with_file_name("component.wasm");
    let contract = project.folder.join(sdk::FOLDER).join("wit");
    tool::run(tool::command(program, &project.folder).arg(module).arg(contract).arg(&made)).await?;
    let bytes = fs::read(&made).map_err(|error| Failure::unreadable(&made, &error))?;
    super::place(&bytes, &project.component)
}

async fn find(folder: &Path) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(NAME)).filter(|path| path.is_file());
    if let Some(path) = beside.or_else(|| tool::on_path(NAME)) {
        return Ok(path);
    }
    let Some(cache) = cache_folder() else {
        return Err(tool::missing("there is no `hostel-component`, and no HOME to compile it in", CURE));
    };
    let built = cache.join("target/debug").join(NAME);
    if built.is_file() {
        return Ok(built);
    }
    if tool::on_path("cargo").is_none() {
        return Err(tool::missing("there is no `hostel-component`, and no `cargo` to compile it with", CURE));
    }
    output::talk("compiling `hostel-component`, once; it takes a minute or two");
    for (path, content) in COMPONENT_TOOL {
        sdk::write(&cache.join(path), content)?;
    }
    let mut cargo = tool::command("cargo", folder);
    cargo.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(cache.join("Cargo.toml"));
    // Where the user has all builds go, it would not be found again.
    cargo.env("CARGO_TARGET_DIR", cache.join("target"));
    tool::run(&mut cargo).await?;
    Ok(built)
}

/// A folder of the user's for this very source.
fn cache_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let mut hash = Sha256::new();
    for (path, content) in COMPONENT_TOOL {
        hash.update(format!("{path}\0{}\0", content.len()));
        hash.update(content);
    }
    let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(base.join("hostel").join(format!("component-{digest}")))
}
