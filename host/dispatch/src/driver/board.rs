//! Everything the driver knows, under one lock: the plan, and for each of its tickets and lanes what they stand for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hostel_event::delivery::{Delivery, Settle, Settlement};
use hostel_event::id::EventId;
use hostel_event::key_value::Effects;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::outcome::{Attempt, Outcome, Usage};
use hostel_event::port::{Invoke, Pause, PausedBy, Settled};
use hostel_event::subscription::{Order, Quarantine, Subscription, SubscriptionId};
use hostel_event::time::{Moment, Timestamp};

use crate::numbers::NumberMap;
use crate::plan::{Arrival, Decision, Input, Key, Lane, Output, Owner, Plan, Rules, Settings, Ticket, Used, Verdict};
use crate::quota::Quotas;

use super::{Counts, State, TenantState};

/// The most characters of a fault's text in the reason for a quarantine. Arbitrary: what fits in a line.
const BLAME_LIMIT: usize = 200;

/// The time by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) now: Moment,
    pub(super) wall: Timestamp,
}

/// See the module's page.
pub(super) struct Board {
    plan: Plan,
    /// Hashed into every key, so that nobody outside can choose values that share one.
    seed: u64,
    /// Events of ordered subscriptions that are being settled, or that the broker did not settle and delivers again.
    ending: HashMap<(Lane, EventId), Ticket>,
    held: NumberMap<Ticket, Held>,
    attached: NumberMap<Lane, Attached>,
    lanes: HashMap<SubscriptionId, Lane>,
    owners: HashMap<Tenant, Owner>,
    /// The next ticket, lane or owner number.
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
    pause: Option<Pause>,
}

/// A delivery in the plan.
pub(super) struct Held {
    lane: Lane,
    subscription: SubscriptionId,
    event: Arc<Event>,
    history: Vec<Attempt>,
    key: Option<Key>,
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
    pub(super) ticket: Ticket,
    pub(super) lane: Lane,
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
    Expired,
    /// Another wrote one of its keys; the broker delivers its event again.
    Conflicted,
    /// It failed, and the broker delivers its event again.
    Returns,
    Other,
}

/// What is to do once the lock is released.
#[derive(Default)]
pub(super) struct Todo {
    pub(super) jobs: Vec<Job>,
    pub(super) endings: Vec<Ending>,
    /// The plan wants to be woken earlier than before.
    pub(super) sooner: bool,
    /// Subscriptions that were paused, or with `None` go on.
    pub(super) gated: Vec<(SubscriptionId, Option<Pause>)>,
    /// The lane whose handler failed too often.
    quarantined: Option<Lane>,
}

impl Todo {
    /// Takes out how one delivery is to be settled.
    pub(super) fn take_ending(&mut self, ticket: Ticket) -> Option<Ending> {
        let at = self.endings.iter().position(|ending| ending.ticket == ticket)?;
        Some(self.endings.remove(at))
    }
}

impl Board {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            plan: Plan::new(settings),
            seed: settings.seed,
            ending: HashMap::new(),
            held: NumberMap::default(),
            attached: NumberMap::default(),
            lanes: HashMap::new(),
            owners: HashMap::new(),
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

    /// Whether nothing goes on by itself any more. What is paused does not.
    pub(super) fn is_at_rest(&self) -> bool {
        self.plan.is_at_rest()
    }

    /// Whether the broker has something to settle, which may make it come again.
    pub(super) fn is_settling(&self) -> bool {
        self.settling > 0
    }

