//! The registry in this process: what is registered is known until its TTL is over by the clock.
//!
//! It has no task. What has expired is taken out by whoever looks next: a call does so first, and a watcher sleeps no
//! longer than until the next node expires. So an expiry is told when it happens wherever someone listens, and costs
//! nothing where nobody does.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;

use hostel_event::port::{
    Change, ChangeKind, Clock, Endpoint, Metadata, Node, Registry, RegistryError, Service, Watch,
};
use hostel_event::time::Moment;

use crate::watch::{Hub, Look, Watcher};
use crate::{shape, telemetry};

/// How much it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Nodes of all services; further ones are refused. Each may have 64 KiB of text with its service.
    pub nodes: usize,
    /// Changes that a watcher may be behind before it loses the oldest.
    pub watch_buffer: usize,
}

/// The memory registry. Cheap to clone; all clones are the same registry. When the last is dropped, watches end.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: Arc<dyn Clock>,
    table: Mutex<Table>,
    /// Told while the table is locked, so that changes come in the order in which they happened.
    hub: Hub,
}

/// Versions by service and then version.
#[derive(Default)]
struct Table {
    services: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Version>>,
    /// When each node expires, the next first. The number tells leases apart that end at the same moment.
    leases: BTreeMap<Lease, Place>,
    granted: u64,
}

type Lease = (Moment, u64);

/// Where a node is.
#[derive(Clone)]
struct Place {
    service: Arc<str>,
    version: Arc<str>,
    id: Arc<str>,
}

#[derive(Default)]
struct Version {
    metadata: Metadata,
    endpoints: Vec<Endpoint>,
    nodes: BTreeMap<Arc<str>, Kept>,
}

struct Kept {
    node: Node,
    lease: Lease,
}

impl Memory {
    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let hub = Hub::new(settings.watch_buffer);
        Self { shared: Arc::new(Shared { settings, clock, table: Mutex::default(), hub }) }
    }

    /// How many nodes are known.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.shared.with(|table| table.leases.len())
    }
}

impl Shared {
    /// Works on the table after what has expired was taken out.
    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        let now = self.clock.now();
        let mut table = self.table.lock();
        for gone in table.expire(now) {
            telemetry::node_expired(&gone);
            self.hub.tell(Change { kind: ChangeKind::Delete, service: gone });
        }
        work(&mut table)
    }

    fn register(&self, service: Service, ttl: Duration) -> Result<(), RegistryError> {
        shape::check(&service, ttl)?;
        let until = self.clock.now().after(ttl);
        self.with(|table| {
            let room = self.settings.nodes.saturating_sub(table.leases.len());
            if table.strangers(&service) > room {
                let reason = format!("the registry holds {} nodes, which is its limit", table.leases.len());
                return Err(RegistryError::Refused { service: service.name, reason });
            }
            for change in table.keep(service, until) {
                self.hub.tell(change);
            }
            Ok(())
        })
    }

    fn deregister(&self, service: &Service) {
        self.with(|table| {
            if let Some(gone) = table.take(service) {
                self.hub.tell(Change { kind: ChangeKind::Delete, service: gone });
            }
        });
    }

    /// How long it is until the next node expires.
    fn until_next_expiry(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.table.lock().leases.keys().next().map(|(at, _)| at.since(now))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hub.close();
    }
}

