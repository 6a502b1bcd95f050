//! Looking at the watched folder, and reading what lies in it. Everything here blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::handler::Digest;

use crate::stamp::Stamp;

/// The manifest of an entry that is a folder.
const MANIFEST: &str = "handler.toml";
/// How the name of an entry ends that is a file.
pub(super) const SUFFIX: &str = ".handler.toml";
/// The most entries that are looked at. As many handlers as a host is meant for.
const ENTRIES: usize = 10_000;
/// The most bytes of a manifest. Arbitrary; a thousand times what one usually has.
const MANIFEST_LIMIT: u64 = 1024 * 1024;

/// How an entry looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) manifest: (PathBuf, Stamp),
    /// Where its component is to be, and what lies there; `None`: the manifest does not say.
    pub(super) component: Option<(PathBuf, Option<Stamp>)>,
}

/// What an entry holds.
pub(super) struct Version {
    /// With the component's digest in the place of its path.
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

/// Why an entry cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It changed meanwhile.
    Changed,
    /// It is not as it must be.
    Refused {
        /// The handler's, if that can be told.
        name: Option<String>,
        code: Code,
        text: String,
    },
}

/// Looks at all entries. `before` saves reading manifests that have not changed.
pub(super) fn look(folder: &Path, before: &BTreeMap<String, Sight>) -> io::Result<BTreeMap<String, Sight>> {
    let mut sights = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        // Hidden ones are what tools and editors leave for a moment.
        if name.starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        let manifest = if name.ends_with(SUFFIX) { path } else { path.join(MANIFEST) };
        let Ok(stamp) = Stamp::of(&manifest) else { continue };
        let known = before.get(&name).filter(|known| known.manifest.1 == stamp);
        let component = match known {
            Some(known) => known.component.as_ref().map(|(path, _)| path.clone()),
            None => component_of(&manifest),
        };
        let component = component.map(|path| {
            let stamp = Stamp::of(&path).ok();
            (path, stamp)
        });
        sights.insert(name, Sight { manifest: (manifest, stamp), component });
        if sights.len() > ENTRIES {
            return Err(io::Error::other(format!("it has more than {ENTRIES} entries")));
        }
    }
    Ok(sights)
}

fn component_of(manifest: &Path) -> Option<PathBuf> {
    let read = Manifest::from_toml(&text_of(manifest).ok()?, "").ok()?;
    beside(manifest, &read.component)
}

/// Where a component lies that a manifest names. One elsewhere is none of this folder's.
fn beside(manifest: &Path, component: &str) -> Option<PathBuf> {
    let component = Path::new(component);
    let is_below = component.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    Some(manifest.parent()?.join(component)).filter(|_| is_below)
}

