//! Everything the driver knows, under one lock: the plan, and for each of its tickets and lanes what they stand for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostel_event::delivery::{Delivery, Settle, Settlement};
use hostel_event::key_value::Effects;
use hostel_event::message::Event;
use hostel_event::outcome::{Attempt, Outcome};
use hostel_event::port::{Invoke, Settled};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_event::time::Moment;

use crate::plan::{Decision, Input, Lane, Output, Plan, Rules, Settings, Ticket, Verdict};

use super::{Counts, State};

/// See the module's page.
pub(super) struct Board {
    plan: Plan,
    held: HashMap<Ticket, Held>,
    attached: HashMap<Lane, Attached>,
    lanes: BTreeMap<SubscriptionId, Lane>,
    /// The next ticket or lane number.
    next: u64,
    /// When the plan wants to be woken.
    wake: Option<Moment>,
    /// Deliveries that the broker has been asked to settle and has not yet.
    settling: usize,
    outputs: Vec<Output>,
}

/// A subscription and the version that runs for it.
struct Attached {
    subscription: Arc<Subscription>,
    invoke: Arc<dyn Invoke>,
    counts: Counts,
}

/// A delivery in the plan.
pub(super) struct Held {
    lane: Lane,
    subscription: SubscriptionId,
    event: Arc<Event>,
    history: Vec<Attempt>,
    /// Taken when the delivery is settled, which may be before its attempt ends.
    settle: Option<Box<dyn Settle>>,
}

impl Held {
    pub(super) fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

/// An attempt to run.
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) attempt: u32,
    pub(super) subscription: SubscriptionId,
    pub(super) event: Arc<Event>,
    pub(super) last_error: Option<String>,
    pub(super) invoke: Arc<dyn Invoke>,
}

/// A delivery to settle.
pub(super) struct Ending {
    pub(super) subscription: SubscriptionId,
    pub(super) event: Arc<Event>,
    pub(super) settle: Box<dyn Settle>,
    /// `None` drops the token unused. An ack's effects are filled in by who has them.
    pub(super) settlement: Option<Settlement>,
    pub(super) settled: Option<Settled>,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Acked,
    DeadLettered,
    Conflicted,
    Other,
}

/// What is to do once the lock is released.
#[derive(Default)]
pub(super) struct Todo {
    pub(super) jobs: Vec<Job>,
    pub(super) endings: Vec<Ending>,
    /// The plan wants to be woken earlier than before.
    pub(super) sooner: bool,
}

