//! Looking at the watched folder, and reading what lies in it. Everything here blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::handler::Digest;

use crate::bundle;
use crate::stamp::Stamp;

/// The manifest of an entry that is a folder.
const MANIFEST: &str = "handler.toml";
/// How the name of an entry ends that is a file.
pub(super) const SUFFIX: &str = ".handler.toml";
/// The most entries that are looked at. As many handlers as a host is meant for.
const ENTRIES: usize = 10_000;
/// The most bytes of a manifest. Arbitrary; a thousand times what one usually has.
const MANIFEST_LIMIT: u64 = 1024 * 1024;

/// A folder in which handlers lie.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) links: Links,
}

/// What a link in it counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// What it leads to, wherever that is: the folder is the operator's.
    Anywhere,
    /// What it leads to in the folder, and nothing elsewhere: the folder is a tenant's.
    Inside,
}

impl Folder {
    /// Opens a file that lies in it.
    fn open(&self, path: &Path) -> io::Result<File> {
        if self.links == Links::Anywhere {
            return File::open(path);
        }
        let root = File::open(&self.path)?;
        let below = path.strip_prefix(&self.path).map_err(io::Error::other)?;
        // The kernel itself holds to it, so that nobody can swap a link between a look and the opening.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match openat2(root, below, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS) {
            Ok(file) => Ok(file.into()),
            Err(Errno::XDEV) => Err(io::Error::other("a link leads out of the tenant's folder")),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What is in a file; `None` if that is more than `limit`.
    fn limited(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
    }

    fn text_of(&self, manifest: &Path) -> io::Result<String> {
        let bytes = self.limited(manifest, MANIFEST_LIMIT)?;
        let bytes = bytes.ok_or_else(|| io::Error::other(format!("it has more than {MANIFEST_LIMIT} bytes")))?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
    }

    /// Where the component and the files of an entry are to be.
    fn places_of(&self, manifest: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
        let read = self.text_of(manifest).ok().and_then(|text| Manifest::from_toml(&text, "").ok());
        let Some(read) = read else { return (None, None) };
        (beside(manifest, &read.component), read.files.and_then(|files| beside(manifest, &files)))
    }

    /// Where a folder of files really is; a tenant's, only if that is in the folder.
    fn real(&self, files: &Path) -> io::Result<PathBuf> {
        let real = std::fs::canonicalize(files)?;
        if self.links == Links::Inside && !real.starts_with(std::fs::canonicalize(&self.path)?) {
            return Err(io::Error::other("a link leads out of the tenant's folder"));
        }
        Ok(real)
    }
}

/// How a folder of files looks.
fn seen(folder: &Path) -> Seen {
    let (mut files, mut left) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                _ => {
                    if let Ok(stamp) = Stamp::of(&entry.path()) {
                        files.insert(entry.path(), stamp);
                    }
                }
            }
            if files.len() + left.len() > FILES {
                return None;
            }
        }
    }
    Some(files)
}

/// How an entry looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) manifest: (PathBuf, Stamp),
    /// Where its component is to be, and what lies there; `None`: the manifest does not say.
    pub(super) component: Option<(PathBuf, Option<Stamp>)>,
    /// Where its files are to be, and how that looks; `None`: the manifest names none.
    pub(super) files: Option<(PathBuf, Seen)>,
}

/// How a folder of files looks: each by its path; `None`: it is not there, or there are too many.
pub(super) type Seen = Option<BTreeMap<PathBuf, Stamp>>;

/// The most files of an entry that are looked at. As many as may be brought along.
const FILES: usize = 10_000;

