//! How many connections each tenant has open, and who waits for one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use hostel_event::name::Tenant;

/// The connections of all tenants. One without any is not in it.
#[derive(Default)]
pub(super) struct Shares {
    held: Mutex<HashMap<Tenant, Held>>,
}

#[derive(Default)]
struct Held {
    connections: usize,
    /// Those who wait. Kept as long as one of them does.
    freed: Arc<Notify>,
}

/// One connection of a tenant, for as long as this is held.
pub(super) struct Share {
    shares: Arc<Shares>,
    tenant: Tenant,
}

/// The tenant may have no connections at all, so that waiting would be in vain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoneAllowed;

impl Shares {
    /// Waits until the tenant may have one connection more. `limit` is asked anew each time that one is free. Cancelling
    /// is safe.
    pub(super) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        limit: impl Fn() -> Option<usize>,
    ) -> Result<Share, NoneAllowed> {
        loop {
            let limit = limit().unwrap_or(usize::MAX);
            if limit == 0 {
                return Err(NoneAllowed);
            }
            let freed = match self.try_take(tenant, limit) {
                Ok(share) => return Ok(share),
                Err(freed) => freed,
            };
            let mut notified = std::pin::pin!(freed.notified());
            // From here on no call is missed; what was freed before is found by another look.
            notified.as_mut().enable();
            if let Ok(share) = self.try_take(tenant, limit) {
                return Ok(share);
            }
            notified.await;
        }
    }

    fn try_take(self: &Arc<Self>, tenant: &Tenant, limit: usize) -> Result<Share, Arc<Notify>> {
        let mut held = self.held.lock();
        let own = held.entry(tenant.clone()).or_default();
        if own.connections >= limit {
            return Err(Arc::clone(&own.freed));
        }
        own.connections += 1;
        Ok(Share { shares: Arc::clone(self), tenant: tenant.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock();
        let Some(own) = held.get_mut(&self.tenant) else { return };
        own.connections = own.connections.saturating_sub(1);
        // All look again: the limit may be another by now.
        own.freed.notify_waiters();
        if own.connections == 0 && Arc::strong_count(&own.freed) == 1 {
            held.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_waits_for_its_own_connections_alone() {
        let shares = Arc::new(Shares::default());
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let one = || Some(1);
        let first = shares.take(&acme, one).await.unwrap();
        let other = shares.take(&rival, one).await.unwrap();
        let unlimited = shares.take(&acme, || None).await.unwrap();
        drop(unlimited);
        let mut second = std::pin::pin!(shares.take(&acme, one));
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut second).await.is_err(), "it waits");
        drop(first);
        let second = tokio::time::timeout(Duration::from_secs(1), second).await.expect("one is free").unwrap();
        drop((second, other));
        assert!(shares.held.lock().is_empty(), "nobody holds any");
    }

    #[tokio::test]
    async fn who_may_have_none_is_told_at_once() {
        let shares = Arc::new(Shares::default());
        assert_eq!(shares.take(&Tenant::new("acme").unwrap(), || Some(0)).await.err(), Some(NoneAllowed));
    }
}