impl Board {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            plan: Plan::new(settings),
            held: HashMap::new(),
            attached: HashMap::new(),
            lanes: BTreeMap::new(),
            next: 0,
            wake: None,
            settling: 0,
            outputs: Vec::new(),
        }
    }

    pub(super) fn wake(&self) -> Option<Moment> {
        self.wake
    }

    pub(super) fn running(&self) -> usize {
        self.plan.running()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// Whether the broker has something to settle, which may make it come again.
    pub(super) fn is_settling(&self) -> bool {
        self.settling > 0
    }

    /// The broker has settled a delivery, or not.
    pub(super) fn settled(&mut self, subscription: &SubscriptionId, fate: Fate) {
        self.settling -= 1;
        let attached = self.lanes.get(subscription).and_then(|lane| self.attached.get_mut(lane));
        let Some(Attached { counts, .. }) = attached else { return };
        match fate {
            Fate::Acked => counts.acked += 1,
            Fate::DeadLettered => counts.dead_lettered += 1,
            Fate::Conflicted => counts.conflicts += 1,
            Fate::Other => {}
        }
    }

    /// Deliveries that are in the plan and not settled. Looks at each.
    pub(super) fn unsettled(&self) -> usize {
        self.held.values().filter(|held| held.settle.is_some()).count()
    }

    pub(super) fn states(&self) -> Vec<State> {
        let state = |lane: &Lane| {
            let attached = self.attached.get(lane)?;
            let load = self.plan.load(*lane)?;
            Some(State { subscription: Arc::clone(&attached.subscription), load, counts: attached.counts })
        };
        self.lanes.values().filter_map(state).collect()
    }

    pub(super) fn attach(&mut self, handlers: Vec<(Arc<Subscription>, Arc<dyn Invoke>)>) -> Todo {
        for (subscription, invoke) in handlers {
            let lane = match self.lanes.get(&subscription.id) {
                Some(lane) => *lane,
                None => Lane(self.number()),
            };
            let rules = Rules { concurrency: subscription.concurrency, retry: subscription.retry };
            self.lanes.insert(subscription.id.clone(), lane);
            let counts = self.attached.get(&lane).map(|attached| attached.counts).unwrap_or_default();
            self.attached.insert(lane, Attached { subscription, invoke, counts });
            self.plan.open(lane, rules, &mut self.outputs);
        }
        self.todo()
    }

    pub(super) fn detach(&mut self, subscription: &SubscriptionId) -> Vec<Held> {
        let Some(lane) = self.lanes.remove(subscription) else { return Vec::new() };
        self.attached.remove(&lane);
        let tickets = self.plan.close(lane);
        tickets.iter().filter_map(|ticket| self.held.remove(ticket)).collect()
    }

    pub(super) fn arrive(&mut self, now: Moment, delivery: Delivery) -> Todo {
        let ticket = Ticket(self.number());
        // A lane that is gone has no number; one that never was makes the plan discard the delivery all the same.
        let lane = match self.lanes.get(&delivery.subscription) {
            Some(lane) => *lane,
            None => Lane(self.number()),
        };
        let attempts = u32::try_from(delivery.history.len()).unwrap_or(u32::MAX);
        self.held.insert(
            ticket,
            Held {
                lane,
                subscription: delivery.subscription,
                event: delivery.event,
                history: delivery.history,
                settle: Some(delivery.settle),
            },
        );
        self.step(now, Input::Arrived { ticket, lane, attempts })
    }

    pub(super) fn step(&mut self, now: Moment, input: Input) -> Todo {
        if input == Input::Tick {
            self.wake = None;
        }
        self.plan.step(now, input, &mut self.outputs);
        self.todo()
    }

    /// An attempt ended. Says also whether the handler had acknowledged before.
    pub(super) fn finish(&mut self, now: Moment, ticket: Ticket, attempt: Attempt) -> (Todo, bool) {
        let verdict = verdict(&attempt.report.outcome);
        let acked_early = match self.held.get_mut(&ticket) {
            Some(held) => {
                held.history.push(attempt);
                held.settle.is_none()
            }
            None => false,
        };
        let todo = self.step(now, Input::Finished { ticket, verdict });
        if acked_early {
            self.held.remove(&ticket);
        }
        (todo, acked_early)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Turns the plan's outputs into things to do.
    fn todo(&mut self) -> Todo {
        let mut todo = Todo::default();
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Start { ticket, attempt } => todo.jobs.extend(self.job(ticket, attempt)),
                Output::Settle { ticket, decision } => todo.endings.extend(self.ending(ticket, decision)),
                Output::Sleep { until } => {
                    if self.wake.is_none_or(|wake| until < wake) {
                        self.wake = Some(until);
                        todo.sooner = true;
                    }
                }
            }
        }
        self.outputs = outputs;
        todo
    }

    fn job(&mut self, ticket: Ticket, attempt: u32) -> Option<Job> {
        let held = self.held.get(&ticket)?;
        let attached = self.attached.get_mut(&held.lane)?;
        attached.counts.started += 1;
        attached.counts.retried += u64::from(attempt > 1);
        Some(Job {
            ticket,
            attempt,
            subscription: held.subscription.clone(),
            event: Arc::clone(&held.event),
            last_error: held.history.last().and_then(|last| last.report.outcome.reason()).map(str::to_owned),
            invoke: Arc::clone(&attached.invoke),
        })
    }

    fn ending(&mut self, ticket: Ticket, decision: Decision) -> Option<Ending> {
        let held = self.held.get_mut(&ticket)?;
        let settle = held.settle.take()?;
        let (subscription, event) = (held.subscription.clone(), Arc::clone(&held.event));
        let (settlement, settled) = match decision {
            Decision::Ack => (Some(Settlement::Ack(Effects::default())), Some(Settled::Ack)),
            Decision::Rejected | Decision::Exhausted => {
                let history = std::mem::take(&mut held.history);
                let reason = reason(decision, &history);
                let settled = Settled::DeadLetter { reason: reason.clone() };
                (Some(Settlement::DeadLetter { reason, history }), Some(settled))
            }
            Decision::Retry { after } => {
                (Some(Settlement::Retry { after, history: std::mem::take(&mut held.history) }), None)
            }
            Decision::Discarded => (None, Some(Settled::Discarded)),
        };
        if !self.plan.holds(ticket) {
            self.held.remove(&ticket);
        }
        self.settling += usize::from(settlement.is_some());
        Some(Ending { subscription, event, settle, settlement, settled })
    }
}

/// What the plan makes of an outcome: whatever is not the handler's own word is worth another try.
fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Ack => Verdict::Ack,
        Outcome::Reject { .. } => Verdict::Reject,
        Outcome::Retry { after, .. } => Verdict::Retry { after: *after },
        Outcome::Fault(_) => Verdict::Retry { after: None },
    }
}

/// Why an event was given up, in one line.
fn reason(decision: Decision, history: &[Attempt]) -> String {
    let last = history.last().and_then(|last| last.report.outcome.reason()).unwrap_or("no reason given");
    match decision {
        Decision::Exhausted => format!("gave up after {} attempts: {last}", history.len()),
        _ => last.to_owned(),
    }
}
