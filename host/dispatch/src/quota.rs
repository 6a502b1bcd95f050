//! Which tenant has which quota, and holding publishers to it.
//!
//! What is refused here was published too fast, or would be kept beyond what the tenant may have stored. Deliveries are
//! held to their quotas by the [`plan`](crate::plan), which is told of changes. While nobody has a quota nothing is locked
//! on an event's way; with one, a lock is read and the tenant's own numbers are written.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use hostel_event::name::Tenant;
use hostel_event::port::PublishError;
use hostel_event::quota::Quota;
use hostel_event::time::Moment;

use crate::rate::{Rate, nanos};

/// How old the count of stored bytes may be. What was let in meanwhile is added to it.
const STORED_AGE: Duration = Duration::from_secs(1);
/// When a publisher should try again whose tenant has too much stored. Arbitrary: room comes by retention and by hand,
/// both slowly.
const STORED_RETRY: Duration = Duration::from_secs(10);
/// What is stored of a tenant if the broker does not count it; there is no holding to a quota then.
const UNKNOWN: u64 = u64::MAX;

/// The tenants' quotas. A tenant without one may use as much as there is.
#[derive(Default)]
pub struct Quotas {
    /// Whether anybody has a quota.
    any: AtomicBool,
    accounts: RwLock<HashMap<Tenant, Arc<Account>>>,
    /// Tenants of which the plan does not know yet.
    changed: Mutex<HashSet<Tenant>>,
    signal: Notify,
}

/// What one tenant may publish, and has.
#[derive(Default)]
struct Account {
    quota: Quota,
    /// See [`Rate`].
    events_due: AtomicU64,
    stored: AtomicU64,
    /// When to count what is stored again, in nanoseconds since the clock was made.
    stored_until: AtomicU64,
    refused: AtomicU64,
}

/// A message that would be an event.
pub(crate) struct Candidate<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) now: Moment,
    pub(crate) bytes: usize,
}

impl Quotas {
    /// Nobody has one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a tenant a quota, in the place of what it had. What it has used counts on.
    pub fn set(&self, tenant: &Tenant, quota: Quota) {
        {
            let mut accounts = self.accounts.write();
            let old = accounts.remove(tenant).unwrap_or_default();
            let copy = |number: &AtomicU64| AtomicU64::new(number.load(Ordering::Relaxed));
            let account = Account {
                quota,
                events_due: copy(&old.events_due),
                stored: copy(&old.stored),
                stored_until: copy(&old.stored_until),
                refused: copy(&old.refused),
            };
            accounts.insert(tenant.clone(), Arc::new(account));
            self.any.store(true, Ordering::Release);
        }
        self.tell(tenant);
    }

    /// Takes a tenant's quota away: it may use as much as there is.
    pub fn remove(&self, tenant: &Tenant) {
        {
            let mut accounts = self.accounts.write();
            if accounts.remove(tenant).is_none() {
                return;
            }
            self.any.store(!accounts.is_empty(), Ordering::Release);
        }
        self.tell(tenant);
    }

    /// The quota of a tenant.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> Quota {
        self.account(tenant).map_or(Quota::UNLIMITED, |account| account.quota)
    }

    /// How many messages of each tenant with a quota were refused for it.
    pub(crate) fn refused(&self) -> HashMap<Tenant, u64> {
        let accounts = self.accounts.read();
        accounts.iter().map(|(tenant, account)| (tenant.clone(), account.refused.load(Ordering::Relaxed))).collect()
    }

    /// Waits until a quota has changed of which nobody took notice yet. Cancelling is safe.
    pub(crate) async fn changed(&self) {
        self.signal.notified().await;
    }

    /// Takes notice: the tenants whose quotas have changed.
    pub(crate) fn take_changed(&self) -> HashSet<Tenant> {
        std::mem::take(&mut *self.changed.lock())
    }

    /// Counts a message against its tenant's quota, if it has one. `stored` says what is kept of the tenant, and is asked
    /// once a second at most.
    ///
    /// # Errors
    /// [`PublishError::Quota`]; the message then does not count.
    pub(crate) fn admit(
        &self,
        candidate: &Candidate<'_>,
        stored: impl FnOnce() -> Option<u64>,
    ) -> Result<(), PublishError> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(account) = self.account(candidate.tenant) else { return Ok(()) };
        let admitted = account.store(candidate, stored).and_then(|()| account.publish(candidate.now));
        if admitted.is_err() {
            account.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn account(&self, tenant: &Tenant) -> Option<Arc<Account>> {
        self.accounts.read().get(tenant).map(Arc::clone)
    }

    fn tell(&self, tenant: &Tenant) {
        self.changed.lock().insert(tenant.clone());
        self.signal.notify_one();
    }
}

impl Account {
    /// Counts one event against the events in a second.
    fn publish(&self, now: Moment) -> Result<(), PublishError> {
        let Some(events) = self.quota.events else { return Ok(()) };
        let rate = Rate::new(NonZeroU64::from(events));
        let take = |due| (rate.ready(due, 1) <= now).then(|| rate.taken(due, now, 1));
        match self.events_due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(due) => {
                let retry_after = rate.ready(due, 1).since(now);
                Err(PublishError::Quota { what: "events in a second", retry_after })
            }
        }
    }

    /// Looks whether there is room for a message beside what is stored.
    fn store(&self, candidate: &Candidate<'_>, stored: impl FnOnce() -> Option<u64>) -> Result<(), PublishError> {
        let Some(limit) = self.quota.stored_bytes else { return Ok(()) };
        let (now, until) = (nanos(candidate.now.since_start()), self.stored_until.load(Ordering::Relaxed));
        let next = now.saturating_add(nanos(STORED_AGE));
        // Whoever moves the hand counts; the others go by what was counted before.
        if now >= until && self.stored_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.stored.store(stored().unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        let bytes = u64::try_from(candidate.bytes).unwrap_or(u64::MAX);
        let add = |stored: u64| match stored {
            UNKNOWN => Some(UNKNOWN),
            stored => stored.checked_add(bytes).filter(|total| *total <= limit),
        };
        match self.stored.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(PublishError::Quota { what: "stored bytes", retry_after: STORED_RETRY }),
        }
    }
}

#[cfg(test)]
mod tests;
