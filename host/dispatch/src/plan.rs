//! The plan: a pure state machine that decides what runs, waits, sleeps and is settled.
//!
//! Each subscription has a lane, and each lane belongs to a tenant. A delivery that arrives waits in its lane until the
//! lane has fewer running than its concurrency, its tenant's quota lets it, and the host has fewer running than its
//! capacity. Then tenants share the host by weight ([`shares`]). The lanes of one tenant take turns, one start each, so that
//! a long lane delays a short one by at most one start for each other lane. A failed attempt sleeps, or is handed back
//! to a broker that keeps delays itself, or is given up. What has expired when its turn comes is settled and not started.
//!
//! In an ordered lane deliveries of one key go one after another, in the order in which they arrived ([`line`]): the next
//! begins when the broker has taken the settlement of the one before. Retries of an ordered lane sleep here even if the
//! broker keeps delays: one that went back would come after those that it is to precede. If the broker did not take a
//! settlement and will deliver the event again, its key waits for it, as long as [`RETURN`] at most.
//!
//! A lane that is paused ([`gate`]) starts nothing; what arrives waits.
//!
//! Invariants:
//! - Every ticket that arrived is settled by exactly one [`Output::Settle`], unless its lane is closed before its
//!   turn came.
//! - A lane is ready exactly once if it could start something but for its tenant's quota and the host's capacity, and
//!   never otherwise.
//!   Only a lane that was paused or slowed down since may be there in vain, which `start` finds out.
//! - Of a key at most one delivery waits for its start, runs or sleeps, unless it acknowledged early and that did not
//!   take.
//! - Nothing here allocates in proportion to anything but what is in the plan.

mod gate;
mod line;
mod shares;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use hostel_event::port::PausedBy;
use hostel_event::quota::Quota;
use hostel_event::subscription::{Quarantine, RetryPolicy};
use hostel_event::time::Moment;

use crate::numbers::NumberMap;

use gate::Gate;
pub use line::Key;
use line::Lines;
use shares::{Average, Charge, Shares};
pub use shares::{Holding, Owner, Used};

/// How long a key waits for an event that the broker delivers again. A broker does that at once, or some seconds after it
/// failed; but what it drops meanwhile, because it expired or by retention, never comes.
pub const RETURN: Duration = Duration::from_secs(60);

/// One delivery in the plan. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One subscription in the plan. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u64);

/// What holds for the whole plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many deliveries run at the same time, over all lanes.
    pub capacity: usize,
    /// How many of them compute at the same time.
    pub cores: usize,
    /// Whether the broker keeps delays: then a retry is settled, and else it sleeps here.
    pub broker_delays: bool,
    /// Where the random numbers of the backoff begin.
    pub seed: u64,
}

/// What holds for one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whose it is. Stays the same for as long as the lane is open.
    pub owner: Owner,
    /// The linear memory that one of its deliveries may reach, in bytes.
    pub memory: u64,
    /// How many of its deliveries run at the same time; at least 1.
    pub concurrency: usize,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
    /// When it is paused because its handler keeps failing.
    pub quarantine: Quarantine,
}

/// A delivery as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its ticket, new.
    pub ticket: Ticket,
    /// Whose it is.
    pub lane: Lane,
    /// Attempts that went before.
    pub attempts: u32,
    /// In an ordered lane, what it waits in line for.
    pub key: Option<Key>,
    /// From then on it is not to be started.
    pub expires: Option<Moment>,
    /// The same event under an earlier ticket, whose settlement the broker did not take.
    pub instead_of: Option<Ticket>,
}

/// What the plan is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A delivery came for a lane.
    Arrived(Arrival),
    /// The handler acknowledged while it runs.
    AckedEarly {
        /// Which.
        ticket: Ticket,
    },
    /// An attempt ended.
    Finished {
        /// Which.
        ticket: Ticket,
        /// What to make of it.
        verdict: Verdict,
        /// What it used.
        used: Used,
    },
    /// The broker has settled a delivery, or not. Matters in ordered lanes only.
    Settled {
        /// Which.
        ticket: Ticket,
        /// It did not, and delivers the event again.
        comes_again: bool,
    },
    /// A lane is paused.
    Pause {
        /// Which.
        lane: Lane,
        /// By whom.
        by: PausedBy,
    },
    /// An operator lets a lane go on, whoever paused it.
    Resume {
        /// Which.
        lane: Lane,
    },
    /// Nothing is to start any more. What runs goes on.
    Halt,
    /// Time has passed.
    Tick,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event was handled.
    Ack,
    /// It is to be tried again, not before this delay if one is given.
    Retry {
        /// The handler's advice; `None` leaves it to the backoff.
        after: Option<Duration>,
    },
    /// It is to be tried again, and the handler is to blame.
    Fault,
    /// It is given up.
    Reject,
}

