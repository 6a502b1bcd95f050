//! Whether a component is newer than what it was made of, for tools that take many seconds to make the same one again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// What tools leave in folders of sources.
const SKIPPED: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// Makes `component` with `make`, unless it was made of the same sources before. The digest of the sources stands beside
/// it, in a file called `<component>.sources`.
pub(crate) fn unless_fresh(sources: &[PathBuf], component: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = component.with_extension("wasm.sources");
    let digest = digest(sources)?;
    if component.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    make()?;
    fs::write(&stamp, digest).with_context(|| format!("cannot write `{}`", stamp.display()))
}

/// Every file below a folder, in order, without what tools leave there.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_symlink() || SKIPPED.contains(&&*name) || name.ends_with(".egg-info") {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn digest(sources: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for folder in sources {
        for path in files(folder)? {
            let content = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            // Lengths keep one file's end apart from the next one's beginning.
            hash.update(format!("{name}\0{}\0", content.len()));
            hash.update(content);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_made_again_only_when_its_sources_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, component) = (folder.path().join("src"), folder.path().join("a.wasm"));
        fs::create_dir_all(sources.join("node_modules")).unwrap();
        let mut made = 0;
        let mut make = |sources: &Path| {
            unless_fresh(&[sources.to_owned()], &component, || {
                made += 1;
                Ok(fs::write(&component, "")?)
            })
            .unwrap();
            made
        };
        fs::write(sources.join("a.js"), "one").unwrap();
        assert_eq!((make(&sources), make(&sources)), (1, 1));
        fs::write(sources.join("node_modules/b.js"), "left by a tool").unwrap();
        assert_eq!(make(&sources), 1);
        fs::write(sources.join("a.js"), "two").unwrap();
        assert_eq!(make(&sources), 2);
        fs::remove_file(&component).unwrap();
        assert_eq!(make(&sources), 3);
    }

    #[test]
    fn a_component_that_could_not_be_made_is_not_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("a.wasm");
        fs::write(&component, "old").unwrap();
        let sources = [folder.path().join("src")];
        fs::create_dir(&sources[0]).unwrap();
        assert!(unless_fresh(&sources, &component, || anyhow::bail!("no")).is_err());
        let mut made = false;
        unless_fresh(&sources, &component, || {
            made = true;
            Ok(())
        })
        .unwrap();
        assert!(made);
    }
}
