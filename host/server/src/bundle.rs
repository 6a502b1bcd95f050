//! The files that a handler brings along, as one tar file: packed from a folder, and unpacked into one.
//!
//! The same files give the same bytes whoever packs them: sorted by path, without owners, times and modes. What is
//! unpacked is believed nothing: plain files and folders at plain relative paths, and of each only so many.

pub(crate) mod folder;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tar::{Archive, Builder, EntryType, Header, HeaderMode};

use folder::{Folder, Piece};

/// The most files and folders of a bundle. Arbitrary: far beyond what a handler reads.
const ENTRIES: usize = 10_000;
/// The most folders above a file. Arbitrary.
const DEPTH: usize = 32;
/// The most bytes of a path. What fits in any file system below a folder.
const PATH: usize = 1024;
/// The most bytes of each name in it. What file systems have room for.
const NAME: usize = 255;

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
    let opened = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = opened.map_err(|errno| BundleError::io("read", folder)(errno.into()))?;
    pack_opened(&Folder::new(opened, folder), limit)
}

/// The same of a folder that is open.
///
/// # Errors
/// As for [`pack`].
pub(crate) fn pack_opened(folder: &Folder, limit: u64) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Builder::new(Vec::new());
    bundle.mode(HeaderMode::Deterministic);
    let mut bytes = 0_u64;
    for (path, piece) in folder.list(&mut 0)? {
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        let (kind, mode, content) = match piece {
            Piece::Folder => (EntryType::Directory, 0o755, Vec::new()),
            Piece::File(_) => (EntryType::Regular, 0o644, folder.read(&path, limit.saturating_sub(bytes) + 1)?),
        };
        // A head and whole blocks.
        bytes = bytes.saturating_add(512 + (content.len() as u64).next_multiple_of(512));
        if bytes > limit {
            let text = format!("the files in `{}` are more than {limit} bytes as a bundle", folder.shown().display());
            return Err(BundleError::TooLarge(text));
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let packed = bundle.append_data(&mut header, &path, content.as_slice());
        packed.map_err(BundleError::io("pack", &folder.shown().join(&path)))?;
    }
    bundle.into_inner().map_err(BundleError::io("pack", folder.shown()))
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
    if path.components().any(|part| part.as_os_str().len() > NAME) {
        return refused("has a name in it that is longer than 255 bytes");
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
    let (mut tree, mut bytes) = (Tree::default(), 0_u64);
    for entry in Archive::new(bundle).entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?;
        // `tar` writes `./` before each, and an entry for the folder itself.
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let kind = entry.header().entry_type();
        if path.as_os_str().is_empty() && kind == EntryType::Directory {
            continue;
        }
        check(&path)?;
        let is_folder = match kind {
            EntryType::Directory => true,
            EntryType::Regular => false,
            _ => {
                let text = format!("`{}` in the bundle is neither a file nor a folder", path.display());
                return Err(BundleError::Refused(text));
            }
        };
        if !is_folder {
            bytes = bytes.saturating_add(entry.size());
            if bytes > limit {
                return Err(BundleError::TooLarge(format!("the files of the bundle are more than {limit} bytes")));
            }
        }
        for new in tree.add(&path, is_folder)? {
            let at = folder.join(new);
            fs::create_dir(&at).map_err(BundleError::io("make", &at))?;
        }
        if !is_folder {
            let at = folder.join(&path);
            let mut file = File::create_new(&at).map_err(BundleError::io("make", &at))?;
            // Bounded again by what is there: a size that is a lie ends at the bundle's own end.
            let written = io::copy(&mut entry.take(limit), &mut file).and_then(|_| file.flush());
            written.map_err(BundleError::io("write", &at))?;
        }
    }
    Ok(tree.0.values().filter(|is_folder| !**is_folder).count())
}

/// What a bundle has so far, and whether each is a folder. Those that it names only as part of a path are folders too.
#[derive(Default)]
struct Tree(HashMap<PathBuf, bool>);

impl Tree {
    /// Adds what the next entry says; gives the folders that are new by it, the upper before the lower.
    fn add(&mut self, path: &Path, is_folder: bool) -> Result<Vec<PathBuf>, BundleError> {
        let mut new = Vec::new();
        // From the top to the path itself, without the bundle's own folder.
        let mut ways: Vec<&Path> = path.ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
        ways.reverse();
        for way in ways {
            let wants_folder = is_folder || way != path;
            match self.0.get(way) {
                // A folder may have an entry of its own after it was needed, and more than one.
                Some(true) if wants_folder => continue,
                None => {}
                Some(false) if way != path => {
                    let text =
                        format!("`{}` in the bundle lies below `{}`, which is a file", path.display(), way.display());
                    return Err(BundleError::Refused(text));
                }
                Some(_) => {
                    return Err(BundleError::Refused(format!("`{}` stands twice in the bundle", path.display())));
                }
            }
            if self.0.len() >= ENTRIES {
                return Err(BundleError::TooLarge(format!("the bundle has more than {ENTRIES} files and folders")));
            }
            self.0.insert(way.to_owned(), wants_folder);
            if wants_folder {
                new.push(way.to_owned());
            }
        }
        Ok(new)
    }
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

    /// One after another, of which each is a file or, by a slash at its end, a folder.
    fn hostile_tree(paths: &[&str]) -> Vec<u8> {
        let entry = |path: &&str| {
            let kind = if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
            hostile(path, kind, None)[..1024].to_vec()
        };
        let mut bundle: Vec<u8> = paths.iter().flat_map(entry).collect();
        bundle.extend([0; 1024]);
        bundle
    }

    #[test]
    fn a_tree_that_cannot_be_is_refused_and_is_no_fault_of_the_disk() {
        let check = |paths: &[&str], expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            let error = unpack(&hostile_tree(paths), &folder.path().join("new"), 1 << 20).unwrap_err();
            assert!(matches!(error, BundleError::Refused(_)), "{paths:?}: {error}");
            assert_eq!(error.to_string(), expected, "{paths:?}");
        };
        check(&["a", "a"], "`a` stands twice in the bundle");
        check(&["a", "a/"], "`a` stands twice in the bundle");
        check(&["a/", "a"], "`a` stands twice in the bundle");
        check(&["a/b", "a"], "`a` stands twice in the bundle");
        check(&["a", "a/b/c"], "`a/b/c` in the bundle lies below `a`, which is a file");
        let allowed = unpacked(&hostile_tree(&["a/b", "a/", "a/", "a/c/", "./"]), 1 << 20).unwrap();
        assert!(allowed.path().join("new/a/c").is_dir());
    }

    #[test]
    fn a_name_that_no_disk_has_room_for_is_refused() {
        let bundle = |name: &str| {
            let mut bundle = Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_size(1);
            bundle.append_data(&mut header, name, &b"x"[..]).unwrap();
            bundle.into_inner().unwrap()
        };
        let name = format!("deep/{}", "f".repeat(256));
        let error = unpacked(&bundle(&name), 1 << 20).unwrap_err();
        assert_eq!(error, format!("path `{name}` has a name in it that is longer than 255 bytes"));
        assert!(unpacked(&bundle(&"f".repeat(255)), 1 << 20).is_ok());
    }

    #[test]
    fn folders_that_only_paths_name_count_too() {
        let paths: Vec<String> = (0..1000).map(|number| format!("{number}{}/f", "/d".repeat(20))).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(&hostile_tree(&paths), &folder.path().join("new"), 1 << 20).unwrap_err().to_string();
        assert_eq!(error, "the bundle has more than 10000 files and folders");
        assert!(fs::read_dir(folder.path().join("new")).unwrap().count() < 1000);
    }
}
