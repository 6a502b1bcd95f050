//! Whose turn it is to change what runs.
//!
//! A tenant's changes go one after another, each from its check to its end. To prepare one takes as long as the handler's
//! `init` does, which its manifest bounds and nobody else: it keeps other changes of its tenant waiting, and nobody
//! else's. What is made one at a time in the whole host is the switch, which waits for nothing that a client or a
//! handler does; that lock is with the [deployments](super::Deployments).

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use hostel_event::handler::Digest;
use hostel_event::name::Tenant;

use super::Refusal;
use super::files::Key;

/// Handlers that are made ready at the same time in the whole host, one of a tenant at most. Arbitrary: enough that a
/// few that take their time hold up nobody, few enough that their sandboxes are a handful.
pub(crate) const PREPARING: usize = 8;

/// See the module's page.
pub(super) struct Turns {
    /// What a tenant's changes wait for, while there are any.
    tenants: Mutex<HashMap<Tenant, Weak<tokio::sync::Mutex<()>>>>,
    places: Semaphore,
    /// Bundles of files that are being prepared with, and that no table names yet.
    bundles: Arc<Mutex<BTreeSet<Key>>>,
    /// Changes that have begun, or wait for their turn.
    begun: TaskTracker,
    /// Ends what is still being prepared.
    over: CancellationToken,
}

/// A change's turn; over when it is dropped.
pub(super) struct Turn {
    _begun: TaskTrackerToken,
    _of_tenant: OwnedMutexGuard<()>,
    bundle: Option<Bundle>,
}

/// A bundle that stays ready.
struct Bundle {
    key: Key,
    all: Arc<Mutex<BTreeSet<Key>>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            tenants: Mutex::default(),
            places: Semaphore::new(PREPARING),
            bundles: Arc::default(),
            begun: TaskTracker::new(),
            over: CancellationToken::new(),
        }
    }

    /// Waits until all changes of a tenant that came before have ended. Cancelling is safe.
    ///
    /// # Errors
    /// The host ends.
    pub(super) async fn take(&self, tenant: &Tenant) -> Result<Turn, Refusal> {
        // Counted before it is looked, so that whoever closes waits for it or is seen here.
        let begun = self.begun.token();
        if self.begun.is_closed() {
            return Err(Refusal::Ending);
        }
        let of_tenant = self.of(tenant);
        let turn = async { Turn { _begun: begun, _of_tenant: of_tenant.lock_owned().await, bundle: None } };
        self.unless_over(turn).await
    }

    fn of(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<()>> {
        let mut tenants = self.tenants.lock();
        if let Some(known) = tenants.get(tenant).and_then(Weak::upgrade) {
            return known;
        }
        // Bounded by the tenants that change something now.
        tenants.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        tenants.insert(tenant.clone(), Arc::downgrade(&turn));
        turn
    }

    /// Waits for a place to make a handler ready in. Cancelling is safe.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.places.acquire().await.map_err(|_| Refusal::Ending)
    }

    /// Keeps a bundle ready while this turn lasts. To be called while no switch is under way, since that gives back what
    /// it finds unnamed.
    pub(super) fn hold(&self, turn: &mut Turn, key: Key) {
        self.bundles.lock().insert(key.clone());
        turn.bundle = Some(Bundle { key, all: Arc::clone(&self.bundles) });
    }

    /// The bundles that are to stay ready though no table names them.
    pub(super) fn held(&self) -> Vec<(Tenant, Digest)> {
        self.bundles.lock().iter().cloned().collect()
    }

    /// What comes of some work, unless the host ends before.
    pub(super) async fn unless_over<T>(&self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        self.over.run_until_cancelled(work).await.ok_or(Refusal::Ending)
    }

    /// Lets nothing more begin, waits for what has begun as long as `patience` lasts and `hurry` does not resolve, and
    /// then ends what is still being prepared. Cancelling is safe; called again it goes on.
    pub(super) async fn close(&self, patience: Duration, hurry: impl Future<Output = ()>) {
        self.begun.close();
        tokio::select! {
            () = self.begun.wait() => {}
            () = tokio::time::sleep(patience) => {}
            () = hurry => {}
        }
        self.over.cancel();
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // A tenant has one turn at a time, so that nobody else holds this.
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use hostel_event::handler::Digest;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    #[tokio::test]
    async fn a_tenant_waits_for_itself_and_for_nobody_else() {
        let turns = Turns::new();
        let first = turns.take(&tenant("acme")).await.unwrap();
        let acme = tenant("acme");
        let mut second = Box::pin(turns.take(&acme));
        assert!(futures_util::poll!(&mut second).is_pending());
        let other = turns.take(&tenant("globex")).await.unwrap();
        drop(first);
        drop((second.await.unwrap(), other));
        drop(turns.take(&tenant("initech")).await.unwrap());
        assert_eq!(turns.tenants.lock().len(), 1, "what nobody waits for is forgotten");
    }

    #[tokio::test]
    async fn a_bundle_is_held_as_long_as_its_turn() {
        let turns = Turns::new();
        let mut turn = turns.take(&tenant("acme")).await.unwrap();
        let key = (tenant("acme"), Digest::new([7; 32]));
        turns.hold(&mut turn, key.clone());
        assert_eq!(turns.held(), [key]);
        drop(turn);
        assert_eq!(turns.held(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_what_has_begun_and_no_longer_than_it_may() {
        let turns = Turns::new();
        let turn = turns.take(&tenant("acme")).await.unwrap();
        let acme = tenant("acme");
        let waiting = turns.take(&acme);
        let closing = turns.close(Duration::from_secs(30), pending());
        let (waited, ()) = tokio::join!(waiting, closing);
        assert!(matches!(waited, Err(Refusal::Ending)), "it was told that the host ends");
        assert!(matches!(turns.take(&tenant("globex")).await, Err(Refusal::Ending)), "nothing more begins");
        assert!(matches!(turns.unless_over(pending::<()>()).await, Err(Refusal::Ending)));
        turns.close(Duration::MAX, async {}).await;
        drop(turn);
        turns.close(Duration::MAX, pending()).await;
    }
}