fn text_of(manifest: &Path) -> io::Result<String> {
    let bytes = limited(manifest, MANIFEST_LIMIT)?;
    let bytes = bytes.ok_or_else(|| io::Error::other(format!("it has more than {MANIFEST_LIMIT} bytes")))?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// What is in a file; `None` if that is more than `limit`.
fn limited(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
}

/// Reads an entry that looks like this.
pub(super) fn read(folder: &Path, sight: &Sight, limit: usize) -> Result<Version, Unread> {
    let (path, _) = &sight.manifest;
    let shown = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let refused = |name: Option<&str>, code, text| Unread::Refused { name: name.map(ToOwned::to_owned), code, text };
    let text = text_of(path)
        .map_err(|error| refused(None, Code::FileUnreadable, format!("cannot read `{shown}`: {error}")))?;
    let mut manifest = Manifest::from_toml(&text, &shown)
        .map_err(|error| refused(None, Code::MalformedDocument, error.to_string()))?;
    let name = manifest.name.clone();
    let refused = |code, text| refused(Some(&name), code, text);
    let Some(component) = beside(path, &manifest.component) else {
        let text = format!(
            "`{shown}`: `component` is `{}`; in a watched folder it lies beside the manifest or below",
            manifest.component
        );
        return Err(refused(Code::MalformedDocument, text));
    };
    let bytes = match limited(&component, u64::try_from(limit).unwrap_or(u64::MAX)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let text = format!(
                "`{}` has more than {limit} bytes, the host's `admin.component_limit`",
                component.strip_prefix(folder).unwrap_or(&component).display()
            );
            return Err(refused(Code::ComponentTooLarge, text));
        }
        Err(error) => {
            let shown = component.strip_prefix(folder).unwrap_or(&component).display();
            return Err(refused(Code::FileUnreadable, format!("cannot read `{shown}`: {error}")));
        }
    };
    let digest = hostel_runtime::digest(&bytes);
    let now = Sight {
        manifest: (path.clone(), Stamp::of(path).map_err(|_| Unread::Changed)?),
        component: Some((component.clone(), Stamp::of(&component).ok())),
    };
    if now != *sight {
        return Err(Unread::Changed);
    }
    manifest.component = format!("sha256:{digest}");
    Ok(Version { manifest, digest, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn manifest(component: &str) -> String {
        format!("name = 'hello'\ncomponent = '{component}'\nsubscriptions = [{{ pattern = 'a' }}]")
    }

    #[test]
    fn entries_are_folders_with_a_manifest_and_lone_manifests() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "hello/handler.toml", &manifest("build/hello.wasm"));
        write(folder.path(), "hello/build/hello.wasm", "wasm");
        write(folder.path(), "lone.handler.toml", &manifest("lone.wasm"));
        write(folder.path(), "broken/handler.toml", "name = ");
        write(folder.path(), "empty/readme", "");
        write(folder.path(), ".git/handler.toml", "");
        write(folder.path(), "hello.wasm", "");
        let sights = look(folder.path(), &BTreeMap::new()).unwrap();
        assert_eq!(sights.keys().collect::<Vec<_>>(), ["broken", "hello", "lone.handler.toml"]);
        assert_eq!(sights["broken"].component, None);
        let (path, stamp) = sights["hello"].component.as_ref().unwrap();
        assert!(path.ends_with("hello/build/hello.wasm") && stamp.is_some());
        assert_eq!(sights["lone.handler.toml"].component.as_ref().unwrap().1, None, "it is not there yet");
        assert_eq!(look(folder.path(), &sights).unwrap(), sights);
        write(folder.path(), "hello/build/hello.wasm", "other");
        assert_ne!(look(folder.path(), &sights).unwrap()["hello"], sights["hello"]);
    }

    #[test]
    fn what_is_read_is_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "hello/handler.toml", &manifest("hello.wasm"));
        write(folder.path(), "hello/hello.wasm", "wasm");
        let sight = look(folder.path(), &BTreeMap::new()).unwrap()["hello"].clone();
        let version = read(folder.path(), &sight, 100).ok().unwrap();
        assert_eq!(version.manifest.component, format!("sha256:{}", version.digest));
        assert_eq!(version.bytes, "wasm");
        write(folder.path(), "hello/hello.wasm", "wasm, longer");
        assert_eq!(read(folder.path(), &sight, 100).err(), Some(Unread::Changed));
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let check = |content: &str, limit: usize, expected: (Option<&str>, Code, &str)| {
            write(folder.path(), "hello/handler.toml", content);
            write(folder.path(), "hello/hello.wasm", "wasm");
            let sight = look(folder.path(), &BTreeMap::new()).unwrap()["hello"].clone();
            let Some(Unread::Refused { name, code, text }) = read(folder.path(), &sight, limit).err() else {
                panic!("refused")
            };
            assert_eq!((name.as_deref(), code, &*text), expected);
        };
        let wrong = "`hello/handler.toml` line 1: unknown key `nam`; did you mean `name`?";
        check("nam = 'hello'", 100, (None, Code::MalformedDocument, wrong));
        let elsewhere = "`hello/handler.toml`: `component` is `../a.wasm`; in a watched folder it lies beside the \
                         manifest or below";
        check(&manifest("../a.wasm"), 100, (Some("hello"), Code::MalformedDocument, elsewhere));
        let missing = "cannot read `hello/a.wasm`: No such file or directory (os error 2)";
        check(&manifest("a.wasm"), 100, (Some("hello"), Code::FileUnreadable, missing));
        let large = "`hello/hello.wasm` has more than 3 bytes, the host's `admin.component_limit`";
        check(&manifest("hello.wasm"), 3, (Some("hello"), Code::ComponentTooLarge, large));
    }
}
