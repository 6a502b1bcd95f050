//! The crate carries its own copy of the contract, so that it can be published. In the repository the two are the same.

#![expect(clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every WIT file below a folder, by its path in it.
fn wit_files(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder that can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wit") {
                let name = path.strip_prefix(root).expect("a path below the root").to_owned();
                files.insert(name, fs::read_to_string(&path).expect("a file of text"));
            }
        }
    }
    files
}

#[test]
fn wit_copy_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = wit_files(&here.join("wit"));
    let contract = wit_files(&here.join("../../../wit"));
    assert!(contract.contains_key(Path::new("handler.wit")), "the repository's contract has a handler.wit");
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&copy), names(&contract), "copy wit/ of the repository to guest-sdk/rust/hostel/wit");
    for (name, text) in contract {
        assert!(copy.get(&name) == Some(&text), "{} differs: copy it from wit/ of the repository", name.display());
    }
}
