//! A published version of the contract does not change.

use xtask::wit::{self, Digests, LOCK};

use crate::assert_none;

#[test]
fn published_versions_of_the_contract_are_frozen() {
    let root = hostel_tests::repository();
    let (frozen, current) = (wit::frozen(&root).unwrap(), wit::current(&root).unwrap());
    let cure = format!(
        "give what changed a new version beside the old and run `cargo xtask freeze-wit`, which adds it to {LOCK}; only a \
         version that nobody has yet may be overwritten, with `cargo xtask freeze-wit --unreleased`"
    );
    assert_none(&differences(&frozen, &current), &cure);
}

fn differences(frozen: &Digests, current: &Digests) -> Vec<String> {
    let kept = frozen.iter().filter_map(|(package, digest)| match current.get(package) {
        Some(now) if now == digest => None,
        Some(now) => Some(format!("`{package}` changed: {LOCK} has {digest}, the files have {now}")),
        None => Some(format!("`{package}` is in {LOCK}, and no folder below `wit` holds it")),
    });
    let added = current.keys().filter(|package| !frozen.contains_key(*package));
    kept.chain(added.map(|package| format!("`{package}` is not in {LOCK}"))).collect()
}

#[test]
fn a_change_a_loss_and_an_addition_are_told_apart() {
    let digests = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let frozen = digests(&[("a:b@0.1.0", "1"), ("a:c@0.1.0", "2")]);
    let found = differences(&frozen, &digests(&[("a:b@0.1.0", "9"), ("a:d@0.1.0", "3")]));
    let [changed, lost, added] = &found[..] else { panic!("{found:?}") };
    assert!(changed.starts_with("`a:b@0.1.0` changed"), "{changed}");
    assert!(lost.contains("`a:c@0.1.0` is in wit/frozen.lock, and no folder"), "{lost}");
    assert_eq!(added, "`a:d@0.1.0` is not in wit/frozen.lock");
    assert!(differences(&frozen, &frozen).is_empty());
}
