//! The tenants in the plan: whose turn it is, who is at a bound of its quota, and what is kept free for the others.
//!
//! Each tenant has spent so much of the host, divided by its weight, and the one that has spent least is next: weighted
//! fair queueing, by start tags (Goyal, Vin and Cheng, "Start-time Fair Queuing", 1996). What an attempt costs is known
//! at its end only, so its lane's average is spent when it starts, and put right when it ends. Who comes back after a
//! pause begins where those are whose turn it is: nothing is saved up by idling, and nothing is owed for what nobody
//! else wanted.
//!
//! What starts holds its place until it ends, and that may take as long as a deadline. So where there are several tenants,
//! one that holds many places takes none of the last few ([`Shares::kept`]): a tenant that comes later finds them.
//!
//! Invariant: a tenant is in a turn exactly if it has a ready lane and its quota lets it start, and sleeps exactly if it
//! has one and a rate of its quota does not; what else holds it back ends with an attempt of its own.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use hostel_event::quota::Quota;
use hostel_event::time::Moment;

use crate::numbers::NumberMap;
use crate::rate::{Rate, nanos};

use super::Lane;

/// One tenant in the plan. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub u64);

/// What an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// From its start to its end.
    pub wall: Duration,
    /// Of that, the time in which it computed.
    pub cpu: Duration,
}

/// What a tenant holds of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// Deliveries that run.
    pub running: usize,
    /// Bytes of linear memory that they may reach.
    pub memory: u64,
    /// Since when its quota holds back something of it; `None` while it does not.
    pub held_since: Option<Moment>,
}

/// The least that a start costs, in nanoseconds: what the host itself does for it. Arbitrary, but above zero, so that
/// nobody's turn lasts for ever.
const COST_LEAST: u64 = 10_000;
/// What an attempt is taken to cost and compute before its lane's first has ended, in nanoseconds. Arbitrary: a small
/// handler.
const COST_UNKNOWN: u64 = 1_000_000;
/// Each attempt moves its lane's average by this part of the difference. Arbitrary: some ten attempts tell.
const AVERAGE_OF: u64 = 8;
/// How far a tenant may be ahead of those whose turn it is, in nanoseconds of the share of one: what it may have to make
/// up for. Arbitrary: two default deadlines.
const AHEAD_LIMIT: u128 = 10_000_000_000;
/// A weighed nanosecond has so many parts, so that a large weight still counts each attempt.
const PARTS: u128 = 1 << 16;

/// What a lane's attempts cost on average, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Average {
    cost: u64,
    cpu: u64,
    is_known: bool,
}

/// What a tenant was charged for an attempt that runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Charge {
    cost: u64,
    cpu: u64,
    memory: u64,
}

impl Default for Average {
    fn default() -> Self {
        Self { cost: COST_UNKNOWN, cpu: COST_UNKNOWN, is_known: false }
    }
}

impl Average {
    /// What to charge for another attempt.
    pub(super) fn charge(self, memory: u64) -> Charge {
        Charge { cost: self.cost, cpu: self.cpu, memory }
    }

    /// Takes in what an attempt cost.
    pub(super) fn learn(&mut self, actual: Charge) {
        let moved = |old: u64, new: u64| match self.is_known {
            true => old - old / AVERAGE_OF + new / AVERAGE_OF,
            false => new,
        };
        *self = Self { cost: moved(self.cost, actual.cost), cpu: moved(self.cpu, actual.cpu), is_known: true };
    }
}

/// Where a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere: nothing is ready, or only the end of an attempt of its own lets it go on.
    Out,
    /// Its turn comes, among those that hold little.
    Small,
    /// Its turn comes, among those that hold much.
    Large,
    /// It is its turn.
    Chosen,
    /// A rate of its quota lets it go on then.
    Asleep(Moment),
}