    /// The broker has settled a delivery, or not.
    pub(super) fn settled(&mut self, time: Time, (lane, ticket, event): (Lane, Ticket, &EventId), fate: Fate) -> Todo {
        self.settling -= 1;
        if let Some(Attached { counts, .. }) = self.attached.get_mut(&lane) {
            match fate {
                Fate::Acked => counts.acked += 1,
                Fate::DeadLettered => counts.dead_lettered += 1,
                Fate::Expired => counts.expired += 1,
                Fate::Conflicted => counts.conflicts += 1,
                Fate::Returns | Fate::Other => {}
            }
        }
        if !self.plan.is_ending(ticket) {
            return Todo::default();
        }
        let comes_again = matches!(fate, Fate::Conflicted | Fate::Returns);
        let todo = self.step(time, Input::Settled { ticket, comes_again });
        if comes_again {
            self.prune();
        } else {
            let key = (lane, event.clone());
            // It may have come again meanwhile, and be ending anew.
            if self.ending.get(&key) == Some(&ticket) {
                self.ending.remove(&key);
            }
        }
        todo
    }

    /// Deliveries that are in the plan and not settled. Looks at each.
    pub(super) fn unsettled(&self) -> usize {
        self.held.values().filter(|held| held.settle.is_some()).count()
    }

    pub(super) fn states(&self) -> Vec<State> {
        let state = |lane: &Lane| {
            let attached = self.attached.get(lane)?;
            let load = self.plan.load(*lane)?;
            let (subscription, pause) = (Arc::clone(&attached.subscription), attached.pause.clone());
            Some(State { subscription, load, counts: attached.counts, pause })
        };
        let mut states: Vec<State> = self.lanes.values().filter_map(state).collect();
        states.sort_unstable_by(|one, other| one.subscription.id.cmp(&other.subscription.id));
        states
    }

