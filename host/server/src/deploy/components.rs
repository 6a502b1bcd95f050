//! Where components' bytes are kept: `components/<tenant>/<sha256>.wasm` below the data directory. Bundles of files are
//! kept alike.
//!
//! A file is written beside its place and renamed into it, so that one of that name is always whole. What is read is
//! hashed again, so that one which was damaged on the disk is found and not run.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use hostel_event::handler::Digest;
use hostel_event::name::Tenant;

use super::Refusal;

/// See the module's page.
pub(super) struct Components {
    folder: PathBuf,
    /// How files end.
    extension: &'static str,
}

impl Components {
    pub(super) fn open(folder: PathBuf, extension: &'static str) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, extension })
    }

    /// Neither a tenant's name nor a digest can hold a path's special characters.
    fn path(&self, tenant: &Tenant, digest: &Digest) -> PathBuf {
        self.folder.join(tenant.as_str()).join(format!("{digest}.{}", self.extension))
    }

    /// Forgets all that is kept for a tenant.
    pub(super) async fn drop_all(&self, tenant: &Tenant) -> Result<(), Refusal> {
        let folder = self.folder.join(tenant.as_str());
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Refusal::Internal(format!("cannot remove `{}`: {error}", folder.display())))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn has(&self, tenant: &Tenant, digest: &Digest) -> bool {
        tokio::fs::try_exists(self.path(tenant, digest)).await.unwrap_or(false)
    }

    /// The bytes, if they are kept and whole.
    pub(super) async fn read(&self, tenant: &Tenant, digest: &Digest) -> Result<Option<Bytes>, Refusal> {
        let path = self.path(tenant, digest);
        let bytes = match tokio::fs::read(&path).await {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Refusal::Internal(format!("cannot read `{}`: {error}", path.display()))),
        };
        if self::digest(bytes.clone()).await? != *digest {
            return Err(Refusal::Internal(format!("`{}` is damaged; deploy it again", path.display())));
        }
        Ok(Some(bytes))
    }

    pub(super) async fn keep(&self, tenant: &Tenant, digest: &Digest, bytes: &Bytes) -> Result<(), Refusal> {
        let path = self.path(tenant, digest);
        let (target, bytes) = (path.clone(), bytes.clone());
        let written = tokio::task::spawn_blocking(move || write(&target, &bytes)).await;
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::Internal(format!("cannot keep what was uploaded as `{}`: {error}", path.display()))
        };
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The digest of a component. Tens of megabytes take tens of milliseconds, for which no worker must be kept from events.
pub(super) async fn digest(bytes: Bytes) -> Result<Digest, Refusal> {
    let hashed = tokio::task::spawn_blocking(move || hostel_runtime::digest(&bytes)).await;
    hashed.map_err(|error| Refusal::Internal(error.to_string()))
}

fn write(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("no folder"))?;
    std::fs::create_dir_all(folder)?;
    // Two that keep the same bytes at the same time write to files of their own; the later rename wins with the same
    // content.
    let unique = uuid::Uuid::now_v7();
    let beside = path.with_extension(format!("{unique}.part"));
    let written = (|| {
        let mut file = std::fs::File::create_new(&beside)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The name itself is kept only once the folder is.
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // Nothing more can be done about a leftover if this fails too.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_read_by_its_tenant_alone() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::open(folder.path().join("components"), "wasm").unwrap();
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let bytes = Bytes::from_static(b"wasm");
        let digest = hostel_runtime::digest(&bytes);
        assert!(!components.has(&acme, &digest).await);
        components.keep(&acme, &digest, &bytes).await.unwrap();
        components.keep(&acme, &digest, &bytes).await.unwrap();
        assert!(components.has(&acme, &digest).await);
        assert_eq!(components.read(&acme, &digest).await.unwrap(), Some(bytes));
        assert!(!components.has(&rival, &digest).await);
        assert_eq!(components.read(&rival, &digest).await.unwrap(), None);
        let files = std::fs::read_dir(folder.path().join("components/acme")).unwrap().count();
        assert_eq!(files, 1, "no leftovers");
    }

    #[tokio::test]
    async fn a_damaged_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::open(folder.path().to_owned(), "wasm").unwrap();
        let acme = Tenant::new("acme").unwrap();
        let digest = hostel_runtime::digest(b"wasm");
        components.keep(&acme, &digest, &Bytes::from_static(b"wasm")).await.unwrap();
        std::fs::write(components.path(&acme, &digest), b"was").unwrap();
        let refusal = components.read(&acme, &digest).await.unwrap_err().to_string();
        assert!(refusal.ends_with("is damaged; deploy it again"), "{refusal}");
    }
}
