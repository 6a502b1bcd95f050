//! Tenants that share a host, in a world whose time passes as the plan is told.

use std::num::{NonZeroU32, NonZeroUsize};

use super::*;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A host with a plan, on which attempts take as long as they are told to.
struct World {
    plan: Plan,
    capacity: usize,
    now: Moment,
    wake: Option<Moment>,
    next: u64,
    /// Whose each ticket is, and how long it takes.
    jobs: BTreeMap<Ticket, (u64, Duration)>,
    running: BTreeSet<(Moment, Ticket)>,
    /// Of each tenant: when what arrived when was started.
    started: BTreeMap<u64, Vec<Moment>>,
    /// Of each tenant: time for which it held a place, of what has ended.
    held: BTreeMap<u64, Duration>,
    settled: usize,
}

impl World {
    /// Each tenant has one lane of its number, which runs as much as it may.
    fn new(capacity: usize, tenants: &[u64]) -> Self {
        let plan = Plan::new(Settings { capacity, cores: 1, broker_delays: true, seed: 7 });
        let mut world = Self {
            plan,
            capacity,
            now: at(0),
            wake: None,
            next: 0,
            jobs: BTreeMap::new(),
            running: BTreeSet::new(),
            started: BTreeMap::new(),
            held: BTreeMap::new(),
            settled: 0,
        };
        tenants.iter().for_each(|tenant| world.open(*tenant, *tenant));
        world
    }

    fn open(&mut self, tenant: u64, lane: u64) {
        let rules = Rules { owner: Owner(tenant), memory: 64, ..rules(usize::MAX) };
        let mut outputs = Vec::new();
        self.plan.open(self.now, Lane(lane), rules, &mut outputs);
        self.take(outputs);
    }

    fn quota(&mut self, tenant: u64, quota: Quota) {
        let mut outputs = Vec::new();
        self.plan.set_quota(self.now, Owner(tenant), quota, &mut outputs);
        self.take(outputs);
    }

    /// So many deliveries come for a lane, which take so long.
    fn arrive(&mut self, (tenant, lane): (u64, u64), count: usize, takes: Duration) {
        for _ in 0..count {
            self.next += 1;
            self.jobs.insert(Ticket(self.next), (tenant, takes));
            let outputs = step(&mut self.plan, self.now, Input::Arrived(arrival(lane, self.next)));
            self.take(outputs);
        }
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Start { ticket, .. } => {
                    let (tenant, takes) = self.jobs[&ticket];
                    self.started.entry(tenant).or_default().push(self.now);
                    self.running.insert((self.now.after(takes), ticket));
                    assert!(self.running.len() <= self.capacity);
                }
                Output::Settle { .. } => self.settled += 1,
                Output::Sleep { until } => self.wake = Some(self.wake.map_or(until, |wake| wake.min(until))),
                Output::Quarantined { .. } => unreachable!("nobody faults"),
            }
        }
    }

    /// Lets time pass, until then or until nothing happens any more.
    fn pass(&mut self, until: Moment) {
        loop {
            let ends = self.running.first().map(|(ends, _)| *ends);
            let Some(next) = ends.into_iter().chain(self.wake).min().filter(|next| *next <= until) else { break };
            assert!(next >= self.now, "woken for what is over");
            self.now = next;
            let outputs = if ends == Some(next) {
                let (_, ticket) = self.running.pop_first().unwrap();
                let (tenant, takes) = self.jobs[&ticket];
                *self.held.entry(tenant).or_default() += takes;
                let used = Used { wall: takes, cpu: takes };
                step(&mut self.plan, next, Input::Finished { ticket, verdict: Verdict::Ack, used })
            } else {
                self.wake = None;
                step(&mut self.plan, next, Input::Tick)
            };
            self.take(outputs);
        }
        self.now = self.now.max(until);
    }

    fn running(&self, tenant: u64) -> usize {
        self.plan.holding(Owner(tenant)).unwrap().running
    }

    /// How many of a tenant's deliveries were started by now.
    fn started(&self, tenant: u64) -> usize {
        self.started.get(&tenant).map_or(0, Vec::len)
    }

    fn held(&self, tenant: u64) -> f64 {
        self.held.get(&tenant).copied().unwrap_or_default().as_secs_f64()
    }

    /// Lets everything end; whatever came was settled once.
    fn end(mut self) {
        self.pass(self.now.after(1_000_000 * SECOND));
        assert_eq!((self.settled, self.plan.len()), (self.jobs.len(), 0));
    }
}

