//! What was read from files, and is read again when they change.
//!
//! They are looked at once a second while somebody asks. What cannot be read leaves the old one, and the log says why.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::telemetry;

/// How often the files are looked at. Arbitrary: soon for a person, seldom for a disk.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// See the module's page.
pub(super) struct Fresh<T> {
    files: Vec<PathBuf>,
    read: Read<T>,
    current: RwLock<Current<T>>,
}

struct Current<T> {
    value: T,
    changed: Option<Vec<SystemTime>>,
    looked: Instant,
}

impl<T: Clone> Fresh<T> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// What `read` says is wrong.
    pub(super) fn open(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let changed = changed(&files);
        let current = RwLock::new(Current { value: read()?, changed, looked: Instant::now() });
        Ok(Self { files, read: Box::new(read), current })
    }

    /// What is in the files now, or was when it could last be read.
    pub(super) fn get(&self) -> T {
        let now = Instant::now();
        {
            let current = self.current.read();
            if now.duration_since(current.looked) < LOOK_AGAIN {
                return current.value.clone();
            }
        }
        let mut current = self.current.write();
        // Who waited for the lock finds that another has looked.
        if now.duration_since(current.looked) < LOOK_AGAIN {
            return current.value.clone();
        }
        current.looked = now;
        let changed = changed(&self.files);
        if changed.is_some() && changed != current.changed {
            match (self.read)() {
                Ok(value) => {
                    current.value = value;
                    telemetry::certificate_changed(&self.files);
                }
                // Remembered as seen all the same: what is said once need not be said every second.
                Err(error) => telemetry::certificate_unusable(&error),
            }
            current.changed = changed;
        }
        current.value.clone()
    }
}

/// When each last changed; `None` if one cannot be looked at.
pub(super) fn changed(files: &[PathBuf]) -> Option<Vec<SystemTime>> {
    files.iter().map(|path| fs::metadata(path).and_then(|about| about.modified()).ok()).collect()
}
