//! The digests of the contract's packages: what `wit/frozen.lock` holds and the tidy test compares.
//!
//! A package is a folder of `.wit` files: `wit/` itself and each folder in `wit/deps/`. Its digest is the SHA-256 of its
//! files in the order of their names, each as name, NUL, content, NUL.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The lock's path below the repository's root.
pub const LOCK: &str = "wit/frozen.lock";

/// `package@version` to `sha256:<hex>`.
pub type Digests = BTreeMap<String, String>;

/// What the files below `<root>/wit` are now.
///
/// # Errors
/// When a folder cannot be read, declares no package with a version, or a package that another folder declares too.
pub fn current(root: &Path) -> Result<Digests> {
    let wit = root.join("wit");
    let mut folders = folders(&wit.join("deps"))?;
    folders.push(wit);
    let mut digests = Digests::new();
    for folder in folders {
        let (package, digest) = package(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        if digests.insert(package.clone(), digest).is_some() {
            bail!("two folders below `wit` declare `{package}`");
        }
    }
    Ok(digests)
}

/// What the lock holds; nothing when there is no lock.
///
/// # Errors
/// When the lock cannot be read or a line of it is not `package@version sha256:<hex>`.
pub fn frozen(root: &Path) -> Result<Digests> {
    let path = root.join(LOCK);
    if !path.exists() {
        return Ok(Digests::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{LOCK}`"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| match line.split_once(' ') {
            Some((package, digest)) if package.contains('@') && digest.starts_with("sha256:") => {
                Ok((package.to_owned(), digest.to_owned()))
            }
            _ => bail!("{LOCK}:{}: expected `package@version sha256:<hex>`, found `{line}`", index + 1),
        })
        .collect()
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).with_context(|| format!("cannot list `{}`", parent.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.is_dir());
    Ok(paths)
}

fn package(folder: &Path) -> Result<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?));
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for (name, content) in &files {
        for part in [name, content] {
            hash.update(part);
            hash.update([0]);
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = files.iter().find_map(|(_, content)| declared(content));
    let package = declared.context("no file declares a package with a version (`package name:of@0.1.0;`)")?;
    Ok((package, format!("sha256:{hex}")))
}

fn declared(content: &str) -> Option<String> {
    let mut lines = content.lines().map(str::trim);
    let package = lines.find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))?.trim();
    package.contains('@').then(|| package.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(handler: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("wit/deps/logging")).unwrap();
        fs::write(root.path().join("wit/handler.wit"), handler).unwrap();
        fs::write(root.path().join("wit/deps/logging/a.wit"), "package x:logging@0.1.0;\n").unwrap();
        root
    }

    #[test]
    fn each_folder_is_a_package_and_its_digest_follows_its_content() {
        let before = current(tree("/// Text.\npackage a:b@0.1.0;\n").path()).unwrap();
        let after = current(tree("/// Other.\npackage a:b@0.1.0;\n").path()).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["a:b@0.1.0", "x:logging@0.1.0"]);
        assert_ne!(before["a:b@0.1.0"], after["a:b@0.1.0"]);
        assert_eq!(before["x:logging@0.1.0"], after["x:logging@0.1.0"]);
    }

    #[test]
    fn a_package_without_a_version_is_refused() {
        let error = format!("{:#}", current(tree("package a:b;\n").path()).unwrap_err());
        assert!(error.contains("no file declares a package with a version"), "{error}");
    }

    #[test]
    fn a_malformed_line_of_the_lock_is_named() {
        let root = tree("package a:b@0.1.0;\n");
        fs::write(root.path().join(LOCK), "# comment\na:b@0.1.0 sha256:00\nnonsense\n").unwrap();
        let error = frozen(root.path()).unwrap_err().to_string();
        assert!(error.contains("wit/frozen.lock:3:"), "{error}");
    }
}