fn weight(weight: u32) -> Quota {
    Quota { weight: NonZeroU32::new(weight).unwrap(), ..Quota::UNLIMITED }
}

#[test]
fn a_tenant_alone_has_the_whole_host_and_beside_others_at_rest_nearly() {
    let mut world = World::new(256, &[1]);
    world.arrive((1, 1), 1000, SECOND);
    assert_eq!(world.running(1), 256);
    world.end();
    let mut world = World::new(256, &[1, 2]);
    world.arrive((1, 1), 1000, SECOND);
    assert_eq!(world.running(1), 248);
    world.end();
    let tenants: Vec<u64> = (1..=1000).collect();
    let mut world = World::new(256, &tenants);
    world.arrive((1, 1), 1000, SECOND);
    assert_eq!(world.running(1), 224, "never less than seven eighths");
    world.end();
    let mut world = World::new(4, &[1, 2]);
    world.arrive((1, 1), 10, SECOND);
    assert_eq!(world.running(1), 4, "of few places none is kept");
    world.end();
}

#[test]
fn an_event_starts_at_once_although_another_tenant_blocks_all_that_it_can_get() {
    let mut world = World::new(256, &[1, 2, 3]);
    world.arrive((1, 1), 10_000, 5 * SECOND);
    world.pass(at(700));
    world.arrive((2, 2), 8, MILLI);
    assert_eq!(world.started(2), 8, "at once");
    world.arrive((3, 3), 1, MILLI);
    assert_eq!(world.started(3), 1, "and another's too");
    // More than are kept: they wait for no more than the attempts that run.
    world.arrive((2, 2), 1000, MILLI);
    world.pass(at(5100));
    assert_eq!(world.started(2), 1008);
    world.end();
}

#[test]
fn a_thousand_lanes_get_no_more_than_one() {
    let mut world = World::new(8, &[1, 2]);
    (1000..2000).for_each(|lane| world.open(1, lane));
    for lane in 1000..2000 {
        world.arrive((1, lane), 20, 10 * MILLI);
    }
    world.arrive((2, 2), 5000, 10 * MILLI);
    world.pass(at(10_000));
    let ratio = world.held(1) / world.held(2);
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
    world.end();
}