/// What an entry holds.
pub(super) struct Version {
    /// With the component's digest in the place of its path.
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
    /// The bundle of its files, if it has any.
    pub(super) files: Option<(Digest, Bytes)>,
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
pub(super) fn look(folder: &Folder, before: &BTreeMap<String, Sight>) -> io::Result<BTreeMap<String, Sight>> {
    let mut sights = BTreeMap::new();
    for entry in std::fs::read_dir(&folder.path)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        // Hidden ones are what tools and editors leave for a moment.
        if name.starts_with('.') {
            continue;
        }
        let path = folder.path.join(&name);
        let manifest = if name.ends_with(SUFFIX) { path } else { path.join(MANIFEST) };
        let Ok(stamp) = Stamp::of(&manifest) else { continue };
        let known = before.get(&name).filter(|known| known.manifest.1 == stamp);
        let path_of = |path: &PathBuf| path.clone();
        let (component, files) = match known {
            Some(known) => (
                known.component.as_ref().map(|(path, _)| path_of(path)),
                known.files.as_ref().map(|(path, _)| path_of(path)),
            ),
            None => folder.places_of(&manifest),
        };
        let component = component.map(|path| {
            let stamp = Stamp::of(&path).ok();
            (path, stamp)
        });
        let files = files.map(|path| {
            let seen = seen(&path);
            (path, seen)
        });
        sights.insert(name, Sight { manifest: (manifest, stamp), component, files });
        if sights.len() > ENTRIES {
            return Err(io::Error::other(format!("it has more than {ENTRIES} entries")));
        }
    }
    Ok(sights)
}

/// Where a component lies that a manifest names. One elsewhere is none of this folder's.
fn beside(manifest: &Path, component: &str) -> Option<PathBuf> {
    let component = Path::new(component);
    let is_below = component.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    Some(manifest.parent()?.join(component)).filter(|_| is_below)
}

