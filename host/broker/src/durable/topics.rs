//! Short numbers for topics, so that what waits takes little memory. They last as long as the process; the log has its
//! own, which it does not give out with a publish.

use std::collections::HashMap;

use parking_lot::RwLock;

use hostel_event::name::Tenant;
use hostel_event::topic::Topic;

use super::queue::TopicKey;

/// A topic of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) tenant: Tenant,
    pub(crate) topic: Topic,
}

/// All topics that something waited on. The log knows as many, and keeps them all too.
#[derive(Debug, Default)]
pub(crate) struct Topics(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<Tenant, HashMap<Topic, TopicKey>>,
    names: Vec<Name>,
}

impl Topics {
    /// The number of a topic, given if it has none.
    pub(crate) fn key(&self, tenant: &Tenant, topic: &Topic) -> TopicKey {
        if let Some(key) = self.0.read().keys.get(tenant).and_then(|topics| topics.get(topic)) {
            return *key;
        }
        let mut known = self.0.write();
        let Known { keys, names } = &mut *known;
        let topics = keys.entry(tenant.clone()).or_default();
        *topics.entry(topic.clone()).or_insert_with(|| {
            names.push(Name { tenant: tenant.clone(), topic: topic.clone() });
            // The log's own numbers have 32 bits: there are never more topics.
            TopicKey(u32::try_from(names.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// The topic of a number.
    pub(crate) fn name(&self, key: TopicKey) -> Option<Name> {
        self.0.read().names.get(key.0 as usize).cloned()
    }
}
