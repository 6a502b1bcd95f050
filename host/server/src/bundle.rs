//! The files that a handler brings along, as one tar file: packed from a folder, and unpacked into one.
//!
//! The same files give the same bytes whoever packs them: sorted by path, without owners, times and modes. What is
//! unpacked is believed nothing: plain files and folders at plain relative paths, and of each only so many.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use tar::{Archive, Builder, EntryType, Header, HeaderMode};

/// The most files and folders of a bundle. Arbitrary: far beyond what a handler reads.
const ENTRIES: usize = 10_000;
/// The most folders above a file. Arbitrary.
const DEPTH: usize = 32;
/// The most bytes of a path. What fits in any file system below a folder.
const PATH: usize = 1024;

/// Why files were not packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// It is not as it must be.
    #[error("{0}")]
    Refused(String),
    /// It is larger than it may be.
    #[error("{0}")]
    TooLarge(String),
    /// It cannot be read or written.
    #[error("cannot {what} `{}`: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

impl BundleError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// What lies in a folder, as a bundle of at most `limit` bytes. Blocks.
///
/// # Errors
/// [`BundleError`]; a link in it is refused, since what it leads to would lie elsewhere.
pub(crate) fn pack(folder: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let real = fs::canonicalize(folder).map_err(BundleError::io("read", folder))?;
    pack_real(&real, limit)
}

/// The same of a folder whose path has no link in it. One that comes there meanwhile is not followed.
///
/// # Errors
/// As for [`pack`].
pub(crate) fn pack_real(folder: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let root = openat2(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let root = root.map_err(|errno| BundleError::io("read", folder)(errno.into()))?;
    let open = |path: &Path| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&root, path, flags, Mode::empty(), resolve).map(File::from).map_err(io::Error::from)
    };
    let entries = walk(folder)?;
    let mut bundle = Builder::new(Vec::new());
    bundle.mode(HeaderMode::Deterministic);
    let mut bytes = 0_u64;
    for (path, kind) in &entries {
        let (at, mut header) = (folder.join(path), Header::new_gnu());
        header.set_mtime(0);
        let content = match kind {
            EntryType::Directory => Vec::new(),
            _ => {
                let left = limit.saturating_sub(bytes);
                let mut content = Vec::new();
                let read = open(path).and_then(|file| file.take(left + 1).read_to_end(&mut content));
                read.map_err(BundleError::io("read", &at))?;
                content
            }
        };
        // A head and whole blocks.
        bytes = bytes.saturating_add(512 + (content.len() as u64).next_multiple_of(512));
        if bytes > limit {
            let text = format!("the files in `{}` are more than {limit} bytes as a bundle", folder.display());
            return Err(BundleError::TooLarge(text));
        }
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        bundle.append_data(&mut header, path, content.as_slice()).map_err(BundleError::io("pack", &at))?;
    }
    bundle.into_inner().map_err(BundleError::io("pack", folder))
}

/// Everything below a folder by its path there, sorted.
fn walk(folder: &Path) -> Result<BTreeMap<PathBuf, EntryType>, BundleError> {
    let mut found = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(below) = left.pop() {
        let at = folder.join(&below);
        for entry in fs::read_dir(&at).map_err(BundleError::io("read", &at))? {
            let entry = entry.map_err(BundleError::io("read", &at))?;
            let path = below.join(entry.file_name());
            check(&path)?;
            let kind = entry.file_type().map_err(BundleError::io("read", &entry.path()))?;
            if kind.is_dir() {
                left.push(path.clone());
                found.insert(path, EntryType::Directory);
            } else if kind.is_file() {
                found.insert(path, EntryType::Regular);
            } else {
                let text =
                    format!("`{}` is neither a file nor a folder; put the file itself there", entry.path().display());
                return Err(BundleError::Refused(text));
            }
            if found.len() > ENTRIES {
                let text = format!("`{}` has more than {ENTRIES} files and folders", folder.display());
                return Err(BundleError::TooLarge(text));
            }
        }
    }
    Ok(found)
}

/// Refuses a path that is no plain one below a folder.
fn check(path: &Path) -> Result<(), BundleError> {
    let refused = |why: &str| Err(BundleError::Refused(format!("path `{}` {why}", path.display())));
    let Some(text) = path.to_str() else { return refused("is no text in UTF-8") };
    if text.is_empty() || text.len() > PATH {
        return refused("is empty or longer than 1024 bytes");
    }
    if text.contains(['\0', '\\']) || text.chars().any(char::is_control) {
        return refused("has a character that may not be in one");
    }
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return refused("leads out of the bundle");
    }
    if path.components().count() > DEPTH {
        return refused("is deeper than 32 folders");
    }
    Ok(())
}