/// What the plan wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Run an attempt now, and tell when it ended.
    Start {
        /// Which.
        ticket: Ticket,
        /// Which attempt this is, counted from 1.
        attempt: u32,
    },
    /// Settle the delivery. Its ticket is forgotten, unless it was acknowledged early and still runs.
    Settle {
        /// Which.
        ticket: Ticket,
        /// How.
        decision: Decision,
    },
    /// A lane's handler failed too often; the lane is paused from now on.
    Quarantined {
        /// Which.
        lane: Lane,
    },
    /// Nothing more to do before this moment, unless there is other input: then tick.
    Sleep {
        /// When to tick.
        until: Moment,
    },
}

/// How a delivery is to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Handled.
    Ack,
    /// To come again; only where the broker keeps delays.
    Retry {
        /// Not before this has passed.
        after: Duration,
    },
    /// Given up: the handler rejected it.
    Rejected,
    /// Given up: its attempts are used up.
    Exhausted,
    /// Not started, since it expired before.
    Expired,
    /// Nobody's: its lane was closed while it ran, and it would have been tried again.
    Discarded,
}

/// How much of a lane does what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Deliveries that could start but for concurrency, quota, capacity, a pause, and those before them in their order.
    pub waiting: usize,
    /// Deliveries that run.
    pub running: usize,
    /// Deliveries that wait for their next attempt's time.
    pub sleeping: usize,
}

#[derive(Debug)]
struct LaneState {
    rules: Rules,
    waiting: VecDeque<Ticket>,
    load: Load,
    in_ready: bool,
    lines: Lines,
    gate: Gate,
    average: Average,
}

impl LaneState {
    fn load(&self) -> Load {
        Load { waiting: self.waiting.len() + self.lines.behind(), ..self.load }
    }

    fn may_start(&self) -> bool {
        self.gate.paused().is_none() && self.load.running < self.rules.concurrency
    }
}

#[derive(Debug)]
struct Work {
    lane: Lane,
    owner: Owner,
    /// Attempts begun.
    attempts: u32,
    settled: bool,
    key: Option<Key>,
    expires: Option<Moment>,
    /// That of the lane's gate when the attempt began.
    epoch: u64,
    /// What its tenant was charged for it while it runs.
    charge: Charge,
}

/// A delivery of an ordered lane that is being settled, or that the broker did not settle and delivers again. It holds
/// its key.
#[derive(Debug)]
struct Ending {
    lane: Lane,
    key: Key,
    /// It has come again under another ticket.
    is_back: bool,
    /// Until when the key waits for it, once the broker has failed to settle it.
    until: Option<Moment>,
}

/// The plan. See the module's page.
#[derive(Debug)]
pub struct Plan {
    settings: Settings,
    is_halted: bool,
    running: usize,
    lanes: NumberMap<Lane, LaneState>,
    work: NumberMap<Ticket, Work>,
    shares: Shares,
    sleeping: BinaryHeap<Reverse<(Moment, Ticket)>>,
    endings: NumberMap<Ticket, Ending>,
    /// Those of `endings` that are to come again, by when the wait for them ends.
    returning: BTreeSet<(Moment, Ticket)>,
    random: SmallRng,
}

