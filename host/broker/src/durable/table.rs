//! Who is there: the subscriptions by topic and by id, and all lanes.

use std::collections::HashMap;
use std::sync::Arc;

use hostel_event::name::{QueueGroup, Tenant};
use hostel_event::routes::Routes;
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_log::record::SubscriptionNumber;

use super::lane::{Entry, Lane};

/// Who is there.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) routes: HashMap<Tenant, Routes<Arc<Entry>>>,
    pub(crate) entries: HashMap<SubscriptionId, Arc<Entry>>,
    /// All lanes, also of those that are not there or have ended.
    pub(crate) lanes: HashMap<SubscriptionNumber, Arc<Lane>>,
    /// Of these, the replays, by subscription.
    pub(crate) replays: HashMap<SubscriptionId, Arc<Lane>>,
}

impl Table {
    pub(crate) fn insert(&mut self, entry: &Arc<Entry>) {
        let Subscription { id, tenant, pattern, .. } = &*entry.subscription;
        self.routes.entry(tenant.clone()).or_default().insert(pattern, Arc::clone(entry));
        self.entries.insert(id.clone(), Arc::clone(entry));
        self.lanes.insert(entry.lane.number(), Arc::clone(&entry.lane));
    }

    pub(crate) fn remove(&mut self, id: &SubscriptionId) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(id)?;
        let Subscription { tenant, pattern, .. } = &*entry.subscription;
        if let Some(routes) = self.routes.get_mut(tenant) {
            routes.remove(pattern, |other| other.subscription.id == *id);
            if routes.is_empty() {
                self.routes.remove(tenant);
            }
        }
        Some(entry)
    }

    /// Lanes that wait for their subscription to come back.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = &Arc<Lane>> {
        let live = self.lanes.values().filter(|lane| lane.progress.is_none() && !lane.has_ended());
        live.filter(|lane| !self.entries.contains_key(lane.id()))
    }

    pub(crate) fn has_member(&self, tenant: &Tenant, queue: &QueueGroup) -> bool {
        let mut subscriptions = self.entries.values().map(|entry| &entry.subscription);
        subscriptions.any(|one| one.tenant == *tenant && one.queue.as_ref() == Some(queue))
    }
}
