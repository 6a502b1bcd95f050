//! The files that handlers bring along: kept as the bundles that were uploaded, and unpacked where handlers read them.
//!
//! A bundle is kept as a component is, by tenant and digest, and hashed again when it is read. What is unpacked is a copy
//! that a start throws away: it is made from the bundle when a handler that names it is first prepared, and goes when no
//! version names it that runs or could be rolled back to.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use parking_lot::RwLock;

use hostel_event::handler::Digest;
use hostel_event::name::Tenant;
use hostel_runtime::Files as Folder;

use super::Refusal;
use super::components::Components;
use crate::bundle::{self, BundleError};
use crate::telemetry;

/// A bundle of a tenant.
pub(super) type Key = (Tenant, Digest);

/// A bundle that handlers read.
struct Ready {
    folder: Folder,
    /// Where that is.
    place: PathBuf,
}

/// See the module's page.
pub(crate) struct Files {
    kept: Components,
    /// Where they are unpacked.
    unpacked: PathBuf,
    /// The most bytes of a bundle, and of its files.
    limit: usize,
    ready: RwLock<HashMap<Key, Ready>>,
}

impl Files {
    /// Nothing is ready yet. Bundles are kept in `files` below `data_dir`, and unpacked in `unpacked`.
    ///
    /// # Errors
    /// The folders could not be made.
    pub(crate) fn open(data_dir: &std::path::Path, limit: usize) -> io::Result<Self> {
        let kept = Components::open(data_dir.join("files"), "tar")?;
        let unpacked = data_dir.join("unpacked");
        match std::fs::remove_dir_all(&unpacked) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&unpacked)?,
        }
        Ok(Self { kept, unpacked, limit, ready: RwLock::default() })
    }

    /// The most bytes of a bundle.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// What a handler reads, if it is ready.
    pub(crate) fn get(&self, tenant: &Tenant, digest: &Digest) -> Option<Folder> {
        self.ready.read().get(&(tenant.clone(), *digest)).map(|ready| ready.folder.clone())
    }

    /// Whether a bundle is kept.
    pub(crate) async fn has(&self, tenant: &Tenant, digest: &Digest) -> bool {
        self.kept.has(tenant, digest).await
    }

    /// Checks a bundle and keeps it; says whether it was kept before.
    pub(crate) async fn put(&self, tenant: &Tenant, digest: Digest, bytes: Bytes) -> Result<bool, Refusal> {
        let found = super::components::digest(bytes.clone()).await?;
        if found != digest {
            return Err(Refusal::Digest { what: "bundle", expected: digest, found });
        }
        if self.kept.has(tenant, &digest).await {
            return Ok(true);
        }
        // That it can be unpacked is tried, and thrown away: only what is deployed takes the place twice.
        let place = self.unpack(bytes.clone()).await?;
        remove(place).await;
        self.kept.keep(tenant, &digest, &bytes).await?;
        Ok(false)
    }

    /// Has a bundle ready for handlers to read.
    pub(super) async fn prepare(&self, tenant: &Tenant, digest: Digest) -> Result<(), Refusal> {
        if self.get(tenant, &digest).is_some() {
            return Ok(());
        }
        let bytes = self.kept.read(tenant, &digest).await?.ok_or(Refusal::NoFiles(digest))?;
        let place = self.unpack(bytes).await?;
        let opened = tokio::task::spawn_blocking({
            let place = place.clone();
            move || Folder::open(&place)
        });
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::Internal(format!("cannot open the unpacked files `{}`: {error}", place.display()))
        };
        let folder = opened.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        self.ready.write().insert((tenant.clone(), digest), Ready { folder, place });
        Ok(())
    }

    /// Gives back what is named by none of these.
    pub(super) async fn retain(&self, named: &BTreeSet<Key>) {
        self.give_back(|key| !named.contains(key)).await;
    }

    /// Forgets all that is kept for a tenant.
    pub(super) async fn drop_all(&self, tenant: &Tenant) -> Result<(), Refusal> {
        self.give_back(|(owner, _)| owner == tenant).await;
        self.kept.drop_all(tenant).await
    }

    async fn give_back(&self, is_over: impl Fn(&Key) -> bool) {
        let over: Vec<Ready> = self.ready.write().extract_if(|key, _| is_over(key)).map(|(_, ready)| ready).collect();
        for ready in over {
            remove(ready.place).await;
        }
    }

    /// Unpacks a bundle into a folder of its own.
    async fn unpack(&self, bytes: Bytes) -> Result<PathBuf, Refusal> {
        let place = self.unpacked.join(uuid::Uuid::now_v7().to_string());
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let into = place.clone();
        let unpacked = tokio::task::spawn_blocking(move || bundle::unpack(&bytes, &into, limit)).await;
        match unpacked.map_err(|error| Refusal::Internal(error.to_string()))? {
            Ok(_) => Ok(place),
            Err(error) => {
                remove(place).await;
                Err(refusal(error))
            }
        }
    }
}

fn refusal(error: BundleError) -> Refusal {
    match error {
        BundleError::Io { .. } => Refusal::Internal(format!("cannot unpack the files: {error}")),
        error => Refusal::Bundle(error),
    }
}

async fn remove(place: PathBuf) {
    if let Err(error) = tokio::fs::remove_dir_all(&place).await
        && error.kind() != io::ErrorKind::NotFound
    {
        telemetry::internal_error(&format!("cannot remove `{}`: {error}", place.display()));
    }
}