#[test]
fn long_attempts_get_no_more_time_than_short_ones() {
    let mut world = World::new(4, &[1, 2]);
    world.arrive((1, 1), 1000, SECOND);
    world.arrive((2, 2), 50_000, MILLI);
    world.pass(at(20_000));
    let ratio = world.held(1) / world.held(2);
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn time_is_shared_by_weight() {
    let mut world = World::new(8, &[1, 2, 3]);
    for (tenant, share) in [(1, 1), (2, 2), (3, 5)] {
        world.quota(tenant, weight(share));
        world.arrive((tenant, tenant), 10_000, 10 * MILLI);
    }
    world.pass(at(10_000));
    let one = world.held(1);
    for (tenant, share) in [(2, 2.0), (3, 5.0)] {
        let ratio = world.held(tenant) / one;
        assert!((0.85..1.15).contains(&(ratio / share)), "tenant {tenant}: {ratio}");
    }
}

#[test]
fn nothing_is_owed_for_what_nobody_wanted_and_nothing_is_saved_up() {
    let mut world = World::new(1, &[1, 2]);
    world.arrive((1, 1), 2000, 100 * MILLI);
    world.pass(at(100_000));
    world.arrive((2, 2), 1000, 100 * MILLI);
    world.pass(at(101_100));
    let (one, two) = (world.started(1) - 1001, world.started(2));
    assert!(one.abs_diff(two) <= 1, "who worked goes on: {one}, and who rested too: {two}");
    world.end();
}

#[test]
fn an_attempt_that_took_long_while_nobody_waited_is_not_held_against_its_tenant() {
    let mut world = World::new(1, &[1, 2]);
    world.arrive((1, 1), 1, 100 * SECOND);
    world.pass(at(100_000));
    world.arrive((2, 2), 100, 100 * MILLI);
    world.arrive((1, 1), 100, 100 * MILLI);
    world.pass(at(102_000));
    let (one, two) = (world.started(1) - 1, world.started(2));
    assert!(one.abs_diff(two) <= 1, "{one} and {two}");
    world.end();
}

#[test]
fn a_tenant_in_debt_is_not_starved_by_a_stream_of_others() {
    let tenants: Vec<u64> = (1..=100).collect();
    let mut world = World::new(1, &tenants);
    world.arrive((1, 1), 2, 5 * SECOND);
    for tenant in 2..=100 {
        world.arrive((tenant, tenant), 200, MILLI);
    }
    world.pass(at(30_000));
    assert_eq!(world.started(1), 2, "it waits until the others had as much, or are done");
    world.end();
}

#[test]
fn deliveries_go_by_their_rate_and_nothing_is_lost() {
    let mut world = World::new(256, &[1, 2]);
    world.quota(1, Quota { deliveries: NonZeroU32::new(10), ..Quota::UNLIMITED });
    world.arrive((1, 1), 100, MILLI);
    assert_eq!(world.started(1), 10);
    assert_eq!(world.plan.load(Lane(1)).unwrap().waiting, 90);
    assert_eq!(world.plan.holding(Owner(1)).unwrap().held_since, Some(at(0)));
    world.arrive((2, 2), 200, MILLI);
    assert_eq!(world.started(2), 200, "another's quota delays nobody");
    world.pass(at(1000));
    assert_eq!(world.started(1), 20);
    let gaps: BTreeSet<_> = world.started[&1][10..].windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert_eq!(gaps, BTreeSet::from([100 * MILLI]));
    assert_eq!(world.plan.holding(Owner(1)).unwrap().held_since, Some(at(0)), "still the same");
    world.pass(at(60_000));
    assert_eq!((world.started(1), world.plan.holding(Owner(1)).unwrap().held_since), (100, None));
    world.end();
}

#[test]
fn a_quota_that_is_lifted_lets_go_at_once() {
    let mut world = World::new(256, &[1]);
    world.quota(1, Quota { deliveries: NonZeroU32::new(1), ..Quota::UNLIMITED });
    world.arrive((1, 1), 50, SECOND);
    assert_eq!(world.running(1), 1);
    world.quota(1, Quota { invocations: NonZeroUsize::new(7), ..Quota::UNLIMITED });
    assert_eq!(world.running(1), 7);
    world.quota(1, Quota::UNLIMITED);
    assert_eq!(world.running(1), 50);
    world.end();
}

#[test]
fn no_more_run_and_reach_no_more_memory_than_the_quota_says() {
    let mut world = World::new(256, &[1, 2, 3]);
    world.quota(1, Quota { invocations: NonZeroUsize::new(3), ..Quota::UNLIMITED });
    world.quota(2, Quota { memory: Some(5 * 64 + 63), ..Quota::UNLIMITED });
    world.quota(3, Quota { memory: Some(63), ..Quota::UNLIMITED });
    for tenant in 1..=3 {
        world.arrive((tenant, tenant), 20, SECOND);
    }
    let running = |world: &World| [1, 2, 3].map(|tenant| world.running(tenant));
    assert_eq!(running(&world), [3, 5, 1], "one always may");
    assert_eq!(world.plan.holding(Owner(2)).unwrap().memory, 5 * 64);
    world.pass(at(1500));
    assert_eq!(running(&world), [3, 5, 1]);
    world.end();
}

#[test]
fn computing_beyond_the_quota_is_waited_for() {
    let mut world = World::new(256, &[1, 2]);
    world.quota(1, Quota { cpu: Some(100 * MILLI), ..Quota::UNLIMITED });
    world.arrive((1, 1), 1000, 50 * MILLI);
    world.pass(at(0).after(300 * SECOND));
    let computed = world.held(1);
    assert!((28.0..=31.0).contains(&computed), "{computed} s in 300 s at a tenth of a core, after a burst");
    world.arrive((2, 2), 10, MILLI);
    assert_eq!(world.started(2), 10);
    world.quota(1, Quota::UNLIMITED);
    world.end();
}

#[test]
fn a_closed_tenant_leaves_nothing_behind() {
    let mut world = World::new(8, &[1, 2]);
    world.quota(1, Quota { deliveries: NonZeroU32::new(1), ..Quota::UNLIMITED });
    world.arrive((1, 1), 5, SECOND);
    assert_eq!(world.plan.close(world.now, Lane(1)).len(), 4);
    assert!(!world.plan.retire(Owner(1)), "one still runs");
    world.pass(at(5000));
    assert!(!world.plan.retire(Owner(1)), "it has a quota");
    world.quota(1, Quota::UNLIMITED);
    assert!(world.plan.retire(Owner(1)));
    assert_eq!(world.plan.holding(Owner(1)), None);
    world.arrive((2, 2), 8, SECOND);
    assert_eq!(world.running(2), 8, "alone again");
}

/// What a tenant does in the run below.
fn behaviour() -> impl Strategy<Value = (usize, u32, Option<usize>, Option<u32>)> {
    (1_usize..60, 1_u32..5, prop::option::of(1_usize..5), prop::option::of(1_u32..200))
}

proptest! {
    /// Whatever tenants do: no bound is broken, no place stays empty that somebody may take, nobody is starved, and
    /// everything is settled once.
    #[test]
    fn tenants_share_whatever_they_do(
        capacity in 1_usize..70,
        tenants in prop::collection::vec(behaviour(), 1..6),
        arrivals in prop::collection::vec((0_usize..6, 0_u64..200, 1_u64..2000), 1..60),
    ) {
        let names: Vec<u64> = (0..tenants.len() as u64).collect();
        let mut world = World::new(capacity, &names);
        for (tenant, (_, share, invocations, deliveries)) in tenants.iter().enumerate() {
            let invocations = invocations.and_then(NonZeroUsize::new);
            let deliveries = deliveries.and_then(NonZeroU32::new);
            world.quota(tenant as u64, Quota { invocations, deliveries, ..weight(*share) });
        }
        for (who, pause, takes) in arrivals {
            let tenant = who % tenants.len();
            world.arrive((tenant as u64, tenant as u64), tenants[tenant].0, Duration::from_millis(takes));
            world.pass(world.now.after(Duration::from_millis(pause)));
            let free = capacity - world.running.len();
            for (tenant, (_, _, invocations, deliveries)) in tenants.iter().enumerate() {
                let running = world.running(tenant as u64);
                prop_assert!(invocations.is_none_or(|most| running <= most));
                let waits = world.plan.load(Lane(tenant as u64)).unwrap().waiting > 0;
                let may = invocations.is_none_or(|most| running < most) && deliveries.is_none();
                prop_assert!(!(waits && may) || free <= capacity / 8, "{free} free, and {tenant} waits");
                prop_assert!(!(waits && may && running == 0) || free == 0, "{tenant} has nothing and finds a place");
            }
        }
        world.end();
    }
}
