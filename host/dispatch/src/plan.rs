//! The plan: a pure state machine that decides what runs, waits, sleeps and is settled.
//!
//! Each subscription has a lane. A delivery that arrives waits in its lane until the lane has fewer running than its
//! concurrency and the host fewer than its capacity. Lanes with something to start take turns, one start each, so that
//! a long lane delays a short one by at most one start for each other lane. A failed attempt sleeps, or is handed back
//! to a broker that keeps delays itself, or is given up.
//!
//! Invariants:
//! - Every ticket that arrived is settled by exactly one [`Output::Settle`], unless its lane is closed before its
//!   turn came.
//! - A lane is in `ready` exactly once if it could start something but for the host's capacity, and never otherwise.
//! - Nothing here allocates in proportion to anything but what is in the plan.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use hostel_event::subscription::RetryPolicy;
use hostel_event::time::Moment;

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
    /// Whether the broker keeps delays: then a retry is settled, and else it sleeps here.
    pub broker_delays: bool,
    /// Where the random numbers of the backoff begin.
    pub seed: u64,
}

/// What holds for one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many of its deliveries run at the same time; at least 1.
    pub concurrency: usize,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
}

/// What the plan is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A delivery came for a lane, with this many attempts behind it.
    Arrived {
        /// Its ticket, new.
        ticket: Ticket,
        /// Whose it is.
        lane: Lane,
        /// Attempts that went before.
        attempts: u32,
    },
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
    },
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
    /// Nobody's: its lane was closed while it ran, and it would have been tried again.
    Discarded,
}

/// How much of a lane does what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Deliveries that could start but for concurrency and capacity.
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
}

#[derive(Debug)]
struct Work {
    lane: Lane,
    /// Attempts begun.
    attempts: u32,
    settled: bool,
}

/// The plan. See the module's page.
#[derive(Debug)]
pub struct Plan {
    settings: Settings,
    running: usize,
    lanes: HashMap<Lane, LaneState>,
    work: HashMap<Ticket, Work>,
    ready: VecDeque<Lane>,
    sleeping: BinaryHeap<Reverse<(Moment, Ticket)>>,
    random: SmallRng,
}

impl Plan {
    /// An empty plan.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            running: 0,
            lanes: HashMap::new(),
            work: HashMap::new(),
            ready: VecDeque::new(),
            sleeping: BinaryHeap::new(),
            random: SmallRng::seed_from_u64(settings.seed),
        }
    }

    /// Opens a lane. One that is open keeps its work and gets new rules, which may let more of it start.
    pub fn open(&mut self, lane: Lane, rules: Rules, outputs: &mut Vec<Output>) {
        self.lanes.entry(lane).and_modify(|state| state.rules = rules).or_insert_with(|| LaneState {
            rules,
            waiting: VecDeque::new(),
            load: Load::default(),
            in_ready: false,
        });
        self.make_ready(lane);
        self.start(outputs);
    }

    /// Closes a lane and forgets what waits or sleeps in it, which it returns. What runs goes on.
    pub fn close(&mut self, lane: Lane) -> Vec<Ticket> {
        let Some(state) = self.lanes.remove(&lane) else { return Vec::new() };
        self.ready.retain(|&other| other != lane);
        let mut forgotten: Vec<Ticket> = state.waiting.into();
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
        forgotten
    }

    /// What a lane is doing; `None` if it is not open.
    #[must_use]
    pub fn load(&self, lane: Lane) -> Option<Load> {
        self.lanes.get(&lane).map(|state| Load { waiting: state.waiting.len(), ..state.load })
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

    /// How many deliveries run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Takes one input and says what to do about it. What is unknown by now is ignored.
    pub fn step(&mut self, now: Moment, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Arrived { ticket, lane, attempts } => self.arrived(ticket, lane, attempts, outputs),
            Input::AckedEarly { ticket } => self.acked_early(ticket, outputs),
            Input::Finished { ticket, verdict } => self.finished(now, ticket, verdict, outputs),
            Input::Tick => {}
        }
        self.wake(now);
        self.start(outputs);
        if let Some(Reverse((until, _))) = self.sleeping.peek() {
            outputs.push(Output::Sleep { until: *until });
        }
    }

    fn arrived(&mut self, ticket: Ticket, lane: Lane, attempts: u32, outputs: &mut Vec<Output>) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return outputs.push(Output::Settle { ticket, decision: Decision::Discarded });
        };
        state.waiting.push_back(ticket);
        self.work.insert(ticket, Work { lane, attempts, settled: false });
        self.make_ready(lane);
    }

    fn acked_early(&mut self, ticket: Ticket, outputs: &mut Vec<Output>) {
        if let Some(work) = self.work.get_mut(&ticket)
            && !work.settled
        {
            work.settled = true;
            outputs.push(Output::Settle { ticket, decision: Decision::Ack });
        }
    }

    fn finished(&mut self, now: Moment, ticket: Ticket, verdict: Verdict, outputs: &mut Vec<Output>) {
        let Some(work) = self.work.get(&ticket) else { return };
        let (lane, attempts, settled) = (work.lane, work.attempts, work.settled);
        self.running -= 1;
        let rules = self.lanes.get_mut(&lane).map(|state| {
            state.load.running -= 1;
            state.rules
        });
        self.make_ready(lane);

        let decision = match (verdict, rules) {
            _ if settled => None,
            (Verdict::Ack, _) => Some(Decision::Ack),
            (Verdict::Reject, _) => Some(Decision::Rejected),
            (Verdict::Retry { .. }, None) => Some(Decision::Discarded),
            (Verdict::Retry { .. }, Some(rules)) if attempts >= rules.retry.attempts => Some(Decision::Exhausted),
            (Verdict::Retry { after }, Some(rules)) => {
                let after = self.delay(rules.retry, attempts, after);
                if !self.settings.broker_delays {
                    return self.sleep(lane, now.after(after), ticket);
                }
                Some(Decision::Retry { after })
            }
        };
        self.work.remove(&ticket);
        if let Some(decision) = decision {
            outputs.push(Output::Settle { ticket, decision });
        }
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

    /// Moves what has slept enough to the end of its lane.
    fn wake(&mut self, now: Moment) {
        while let Some(Reverse((due, ticket))) = self.sleeping.peek().copied()
            && due <= now
        {
            self.sleeping.pop();
            let Some(work) = self.work.get(&ticket) else { continue };
            let lane = work.lane;
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.load.sleeping -= 1;
                state.waiting.push_back(ticket);
                self.make_ready(lane);
            }
        }
    }

    fn make_ready(&mut self, lane: Lane) {
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        if !state.in_ready && !state.waiting.is_empty() && state.load.running < state.rules.concurrency {
            state.in_ready = true;
            self.ready.push_back(lane);
        }
    }

    /// Starts what may start: one of each ready lane in turn, while there is capacity.
    fn start(&mut self, outputs: &mut Vec<Output>) {
        while self.running < self.settings.capacity
            && let Some(lane) = self.ready.pop_front()
        {
            let Some(state) = self.lanes.get_mut(&lane) else { continue };
            state.in_ready = false;
            // New rules may have lowered the concurrency since the lane was made ready.
            if state.load.running >= state.rules.concurrency {
                continue;
            }
            let Some(ticket) = state.waiting.pop_front() else { continue };
            let Some(work) = self.work.get_mut(&ticket) else { continue };
            work.attempts += 1;
            state.load.running += 1;
            self.running += 1;
            outputs.push(Output::Start { ticket, attempt: work.attempts });
            self.make_ready(lane);
        }
    }
}

#[cfg(test)]
mod tests;
