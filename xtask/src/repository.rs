//! Where things are: the repository's root, the target directory and the folder of built guests.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The repository's root: the folder that holds this crate's folder.
///
/// Cargo says at run time where that is. What it said at compile time may be another clone's: cargo takes clones that
/// share a target directory for one.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map_or_else(|| here.clone(), Path::to_owned)
});

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    &ROOT
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    // A relative path counts from where cargo was called, and so do we.
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// Where components are put. Fixed, whatever the target directory is: the samples' manifests name this folder.
pub(crate) fn guests() -> PathBuf {
    root().join("target/guests")
}

/// A path as people want to read it: relative to the root when it is below it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
