//! The compile cache: used when sound, replaced when not, trusted never.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::support::{Bench, Fixture};
use crate::digest;

/// The code's and the tag's file of the only component in a cache.
fn files(bench: &Bench) -> (PathBuf, PathBuf) {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("key")).collect()
    };
    let engines = entries(&bench.settings.cache_dir);
    assert_eq!(engines.len(), 1, "{engines:?}");
    let files = entries(&engines[0]);
    assert_eq!(files.len(), 2, "{files:?}");
    let with = |extension: &str| files.iter().find(|path| path.extension().unwrap() == extension).unwrap().clone();
    (with("cwasm"), with("tag"))
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Loads a fixture, spoils its cache, and says whether the next host used the cache. The one after it must.
#[track_caller]
fn is_used_after(spoil: impl FnOnce(&Bench, &Path, &Path)) -> bool {
    let bench = Bench::new();
    let bytes = Fixture::new("(call $ok)").bytes();
    assert!(!bench.runtime.load(&bytes).unwrap().from_cache());
    let (code, tag) = files(&bench);
    spoil(&bench, &code, &tag);
    let is_used = bench.restarted().load(&bytes).unwrap().from_cache();
    assert!(bench.restarted().load(&bytes).unwrap().from_cache(), "the cache was not made good");
    is_used
}

#[test]
fn a_second_host_does_not_compile() {
    assert!(is_used_after(|_, _, _| {}));
}

#[test]
fn a_cut_file_is_compiled_again() {
    assert!(!is_used_after(|_, code, _| {
        let bytes = fs::read(code).unwrap();
        overwrite(code, &bytes[..bytes.len() / 2]);
    }));
    assert!(!is_used_after(|_, _, tag| overwrite(tag, &fs::read(tag).unwrap()[..50])));
    assert!(!is_used_after(|_, code, _| overwrite(code, b"")));
}

#[test]
fn a_changed_file_is_compiled_again() {
    assert!(!is_used_after(|_, code, _| {
        let mut bytes = fs::read(code).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        overwrite(code, &bytes);
    }));
    assert!(!is_used_after(|_, _, tag| {
        let mut bytes = fs::read(tag).unwrap();
        bytes[8] += 1;
        overwrite(tag, &bytes);
    }));
}

#[test]
fn a_missing_tag_is_compiled_again() {
    assert!(!is_used_after(|_, _, tag| fs::remove_file(tag).unwrap()));
}

#[test]
fn a_file_of_another_host_is_compiled_again() {
    assert!(!is_used_after(|_, code, tag| {
        let other = Bench::new();
        other.load(&Fixture::new("(call $ok)"));
        let (other_code, other_tag) = files(&other);
        overwrite(code, &fs::read(other_code).unwrap());
        overwrite(tag, &fs::read(other_tag).unwrap());
    }));
}

#[test]
fn code_of_another_component_is_compiled_again() {
    // Sound code under this host's key, moved to where another component's is looked for.
    let bench = Bench::new();
    bench.load(&Fixture::new("unreachable"));
    let (code, tag) = files(&bench);
    let bytes = Fixture::new("(call $ok)").bytes();
    let name = digest(&bytes).to_string();
    fs::rename(&code, code.with_file_name(format!("{name}.cwasm"))).unwrap();
    fs::rename(&tag, tag.with_file_name(format!("{name}.tag"))).unwrap();
    assert!(!bench.restarted().load(&bytes).unwrap().from_cache());
}

#[test]
fn a_key_that_others_may_read_is_replaced() {
    assert!(!is_used_after(|bench, _, _| {
        let key = bench.settings.cache_dir.join("key");
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    }));
}

#[test]
fn a_damaged_key_is_replaced() {
    assert!(!is_used_after(|bench, _, _| overwrite(&bench.settings.cache_dir.join("key"), b"short")));
}

#[test]
fn a_cache_that_cannot_be_made_is_told_with_its_path() {
    let bench = Bench::new();
    let path = bench.settings.cache_dir.join("key").join("cache");
    let settings = crate::Settings { cache_dir: path, ..bench.settings };
    let error = crate::Runtime::new(&settings, std::sync::Arc::new(super::support::FixedClock)).unwrap_err();
    assert!(error.to_string().starts_with("cannot use the compile cache `"), "{error}");
}
