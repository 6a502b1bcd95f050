//! Which nodes are known and which remote subscriptions stand for them: decides from what registries say, and from how
//! nodes answer, what begins, changes and ends. It asks nobody, waits for nothing and is told the time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hostel_event::name::{QueueGroup, Tenant};
use hostel_event::pattern::Pattern;
use hostel_event::port::Service;
use hostel_event::subscription::{Place, Subscription, SubscriptionId};
use hostel_event::time::Moment;
use hostel_event::topic::Topic;

use crate::http::client::Address;
use crate::http::courier::Target;
use crate::http::node::Identity;
use crate::http::wire::Generation;

use super::sighting::{Ignored, Sighting};

/// Addresses that are kept of a node. Arbitrary: one for each interface of a usual machine.
const ADDRESSES: usize = 4;
/// How many times `gone_after` a node whose place another has taken is not given one of its own. Registries show a node
/// that died for its TTL, and mDNS for twice that.
const SUPERSEDED: u32 = 3;

/// How nodes come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) nodes: usize,
    pub(super) gone_after: Duration,
    pub(super) retention: Duration,
}

/// See the module's page.
pub(super) struct Table {
    tenant: Tenant,
    identity: Identity,
    rules: Rules,
    nodes: HashMap<Arc<str>, Known>,
    routes: HashMap<SubscriptionId, Route>,
    groups: HashMap<(Topic, QueueGroup), SubscriptionId>,
    /// Broadcast nodes' routes by topic and host, where a successor is looked for.
    slots: HashMap<(Topic, Box<str>), BTreeSet<SubscriptionId>>,
    /// Nodes whose place another has taken, and until when they get none of their own.
    superseded: HashMap<Arc<str>, Moment>,
    /// Routes about which something changed.
    dirty: BTreeSet<SubscriptionId>,
    /// Subscriptions of this host that are in a queue group.
    local: Vec<Arc<Subscription>>,
    /// The number of the reading.
    reading: u64,
    census: [Census; 2],
}

/// What one reading of a service left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Entries with an id, topic, queue or address that cannot be used.
    pub(crate) malformed: usize,
    /// Nodes for which there was no room.
    pub(crate) beyond: usize,
}

/// A node that is known.
struct Known {
    route: SubscriptionId,
    target: Target,
    /// The reading in which it was seen last.
    seen: u64,
    /// When it was first missing from a reading.
    missing: Option<Moment>,
}

/// A remote subscription.
struct Route {
    topic: Topic,
    queue: Option<QueueGroup>,
    /// In the order in which they came.
    nodes: Vec<Arc<str>>,
    begun: bool,
    /// No node has answered for a while.
    broken: bool,
    /// The queue group has members on this host.
    local: bool,
    /// It has got a successor's node that its courier does not know yet.
    handed_on: bool,
    /// It is from before a restart, and no node of it has been seen since.
    recalled: bool,
    /// Since when it is without nodes.
    empty: Option<Moment>,
    /// It goes, for this reason.
    ending: Option<End>,
}

/// Why a remote subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its node said goodbye, or was not seen for too long. What waits is discarded.
    Gone,
    /// It has been without a node for longer than events are kept for one. What waits becomes dead letters.
    Retention,
    /// The queue group has members here, and none there that answers. What waits goes to them.
    HandOver,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A subscription begins with these nodes, or goes on with them.
    Set { id: SubscriptionId, topic: Topic, queue: Option<QueueGroup>, targets: Vec<Target>, begun: bool },
    /// A subscription ends.
    End { id: SubscriptionId, why: End },
}

impl Table {
    pub(super) fn new(tenant: Tenant, identity: Identity, rules: Rules) -> Self {
        Self {
            tenant,
            identity,
            rules,
            nodes: HashMap::new(),
            routes: HashMap::new(),
            groups: HashMap::new(),
            slots: HashMap::new(),
            superseded: HashMap::new(),
            dirty: BTreeSet::new(),
            local: Vec::new(),
            reading: 0,
            census: [Census::default(); 2],
        }
    }