#[derive(Debug)]
struct Tenant {
    quota: Quota,
    lanes: usize,
    /// Lanes with something to start, and what memory it takes; they take turns.
    ready: VecDeque<(Lane, u64)>,
    running: usize,
    memory: u64,
    /// What it has used of the host so far, weighed; see [`PARTS`].
    spent: u128,
    /// See [`Rate`].
    deliveries_due: u64,
    cpu_due: u64,
    place: Place,
    held_since: Option<Moment>,
}

/// What holds a tenant back.
enum Hindrance {
    Nothing,
    Running,
    Until(Moment),
}

impl Tenant {
    fn new(spent: u128) -> Self {
        Self {
            quota: Quota::UNLIMITED,
            lanes: 0,
            ready: VecDeque::new(),
            running: 0,
            memory: 0,
            spent,
            deliveries_due: 0,
            cpu_due: 0,
            place: Place::Out,
            held_since: None,
        }
    }

    fn delivery_rate(&self) -> Option<Rate> {
        self.quota.deliveries.map(|rate| Rate::new(NonZeroU64::from(rate)))
    }

    fn cpu_rate(&self) -> Option<Rate> {
        self.quota.cpu.map(|cpu| Rate::of_time(cpu.max(Quota::CPU_LEAST)))
    }

    /// What keeps it from starting an attempt that takes so much memory.
    fn hindrance(&self, now: Moment, memory: u64) -> Hindrance {
        let is_full = self.quota.invocations.is_some_and(|most| self.running >= most.get());
        let is_large = self.quota.memory.is_some_and(|most| self.memory.saturating_add(memory) > most);
        if is_full || (is_large && self.running > 0) {
            return Hindrance::Running;
        }
        let deliveries = self.delivery_rate().map(|rate| rate.ready(self.deliveries_due, 1));
        let cpu = self.cpu_rate().map(|rate| rate.ready(self.cpu_due, 1));
        match deliveries.max(cpu) {
            Some(until) if until > now => Hindrance::Until(until),
            _ => Hindrance::Nothing,
        }
    }

