//! What to register and what to take out, and when. Decides without waiting; the time is an argument.
//!
//! Every node is an entry of its own, so that one that the registry does not take leaves the others alone. That the
//! registry is out of reach is no fault of a node: then everything waits, and one node at a time tries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hostel_event::port::{RegistryError, Service};
use hostel_event::time::Moment;

use super::{Away, NodeState, Settings, State};
use crate::telemetry;

/// How long to wait before an unreachable registry is tried again: this, doubled each time, and never more than the
/// interval. Arbitrary.
const AGAIN: Duration = Duration::from_secs(1);

/// Which node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    service: String,
    version: String,
    node: String,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) key: Arc<Key>,
    pub(super) kind: Kind,
    /// With this one node.
    pub(super) service: Service,
    began: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Register,
    Deregister,
}

pub(super) struct Plan {
    settings: Settings,
    entries: BTreeMap<Arc<Key>, Entry>,
    /// Entries that wait for something to be done, the next first.
    queue: BTreeSet<(Moment, Arc<Key>)>,
    running: usize,
    /// Why the check fails, if it does.
    failing: Option<String>,
    away: Option<Outage>,
    closing: bool,
}

struct Entry {
    service: Service,
    /// Whether it is in the set.
    wanted: bool,
    /// Whether the registry may know it.
    known: bool,
    running: bool,
    /// Whether what is running is out of date.
    changed: bool,
    /// Since when it is registered, and when it last was.
    registered: Option<(Moment, Moment)>,
    error: Option<String>,
    /// When it is to be registered next.
    next: Moment,
    /// Where it stands in the queue.
    queued: Option<Moment>,
}

/// The registry is out of reach.
struct Outage {
    since: Moment,
    reason: String,
    failures: u32,
    until: Moment,
}

impl Plan {
    pub(super) fn new(settings: Settings) -> Self {
        let (entries, queue) = (BTreeMap::new(), BTreeSet::new());
        Self { settings, entries, queue, running: 0, failing: None, away: None, closing: false }
    }

    /// Makes these the nodes to keep registered.
    pub(super) fn set(&mut self, services: Vec<Service>, now: Moment) {
        if self.closing {
            return;
        }
        let mut wanted = BTreeMap::new();
        for service in services.into_iter().flat_map(nodes) {
            wanted.insert(Arc::new(key(&service)), service);
        }
        let gone: Vec<_> = self.entries.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in gone {
            self.entries.entry(Arc::clone(&key)).and_modify(|entry| entry.wanted = false);
            self.settle(&key, now);
        }
        for (key, service) in wanted {
            let entry = self.entries.entry(Arc::clone(&key)).or_insert_with(|| Entry::new(service.clone(), now));
            if !entry.wanted || entry.service != service {
                entry.wanted = true;
                entry.service = service;
                entry.changed = entry.running;
                entry.next = now;
            }
            self.settle(&key, now);
        }
    }

    /// Takes in what the check says.
    pub(super) fn checked(&mut self, check: Result<(), String>, now: Moment) {
        let failing = check.err();
        match (&self.failing, &failing) {
            (None, Some(reason)) => telemetry::check_fails(reason),
            (Some(_), None) => telemetry::check_passes(),
            _ => {}
        }
        let turns = self.failing.is_some() != failing.is_some();
        self.failing = failing;
        if turns {
            self.all_at(now);
        }
    }

    /// From now on nothing is wanted.
    pub(super) fn close(&mut self, now: Moment) {
        self.closing = true;
        self.away = None;
        self.all_at(now);
    }

    /// Whether there is nothing left to take out, or no use in trying.
    pub(super) fn is_closed(&self) -> bool {
        self.running == 0 && (self.queue.is_empty() || self.away.is_some())
    }

    /// How many nodes the registry may know.
    pub(super) fn known(&self) -> usize {
        self.entries.values().filter(|entry| entry.known).count()
    }

    /// The next thing to do, if it is time. `done` has to follow.
    pub(super) fn take(&mut self, now: Moment) -> Option<Action> {
        if self.away.as_ref().is_some_and(|away| now < away.until || self.running > 0) {
            return None;
        }
        let (at, _) = self.queue.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        let closed = self.failing.is_some() || self.closing;
        let entry = self.entries.get_mut(&key)?;
        entry.queued = None;
        entry.running = true;
        entry.changed = false;
        self.running += 1;
        let kind = if entry.wanted && !closed { Kind::Register } else { Kind::Deregister };
        // Whatever becomes of it: it may arrive.
        entry.known = true;
        Some(Action { key, kind, service: entry.service.clone(), began: now })
    }

    /// When `take` may have something; `None` if only a change or an end can bring that.
    pub(super) fn wake(&self) -> Option<Moment> {
        let (at, _) = self.queue.first()?;
        match &self.away {
            Some(_) if self.running > 0 => None,
            Some(away) => Some(away.until.max(*at)),
            None => Some(*at),
        }
    }

