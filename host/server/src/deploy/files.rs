//! The files that handlers bring along: kept as the bundles that were uploaded, and unpacked where handlers read them.
//!
//! A bundle is kept as a component is, by tenant and digest, and hashed again when it is read. What is unpacked is a copy
//! that a start throws away: it is made from the bundle when a handler that names it is first prepared, and goes when no
//! version names it that runs or could be rolled back to.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::runtime::Handle;

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
    unpacked: Unpacked,
}

/// What a bundle was unpacked into. Goes when it is dropped: whoever waited for it may be gone by then.
struct Unpacked(Option<PathBuf>);

/// That a bundle is ready, for a version that may yet come to nothing. Dropped before it is [kept](Self::keep), it gives
/// back what was made ready for it alone: while it is there, nobody else may prepare with that bundle.
#[must_use]
pub(super) struct Prepared {
    files: Arc<Files>,
    /// `None`: it was ready before, or is kept.
    new: Option<Key>,
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
    pub(crate) fn open(data_dir: &Path, limit: usize) -> io::Result<Self> {
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
        self.unpack(bytes.clone(), |unpacked| {
            unpacked.remove();
            Ok(())
        })
        .await?;
        self.kept.keep(tenant, &digest, &bytes).await?;
        Ok(false)
    }

    /// Has a bundle ready for handlers to read. To be kept once the version that names it can run.
    pub(super) async fn prepare(self: &Arc<Self>, tenant: &Tenant, digest: Digest) -> Result<Prepared, Refusal> {
        let key = (tenant.clone(), digest);
        if self.ready.read().contains_key(&key) {
            return Ok(Prepared { files: Arc::clone(self), new: None });
        }
        let bytes = self.kept.read(tenant, &digest).await?.ok_or(Refusal::NoFiles(digest))?;
        let ready = self.unpack(bytes, |unpacked| match Folder::open(unpacked.place()) {
            Ok(folder) => Ok(Ready { folder, unpacked }),
            Err(error) => {
                let place = unpacked.place().display();
                let text = format!("cannot open the unpacked files `{place}`: {error}");
                unpacked.remove();
                Err(Refusal::Internal(text))
            }
        });
        let ready = ready.await?;
        self.ready.write().insert(key.clone(), ready);
        Ok(Prepared { files: Arc::clone(self), new: Some(key) })
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
        if !over.is_empty() {
            let gone = tokio::task::spawn_blocking(|| over.into_iter().for_each(|ready| ready.unpacked.remove()));
            if let Err(error) = gone.await {
                telemetry::internal_error(&format!("cannot remove unpacked files: {error}"));
            }
        }
    }

    /// Unpacks a bundle into a folder of its own, and goes on with that on the same thread: if nobody waits any more, what
    /// comes of it is dropped there.
    async fn unpack<T: Send + 'static>(
        &self,
        bytes: Bytes,
        then: impl FnOnce(Unpacked) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.unpacked.join(uuid::Uuid::now_v7().to_string());
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let done = tokio::task::spawn_blocking(move || {
            let unpacked = Unpacked(Some(place.clone()));
            match bundle::unpack(&bytes, &place, limit) {
                Ok(_) => then(unpacked),
                Err(error) => {
                    unpacked.remove();
                    Err(refusal(error))
                }
            }
        });
        done.await.map_err(|error| Refusal::Internal(error.to_string()))?
    }
}

impl Unpacked {
    fn place(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Removes it at once. Blocks.
    fn remove(mut self) {
        if let Some(place) = self.0.take() {
            remove(&place);
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let Some(place) = self.0.take() else { return };
        // Thousands of files take a while, for which no worker must be kept from events. What is left if the host ends
        // meanwhile, the next start throws away.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&place))),
            Err(_) => remove(&place),
        }
    }
}

impl Prepared {
    /// It stays until no version names it any more.
    pub(super) fn keep(mut self) {
        self.new = None;
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(key) = self.new.take() {
            self.files.ready.write().remove(&key);
        }
    }
}

fn refusal(error: BundleError) -> Refusal {
    match error {
        BundleError::Io { .. } => Refusal::Internal(format!("cannot unpack the files: {error}")),
        error => Refusal::Bundle(error),
    }
}

fn remove(place: &Path) {
    if let Err(error) = std::fs::remove_dir_all(place)
        && error.kind() != io::ErrorKind::NotFound
    {
        telemetry::internal_error(&format!("cannot remove `{}`: {error}", place.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// With a bundle that has one file.
    fn with_bundle(data: &Path) -> (Arc<Files>, Tenant, Digest, Bytes) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        let bundle = Bytes::from(bundle::pack(folder.path(), 1 << 30).unwrap());
        let digest = hostel_runtime::digest(&bundle);
        (Arc::new(Files::open(data, 1 << 30).unwrap()), Tenant::new("acme").unwrap(), digest, bundle)
    }

    fn unpacked(data: &Path) -> usize {
        std::fs::read_dir(data.join("unpacked")).unwrap().count()
    }

    /// Waits until so many are there.
    async fn until(data: &Path, count: usize) {
        let looking = async {
            while unpacked(data) != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looking).await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_left_on_the_disk() {
        let data = tempfile::tempdir().unwrap();
        let (files, _, _, bundle) = with_bundle(data.path());
        let (reached, unpacks) = tokio::sync::oneshot::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let unpacking = files.unpack(bundle, move |unpacked| {
            reached.send(()).unwrap();
            wait.recv().unwrap();
            Ok(unpacked)
        });
        // The client leaves.
        tokio::select! {
            _ = unpacking => panic!("it ended before it could be cut off"),
            unpacks = unpacks => unpacks.unwrap(),
        }
        assert_eq!(unpacked(data.path()), 1);
        go.send(()).unwrap();
        until(data.path(), 0).await;
    }

    #[tokio::test]
    async fn what_is_uploaded_or_refused_leaves_nothing_unpacked() {
        let data = tempfile::tempdir().unwrap();
        let (files, tenant, digest, bundle) = with_bundle(data.path());
        assert!(!files.put(&tenant, digest, bundle).await.unwrap());
        assert_eq!(unpacked(data.path()), 0);
        let broken = Bytes::from_static(&[b'x'; 2048]);
        let digest = hostel_runtime::digest(&broken);
        assert!(matches!(files.put(&tenant, digest, broken).await, Err(Refusal::Bundle(_))));
        assert_eq!(unpacked(data.path()), 0);
    }

    #[tokio::test]
    async fn what_was_made_ready_for_a_version_that_came_to_nothing_goes_and_what_others_read_stays() {
        let data = tempfile::tempdir().unwrap();
        let (files, tenant, digest, bundle) = with_bundle(data.path());
        files.put(&tenant, digest, bundle).await.unwrap();
        drop(files.prepare(&tenant, digest).await.unwrap());
        assert!(files.get(&tenant, &digest).is_none());
        until(data.path(), 0).await;
        files.prepare(&tenant, digest).await.unwrap().keep();
        drop(files.prepare(&tenant, digest).await.unwrap());
        assert!(files.get(&tenant, &digest).is_some());
        assert_eq!(unpacked(data.path()), 1);
        files.retain(&BTreeSet::new()).await;
        assert_eq!(unpacked(data.path()), 0);
    }
}
