//! What lies in a folder, told in parts.
//!
//! WASI's own reads a folder whole and keeps it until the guest has asked for each entry, some megabytes of the host's
//! memory for a large one. Here a list is a place in the folder and the next few entries. Nothing but the folder itself is
//! open between two parts.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, statat};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use super::open::Reader;

/// Entries of a part. Arbitrary: most folders are one, and with the longest names it is 32 KiB.
const PART: usize = 128;

/// A list that a guest reads.
pub(super) struct List {
    folder: Arc<File>,
    /// Where the next part begins; `None` if there is none.
    next: Option<i64>,
    ready: VecDeque<Entry>,
    /// Shared with what reads the folder, which goes on for a moment when the guest is ended.
    reader: Arc<Reader>,
}

/// An entry, or why it cannot be told.
type Entry = Result<DirectoryEntry, ErrorCode>;

impl List {
    pub(super) fn new(folder: Arc<File>, reader: Reader) -> Self {
        Self { folder, next: Some(0), ready: VecDeque::new(), reader: Arc::new(reader) }
    }

    /// The next entry; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<DirectoryEntry>, ErrorCode> {
        while self.ready.is_empty() {
            let Some(at) = self.next else { return Ok(None) };
            let (folder, reader) = (Arc::clone(&self.folder), Arc::clone(&self.reader));
            let reading = tokio::task::spawn_blocking(move || {
                let read = part(&folder, at);
                drop((folder, reader));
                read
            });
            (self.ready, self.next) = reading.await.map_err(|_| ErrorCode::Io)??;
        }
        self.ready.pop_front().transpose()
    }
}

/// The entries from there on, and where those after them begin. Blocks.
///
/// A place in a folder holds for whoever opens it, as long as nothing in it changes; nothing in these does.
fn part(folder: &File, at: i64) -> io::Result<(VecDeque<Entry>, Option<i64>)> {
    let mut entries = VecDeque::new();
    let mut next = at;
    // Opens the folder anew: others may read the same one, each at a place of its own.
    let mut dir = Dir::read_from(folder)?;
    dir.seek(at)?;
    while entries.len() < PART {
        let Some(entry) = dir.read() else { return Ok((entries, None)) };
        let entry = entry?;
        next = entry.offset();
        let name = entry.file_name();
        if name != c"." && name != c".." {
            entries.push_back(described(folder, name, entry.file_type()));
        }
    }
    Ok((entries, Some(next)))
}

fn described(folder: &File, name: &CStr, mut file_type: FileType) -> Entry {
    if file_type == FileType::Unknown {
        // Not every file system tells it along with the name.
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
        file_type = FileType::from_raw_mode(found.st_mode);
    }
    let type_ = match file_type {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        // A folder of files has no others.
        _ => DescriptorType::Unknown,
    };
    let name = name.to_str().map_err(|_| ErrorCode::IllegalByteSequence)?;
    Ok(DirectoryEntry { type_, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::open::Open;
    use super::*;

    async fn names(folder: &std::path::Path) -> Vec<(String, DescriptorType)> {
        let folder = Arc::new(File::open(folder).unwrap());
        let mut list = List::new(folder, Open::default().reader(0).unwrap());
        let mut names = Vec::new();
        while let Some(entry) = list.next().await.unwrap() {
            assert!(list.ready.len() < PART);
            names.push((entry.name, entry.type_));
        }
        assert!(list.next().await.unwrap().is_none(), "it stays at its end");
        names
    }

    #[tokio::test]
    async fn a_folder_of_any_size_is_told_to_its_end_and_each_entry_once() {
        for count in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 7] {
            let folder = tempfile::tempdir().unwrap();
            for number in 0..count {
                let name = format!("{number}-{}", "x".repeat(number % 240));
                std::fs::write(folder.path().join(name), "").unwrap();
            }
            let told = names(folder.path()).await;
            let different: BTreeSet<_> = told.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!((told.len(), different.len()), (count, count));
        }
    }

    #[tokio::test]
    async fn entries_are_told_with_their_kinds() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let mut told = names(folder.path()).await;
        told.sort_by(|one, other| one.0.cmp(&other.0));
        let [(file, DescriptorType::RegularFile), (inner, DescriptorType::Directory)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((file.as_str(), inner.as_str()), ("file", "folder"));
    }
}