    /// An action is over.
    pub(super) fn done(&mut self, action: &Action, result: Result<(), RegistryError>, now: Moment) {
        self.running = self.running.saturating_sub(1);
        match &result {
            Err(RegistryError::Unreachable(reason)) => self.out_of_reach(reason, now),
            _ => self.in_reach(now),
        }
        let Some(entry) = self.entries.get_mut(&action.key) else { return };
        entry.running = false;
        match action.kind {
            Kind::Register => entry.register_done(action, result, now, self.settings),
            Kind::Deregister => entry.deregister_done(&result, now, self.settings),
        }
        if std::mem::take(&mut entry.changed) {
            entry.next = now;
        }
        self.settle(&action.key, now);
    }

    pub(super) fn state(&self, now: Moment) -> State {
        let node = |(key, entry): (&Arc<Key>, &Entry)| NodeState {
            service: key.service.clone(),
            version: key.version.clone(),
            node: key.node.clone(),
            registered: entry.registered(now, self.settings),
            error: entry.error.clone(),
        };
        State {
            failing: self.failing.clone(),
            away: self.away.as_ref().map(|away| Away { since: away.since, reason: away.reason.clone() }),
            nodes: self.entries.iter().filter(|(_, entry)| entry.wanted).map(node).collect(),
        }
    }

    fn out_of_reach(&mut self, reason: &str, now: Moment) {
        let away = self.away.get_or_insert_with(|| {
            telemetry::heart_stopped(reason);
            Outage { since: now, reason: String::new(), failures: 0, until: now }
        });
        reason.clone_into(&mut away.reason);
        // Those that were asked at the same time fail together, which is one failure.
        if now >= away.until {
            let doubled = AGAIN.min(self.settings.interval).saturating_mul(1 << away.failures.min(16));
            away.failures += 1;
            away.until = now.after(doubled.min(self.settings.interval));
        }
    }

    fn in_reach(&mut self, now: Moment) {
        if let Some(away) = self.away.take() {
            telemetry::heart_beats(now.since(away.since));
        }
    }

    /// Looks at every entry anew, with nothing to wait for.
    fn all_at(&mut self, now: Moment) {
        let keys: Vec<_> = self.entries.keys().cloned().collect();
        for key in keys {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.next = now;
                entry.changed = entry.running;
            }
            self.settle(&key, now);
        }
    }

    /// Puts an entry where it belongs in the queue, or nowhere.
    fn settle(&mut self, key: &Arc<Key>, now: Moment) {
        let closed = self.failing.is_some() || self.closing;
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(at) = entry.queued.take() {
            self.queue.remove(&(at, Arc::clone(key)));
        }
        if entry.running {
            return;
        }
        let at = if entry.wanted && !closed {
            entry.next
        } else if entry.known {
            now
        } else {
            if !entry.wanted {
                self.entries.remove(key);
            }
            return;
        };
        entry.queued = Some(at);
        self.queue.insert((at, Arc::clone(key)));
    }
}

impl Entry {
    fn new(service: Service, now: Moment) -> Self {
        Self {
            service,
            wanted: true,
            known: false,
            running: false,
            changed: false,
            registered: None,
            error: None,
            next: now,
            queued: None,
        }
    }

    /// Since when it is registered; `None` when the TTL has run out meanwhile.
    fn registered(&self, now: Moment, settings: Settings) -> Option<Moment> {
        self.registered.filter(|(_, last)| now < last.after(settings.ttl)).map(|(since, _)| since)
    }

    fn register_done(&mut self, action: &Action, result: Result<(), RegistryError>, now: Moment, settings: Settings) {
        let key = &action.key;
        match result {
            Ok(()) => {
                let since = self.registered(now, settings);
                if since.is_none() {
                    telemetry::node_registered(&key.service, &key.version, &key.node);
                }
                self.registered = Some((since.unwrap_or(now), action.began));
                self.error = None;
                self.next = action.began.after(settings.interval);
            }
            Err(RegistryError::Unreachable(reason)) => {
                self.error = Some(reason);
                self.next = now;
            }
            Err(error) => {
                let reason = match error {
                    RegistryError::Refused { reason, .. } => reason,
                    other => other.to_string(),
                };
                // Once, and not at each beat.
                if self.error.as_ref() != Some(&reason) {
                    telemetry::node_refused(&key.service, &key.version, &key.node, &reason);
                }
                self.error = Some(reason);
                // What was taken before stays known until its TTL is over.
                self.known = self.registered(now, settings).is_some();
                self.next = action.began.after(settings.interval);
            }
        }
    }

    fn deregister_done(&mut self, result: &Result<(), RegistryError>, now: Moment, settings: Settings) {
        match result {
            // Its TTL takes it out where we cannot.
            Err(RegistryError::Unreachable(_)) if self.registered(now, settings).is_some() => {}
            _ => {
                self.known = false;
                self.registered = None;
                self.error = None;
                self.next = now;
            }
        }
    }
}

fn key(service: &Service) -> Key {
    let node = service.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    Key { service: service.name.clone(), version: service.version.clone(), node }
}

/// A service for each node of a service.
fn nodes(mut service: Service) -> Vec<Service> {
    let nodes = std::mem::take(&mut service.nodes);
    nodes.into_iter().map(|node| Service { nodes: vec![node], ..service.clone() }).collect()
}
