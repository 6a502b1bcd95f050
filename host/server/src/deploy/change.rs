//! How one table of handlers differs from another, as subscriptions to attach, begin, alter and end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hostel_event::handler::{Digest, Handler};
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::subscription::{Subscription, SubscriptionId};

use super::Deployment;

type Key = (Tenant, HandlerName);

/// What to do to get from one table to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Subscriptions that get a handler or another version of it.
    pub(super) attach: Vec<(Arc<Subscription>, Key)>,
    /// Subscriptions that the broker does not know yet.
    pub(super) begin: Vec<Arc<Subscription>>,
    /// Subscriptions that the broker delivers otherwise than it is told now.
    pub(super) alter: Vec<Arc<Subscription>>,
    /// Subscriptions that are no more.
    pub(super) end: Vec<SubscriptionId>,
}

/// What a table says, as far as a change is concerned.
pub(super) trait Says {
    fn handler(&self) -> &Arc<Handler>;
}

impl Says for Deployment {
    fn handler(&self) -> &Arc<Handler> {
        &self.handler
    }
}

/// What differs between what runs and what should.
pub(super) fn difference<D: Says>(old: &BTreeMap<Key, D>, new: &BTreeMap<Key, D>) -> Change {
    let mut change = Change::default();
    let before = subscriptions(old);
    let after = subscriptions(new);
    for (id, (subscription, key)) in &after {
        let same_version = match (old.get(*key), new.get(*key)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old.handler(), new.handler()),
            _ => false,
        };
        if same_version {
            continue;
        }
        let shared = Arc::new((*subscription).clone());
        match before.get(id) {
            None => change.begin.push(Arc::clone(&shared)),
            Some((known, _)) if known != subscription => change.alter.push(Arc::clone(&shared)),
            Some(_) => {}
        }
        change.attach.push((shared, (*key).clone()));
    }
    change.end = before.keys().filter(|id| !after.contains_key(*id)).map(|id| (*id).clone()).collect();
    change
}

/// Everything that a table subscribes to.
pub(super) fn all<D: Says>(table: &BTreeMap<Key, D>) -> impl Iterator<Item = &Subscription> {
    table.values().flat_map(|deployment| &Says::handler(deployment).subscriptions)
}

/// Every bundle of files that a table names, with those of versions that could be rolled back to.
pub(super) fn bundles(table: &BTreeMap<Key, Deployment>) -> BTreeSet<(Tenant, Digest)> {
    let of = |((tenant, _), deployment): (&Key, &Deployment)| {
        let manifests = [Some(&deployment.manifest), deployment.previous.as_ref()];
        let digests = manifests.map(|manifest| Digest::parse(manifest?.files.as_ref()?).ok());
        digests.into_iter().flatten().map(|digest| (tenant.clone(), digest)).collect::<Vec<_>>()
    };
    table.iter().flat_map(of).collect()
}

fn subscriptions<D: Says>(table: &BTreeMap<Key, D>) -> BTreeMap<&SubscriptionId, (&Subscription, &Key)> {
    let of = |(key, deployment)| {
        let subscriptions = &Says::handler(deployment).subscriptions;
        subscriptions.iter().map(move |subscription| (&subscription.id, (subscription, key)))
    };
    table.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use hostel_event::handler::{Grants, Limits};
    use hostel_event::name::Version;
    use hostel_event::pattern::Pattern;

    use super::*;

    impl Says for Arc<Handler> {
        fn handler(&self) -> &Arc<Handler> {
            self
        }
    }

    fn handler(name: &str, version: &str, patterns: &[&str]) -> Arc<Handler> {
        let (tenant, name) = (Tenant::new("acme").unwrap(), HandlerName::new(name).unwrap());
        let subscription = |text: &&str| Subscription::new(&tenant, &name, Pattern::new(text).unwrap());
        Arc::new(Handler {
            subscriptions: patterns.iter().map(subscription).collect(),
            tenant,
            name,
            version: Version::new(version).unwrap(),
            digest: Digest::new([0; 32]),
            reuse: std::num::NonZeroU32::MIN,
            limits: Limits::default(),
            grants: Grants::default(),
        })
    }

    fn table(handlers: &[&Arc<Handler>]) -> BTreeMap<Key, Arc<Handler>> {
        let row = |handler: &&Arc<Handler>| ((handler.tenant.clone(), handler.name.clone()), Arc::clone(handler));
        handlers.iter().map(row).collect()
    }

    fn check(old: &[&Arc<Handler>], new: &[&Arc<Handler>], expected: [&[&str]; 4]) {
        let change = difference(&table(old), &table(new));
        let ids = |subscriptions: &[Arc<Subscription>]| -> Vec<String> {
            subscriptions.iter().map(|subscription| subscription.id.to_string()).collect()
        };
        let attached: Vec<String> = change.attach.iter().map(|(subscription, _)| subscription.id.to_string()).collect();
        let ended: Vec<String> = change.end.iter().map(ToString::to_string).collect();
        assert_eq!([attached, ids(&change.begin), ids(&change.alter), ended], expected.map(<[_]>::to_vec));
    }

    #[test]
    fn a_start_is_a_change_from_nothing() {
        let hello = handler("hello", "1", &["a", "b"]);
        let both: &[&str] = &["acme/hello:a", "acme/hello:b"];
        check(&[], &[&hello], [both, both, &[], &[]]);
        check(&[&hello], &[], [&[], &[], &[], both]);
        check(&[&hello], &[&hello], [&[], &[], &[], &[]]);
    }

    #[test]
    fn a_new_version_keeps_its_subscriptions() {
        let (old, new) = (handler("hello", "1", &["a", "b"]), handler("hello", "2", &["b", "c"]));
        let other = handler("other", "1", &["a"]);
        check(
            &[&old, &other],
            &[&new, &other],
            [&["acme/hello:b", "acme/hello:c"], &["acme/hello:c"], &[], &["acme/hello:a"]],
        );
    }

    #[test]
    fn other_rules_of_a_subscription_are_told_to_the_broker() {
        let old = handler("hello", "1", &["a"]);
        let mut new = Handler::clone(&old);
        new.subscriptions[0].window = 7;
        check(&[&old], &[&Arc::new(new)], [&["acme/hello:a"], &[], &["acme/hello:a"], &[]]);
    }
}