impl Table {
    /// Takes out every node whose lease is over.
    fn expire(&mut self, now: Moment) -> Vec<Service> {
        let mut gone = Vec::new();
        while let Some(entry) = self.leases.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let place = entry.remove();
            gone.extend(self.pluck(&place));
        }
        gone
    }

    /// How many of the service's nodes are not known yet.
    fn strangers(&self, service: &Service) -> usize {
        let known =
            self.services.get(service.name.as_str()).and_then(|versions| versions.get(service.version.as_str()));
        let is_known = |node: &&Node| known.is_some_and(|version| version.nodes.contains_key(node.id.as_str()));
        service.nodes.iter().filter(|node| !is_known(node)).count()
    }

    /// Takes the nodes in until a moment, and says what that changed: nothing if all were known as they are.
    fn keep(&mut self, service: Service, until: Moment) -> Vec<Change> {
        let (name, version): (Arc<str>, Arc<str>) = (service.name.as_str().into(), service.version.as_str().into());
        let known = self.services.entry(Arc::clone(&name)).or_default().entry(Arc::clone(&version)).or_default();
        let differs = known.metadata != service.metadata || known.endpoints != service.endpoints;
        let mut created = Service { nodes: Vec::new(), ..service.clone() };
        let mut updated = created.clone();
        known.metadata = service.metadata;
        known.endpoints = service.endpoints;
        for node in service.nodes {
            let id: Arc<str> = node.id.as_str().into();
            self.granted += 1;
            let lease = (until, self.granted);
            let place = Place { service: Arc::clone(&name), version: Arc::clone(&version), id: Arc::clone(&id) };
            self.leases.insert(lease, place);
            match known.nodes.insert(id, Kept { node: node.clone(), lease }) {
                None => created.nodes.push(node),
                Some(before) => {
                    self.leases.remove(&before.lease);
                    if before.node != node || differs {
                        updated.nodes.push(node);
                    }
                }
            }
        }
        let changes = [(ChangeKind::Create, created), (ChangeKind::Update, updated)];
        let told = changes.into_iter().filter(|(_, service)| !service.nodes.is_empty());
        told.map(|(kind, service)| Change { kind, service }).collect()
    }

    /// Takes the service's nodes out and gives back those that were there.
    fn take(&mut self, service: &Service) -> Option<Service> {
        let mut gone: Option<Service> = None;
        for node in &service.nodes {
            let kept = self.services.get(service.name.as_str());
            let kept = kept.and_then(|versions| versions.get(service.version.as_str())?.nodes.get(node.id.as_str()));
            let Some(lease) = kept.map(|kept| kept.lease) else { continue };
            let Some(plucked) = self.leases.remove(&lease).and_then(|place| self.pluck(&place)) else { continue };
            match &mut gone {
                Some(gone) => gone.nodes.extend(plucked.nodes),
                None => gone = Some(plucked),
            }
        }
        gone
    }

    /// Takes one node out, whose lease is gone already, and with the last one its version and service.
    fn pluck(&mut self, place: &Place) -> Option<Service> {
        let versions = self.services.get_mut(&place.service)?;
        let version = versions.get_mut(&place.version)?;
        let kept = version.nodes.remove(&place.id)?;
        let gone = version.with(place, vec![kept.node]);
        if version.nodes.is_empty() {
            versions.remove(&place.version);
        }
        if versions.is_empty() {
            self.services.remove(&place.service);
        }
        Some(gone)
    }

    fn get(&self, name: &str) -> Option<Vec<Service>> {
        let (name, versions) = self.services.get_key_value(name)?;
        Some(versions.iter().map(|(version, kept)| kept.whole(name, version)).collect())
    }

    fn list(&self) -> Vec<Service> {
        let versions =
            self.services.iter().flat_map(|(name, versions)| versions.iter().map(move |entry| (name, entry)));
        versions.map(|(name, (version, kept))| kept.whole(name, version)).collect()
    }
}

impl Version {
    fn with(&self, place: &Place, nodes: Vec<Node>) -> Service {
        Service {
            name: place.service.as_ref().to_owned(),
            version: place.version.as_ref().to_owned(),
            metadata: self.metadata.clone(),
            endpoints: self.endpoints.clone(),
            nodes,
        }
    }

    fn whole(&self, name: &str, version: &str) -> Service {
        Service {
            name: name.to_owned(),
            version: version.to_owned(),
            metadata: self.metadata.clone(),
            endpoints: self.endpoints.clone(),
            nodes: self.nodes.values().map(|kept| kept.node.clone()).collect(),
        }
    }
}

impl Registry for Memory {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(ready(self.shared.register(service, ttl)))
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.shared.deregister(&service);
        Box::pin(ready(Ok(())))
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        let found = self.shared.with(|table| table.get(name));
        Box::pin(ready(found.ok_or_else(|| RegistryError::NotFound(name.to_owned()))))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        Box::pin(ready(Ok(self.shared.with(|table| table.list()))))
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        // What has expired before is told to those who watched then, not to this one.
        let watcher = self.shared.with(|_| self.shared.hub.watch(name));
        let watch: Box<dyn Watch> = Box::new(Expiring { watcher, shared: Arc::downgrade(&self.shared) });
        Box::pin(ready(Ok(watch)))
    }
}

/// A watch that takes out what expires while it waits.
struct Expiring {
    watcher: Watcher,
    /// Weak, so that a watch does not keep the registry open.
    shared: Weak<Shared>,
}

impl Expiring {
    fn until_next_expiry(&self) -> Option<Duration> {
        let shared = self.shared.upgrade()?;
        shared.with(|_| ());
        shared.until_next_expiry()
    }
}

impl Watch for Expiring {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(async {
            loop {
                let wait = self.until_next_expiry();
                match self.watcher.look() {
                    Look::Change(change) => return Some(change),
                    Look::Closed => return None,
                    Look::Empty => {}
                }
                match wait {
                    Some(wait) => _ = tokio::time::timeout(wait, self.watcher.told()).await,
                    None => self.watcher.told().await,
                }
            }
        })
    }

    fn lost(&self) -> u64 {
        self.watcher.lost()
    }
}

#[cfg(test)]
pub(crate) mod tests;
