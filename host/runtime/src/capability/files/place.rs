//! How many files and folders guests may have open: all of them together, and those of each tenant.
//!
//! How many one guest may have is decided in [`open`](super::open).

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use hostel_event::name::Tenant;

/// What all guests may have open at a time. A quarter of the files that a process may usually have open.
const ALL: usize = 256;
/// What the guests of one tenant may. A quarter again, so that it takes several to leave nothing for the others.
const OF_TENANT: usize = ALL / 4;

/// The places of a host. There is one in a runtime.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    /// By tenant. What nobody has or waits for any more is dead, and goes when another tenant comes.
    shares: Mutex<HashMap<Tenant, Weak<Semaphore>>>,
}

/// The right to have one file or folder open, for as long as this is held.
#[derive(Debug)]
pub(super) struct Place {
    _share: OwnedSemaphorePermit,
    _room: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), shares: Mutex::default() }
    }

    /// A place, if one is free now.
    pub(super) fn try_take(&self, tenant: &Tenant) -> Option<Place> {
        let share = self.share(tenant).try_acquire_owned().ok()?;
        let room = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place { _share: share, _room: room })
    }

    /// Waits until one is free; who came first goes first. Only for a guest that has no place: one that keeps a place
    /// while it waits for another could wait for one that waits for it. Cancelling is safe.
    ///
    /// # Errors
    /// None: nobody closes these.
    pub(super) async fn take(&self, tenant: &Tenant) -> Result<Place, AcquireError> {
        // The tenant's own first: who waits for that must not keep others from theirs.
        let share = self.share(tenant).acquire_owned().await?;
        let room = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Place { _share: share, _room: room })
    }

    fn share(&self, tenant: &Tenant) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(OF_TENANT));
        shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn as_many(places: &Places, tenant: &Tenant) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(tenant)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_its_share_and_waits_for_its_own_alone() {
        let places = Places::new();
        let (acme, rival) = (tenant("acme"), tenant("rival"));
        let mut held = as_many(&places, &acme);
        assert_eq!(held.len(), OF_TENANT);
        let mut waits = std::pin::pin!(places.take(&acme));
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut waits).await.is_err(), "it waits");
        assert_eq!(as_many(&places, &rival).len(), OF_TENANT, "the other has all of its own");
        held.pop();
        tokio::time::timeout(Duration::from_secs(1), waits).await.expect("one is free").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn all_tenants_together_have_what_the_host_has() {
        let places = Places::new();
        let mut held: Vec<_> = ["a", "b", "c", "d"].map(|name| as_many(&places, &tenant(name))).into();
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), ALL);
        let late = tenant("late");
        assert!(places.try_take(&late).is_none());
        let mut waits = std::pin::pin!(places.take(&late));
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut waits).await.is_err(), "it waits");
        held.pop();
        tokio::time::timeout(Duration::from_secs(1), waits).await.expect("some are free").unwrap();
        drop(held);
        assert_eq!(places.all.available_permits(), ALL);
    }

    #[test]
    fn a_tenant_that_holds_nothing_is_forgotten() {
        let places = Places::new();
        for number in 0..100 {
            drop(places.try_take(&tenant(&format!("t{number}"))).unwrap());
        }
        let held = places.try_take(&tenant("acme")).unwrap();
        drop(places.try_take(&tenant("rival")).unwrap());
        assert_eq!(places.shares.lock().len(), 2);
        drop(held);
    }
}
