//! A watched folder with one for each tenant in it: whose handlers lie in which, and what of it is nobody's.
//!
//! A folder belongs to the tenant of its name, and to no other: what in it leads elsewhere by a link is refused. One that
//! belongs to no tenant is told once, and taken as soon as there is such a tenant. When a tenant's folder is gone, so is
//! what came from it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hostel_api::problem::Code;
use hostel_event::name::Tenant;
use hostel_event::time::Timestamp;

use super::look::{Folder, Links};
use super::record::Record;
use super::{Deployments, Watched};
use crate::telemetry;

/// The most entries that are looked at. As many as there may be tenants.
const ENTRIES: usize = 10_000;

/// What an entry of the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    Link,
}

/// A tenant's own folder.
struct Own {
    watched: Watched,
    /// When the tenant was created whose it is: one that was deleted and made again is another. `None`: there was none.
    since: Option<Timestamp>,
}

/// See the module's page.
pub(crate) struct Tenants {
    folder: PathBuf,
    /// Where it is noted what came from which.
    records: PathBuf,
    deployments: Arc<Deployments>,
    component_limit: usize,
    watched: BTreeMap<Tenant, Own>,
    /// Why what is nobody's is not taken, so that it is told once.
    told: BTreeMap<String, (Code, String)>,
    /// Whether the last look failed, so that it is told once.
    is_lost: bool,
}

impl Tenants {
    /// Goes on with a folder as it was left.
    ///
    /// # Errors
    /// What came from it cannot be noted.
    pub(super) async fn open(
        folder: PathBuf,
        records: PathBuf,
        deployments: Arc<Deployments>,
        component_limit: usize,
    ) -> io::Result<Self> {
        tokio::fs::create_dir_all(&records).await?;
        let (told, is_lost, watched) = (BTreeMap::new(), false, BTreeMap::new());
        let mut tenants = Self { folder, records, deployments, component_limit, watched, told, is_lost };
        // Those whose folders went while the host was away are to be seen as gone.
        let mut noted = tokio::fs::read_dir(&tenants.records).await?;
        while let Some(entry) = noted.next_entry().await? {
            let name = entry.file_name().into_string().unwrap_or_default();
            if let Some(Ok(tenant)) = name.strip_suffix(".json").map(Tenant::new) {
                tenants.watch(tenant).await;
            }
        }
        Ok(tenants)
    }

    async fn watch(&mut self, tenant: Tenant) {
        let folder = Folder { path: self.folder.join(tenant.as_str()), links: Links::Inside };
        let record = Record::open(self.records.join(format!("{tenant}.json")), &tenant).await;
        let deployments = Arc::clone(&self.deployments);
        let watched = Watched::new(folder, tenant.clone(), deployments, (record, self.component_limit));
        let since = self.since(&tenant);
        self.watched.insert(tenant, Own { watched, since });
    }

    /// When a tenant was created, if it is there.
    fn since(&self, tenant: &Tenant) -> Option<Timestamp> {
        self.deployments.parts.tenants.get(tenant).map(|record| record.created_at)
    }

    /// Looks once, and does what there is to do.
    pub(super) async fn turn(&mut self) {
        let folder = self.folder.clone();
        let entries = tokio::task::spawn_blocking(move || list(&folder)).await;
        let entries = match entries.map_err(io::Error::other).and_then(|entries| entries) {
            Ok(entries) => entries,
            Err(error) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    telemetry::watched_trouble(&format!("cannot read `{}`: {error}", self.folder.display()));
                }
                return;
            }
        };
        self.is_lost = false;
        let all = &self.deployments.parts.tenants;
        let (there, refused) = whose(&entries, |tenant| all.has(tenant));
        for (entry, (code, reason)) in &refused {
            if self.told.get(entry) != Some(&(*code, reason.clone())) {
                telemetry::watched_refused(entry, code.as_str(), reason);
            }
        }
        self.told = refused;
        self.leave(&there).await;
        for tenant in there {
            if !self.watched.contains_key(&tenant) {
                self.watch(tenant.clone()).await;
            }
            if let Some(own) = self.watched.get_mut(&tenant) {
                own.watched.turn().await;
            }
        }
    }

    /// Deals with those that are watched and not there, or are another tenant's now.
    async fn leave(&mut self, there: &[Tenant]) {
        let is_as_before = |(tenant, own): &(&Tenant, &Own)| there.contains(tenant) && own.since == self.since(tenant);
        let gone: Vec<Tenant> =
            self.watched.iter().filter(|one| !is_as_before(one)).map(|(tenant, _)| tenant.clone()).collect();
        for tenant in gone {
            let Some(Own { mut watched, since }) = self.watched.remove(&tenant) else { continue };
            let is_tenant = since.is_some() && since == self.since(&tenant);
            if is_tenant {
                // Of an empty folder.
                watched.follow(&BTreeMap::new()).await;
            }
            if is_tenant && !watched.is_over() {
                self.watched.insert(tenant, Own { watched, since });
                continue;
            }
            watched.forgive_all();
            if let Err(error) = watched.record.forget().await {
                telemetry::watched_trouble(&format!("cannot forget what came from `{tenant}`: {error}"));
            }
        }
    }
}

/// What lies in the folder. Blocks.
pub(crate) fn list(folder: &Path) -> io::Result<BTreeMap<String, Kind>> {
    let mut entries = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Of the entry itself: a link is not what it leads to.
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_dir() => Kind::Folder,
            Ok(kind) if kind.is_symlink() => Kind::Link,
            _ => continue,
        };
        if !name.starts_with('.') {
            entries.insert(name, kind);
        }
        if entries.len() > ENTRIES {
            return Err(io::Error::other(format!("it has more than {ENTRIES} entries")));
        }
    }
    Ok(entries)
}

/// Whose the entries are, and why others are nobody's.
pub(crate) fn whose(
    entries: &BTreeMap<String, Kind>,
    is_tenant: impl Fn(&Tenant) -> bool,
) -> (Vec<Tenant>, BTreeMap<String, (Code, String)>) {
    let (mut there, mut refused) = (Vec::new(), BTreeMap::new());
    for (entry, kind) in entries {
        let reason = match (Tenant::new(entry), kind) {
            (Err(error), _) => error.to_string(),
            (Ok(_), Kind::Link) => format!("`{entry}` is a link, and a tenant's folder is a folder of its own"),
            (Ok(tenant), Kind::Folder) if is_tenant(&tenant) => {
                there.push(tenant);
                continue;
            }
            (Ok(tenant), Kind::Folder) => format!("there is no tenant `{tenant}`"),
        };
        refused.insert(entry.clone(), (Code::NobodysFolder, reason));
    }
    (there, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_the_tenant_of_its_name_and_what_is_nobodys_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["acme", "nobody", "Not A Tenant", ".hidden"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("readme"), "").unwrap();
        std::os::unix::fs::symlink("acme", folder.path().join("rival")).unwrap();
        let entries = list(folder.path()).unwrap();
        let (there, refused) = whose(&entries, |tenant| ["acme", "rival"].contains(&tenant.as_str()));
        assert_eq!(there, [Tenant::new("acme").unwrap()]);
        let reasons: Vec<&str> = refused.values().map(|(_, reason)| reason.as_str()).collect();
        let [malformed, nobody, link] = &reasons[..] else { panic!("{reasons:?}") };
        assert!(malformed.starts_with("tenant `Not A Tenant` has"), "{malformed}");
        assert_eq!(*nobody, "there is no tenant `nobody`");
        assert_eq!(*link, "`rival` is a link, and a tenant's folder is a folder of its own");
    }
}
