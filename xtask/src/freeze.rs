//! `cargo xtask freeze-wit`: writes the contract's digests, and refuses to change one that is already written.

use std::fs;

use anyhow::{Context, Result, bail};

use xtask::wit::{self, Digests, LOCK};

use crate::repository;

const HEAD: &str = "\
# Published versions of the contract and of the packages it imports. A line never changes: whoever built a handler
# against a version must find the same text behind its name. `cargo xtask freeze-wit` adds lines; a test compares.
";

/// What may happen to packages that are frozen already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: a change is refused.
    AddOnly,
    /// They are written anew. For versions that nobody has yet.
    Overwrite,
}

/// Brings the lock up to the tree.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let root = repository::root();
    let (digests, notes) = merge(&wit::frozen(root)?, &wit::current(root)?, mode)?;
    let lines: String = digests.iter().map(|(package, digest)| format!("{package} {digest}\n")).collect();
    fs::write(root.join(LOCK), format!("{HEAD}{lines}")).with_context(|| format!("cannot write `{LOCK}`"))?;
    for note in &notes {
        println!("{note}");
    }
    println!("{LOCK}: {} packages, {} changes", digests.len(), notes.len());
    Ok(())
}

fn merge(frozen: &Digests, current: &Digests, mode: Mode) -> Result<(Digests, Vec<String>)> {
    let mut notes = Vec::new();
    let mut merged = current.clone();
    for (package, digest) in current {
        match frozen.get(package) {
            Some(before) if before == digest => {}
            Some(_) if mode == Mode::AddOnly => bail!(
                "`{package}` is frozen and its files changed; give the changed package a new version, or pass \
                 --unreleased if nobody has this version yet"
            ),
            Some(_) => notes.push(format!("overwritten: {package}")),
            None => notes.push(format!("frozen: {package}")),
        }
    }
    for (package, digest) in frozen.iter().filter(|(package, _)| !current.contains_key(*package)) {
        if mode == Mode::AddOnly {
            // The line stays, so that the test goes on asking for the files.
            merged.insert(package.clone(), digest.clone());
            println!("warning: `{package}` is frozen, and no folder below `wit` holds it");
        } else {
            notes.push(format!("removed: {package}"));
        }
    }
    Ok((merged, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(pairs: &[(&str, &str)]) -> Digests {
        pairs.iter().map(|(package, digest)| ((*package).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn a_new_version_is_added_beside_the_old() {
        let frozen = digests(&[("a:b@0.1.0", "1")]);
        let (merged, notes) =
            merge(&frozen, &digests(&[("a:b@0.1.0", "1"), ("a:b@0.2.0", "2")]), Mode::AddOnly).unwrap();
        assert_eq!(merged, digests(&[("a:b@0.1.0", "1"), ("a:b@0.2.0", "2")]));
        assert_eq!(notes, ["frozen: a:b@0.2.0"]);
    }

    #[test]
    fn a_changed_version_is_refused_unless_it_is_unreleased() {
        let (frozen, current) = (digests(&[("a:b@0.1.0", "1")]), digests(&[("a:b@0.1.0", "2")]));
        let error = merge(&frozen, &current, Mode::AddOnly).unwrap_err().to_string();
        assert!(error.starts_with("`a:b@0.1.0` is frozen"), "{error}");
        assert_eq!(merge(&frozen, &current, Mode::Overwrite).unwrap().0, current);
    }

    #[test]
    fn a_version_that_is_gone_keeps_its_line() {
        let frozen = digests(&[("a:b@0.1.0", "1")]);
        assert_eq!(merge(&frozen, &digests(&[]), Mode::AddOnly).unwrap().0, frozen);
        assert!(merge(&frozen, &digests(&[]), Mode::Overwrite).unwrap().0.is_empty());
    }
}