    /// Each tenant that has subscriptions, or something that still runs, or a quota since it had them. Looks at each
    /// subscription.
    pub(super) fn tenants(&self, time: Time) -> HashMap<Tenant, TenantState> {
        let state = |(tenant, owner): (&Tenant, &Owner)| {
            let holding = self.plan.holding(*owner).unwrap_or_default();
            let throttled_since = holding.held_since.map(|since| {
                let ago = u64::try_from(time.now.since(since).as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_millis(time.wall.as_millis().saturating_sub(ago))
            });
            let (running, memory) = (holding.running, holding.memory);
            let state = TenantState { running, memory, throttled_since, ..TenantState::new(tenant) };
            (tenant.clone(), state)
        };
        let mut tenants: HashMap<Tenant, TenantState> = self.owners.iter().map(state).collect();
        for (lane, attached) in &self.attached {
            if let Some(state) = tenants.get_mut(&attached.subscription.tenant)
                && let Some(load) = self.plan.load(*lane)
            {
                state.waiting += load.waiting;
                state.sleeping += load.sleeping;
            }
        }
        tenants
    }

    /// Gives each subscription its handler. One that is new is paused if it was when it was here before, as `kept` says;
    /// a tenant that is new here has its quota from now on.
    pub(super) fn attach(
        &mut self,
        time: Time,
        handlers: Vec<(Arc<Subscription>, Arc<dyn Invoke>)>,
        mut kept: HashMap<SubscriptionId, Pause>,
        quotas: &Quotas,
    ) -> Todo {
        self.retire();
        let mut gated = Vec::new();
        for (subscription, invoke) in handlers {
            let lane = match self.lanes.get(&subscription.id) {
                Some(lane) => *lane,
                None => Lane(self.number()),
            };
            let owner = self.owner(time, &subscription.tenant, quotas);
            let Subscription { concurrency, retry, quarantine, .. } = *subscription;
            let memory = u64::try_from(invoke.memory()).unwrap_or(u64::MAX);
            let rules = Rules { owner, memory, concurrency, retry, quarantine };
            self.lanes.insert(subscription.id.clone(), lane);
            let (counts, pause) = match self.attached.remove(&lane) {
                Some(old) => (old.counts, old.pause),
                None => (Counts::default(), kept.remove(&subscription.id)),
            };
            let was_kept = pause.clone().filter(|_| self.plan.load(lane).is_none());
            self.plan.open(time.now, lane, rules, &mut self.outputs);
            if let Some(pause) = was_kept {
                self.plan.step(time.now, Input::Pause { lane, by: pause.by }, &mut self.outputs);
                gated.push((subscription.id.clone(), Some(pause)));
            }
            let goes_on = pause.is_some() && self.plan.paused(lane).is_none();
            if goes_on {
                gated.push((subscription.id.clone(), None));
            }
            let pause = pause.filter(|_| !goes_on);
            self.attached.insert(lane, Attached { subscription, invoke, counts, pause });
        }
        Todo { gated, ..self.todo() }
    }

    fn owner(&mut self, time: Time, tenant: &Tenant, quotas: &Quotas) -> Owner {
        if let Some(owner) = self.owners.get(tenant) {
            return *owner;
        }
        let owner = Owner(self.number());
        self.owners.insert(tenant.clone(), owner);
        self.plan.set_quota(time.now, owner, quotas.of(tenant), &mut self.outputs);
        owner
    }

    /// Holds tenants to the quotas that have changed.
    pub(super) fn heed(&mut self, time: Time, quotas: &Quotas) -> Todo {
        for tenant in quotas.take_changed() {
            if let Some(owner) = self.owners.get(&tenant) {
                self.plan.set_quota(time.now, *owner, quotas.of(&tenant), &mut self.outputs);
            }
        }
        self.retire();
        self.todo()
    }

    /// Forgets tenants of which there is nothing any more. Looks at each tenant.
    fn retire(&mut self) {
        let plan = &mut self.plan;
        self.owners.retain(|_, owner| !plan.retire(*owner));
    }

    pub(super) fn detach(&mut self, time: Time, subscription: &SubscriptionId) -> Vec<Held> {
        let Some(lane) = self.lanes.remove(subscription) else { return Vec::new() };
        self.attached.remove(&lane);
        let tickets = self.plan.close(time.now, lane);
        self.ending.retain(|(other, _), _| *other != lane);
        tickets.iter().filter_map(|ticket| self.held.remove(ticket)).collect()
    }

    /// An operator pauses a subscription; `None` if it is not there.
    pub(super) fn pause(&mut self, time: Time, id: &SubscriptionId, reason: String) -> Option<Todo> {
        let lane = *self.lanes.get(id)?;
        let todo = self.step(time, Input::Pause { lane, by: PausedBy::Operator });
        let pause = Pause { by: PausedBy::Operator, since: time.wall, reason };
        Some(self.gate(lane, Some(pause), todo))
    }

    /// An operator lets a subscription go on; `None` if it is not there.
    pub(super) fn resume(&mut self, time: Time, id: &SubscriptionId) -> Option<Todo> {
        let lane = *self.lanes.get(id)?;
        let is_paused = self.attached.get(&lane)?.pause.is_some();
        let todo = self.step(time, Input::Resume { lane });
        Some(if is_paused { self.gate(lane, None, todo) } else { todo })
    }

    /// Why nothing of a subscription starts; `None` if it is not there.
    pub(super) fn pause_of(&self, id: &SubscriptionId) -> Option<Option<Pause>> {
        Some(self.attached.get(self.lanes.get(id)?)?.pause.clone())
    }

    /// The broker settled a delivery that had expired while it waited there.
    pub(super) fn expired(&mut self, id: &SubscriptionId) {
        if let Some(attached) = self.lanes.get(id).and_then(|lane| self.attached.get_mut(lane)) {
            attached.counts.expired += 1;
        }
    }

    /// Notes that a subscription was paused or goes on, to be told.
    fn gate(&mut self, lane: Lane, pause: Option<Pause>, mut todo: Todo) -> Todo {
        if let Some(attached) = self.attached.get_mut(&lane) {
            attached.pause.clone_from(&pause);
            todo.gated.push((attached.subscription.id.clone(), pause));
        }
        todo
    }

    pub(super) fn arrive(&mut self, time: Time, delivery: Delivery) -> Todo {
        let ticket = Ticket(self.number());
        // A lane that is gone has no number; one that never was makes the plan discard the delivery all the same.
        let lane = match self.lanes.get(&delivery.subscription) {
            Some(lane) => *lane,
            None => Lane(self.number()),
        };
        let Delivery { subscription, event, history, settle } = delivery;
        let attempts = u32::try_from(history.len()).unwrap_or(u32::MAX);
        let key = self.key(lane, &event);
        let instead_of = key.and_then(|_| self.ending.remove(&(lane, event.id.clone())));
        let expires = event.expires_at.map(|expires_at| {
            let left = expires_at.as_millis().saturating_sub(time.wall.as_millis());
            time.now.after(Duration::from_millis(left))
        });
        self.held.insert(ticket, Held { lane, subscription, event, history, key, settle: Some(settle) });
        self.step(time, Input::Arrived(Arrival { ticket, lane, attempts, key, expires, instead_of }))
    }

    /// What an event waits in line for; `None` where its subscription is not ordered.
    fn key(&self, lane: Lane, event: &Event) -> Option<Key> {
        let Order::Header(name) = &self.attached.get(&lane)?.subscription.order else { return None };
        let mut hasher = DefaultHasher::new();
        (self.seed, event.message.headers.get(name)).hash(&mut hasher);
        Some(Key(hasher.finish()))
    }

    /// Forgets events that no key waits for any more.
    fn prune(&mut self) {
        let plan = &self.plan;
        self.ending.retain(|_, ticket| plan.is_ending(*ticket));
    }

    pub(super) fn step(&mut self, time: Time, input: Input) -> Todo {
        if input == Input::Tick {
            self.wake = None;
        }
        self.plan.step(time.now, input, &mut self.outputs);
        self.todo()
    }

    /// An attempt ended. Says also whether the handler had acknowledged before.
    pub(super) fn finish(&mut self, time: Time, ticket: Ticket, attempt: Attempt) -> (Todo, bool) {
        let verdict = verdict(&attempt.report.outcome);
        let Usage { wall, cpu, .. } = attempt.report.usage;
        let used = Used { wall, cpu };
        let blame = (verdict == Verdict::Fault).then(|| blame(&attempt.report.outcome));
        let acked_early = match self.held.get_mut(&ticket) {
            Some(held) => {
                held.history.push(attempt);
                held.settle.is_none()
            }
            None => false,
        };
        let mut todo = self.step(time, Input::Finished { ticket, verdict, used });
        if acked_early {
            self.held.remove(&ticket);
        }
        if let Some(lane) = todo.quarantined.take()
            && let Some(attached) = self.attached.get(&lane)
        {
            let Quarantine { faults, window } = attached.subscription.quarantine;
            let window = humantime::format_duration(window);
            let blame = blame.unwrap_or_default();
            let reason = format!("{faults} faults within {window} and no ack between them, the last a {blame}");
            let pause = Pause { by: PausedBy::Quarantine, since: time.wall, reason };
            todo = self.gate(lane, Some(pause), todo);
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
                Output::Quarantined { lane } => todo.quarantined = Some(lane),
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
            Decision::Expired => (Some(Settlement::Ack(Effects::default())), Some(Settled::Expired)),
            Decision::Discarded => (None, Some(Settled::Discarded)),
        };
        let lane = held.lane;
        if held.key.is_some() && self.plan.is_ending(ticket) {
            self.ending.insert((lane, event.id.clone()), ticket);
        }
        if !self.plan.holds(ticket) {
            self.held.remove(&ticket);
        }
        self.settling += usize::from(settlement.is_some());
        Some(Ending { ticket, lane, subscription, event, settle, settlement, settled })
    }
}

/// What a handler is quarantined for, in one line that is not too long.
fn blame(outcome: &Outcome) -> String {
    let line = outcome.reason().and_then(|reason| reason.lines().next()).unwrap_or_default();
    let line: String = line.chars().take(BLAME_LIMIT).collect();
    format!("{}: {line}", outcome.as_str())
}

/// What the plan makes of an outcome: whatever is not the handler's own word is worth another try.
fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Ack => Verdict::Ack,
        Outcome::Reject { .. } => Verdict::Reject,
        Outcome::Retry { after, .. } => Verdict::Retry { after: *after },
        Outcome::Fault(fault) if fault.kind.is_of_handler() => Verdict::Fault,
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