impl Plan {
    /// An empty plan.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            is_halted: false,
            running: 0,
            lanes: NumberMap::default(),
            work: NumberMap::default(),
            shares: Shares::new(settings.capacity, settings.cores),
            sleeping: BinaryHeap::new(),
            endings: NumberMap::default(),
            returning: BTreeSet::new(),
            random: SmallRng::seed_from_u64(settings.seed),
        }
    }

    /// Opens a lane. One that is open keeps its work and gets new rules, which may let more of it start; its handler is
    /// then another, so that a quarantine ends.
    pub fn open(&mut self, now: Moment, lane: Lane, rules: Rules, outputs: &mut Vec<Output>) {
        let is_new = !self.lanes.contains_key(&lane);
        let state = self.lanes.entry(lane).or_insert_with(|| LaneState {
            rules,
            waiting: VecDeque::new(),
            load: Load::default(),
            in_ready: false,
            lines: Lines::default(),
            gate: Gate::default(),
            average: Average::default(),
        });
        let owner = state.rules.owner;
        state.rules = Rules { owner, ..rules };
        state.gate.renew();
        if is_new {
            self.shares.join(owner);
        } else if std::mem::take(&mut state.in_ready) {
            // It may take another amount of memory from now on.
            self.shares.unready(now, owner, lane);
        }
        self.make_ready(now, lane);
        self.proceed(now, outputs);
    }

    /// Holds a tenant to a quota from now on, in the place of what it had.
    pub fn set_quota(&mut self, now: Moment, owner: Owner, quota: Quota, outputs: &mut Vec<Output>) {
        self.shares.set_quota(now, owner, quota);
        self.proceed(now, outputs);
    }

    /// Forgets a tenant of which nothing is in the plan and whose quota is unlimited. Says whether it is gone.
    pub fn retire(&mut self, owner: Owner) -> bool {
        self.shares.retire(owner)
    }

    /// What a tenant holds; `None` if it is not in the plan.
    #[must_use]
    pub fn holding(&self, owner: Owner) -> Option<Holding> {
        self.shares.holding(owner)
    }

    /// Closes a lane and forgets what waits or sleeps in it, which it returns. What runs goes on.
    pub fn close(&mut self, now: Moment, lane: Lane) -> Vec<Ticket> {
        let Some(state) = self.lanes.remove(&lane) else { return Vec::new() };
        self.shares.leave(now, state.rules.owner, lane);
        let mut forgotten: Vec<Ticket> = state.waiting.into();
        forgotten.extend(state.lines.into_behind());
        let work = &self.work;
        self.sleeping.retain(|Reverse((_, ticket))| {
            let keeps = work.get(ticket).is_some_and(|work| work.lane != lane);
            if !keeps {
                forgotten.push(*ticket);
            }
            keeps
        });
        for ticket in &forgotten {
            self.work.remove(ticket);
        }
        self.endings.retain(|_, ending| ending.lane != lane);
        self.returning.retain(|(_, ticket)| self.endings.contains_key(ticket));
        forgotten
    }

    /// What a lane is doing; `None` if it is not open.
    #[must_use]
    pub fn load(&self, lane: Lane) -> Option<Load> {
        self.lanes.get(&lane).map(LaneState::load)
    }

    /// Who paused a lane; `None` if nobody did.
    #[must_use]
    pub fn paused(&self, lane: Lane) -> Option<PausedBy> {
        self.lanes.get(&lane).and_then(|state| state.gate.paused())
    }

    /// Whether nothing of what is in the plan goes on by itself: nothing runs, and whatever waits or sleeps is in a lane
    /// that is paused. Looks at each lane.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let held = |state: &LaneState| state.load().waiting + state.load.sleeping;
        let paused = self.lanes.values().filter(|state| state.gate.paused().is_some());
        self.running == 0 && self.work.len() == paused.map(held).sum::<usize>()
    }

    /// How many deliveries are in the plan: waiting, running and sleeping.
    #[must_use]
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether there is nothing in the plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Whether a ticket is in the plan.
    #[must_use]
    pub fn holds(&self, ticket: Ticket) -> bool {
        self.work.contains_key(&ticket)
    }

    /// Whether a ticket of an ordered lane is being settled, or to come again because it was not.
    #[must_use]
    pub fn is_ending(&self, ticket: Ticket) -> bool {
        self.endings.contains_key(&ticket)
    }

    /// How many deliveries run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Takes one input and says what to do about it. What is unknown by now is ignored.
    pub fn step(&mut self, now: Moment, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Arrived(arrival) => self.arrived(now, arrival, outputs),
            Input::AckedEarly { ticket } => self.acked_early(ticket, outputs),
            Input::Finished { ticket, verdict, used } => self.finished(now, (ticket, verdict, used), outputs),
            Input::Settled { ticket, comes_again } => self.settled(now, ticket, comes_again),
            Input::Pause { lane, by } => self.gate(now, lane, |gate| gate.pause(by)),
            Input::Resume { lane } => self.gate(now, lane, Gate::resume),
            Input::Halt => self.is_halted = true,
            Input::Tick => {}
        }
        self.wake(now);
        self.proceed(now, outputs);
    }

    /// Starts what may start, and says when there is more to do.
    fn proceed(&mut self, now: Moment, outputs: &mut Vec<Output>) {
        self.start(now, outputs);
        let sleeping = self.sleeping.peek().map(|Reverse((until, _))| *until);
        let returning = self.returning.first().map(|(until, _)| *until);
        if let Some(until) = [sleeping, returning, self.shares.until()].into_iter().flatten().min() {
            outputs.push(Output::Sleep { until });
        }
    }

    fn arrived(&mut self, now: Moment, arrival: Arrival, outputs: &mut Vec<Output>) {
        let Arrival { ticket, lane, attempts, key, expires, instead_of } = arrival;
        let Some(state) = self.lanes.get_mut(&lane) else {
            return outputs.push(Output::Settle { ticket, decision: Decision::Discarded });
        };
        let (owner, charge) = (state.rules.owner, Charge::default());
        self.work.insert(ticket, Work { lane, owner, attempts, settled: false, key, expires, epoch: 0, charge });
        if key.is_none_or(|key| state.lines.arrive(key, ticket, instead_of.is_some())) {
            state.waiting.push_back(ticket);
            self.make_ready(now, lane);
        }
        if let Some(old) = instead_of {
            self.came_again(now, old);
        }
    }

    /// What the broker did not settle is back: its key need not wait for it any more.
    fn came_again(&mut self, now: Moment, ticket: Ticket) {
        let Some(ending) = self.endings.get_mut(&ticket) else { return };
        match ending.until {
            None => ending.is_back = true,
            Some(until) => {
                let (lane, key) = (ending.lane, ending.key);
                self.endings.remove(&ticket);
                self.returning.remove(&(until, ticket));
                self.release(now, lane, key);
            }
        }
    }

    fn settled(&mut self, now: Moment, ticket: Ticket, comes_again: bool) {
        let Some(ending) = self.endings.get_mut(&ticket) else { return };
        if comes_again && !ending.is_back {
            let until = now.after(RETURN);
            ending.until = Some(until);
            self.returning.insert((until, ticket));
            return;
        }
        let (lane, key) = (ending.lane, ending.key);
        self.endings.remove(&ticket);
        self.release(now, lane, key);
    }

    fn gate(&mut self, now: Moment, lane: Lane, change: impl FnOnce(&mut Gate)) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            change(&mut state.gate);
            self.make_ready(now, lane);
        }
    }

    /// Lets a key go, and whoever is next in its line go on.
    fn release(&mut self, now: Moment, lane: Lane, key: Key) {
        if let Some(state) = self.lanes.get_mut(&lane)
            && let Some(next) = state.lines.release(key)
        {
            state.waiting.push_back(next);
            self.make_ready(now, lane);
        }
    }

    /// Settles a delivery. If it has a key, its hold on it is now that of its ending.
    fn settle(&mut self, ticket: Ticket, decision: Decision, outputs: &mut Vec<Output>) {
        if let Some(Work { lane, key: Some(key), .. }) = self.work.get(&ticket)
            && self.lanes.contains_key(lane)
        {
            self.endings.insert(ticket, Ending { lane: *lane, key: *key, is_back: false, until: None });
        }
        outputs.push(Output::Settle { ticket, decision });
    }

    fn acked_early(&mut self, ticket: Ticket, outputs: &mut Vec<Output>) {
        let Some(work) = self.work.get_mut(&ticket).filter(|work| !work.settled) else { return };
        work.settled = true;
        let (lane, key) = (work.lane, work.key);
        // Both must be over before the next of its key: the attempt, and the settling.
        if let Some(key) = key
            && let Some(state) = self.lanes.get_mut(&lane)
        {
            state.lines.hold(key);
        }
        self.settle(ticket, Decision::Ack, outputs);
    }

    fn finished(&mut self, now: Moment, (ticket, verdict, used): (Ticket, Verdict, Used), outputs: &mut Vec<Output>) {
        let Some(work) = self.work.get_mut(&ticket) else { return };
        let (lane, attempts, settled, key) = (work.lane, work.attempts, work.settled, work.key);
        let epoch = work.epoch;
        self.running -= 1;
        let cost = self.shares.finished(now, work.owner, (std::mem::take(&mut work.charge), used));
        let rules = self.lanes.get_mut(&lane).map(|state| {
            state.load.running -= 1;
            state.average.learn(cost);
            match verdict {
                Verdict::Ack => state.gate.acked(epoch),
                Verdict::Fault if state.gate.faulted(now, epoch, state.rules.quarantine) => {
                    outputs.push(Output::Quarantined { lane });
                }
                _ => {}
            }
            state.rules
        });
        self.make_ready(now, lane);

        let advice = match verdict {
            Verdict::Retry { after } => after,
            _ => None,
        };
        let decision = match (verdict, rules) {
            _ if settled => None,
            (Verdict::Ack, _) => Some(Decision::Ack),
            (Verdict::Reject, _) => Some(Decision::Rejected),
            (_, None) => Some(Decision::Discarded),
            (_, Some(rules)) if attempts >= rules.retry.attempts => Some(Decision::Exhausted),
            (_, Some(rules)) => {
                let after = self.delay(rules.retry, attempts, advice);
                if !self.settings.broker_delays || key.is_some() {
                    return self.sleep(lane, now.after(after), ticket);
                }
                Some(Decision::Retry { after })
            }
        };
        match (decision, key) {
            (Some(decision), _) => self.settle(ticket, decision, outputs),
            (None, Some(key)) => self.release(now, lane, key),
            (None, None) => {}
        }
        self.work.remove(&ticket);
    }

    /// How long to wait after a failed attempt: the handler's advice, or a random part of the backoff's bound.
    fn delay(&mut self, policy: RetryPolicy, attempts: u32, advice: Option<Duration>) -> Duration {
        match advice {
            Some(advice) => advice.min(RetryPolicy::ADVICE_LIMIT),
            None => policy.bound(attempts).mul_f64(self.random.random::<f64>()),
        }
    }

    fn sleep(&mut self, lane: Lane, until: Moment, ticket: Ticket) {
        self.sleeping.push(Reverse((until, ticket)));
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.load.sleeping += 1;
        }
    }

    /// Moves what has slept enough to the end of its lane, lets tenants go on whose rates let them, and gives up waiting for
    /// what does not come again.
    fn wake(&mut self, now: Moment) {
        self.shares.wake(now);
        while let Some(&(until, ticket)) = self.returning.first()
            && until <= now
        {
            self.returning.pop_first();
            if let Some(Ending { lane, key, .. }) = self.endings.remove(&ticket) {
                self.release(now, lane, key);
            }
        }
        while let Some(Reverse((due, ticket))) = self.sleeping.peek().copied()
            && due <= now
        {
            self.sleeping.pop();
            let Some(work) = self.work.get(&ticket) else { continue };
            let lane = work.lane;
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.load.sleeping -= 1;
                state.waiting.push_back(ticket);
                self.make_ready(now, lane);
            }
        }
    }

    fn make_ready(&mut self, now: Moment, lane: Lane) {
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        if !state.in_ready && state.may_start() && !state.waiting.is_empty() {
            state.in_ready = true;
            self.shares.ready(now, state.rules.owner, (lane, state.rules.memory));
        }
    }

    /// Starts what may start, in the order of the shares, while there is capacity.
    fn start(&mut self, now: Moment, outputs: &mut Vec<Output>) {
        if self.is_halted {
            return;
        }
        while let Some((owner, lane)) = self.shares.next(self.settings.capacity.saturating_sub(self.running)) {
            match self.start_one(now, lane, outputs) {
                Some(charge) => self.shares.started(now, owner, charge),
                None => self.shares.passed(now, owner),
            }
        }
    }

    /// Starts the next of a lane that was ready, if there is one and it has not expired. Says what to charge for it.
    fn start_one(&mut self, now: Moment, lane: Lane, outputs: &mut Vec<Output>) -> Option<Charge> {
        let state = self.lanes.get_mut(&lane)?;
        state.in_ready = false;
        // It may have been paused, or slowed down by new rules, since it was made ready.
        if !state.may_start() {
            return None;
        }
        let ticket = state.waiting.pop_front()?;
        let work = self.work.get_mut(&ticket)?;
        let charge = if work.expires.is_some_and(|expires| expires <= now) {
            self.settle(ticket, Decision::Expired, outputs);
            self.work.remove(&ticket);
            None
        } else {
            work.attempts += 1;
            work.epoch = state.gate.epoch();
            work.charge = state.average.charge(state.rules.memory);
            state.load.running += 1;
            self.running += 1;
            outputs.push(Output::Start { ticket, attempt: work.attempts });
            Some(work.charge)
        };
        self.make_ready(now, lane);
        charge
    }
}

#[cfg(test)]
mod tests;