/// Reads an entry that looks like this.
pub(super) fn read(folder: &Folder, sight: &Sight, (limit, files_limit): (usize, usize)) -> Result<Version, Unread> {
    let (path, _) = &sight.manifest;
    let in_folder = |path: &Path| path.strip_prefix(&folder.path).unwrap_or(path).display().to_string();
    let shown = in_folder(path);
    let refused = |name: Option<&str>, code, text| Unread::Refused { name: name.map(ToOwned::to_owned), code, text };
    let text = folder
        .text_of(path)
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
    let bytes = match folder.limited(&component, u64::try_from(limit).unwrap_or(u64::MAX)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let text =
                format!("`{}` has more than {limit} bytes, the host's `admin.component_limit`", in_folder(&component));
            return Err(refused(Code::ComponentTooLarge, text));
        }
        Err(error) => {
            let shown = in_folder(&component);
            return Err(refused(Code::FileUnreadable, format!("cannot read `{shown}`: {error}")));
        }
    };
    let digest = hostel_runtime::digest(&bytes);
    let files = match &manifest.files {
        None => None,
        Some(written) => {
            let Some(place) = beside(path, written) else {
                let text = format!(
                    "`{shown}`: `files` is `{written}`; in a watched folder it lies beside the manifest or below"
                );
                return Err(refused(Code::MalformedDocument, text));
            };
            let unreadable = |error: io::Error| {
                refused(Code::FileUnreadable, format!("cannot read `{}`: {error}", in_folder(&place)))
            };
            let real = folder.real(&place).map_err(unreadable)?;
            let packed = bundle::pack_real(&real, u64::try_from(files_limit).unwrap_or(u64::MAX));
            let packed = packed.map_err(|error| refused(Code::BundleRefused, error.to_string()))?;
            Some((place, packed))
        }
    };
    let now = Sight {
        manifest: (path.clone(), Stamp::of(path).map_err(|_| Unread::Changed)?),
        component: Some((component.clone(), Stamp::of(&component).ok())),
        files: files.as_ref().map(|(place, _)| (place.clone(), seen(place))),
    };
    if now != *sight {
        return Err(Unread::Changed);
    }
    manifest.component = format!("sha256:{digest}");
    let files = files.map(|(_, packed)| (hostel_runtime::digest(&packed), Bytes::from(packed)));
    manifest.files = files.as_ref().map(|(digest, _)| format!("sha256:{digest}"));
    Ok(Version { manifest, digest, bytes: bytes.into(), files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn anywhere(path: &Path) -> Folder {
        Folder { path: path.to_owned(), links: Links::Anywhere }
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
        let sights = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap();
        assert_eq!(sights.keys().collect::<Vec<_>>(), ["broken", "hello", "lone.handler.toml"]);
        assert_eq!(sights["broken"].component, None);
        let (path, stamp) = sights["hello"].component.as_ref().unwrap();
        assert!(path.ends_with("hello/build/hello.wasm") && stamp.is_some());
        assert_eq!(sights["lone.handler.toml"].component.as_ref().unwrap().1, None, "it is not there yet");
        assert_eq!(look(&anywhere(folder.path()), &sights).unwrap(), sights);
        write(folder.path(), "hello/build/hello.wasm", "other");
        assert_ne!(look(&anywhere(folder.path()), &sights).unwrap()["hello"], sights["hello"]);
    }

    #[test]
    fn what_is_read_is_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "hello/handler.toml", &manifest("hello.wasm"));
        write(folder.path(), "hello/hello.wasm", "wasm");
        let sight = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap()["hello"].clone();
        let version = read(&anywhere(folder.path()), &sight, (100, 100)).ok().unwrap();
        assert_eq!(version.manifest.component, format!("sha256:{}", version.digest));
        assert_eq!(version.bytes, "wasm");
        write(folder.path(), "hello/hello.wasm", "wasm, longer");
        assert_eq!(read(&anywhere(folder.path()), &sight, (100, 100)).err(), Some(Unread::Changed));
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let check = |content: &str, limit: usize, expected: (Option<&str>, Code, &str)| {
            write(folder.path(), "hello/handler.toml", content);
            write(folder.path(), "hello/hello.wasm", "wasm");
            let sight = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap()["hello"].clone();
            let Some(Unread::Refused { name, code, text }) = read(&anywhere(folder.path()), &sight, (limit, 100)).err()
            else {
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

    #[test]
    fn a_link_out_of_a_tenants_folder_is_refused_and_one_inside_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let (acme, rival) = (parent.path().join("acme"), parent.path().join("rival"));
        write(&rival, "secret/hello.wasm", "of the rival");
        write(&rival, "secret/handler.toml", &manifest("hello.wasm"));
        for (entry, component) in [("file", "hello.wasm"), ("absolute", "hello.wasm"), ("inside", "hello.wasm")] {
            write(&acme, &format!("{entry}/handler.toml"), &manifest(component));
        }
        write(&acme, "builds/hello.wasm", "of acme");
        let link = |target: &Path, link: &str| std::os::unix::fs::symlink(target, acme.join(link)).unwrap();
        link(Path::new("../../rival/secret/hello.wasm"), "file/hello.wasm");
        link(&rival.join("secret/hello.wasm"), "absolute/hello.wasm");
        link(Path::new("../builds/hello.wasm"), "inside/hello.wasm");
        link(Path::new("../rival/secret"), "whole");
        let folder = Folder { path: acme.clone(), links: Links::Inside };
        let sights = look(&folder, &BTreeMap::new()).unwrap();
        let refused = |entry: &str| match read(&folder, &sights[entry], (100, 100)).err() {
            Some(Unread::Refused { text, .. }) => text,
            other => panic!("{entry}: {other:?}"),
        };
        for entry in ["file", "absolute"] {
            let expected = format!("cannot read `{entry}/hello.wasm`: a link leads out of the tenant's folder");
            assert_eq!(refused(entry), expected);
        }
        assert_eq!(refused("whole"), "cannot read `whole/handler.toml`: a link leads out of the tenant's folder");
        assert_eq!(read(&folder, &sights["inside"], (100, 100)).ok().unwrap().bytes, "of acme");
        let operators = read(&Folder { links: Links::Anywhere, ..folder.clone() }, &sights["file"], (100, 100));
        assert_eq!(operators.ok().unwrap().bytes, "of the rival");
    }
}