    pub(super) fn census(&self) -> Census {
        let [first, second] = self.census;
        Census { malformed: first.malformed + second.malformed, beyond: first.beyond + second.beyond }
    }

    pub(super) fn route_of(&self, node: &str) -> Option<&SubscriptionId> {
        self.nodes.get(node).map(|known| &known.route)
    }

    /// Everything that a registry shows of one service now. `is_away` says whether a route's nodes do not answer.
    pub(super) fn read(
        &mut self,
        now: Moment,
        generation: Generation,
        services: &[Service],
        is_away: &dyn Fn(&SubscriptionId) -> bool,
    ) {
        self.reading += 1;
        let mut census = Census::default();
        let mut others = Vec::new();
        // First those that are where they were, so that a node which is shown twice stays where it is.
        for (service, node) in services.iter().flat_map(|service| service.nodes.iter().map(move |node| (service, node)))
        {
            match Sighting::of(service, node, generation) {
                Ok(sighting) if self.is_where_it_was(&sighting) => self.see_again(&sighting),
                Ok(sighting) => others.push(sighting),
                Err(Ignored::Malformed) => census.malformed += 1,
                Err(Ignored::Foreign) => {}
            }
        }
        for sighting in &others {
            if !self.come(now, sighting, is_away) {
                census.beyond += 1;
            }
        }
        if let Some(last) = self.census.get_mut(generation as usize) {
            *last = census;
        }
        self.miss(now, generation);
    }

    /// Takes on remote subscriptions for which the broker has kept events since before a restart. They go on collecting
    /// them, without nodes, as those do whose nodes went while the host ran; how long that may last is counted from the
    /// first reading.
    pub(super) fn recall(&mut self, absent: &[Arc<Subscription>]) {
        let of_us = |one: &&Arc<Subscription>| one.tenant == self.tenant && one.place != Place::Local;
        let absent: Vec<_> = absent.iter().filter(of_us).collect();
        for Subscription { id, pattern, queue, .. } in absent.into_iter().map(|one| &**one) {
            let Some(topic) = pattern.as_topic() else { continue };
            if let Some(queue) = queue {
                self.groups.insert((topic.clone(), queue.clone()), id.clone());
            }
            let local = has_member(&self.local, &topic, queue.as_ref());
            let route = Route { local, recalled: true, ..Route::new(topic, queue.clone()) };
            self.routes.insert(id.clone(), route);
            self.dirty.insert(id.clone());
        }
    }

    /// A registry told that nodes came or changed.
    pub(super) fn hear(
        &mut self,
        now: Moment,
        generation: Generation,
        service: &Service,
        is_away: &dyn Fn(&SubscriptionId) -> bool,
    ) {
        self.reading += 1;
        for node in &service.nodes {
            let Ok(sighting) = Sighting::of(service, node, generation) else { continue };
            // Whoever says something is alive, whatever happened to its place.
            self.superseded.remove(sighting.id);
            if self.is_where_it_was(&sighting) {
                self.see_again(&sighting);
            } else {
                self.come(now, &sighting, is_away);
            }
        }
    }

    /// A registry told that nodes went.
    pub(super) fn farewell(&mut self, now: Moment, generation: Generation, service: &Service) {
        for node in &service.nodes {
            self.superseded.remove(node.id.as_str());
            if self.nodes.get(node.id.as_str()).is_some_and(|known| known.target.generation == generation) {
                self.leave(now, &node.id);
            }
        }
    }

    /// Ends what has been without a node for too long.
    pub(super) fn expire(&mut self, now: Moment) {
        self.superseded.retain(|_, until| *until > now);
        for (id, route) in &mut self.routes {
            let (patience, why) = match route.queue {
                Some(_) => (self.rules.retention, End::Retention),
                // One from before a restart: others end as soon as they are without.
                None => (self.rules.gone_after, End::Gone),
            };
            if route.empty.is_some_and(|since| now.since(since) >= patience) {
                route.ending = Some(why);
                self.dirty.insert(id.clone());
            }
        }
    }

