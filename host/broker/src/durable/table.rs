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
    /// Who hears what of a tenant's topics.
    pub(crate) routes: HashMap<Tenant, Routes<Arc<Entry>>>,
    pub(crate) entries: HashMap<SubscriptionId, Arc<Entry>>,
    /// All lanes, also of those that are not there or have ended.
    pub(crate) lanes: HashMap<SubscriptionNumber, Arc<Lane>>,
    /// Of these, those whose subscription has not come back since the host was started.
    pub(crate) absent: HashMap<SubscriptionId, Arc<Lane>>,
    /// Of these, the replays, by subscription.
    pub(crate) replays: HashMap<SubscriptionId, Arc<Lane>>,
}

impl Table {
    pub(crate) fn insert(&mut self, entry: &Arc<Entry>) {
        let Subscription { id, source, pattern, .. } = &*entry.subscription;
        self.absent.remove(id);
        self.routes.entry(source.clone()).or_default().insert(pattern, Arc::clone(entry));
        self.entries.insert(id.clone(), Arc::clone(entry));
        self.lanes.insert(entry.lane.number(), Arc::clone(&entry.lane));
    }

    pub(crate) fn remove(&mut self, id: &SubscriptionId) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(id)?;
        let Subscription { source, pattern, .. } = &*entry.subscription;
        if let Some(routes) = self.routes.get_mut(source) {
            routes.remove(pattern, |other| other.subscription.id == *id);
            if routes.is_empty() {
                self.routes.remove(source);
            }
        }
        Some(entry)
    }

    /// The lane of a subscription that is there or absent.
    pub(crate) fn lane_of(&self, id: &SubscriptionId) -> Option<&Arc<Lane>> {
        self.entries.get(id).map(|entry| &entry.lane).or_else(|| self.absent.get(id))
    }

    /// Whether the tenant has somebody in this queue group of its own.
    pub(crate) fn has_member(&self, tenant: &Tenant, queue: &QueueGroup) -> bool {
        let mut subscriptions = self.entries.values().map(|entry| &entry.subscription);
        subscriptions.any(|one| one.tenant == *tenant && one.queue.as_ref() == Some(queue))
    }
}
