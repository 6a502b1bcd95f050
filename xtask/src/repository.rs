//! Where things are: the repository's root, the target directory and the folder of built guests.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root: the folder that holds this crate's folder.
pub(crate) fn root() -> &'static Path {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    this.parent().unwrap_or(this)
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