    /// The subscriptions of this host, of which those in queue groups matter.
    pub(super) fn set_local(&mut self, local: Vec<Arc<Subscription>>) {
        let of_us = |one: &Arc<Subscription>| {
            one.tenant == self.tenant && !one.is_imported() && one.place == Place::Local && one.queue.is_some()
        };
        self.local = local.into_iter().filter(of_us).collect();
        for (id, route) in &mut self.routes {
            let is_local = has_member(&self.local, &route.topic, route.queue.as_ref());
            if route.local != is_local {
                route.local = is_local;
                self.dirty.insert(id.clone());
            }
        }
    }

    /// How a route's nodes answer.
    pub(super) fn set_broken(&mut self, id: &SubscriptionId, broken: bool) {
        if let Some(route) = self.routes.get_mut(id).filter(|route| route.broken != broken) {
            route.broken = broken;
            self.dirty.insert(id.clone());
        }
    }

    /// A subscription could not begin; it is tried again with the next change.
    pub(super) fn not_begun(&mut self, id: &SubscriptionId) {
        if let Some(route) = self.routes.get_mut(id) {
            route.begun = false;
        }
    }

    /// What has not begun and should have.
    pub(super) fn try_again(&mut self) {
        let late = self.routes.iter().filter(|(_, route)| !route.begun && route.is_wanted());
        self.dirty.extend(late.map(|(id, _)| id.clone()));
    }

