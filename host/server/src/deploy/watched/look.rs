//! Looking at the watched folder, and reading what lies in it. Everything here blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::handler::Digest;

use crate::bundle;
use crate::bundle::folder::{Piece, beneath};
use crate::stamp::Stamp;

/// The manifest of an entry that is a folder.
const MANIFEST: &str = "handler.toml";
/// How the name of an entry ends that is a file.
pub(super) const SUFFIX: &str = ".handler.toml";
/// The most entries that are looked at. As many handlers as a host is meant for.
const ENTRIES: usize = 10_000;
/// The most that is looked at in a tenant's folder, each file counted that its handlers bring along: a second at
/// most, for which those of other tenants wait. Ten times what one handler may bring.
const VISITED: usize = 100_000;
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
    /// Opens what lies in it.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        if self.links == Links::Anywhere {
            return Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?.into());
        }
        let root = File::open(&self.path)?;
        let below = path.strip_prefix(&self.path).map_err(io::Error::other)?;
        // The kernel itself holds to it, so that nobody can swap a link between a look and the opening.
        beneath(root, below, (flags, ResolveFlags::empty())).map_err(|errno| match errno {
            Errno::XDEV => io::Error::new(io::ErrorKind::CrossesDevices, "a link leads out of the tenant's folder"),
            errno => errno.into(),
        })
    }

    /// How a file looks that lies in it.
    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        plain(&self.open(path, OFlags::PATH)?)
    }

    /// What is in a file; `None` if that is more than `limit`.
    fn limited(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        // What is no plain file is not even opened: a pipe would wait for its other end. One that comes there between this
        // and the opening is not waited for either.
        self.stamp(path)?;
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        plain(&file)?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
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

    /// A folder of files that lies in it.
    fn files(&self, place: &Path) -> io::Result<bundle::folder::Folder> {
        let open = self.open(place, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(bundle::folder::Folder::new(open, self.within(place)))
    }

    /// How a folder of files looks; adds how much was looked at to `visited`.
    fn seen(&self, place: &Path, visited: &mut usize) -> Seen {
        let opened = self.files(place).map_err(|error| error.to_string())?;
        opened.list(visited).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Refuses to look at more than a tenant may have.
    fn bounded(&self, visited: usize) -> io::Result<()> {
        if visited > VISITED && self.links == Links::Inside {
            let text = format!("it has more than {VISITED} entries, counted with the files that they bring along");
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// A path as those know it who put it there.
    fn within<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.path).unwrap_or(path)
    }
}

/// How an open file looks, if it is one that can be read.
fn plain(file: &File) -> io::Result<Stamp> {
    let stamp = Stamp::from_metadata(&file.metadata()?);
    stamp.ok_or_else(|| io::Error::other("it is no plain file; put the file itself there"))
}

/// How an entry looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// Where its manifest is, and what lies there; `None`: a link leads out of the folder.
    pub(super) manifest: (PathBuf, Option<Stamp>),
    /// Where its component is to be, and what lies there; `None`: the manifest does not say.
    pub(super) component: Option<(PathBuf, Option<Stamp>)>,
    /// Where its files are to be, and how that looks; `None`: the manifest names none.
    pub(super) files: Option<(PathBuf, Seen)>,
}

/// How a folder of files looks: each by its path there; or why they cannot be brought along.
pub(super) type Seen = Result<Arc<BTreeMap<PathBuf, Piece>>, String>;

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
    let (mut sights, mut visited) = (BTreeMap::new(), 0);
    for entry in std::fs::read_dir(&folder.path)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        // Hidden ones are what tools and editors leave for a moment.
        if name.starts_with('.') {
            continue;
        }
        let path = folder.path.join(&name);
        let manifest = if name.ends_with(SUFFIX) { path } else { path.join(MANIFEST) };
        visited += 1;
        folder.bounded(visited)?;
        let stamp = match folder.stamp(&manifest) {
            Ok(stamp) => Some(stamp),
            // That is listed as refused.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => None,
            Err(_) => continue,
        };
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
            let stamp = folder.stamp(&path).ok();
            (path, stamp)
        });
        let files = files.map(|path| {
            let seen = folder.seen(&path, &mut visited);
            (path, seen)
        });
        sights.insert(name, Sight { manifest: (manifest, stamp), component, files });
        if sights.len() > ENTRIES {
            return Err(io::Error::other(format!("it has more than {ENTRIES} entries")));
        }
    }
    folder.bounded(visited)?;
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
    let in_folder = |path: &Path| folder.within(path).display().to_string();
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
            let opened = folder.files(&place).map_err(unreadable)?;
            let packed = bundle::pack_opened(&opened, u64::try_from(files_limit).unwrap_or(u64::MAX));
            let packed = packed.map_err(|error| refused(Code::BundleRefused, error.to_string()))?;
            Some((place, packed))
        }
    };
    let now = Sight {
        manifest: (path.clone(), folder.stamp(path).ok()),
        component: Some((component.clone(), folder.stamp(&component).ok())),
        files: files.as_ref().map(|(place, _)| (place.clone(), folder.seen(place, &mut 0))),
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
mod tests;