    fn weighed(&self, cost: u64) -> u128 {
        u128::from(cost) * PARTS / u128::from(self.quota.weight.get())
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Shares {
    /// Places of the host.
    capacity: usize,
    cores: usize,
    tenants: NumberMap<Owner, Tenant>,
    /// Tenants that have lanes.
    inhabited: usize,
    /// Those whose turn comes, by what they have spent: they hold little, or much.
    small: BTreeSet<(u128, Owner)>,
    large: BTreeSet<(u128, Owner)>,
    asleep: BTreeSet<(Moment, Owner)>,
    /// What the last one had spent whose turn it was.
    spent: u128,
}

impl Shares {
    pub(super) fn new(capacity: usize, cores: usize) -> Self {
        Self {
            capacity,
            cores,
            tenants: NumberMap::default(),
            inhabited: 0,
            small: BTreeSet::new(),
            large: BTreeSet::new(),
            asleep: BTreeSet::new(),
            spent: 0,
        }
    }

    /// How many running attempts are few. Arbitrary: a quarter of the most that is kept free.
    fn few(&self) -> usize {
        (self.capacity / 32).max(1)
    }

    /// How many places are kept free for tenants of which few attempts run: so few for each tenant but one, and at most an
    /// eighth of all, so that one that is busy while the others rest loses no more than that. Those are places, and no
    /// CPU time: there are many more of them than cores.
    fn kept(&self) -> usize {
        self.inhabited.saturating_sub(1).saturating_mul(self.few()).min(self.capacity / 8)
    }

    /// A tenant has a lane more.
    pub(super) fn join(&mut self, owner: Owner) {
        let spent = self.spent;
        let tenant = self.tenants.entry(owner).or_insert_with(|| Tenant::new(spent));
        self.inhabited += usize::from(tenant.lanes == 0);
        tenant.lanes += 1;
    }

    /// A tenant's lane is closed.
    pub(super) fn leave(&mut self, now: Moment, owner: Owner, lane: Lane) {
        self.unready(now, owner, lane);
        if let Some(tenant) = self.tenants.get_mut(&owner) {
            tenant.lanes -= 1;
            self.inhabited -= usize::from(tenant.lanes == 0);
        }
    }

    /// Forgets a tenant that has no lane, nothing that runs and no quota. Says whether it is gone.
    pub(super) fn retire(&mut self, owner: Owner) -> bool {
        let Some(tenant) = self.tenants.get(&owner) else { return true };
        let is_idle = tenant.lanes == 0 && tenant.running == 0 && tenant.quota == Quota::UNLIMITED;
        if is_idle {
            self.tenants.remove(&owner);
        }
        is_idle
    }

    pub(super) fn set_quota(&mut self, now: Moment, owner: Owner, quota: Quota) {
        let spent = self.spent;
        let tenant = self.tenants.entry(owner).or_insert_with(|| Tenant::new(spent));
        if tenant.quota.cpu != quota.cpu {
            // What is due was reckoned by the old rate.
            tenant.cpu_due = tenant.cpu_due.min(nanos(now.since_start()));
        }
        tenant.quota = quota;
        tenant.held_since = None;
        self.place(now, owner);
    }

    pub(super) fn holding(&self, owner: Owner) -> Option<Holding> {
        let tenant = self.tenants.get(&owner)?;
        Some(Holding { running: tenant.running, memory: tenant.memory, held_since: tenant.held_since })
    }

    /// A lane has something to start, which takes so much memory. It must not be ready already.
    pub(super) fn ready(&mut self, now: Moment, owner: Owner, (lane, memory): (Lane, u64)) {
        let Some(tenant) = self.tenants.get_mut(&owner) else { return };
        tenant.ready.push_back((lane, memory));
        // Whoever has others that are ready is where these let it be, and who is chosen finds its place afterwards.
        if tenant.ready.len() == 1 && tenant.place == Place::Out {
            self.place(now, owner);
        }
    }

    /// A lane has nothing to start any more.
    pub(super) fn unready(&mut self, now: Moment, owner: Owner, lane: Lane) {
        let Some(tenant) = self.tenants.get_mut(&owner) else { return };
        tenant.ready.retain(|(other, _)| *other != lane);
        self.place(now, owner);
    }

    /// Chooses who starts something when so many places are free. Must be followed by [`Shares::started`] or
    /// [`Shares::passed`].
    pub(super) fn next(&mut self, free: usize) -> Option<(Owner, Lane)> {
        if free == 0 {
            return None;
        }
        let large = if free > self.kept() { self.large.first() } else { None };
        let (spent, owner) = self.small.first().into_iter().chain(large).min().copied()?;
        self.small.remove(&(spent, owner));
        self.large.remove(&(spent, owner));
        self.spent = self.spent.max(spent);
        let tenant = self.tenants.get_mut(&owner)?;
        tenant.place = Place::Chosen;
        let (lane, _) = tenant.ready.pop_front()?;
        Some((owner, lane))
    }

    /// The chosen lane had nothing to start after all.
    pub(super) fn passed(&mut self, now: Moment, owner: Owner) {
        self.place(now, owner);
    }

    /// The chosen lane started an attempt.
    pub(super) fn started(&mut self, now: Moment, owner: Owner, charge: Charge) {
        if let Some(tenant) = self.tenants.get_mut(&owner) {
            tenant.running += 1;
            tenant.memory = tenant.memory.saturating_add(charge.memory);
            tenant.spent += tenant.weighed(charge.cost);
            if let Some(rate) = tenant.delivery_rate() {
                tenant.deliveries_due = rate.taken(tenant.deliveries_due, now, 1);
            }
            if let Some(rate) = tenant.cpu_rate() {
                tenant.cpu_due = rate.taken(tenant.cpu_due, now, charge.cpu);
            }
        }
        self.place(now, owner);
    }

    /// What an attempt cost: the larger of its part in the host's places and its part in the cores, both in time of one
    /// core, so that neither waiting nor computing is free (Ghodsi and others, "Dominant Resource Fairness", 2011).
    fn cost(&self, used: Used) -> Charge {
        let cpu = nanos(used.cpu);
        let held = u128::from(nanos(used.wall)) * self.cores as u128 / self.capacity.max(1) as u128;
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        Charge { cost: cpu.max(held).max(COST_LEAST), cpu, memory: 0 }
    }

    /// An attempt ended: puts right what was charged for it. Gives what it cost.
    pub(super) fn finished(&mut self, now: Moment, owner: Owner, (charge, used): (Charge, Used)) -> Charge {
        let actual = self.cost(used);
        let from = self.lift(owner);
        let is_alone = self.small.is_empty() && self.large.is_empty();
        let limit = self.spent + AHEAD_LIMIT * PARTS;
        if let Some(tenant) = self.tenants.get_mut(&owner) {
            tenant.running -= 1;
            tenant.memory = tenant.memory.saturating_sub(charge.memory);
            let spent = (tenant.spent + tenant.weighed(actual.cost)).saturating_sub(tenant.weighed(charge.cost));
            tenant.spent = spent.min(limit);
            if let Some(rate) = tenant.cpu_rate() {
                let due = tenant.cpu_due.saturating_add(rate.time(actual.cpu));
                tenant.cpu_due = due.saturating_sub(rate.time(charge.cpu));
            }
            if is_alone {
                self.spent = self.spent.max(tenant.spent);
            }
        }
        self.put(now, owner, from);
        actual
    }

    /// Lets those go on whose rates let them.
    pub(super) fn wake(&mut self, now: Moment) {
        while let Some(&(until, owner)) = self.asleep.first()
            && until <= now
        {
            self.place(now, owner);
        }
    }

    /// When the next may go on.
    pub(super) fn until(&self) -> Option<Moment> {
        self.asleep.first().map(|(until, _)| *until)
    }

    fn place(&mut self, now: Moment, owner: Owner) {
        let from = self.lift(owner);
        self.put(now, owner, from);
    }

    /// Takes a tenant out of where it is, which it says.
    fn lift(&mut self, owner: Owner) -> Place {
        let Some(tenant) = self.tenants.get_mut(&owner) else { return Place::Out };
        let from = std::mem::replace(&mut tenant.place, Place::Out);
        match from {
            Place::Out | Place::Chosen => {}
            Place::Small => drop(self.small.remove(&(tenant.spent, owner))),
            Place::Large => drop(self.large.remove(&(tenant.spent, owner))),
            Place::Asleep(until) => drop(self.asleep.remove(&(until, owner))),
        }
        from
    }

    /// Puts a tenant that was lifted where it belongs.
    fn put(&mut self, now: Moment, owner: Owner, from: Place) {
        let few = self.few();
        let Some(tenant) = self.tenants.get_mut(&owner) else { return };
        let Some(&(_, memory)) = tenant.ready.front() else {
            tenant.held_since = None;
            return;
        };
        match tenant.hindrance(now, memory) {
            Hindrance::Nothing => {
                if matches!(from, Place::Out | Place::Asleep(_)) {
                    tenant.spent = tenant.spent.max(self.spent);
                }
                let key = (tenant.spent, owner);
                if tenant.running < few {
                    tenant.place = Place::Small;
                    self.small.insert(key);
                } else {
                    tenant.place = Place::Large;
                    self.large.insert(key);
                }
            }
            Hindrance::Running => {
                tenant.held_since.get_or_insert(now);
            }
            Hindrance::Until(until) => {
                tenant.held_since.get_or_insert(now);
                tenant.place = Place::Asleep(until);
                self.asleep.insert((until, owner));
            }
        }
    }
}
