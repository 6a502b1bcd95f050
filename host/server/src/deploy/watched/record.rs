//! What came from which entry of the watched folder: `watched.json` in the data directory, or `watched/TENANT.json` for each
//! tenant that has a folder of its own.
//!
//! The file is written beside its place and renamed into it. One that is lost or damaged loses no handler: what lies in
//! the folder is found to run already, and what went from it meanwhile is left.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use hostel_api::manifest::Manifest;
use hostel_event::name::Tenant;

use crate::telemetry;

/// What an entry brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deployed {
    pub(super) handler: String,
    /// Of its manifest, see [`fingerprint`].
    pub(super) fingerprint: String,
}

/// See the module's page.
pub(super) struct Record {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    /// Whose handlers they are. What came for another stays as it is.
    tenant: String,
    entries: BTreeMap<String, Deployed>,
}

impl Record {
    /// Reads what was noted, for this tenant.
    pub(super) async fn open(path: PathBuf, tenant: &Tenant) -> Self {
        let read = match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice::<Content>(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let content = read.unwrap_or_else(|error| {
            telemetry::watched_trouble(&format!("what was noted in `{}` is lost: {error}", path.display()));
            None
        });
        let content = content.filter(|content| content.tenant == tenant.as_str());
        let nothing = || Content { tenant: tenant.to_string(), entries: BTreeMap::new() };
        Self { path, content: content.unwrap_or_else(nothing) }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &String> {
        self.content.entries.keys()
    }

    pub(super) fn get(&self, entry: &str) -> Option<&Deployed> {
        self.content.entries.get(entry)
    }

    /// Notes what came; gives what had come before.
    pub(super) fn insert(&mut self, entry: &str, deployed: Deployed) -> Option<Deployed> {
        self.content.entries.insert(entry.to_owned(), deployed)
    }

    pub(super) fn remove(&mut self, entry: &str) -> Option<Deployed> {
        self.content.entries.remove(entry)
    }

    /// Whether nothing came, or all that came is gone.
    pub(super) fn is_empty(&self) -> bool {
        self.content.entries.is_empty()
    }

    /// Forgets all that was noted, on the disk too.
    pub(super) async fn forget(self) -> io::Result<()> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes it down.
    pub(super) async fn save(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.content)?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let beside = path.with_extension("json.part");
            let mut file = std::fs::File::create(&beside)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        });
        written.await.map_err(io::Error::other)?
    }
}

/// What tells one version of a handler from another: the SHA-256 of its manifest, in which its component's stands.
pub(super) fn fingerprint(manifest: &Manifest) -> String {
    // Plain texts and numbers always serialize.
    hostel_runtime::digest(&serde_json::to_vec(manifest).unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_noted_is_there_after_a_restart_for_its_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let deployed = Deployed { handler: "hello".to_owned(), fingerprint: "f".to_owned() };
        let mut record = Record::open(folder.path().join("watched.json"), &acme).await;
        assert_eq!(record.insert("a", deployed.clone()), None);
        record.save().await.unwrap();
        let record = Record::open(folder.path().join("watched.json"), &acme).await;
        assert_eq!((record.entries().count(), record.get("a")), (1, Some(&deployed)));
        assert_eq!(Record::open(folder.path().join("watched.json"), &rival).await.entries().count(), 0);
        std::fs::write(folder.path().join("watched.json"), "{").unwrap();
        assert_eq!(Record::open(folder.path().join("watched.json"), &acme).await.entries().count(), 0);
    }

    #[test]
    fn a_fingerprint_is_of_all_that_a_manifest_says() {
        let read = |text: &str| fingerprint(&Manifest::from_toml(text, "").unwrap());
        let one = read("name = 'a'\ncomponent = 'x'");
        assert_eq!(one, read("component = 'x'\nname = 'a'"));
        assert_ne!(one, read("name = 'a'\ncomponent = 'y'"));
        assert_ne!(one, read("name = 'a'\ncomponent = 'x'\nconfig = { k = 'v' }"));
    }
}