/// Writes what a bundle holds into a new folder; says how many files there are. Blocks. What was written before a failure
/// is the caller's to remove.
///
/// # Errors
/// [`BundleError`].
pub(crate) fn unpack(bundle: &[u8], folder: &Path, limit: u64) -> Result<usize, BundleError> {
    let broken = |error: io::Error| BundleError::Refused(format!("the bundle is no tar file: {error}"));
    fs::create_dir(folder).map_err(BundleError::io("make", folder))?;
    let (mut files, mut bytes) = (0, 0_u64);
    for (count, entry) in Archive::new(bundle).entries().map_err(broken)?.enumerate() {
        let entry = entry.map_err(broken)?;
        if count >= ENTRIES {
            return Err(BundleError::TooLarge(format!("the bundle has more than {ENTRIES} files and folders")));
        }
        let path = entry.path().map_err(broken)?;
        // `tar` writes `./` before each, and an entry for the folder itself.
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        if path.as_os_str().is_empty() && entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        check(&path)?;
        let at = folder.join(&path);
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent).map_err(BundleError::io("make", parent))?;
        }
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&at).map_err(BundleError::io("make", &at))?,
            EntryType::Regular => {
                bytes = bytes.saturating_add(entry.size());
                if bytes > limit {
                    return Err(BundleError::TooLarge(format!("the files of the bundle are more than {limit} bytes")));
                }
                // One that is there already stands there twice.
                let mut file = File::create_new(&at).map_err(BundleError::io("make", &at))?;
                // Bounded again by what is there: a size that is a lie ends at the bundle's own end.
                let written = io::copy(&mut entry.take(limit), &mut file).and_then(|_| file.flush());
                written.map_err(BundleError::io("write", &at))?;
                files += 1;
            }
            _ => {
                let text = format!("`{}` in the bundle is neither a file nor a folder", path.display());
                return Err(BundleError::Refused(text));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn unpacked(bundle: &[u8], limit: u64) -> Result<tempfile::TempDir, String> {
        let folder = tempfile::tempdir().unwrap();
        unpack(bundle, &folder.path().join("new"), limit).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_come_out_as_they_went_in() {
        let files = [("greeting.txt", "hello"), ("deep/er/b.txt", "b"), ("deep/a.txt", "")];
        let mut backwards = files;
        backwards.reverse();
        let (one, two) = (folder(&files), folder(&backwards));
        fs::create_dir(one.path().join("empty")).unwrap();
        fs::create_dir(two.path().join("empty")).unwrap();
        let bundle = pack(one.path(), 1 << 20).unwrap();
        assert_eq!(bundle, pack(two.path(), 1 << 20).unwrap());
        let out = unpacked(&bundle, 1 << 20).unwrap();
        for (path, content) in files {
            assert_eq!(fs::read_to_string(out.path().join("new").join(path)).unwrap(), content);
        }
        assert!(out.path().join("new/empty").is_dir());
    }

    #[test]
    fn a_path_longer_than_a_head_has_room_for_goes_the_same_way() {
        let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(120));
        let bundle = pack(folder(&[(&long, "x")]).path(), 1 << 20).unwrap();
        let out = unpacked(&bundle, 1 << 20).unwrap();
        assert_eq!(fs::read_to_string(out.path().join("new").join(long)).unwrap(), "x");
    }

    #[test]
    fn what_is_too_large_is_not_packed_and_not_unpacked() {
        let files = folder(&[("a", &"x".repeat(4000))]);
        let error = pack(files.path(), 4000).unwrap_err();
        assert!(matches!(error, BundleError::TooLarge(_)), "{error}");
        let bundle = pack(files.path(), 1 << 20).unwrap();
        assert_eq!(unpacked(&bundle, 3999).unwrap_err(), "the files of the bundle are more than 3999 bytes");
    }

    #[test]
    fn a_link_is_not_packed() {
        let files = folder(&[("a", "x")]);
        std::os::unix::fs::symlink("/etc/passwd", files.path().join("b")).unwrap();
        let error = pack(files.path(), 1 << 20).unwrap_err().to_string();
        assert!(error.ends_with("/b` is neither a file nor a folder; put the file itself there"), "{error}");
    }

    /// A bundle with one entry, whose path is written past every check of the library that writes it.
    fn hostile(path: &str, kind: EntryType, link: Option<&str>) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1);
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        let mut bundle = header.as_bytes().to_vec();
        bundle.extend([b'x'; 1]);
        bundle.extend([0; 511 + 1024]);
        bundle
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder_and_no_link_is_made() {
        let check = |path: &str, kind, link, expected: &str| {
            assert_eq!(unpacked(&hostile(path, kind, link), 1 << 20).unwrap_err(), expected, "{path}");
        };
        check("../a", EntryType::Regular, None, "path `../a` leads out of the bundle");
        check("a/../../b", EntryType::Regular, None, "path `a/../../b` leads out of the bundle");
        check("/etc/a", EntryType::Regular, None, "path `/etc/a` leads out of the bundle");
        let neither = "`a` in the bundle is neither a file nor a folder";
        check("a", EntryType::Symlink, Some("/etc"), neither);
        check("a", EntryType::Link, Some("b"), neither);
        check("a", EntryType::Fifo, None, neither);
        check("a", EntryType::Char, None, neither);
        let deep = "d/".repeat(40) + "f";
        check(&deep, EntryType::Regular, None, &format!("path `{deep}` is deeper than 32 folders"));
        assert!(unpacked(&[b'x'; 2048], 1 << 20).unwrap_err().starts_with("the bundle is no tar file: "));
    }

    #[test]
    fn a_bundle_as_tar_makes_it_of_a_folder_is_taken() {
        let mut bundle = Builder::new(Vec::new());
        let files = folder(&[("deep/a.txt", "a")]);
        bundle.append_dir_all(".", files.path()).unwrap();
        let out = unpacked(&bundle.into_inner().unwrap(), 1 << 20).unwrap();
        assert_eq!(fs::read_to_string(out.path().join("new/deep/a.txt")).unwrap(), "a");
    }

    #[test]
    fn a_path_that_stands_there_twice_is_refused() {
        let once = hostile("a", EntryType::Regular, None);
        let twice = [&once[..1024], &once].concat();
        assert!(unpacked(&twice, 1 << 20).unwrap_err().contains("File exists"));
    }
}