    /// What is to be done about everything that changed since the last time.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().flat_map(|id| self.change(id)).collect()
    }

    fn change(&mut self, id: SubscriptionId) -> Vec<Change> {
        let Some(route) = self.routes.get_mut(&id) else { return Vec::new() };
        let mut changes = Vec::new();
        let wanted = route.is_wanted();
        let over = route.ending.is_some() || (route.nodes.is_empty() && !wanted);
        if over || (route.begun && !wanted) {
            let why = route.ending.unwrap_or(End::HandOver);
            changes.push(Change::End { id: id.clone(), why });
        }
        if over {
            self.remove(&id);
            return changes;
        }
        route.handed_on = false;
        let targets =
            route.nodes.iter().filter_map(|node| self.nodes.get(node).map(|known| known.target.clone())).collect();
        route.begun = wanted;
        let (topic, queue) = (route.topic.clone(), route.queue.clone());
        changes.push(Change::Set { id, topic, queue, targets, begun: wanted });
        changes
    }

    fn remove(&mut self, id: &SubscriptionId) {
        let Some(route) = self.routes.remove(id) else { return };
        if let Some(queue) = route.queue {
            self.groups.remove(&(route.topic, queue));
        }
    }

    fn is_where_it_was(&self, sighting: &Sighting<'_>) -> bool {
        let Some(known) = self.nodes.get(sighting.id) else { return false };
        let route = self.routes.get(&known.route);
        known.target.generation == sighting.generation
            && route.is_some_and(|route| route.topic == sighting.topic && route.queue == sighting.queue)
    }

    fn see_again(&mut self, sighting: &Sighting<'_>) {
        let Some(known) = self.nodes.get_mut(sighting.id) else { return };
        let again = known.seen == self.reading;
        known.seen = self.reading;
        known.missing = None;
        let before = known.target.addresses.first().cloned();
        let addresses = &mut known.target.addresses;
        if !addresses.contains(&sighting.address) {
            // What a later reading shows is newer; in the same one the first counts.
            let at = if again { addresses.len() } else { 0 };
            addresses.insert(at, sighting.address.clone());
            addresses.truncate(ADDRESSES);
            self.dirty.insert(known.route.clone());
        }
        if known.target.secure != sighting.secure && !again {
            known.target.secure = sighting.secure;
            self.dirty.insert(known.route.clone());
        }
        let (route, after) = (known.route.clone(), known.target.addresses.first().cloned());
        if before != after {
            self.move_slot(&route, before.as_ref(), after.as_ref());
        }
    }

    /// Takes in a node that is new, or shown at another place than it was. False if there is no room.
    fn come(&mut self, now: Moment, sighting: &Sighting<'_>, is_away: &dyn Fn(&SubscriptionId) -> bool) -> bool {
        if let Some(known) = self.nodes.get(sighting.id) {
            // Shown in two places, or by the service of the other generation too: one peer, where it is.
            let elsewhere = known.target.generation != sighting.generation && known.missing.is_none();
            if known.seen == self.reading || elsewhere {
                return true;
            }
            self.leave(now, sighting.id);
        }
        if self.superseded.get(sighting.id).is_some_and(|until| *until > now) {
            return true;
        }
        if *sighting.id == *self.identity.node_id(&self.tenant, sighting.queue.as_ref(), &sighting.topic) {
            return true;
        }
        if self.nodes.len() >= self.rules.nodes {
            return false;
        }
        let id: Arc<str> = sighting.id.into();
        let route = match &sighting.queue {
            Some(queue) => self.group(sighting, queue),
            None => self.slot(now, sighting, is_away),
        };
        let target = Target {
            id: Arc::clone(&id),
            generation: sighting.generation,
            secure: sighting.secure,
            addresses: vec![sighting.address.clone()],
        };
        if let Some(place) = self.routes.get_mut(&route) {
            place.nodes.push(Arc::clone(&id));
            place.empty = None;
            place.recalled = false;
            place.broken = false;
            place.ending = None;
        }
        self.move_slot(&route, None, Some(&sighting.address));
        self.dirty.insert(route.clone());
        self.nodes.insert(id, Known { route, target, seen: self.reading, missing: None });
        true
    }

    /// The route of a queue group.
    fn group(&mut self, sighting: &Sighting<'_>, queue: &QueueGroup) -> SubscriptionId {
        let key = (sighting.topic.clone(), queue.clone());
        if let Some(id) = self.groups.get(&key) {
            return id.clone();
        }
        let id = SubscriptionId::remote(&self.tenant, &format!("queue.{queue}"), &Pattern::from(&sighting.topic));
        self.groups.insert(key, id.clone());
        self.routes.insert(id.clone(), self.route(sighting));
        id
    }

    /// The route of a broadcast node: that of one on the same host which does not answer any more, or a new one.
    fn slot(
        &mut self,
        now: Moment,
        sighting: &Sighting<'_>,
        is_away: &dyn Fn(&SubscriptionId) -> bool,
    ) -> SubscriptionId {
        let key = (sighting.topic.clone(), sighting.address.host().into());
        // One that was just handed on seems away until its courier knows of the new node.
        let is_abandoned =
            |id: &&SubscriptionId| is_away(id) && self.routes.get(*id).is_some_and(|route| !route.handed_on);
        if let Some(id) = self.slots.get(&key).and_then(|ids| ids.iter().find(is_abandoned)).cloned() {
            self.supersede(now, &id);
            return id;
        }
        let label = label(sighting.id);
        let pattern = Pattern::from(&sighting.topic);
        let mut id = SubscriptionId::remote(&self.tenant, &label, &pattern);
        let mut number = 2_usize;
        // A node that lost its place to a successor and is back, or two ids that differ in odd characters only.
        while self.routes.get(&id).is_some_and(|route| !route.is_vacant()) {
            id = SubscriptionId::remote(&self.tenant, &format!("{label}~{number}"), &pattern);
            number += 1;
        }
        if !self.routes.contains_key(&id) {
            self.routes.insert(id.clone(), self.route(sighting));
        }
        id
    }

    /// Takes a route's node from it for the sake of a successor.
    fn supersede(&mut self, now: Moment, id: &SubscriptionId) {
        let until = now.after(self.rules.gone_after.saturating_mul(SUPERSEDED));
        let Some(route) = self.routes.get_mut(id) else { return };
        route.handed_on = true;
        for node in std::mem::take(&mut route.nodes) {
            if let Some(known) = self.nodes.remove(&node) {
                self.move_slot(id, known.target.addresses.first(), None);
            }
            // Beyond as many as there may be nodes, one that died gets a place of its own and keeps it until it is gone.
            if self.superseded.len() < self.rules.nodes {
                self.superseded.insert(node, until);
            }
        }
    }

    fn route(&self, sighting: &Sighting<'_>) -> Route {
        let local = has_member(&self.local, &sighting.topic, sighting.queue.as_ref());
        Route { local, ..Route::new(sighting.topic.clone(), sighting.queue.clone()) }
    }

    /// Notes where a broadcast node's route is to be looked for.
    fn move_slot(&mut self, id: &SubscriptionId, before: Option<&Address>, after: Option<&Address>) {
        let Some(route) = self.routes.get(id).filter(|route| route.queue.is_none()) else { return };
        let key = |address: &Address| (route.topic.clone(), Box::from(address.host()));
        let (before, after) = (before.map(key), after.map(key));
        if let Some(key) = before
            && let Some(ids) = self.slots.get_mut(&key)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.slots.remove(&key);
            }
        }
        if let Some(key) = after {
            self.slots.entry(key).or_default().insert(id.clone());
        }
    }

    /// Notes who was not in the reading, and lets those go who were not for long enough.
    fn miss(&mut self, now: Moment, generation: Generation) {
        let mut gone = Vec::new();
        for (id, known) in &mut self.nodes {
            if known.seen == self.reading || known.target.generation != generation {
                continue;
            }
            let since = *known.missing.get_or_insert(now);
            if now.since(since) >= self.rules.gone_after {
                gone.push(Arc::clone(id));
            }
        }
        for id in gone {
            self.leave(now, &id);
        }
        for route in self.routes.values_mut().filter(|route| route.is_vacant()) {
            route.empty.get_or_insert(now);
        }
    }

    fn leave(&mut self, now: Moment, id: &str) {
        let Some(known) = self.nodes.remove(id) else { return };
        self.move_slot(&known.route, known.target.addresses.first(), None);
        let Some(route) = self.routes.get_mut(&known.route) else { return };
        route.nodes.retain(|node| **node != *id);
        if route.nodes.is_empty() {
            route.empty = Some(now);
            if route.queue.is_none() {
                route.ending = Some(End::Gone);
            }
        }
        self.dirty.insert(known.route);
    }
}

impl Route {
    /// One without nodes that has not begun.
    const fn new(topic: Topic, queue: Option<QueueGroup>) -> Self {
        Self {
            topic,
            queue,
            nodes: Vec::new(),
            begun: false,
            broken: false,
            local: false,
            handed_on: false,
            recalled: false,
            empty: None,
            ending: None,
        }
    }

    /// Whether it waits for the node that it had before a restart.
    fn is_vacant(&self) -> bool {
        self.recalled && self.nodes.is_empty()
    }

    /// Whether it should be subscribed.
    fn is_wanted(&self) -> bool {
        if self.ending.is_some() {
            return false;
        }
        if self.nodes.is_empty() {
            // Nobody is there: the group's events are kept unless others of the group are here.
            return (self.begun || self.recalled) && !self.local;
        }
        !(self.broken && self.local)
    }
}

fn has_member(local: &[Arc<Subscription>], topic: &Topic, queue: Option<&QueueGroup>) -> bool {
    queue.is_some() && local.iter().any(|one| one.queue.as_ref() == queue && one.pattern.matches(topic))
}

/// What a broadcast node's subscription is called: `node.` and its id, without what an id could not be told apart by.
fn label(node: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    format!("node.{}", node.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests;
