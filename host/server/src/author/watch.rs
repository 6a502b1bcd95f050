//! Notices when the sources of a project change, by looking at them a few times a second: that works on every file
//! system, and a project's sources are few.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the files are looked at. A person does not notice it, and a thousand files cost a few milliseconds.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most files that are looked at. A project with more keeps something there that is no source.
const FILES: usize = 20_000;
/// Folders that tools fill.
const SKIPPED: [&str; 4] = ["__pycache__", "node_modules", "target", "dist"];

/// What a project's sources looked like: the time of the last change and the size of each.
pub(crate) type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// Waits until the sources differ from what they were, and then until they stay as they are: editors write several
/// files, and some write one several times. Cancelling is safe.
pub(crate) async fn changed(folder: &Path, before: &Seen) -> Seen {
    let mut last = before.clone();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = look(folder).await;
        if now != *before && now == last {
            return now;
        }
        last = now;
    }
}

/// How the sources look now.
pub(crate) async fn look(folder: &Path) -> Seen {
    let folder = folder.to_owned();
    // A look that was cancelled or went wrong has seen nothing, which counts as a change and costs a build.
    tokio::task::spawn_blocking(move || seen(&folder)).await.unwrap_or_default()
}

fn seen(folder: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Hidden ones are `.git`, `.venv`, our own `.hostel`, and what editors leave for a moment.
            // A log may be what is said while we build: looking at it would begin another build at each.
            let is_none = name.starts_with('.') || name.ends_with('~') || name.ends_with(".log");
            if is_none || SKIPPED.contains(&&*name) {
                continue;
            }
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.is_file() {
                seen.insert(entry.path(), (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()));
            }
            if seen.len() >= FILES {
                return seen;
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sources_are_seen_and_what_tools_leave_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for below in ["src", "target", ".hostel", "node_modules"] {
            fs::create_dir(folder.path().join(below)).unwrap();
            fs::write(folder.path().join(below).join("a"), "").unwrap();
        }
        fs::write(folder.path().join("dev.log"), "building …").unwrap();
        let seen = look(folder.path()).await;
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&folder.path().join("src/a")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let before = look(folder.path()).await;
        fs::write(folder.path().join("a.c"), "int a;").unwrap();
        let after = changed(folder.path(), &before).await;
        assert_eq!(after.len(), 1);
        assert_eq!(after, look(folder.path()).await);
    }
}
