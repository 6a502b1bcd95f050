//! Ordered lanes: one delivery of a key after another.

use super::*;

fn ordered(lane: u64, ticket: u64, key: u64) -> Input {
    Input::Arrived(Arrival { key: Some(Key(key)), ..arrival(lane, ticket) })
}

fn again(ticket: u64, key: u64, old: u64) -> Input {
    Input::Arrived(Arrival { key: Some(Key(key)), instead_of: Some(Ticket(old)), ..arrival(1, ticket) })
}

fn taken(ticket: u64) -> Input {
    Input::Settled { ticket: Ticket(ticket), comes_again: false }
}

fn not_taken(ticket: u64) -> Input {
    Input::Settled { ticket: Ticket(ticket), comes_again: true }
}

/// A lane with room for ten, in which 1, 2 and 3 came with one key and 9 with another.
fn busy() -> Plan {
    let mut plan = plan(10, &[(1, 10)]);
    assert_eq!(step(&mut plan, at(0), ordered(1, 1, 7)), [start(1, 1)]);
    assert_eq!(step(&mut plan, at(0), ordered(1, 2, 7)), []);
    assert_eq!(step(&mut plan, at(0), ordered(1, 3, 7)), []);
    assert_eq!(step(&mut plan, at(0), ordered(1, 9, 8)), [start(9, 1)], "another key need not wait");
    plan
}

#[test]
fn the_next_of_a_key_starts_when_the_one_before_is_settled() {
    let mut plan = busy();
    assert_eq!(plan.load(Lane(1)), Some(Load { waiting: 2, running: 2, sleeping: 0 }));
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), [settle(1, Decision::Ack)]);
    assert_eq!(step(&mut plan, at(0), taken(1)), [start(2, 1)]);
    assert_eq!(finish(&mut plan, at(0), 2, Verdict::Reject), [settle(2, Decision::Rejected)]);
    assert_eq!(step(&mut plan, at(0), taken(2)), [start(3, 1)], "a dead letter lets the next go");
}

#[test]
fn a_key_waits_while_its_first_sleeps_and_no_other_does() {
    let mut plan = busy();
    let advice = Verdict::Retry { after: Some(Duration::from_millis(50)) };
    assert_eq!(finish(&mut plan, at(0), 1, advice), [Output::Sleep { until: at(50) }]);
    assert_eq!(step(&mut plan, at(10), ordered(1, 10, 9)), [start(10, 1), Output::Sleep { until: at(50) }]);
    assert_eq!(step(&mut plan, at(50), Input::Tick), [start(1, 2)]);
}

#[test]
fn retries_sleep_here_even_if_the_broker_keeps_delays() {
    let mut plan = Plan::new(Settings { capacity: 10, cores: 1, broker_delays: true, seed: 7 });
    plan.open(at(0), Lane(1), rules(10), &mut Vec::new());
    assert_eq!(step(&mut plan, at(0), ordered(1, 1, 7)), [start(1, 1)]);
    let advice = Verdict::Retry { after: Some(Duration::from_millis(50)) };
    assert_eq!(finish(&mut plan, at(0), 1, advice), [Output::Sleep { until: at(50) }]);
}

#[test]
fn an_early_ack_lets_the_next_go_when_it_took_and_its_attempt_has_ended() {
    let early = Input::AckedEarly { ticket: Ticket(1) };
    let mut plan = busy();
    assert_eq!(step(&mut plan, at(0), early), [settle(1, Decision::Ack)]);
    assert_eq!(step(&mut plan, at(0), taken(1)), []);
    assert_eq!(finish(&mut plan, at(0), 1, RETRY), [start(2, 1)]);

    let mut plan = busy();
    assert_eq!(step(&mut plan, at(0), early), [settle(1, Decision::Ack)]);
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), []);
    assert_eq!(step(&mut plan, at(0), taken(1)), [start(2, 1)]);
}

#[test]
fn what_comes_again_goes_before_what_came_later() {
    // It comes before the broker says that it did not settle, as from the memory broker.
    let mut plan = busy();
    finish(&mut plan, at(0), 1, Verdict::Ack);
    assert_eq!(step(&mut plan, at(0), again(4, 7, 1)), []);
    assert_eq!(step(&mut plan, at(0), not_taken(1)), [start(4, 1)]);

    // It comes after, as from the durable one.
    let mut plan = busy();
    finish(&mut plan, at(0), 1, Verdict::Ack);
    assert_eq!(step(&mut plan, at(0), not_taken(1)), [Output::Sleep { until: at(0).after(RETURN) }]);
    assert_eq!(step(&mut plan, at(5), again(4, 7, 1)), [start(4, 1)]);
    finish(&mut plan, at(5), 4, Verdict::Ack);
    assert_eq!(step(&mut plan, at(5), taken(4)), [start(2, 1)]);
}

#[test]
fn a_key_does_not_wait_for_ever_for_what_never_comes_again() {
    let mut plan = busy();
    finish(&mut plan, at(0), 1, Verdict::Ack);
    step(&mut plan, at(0), not_taken(1));
    assert_eq!(step(&mut plan, at(0).after(RETURN), Input::Tick), [start(2, 1)]);
    assert!(!plan.is_ending(Ticket(1)));
}

#[test]
fn a_closed_lane_forgets_its_lines() {
    let mut plan = busy();
    let mut forgotten = plan.close(at(0), Lane(1));
    forgotten.sort();
    assert_eq!(forgotten, [Ticket(2), Ticket(3)]);
    assert_eq!(finish(&mut plan, at(0), 1, RETRY), [settle(1, Decision::Discarded)]);
    assert_eq!(finish(&mut plan, at(0), 9, Verdict::Ack), [settle(9, Decision::Ack)]);
    assert!(plan.is_empty());
}

/// An ordered lane and what a test knows of it.
struct Model {
    plan: Plan,
    concurrency: usize,
    capacity: usize,
    clock: u64,
    next: u64,
    /// Events of each key, in the order in which they arrived, without those that are done with.
    open: BTreeMap<u64, Vec<u64>>,
    /// What runs: ticket, key and event.
    running: BTreeMap<u64, (u64, u64)>,
    /// What is being settled, or is to come again: ticket, key and event.
    settling: BTreeMap<u64, (u64, u64)>,
    returning: BTreeMap<u64, (u64, u64)>,
    tickets: BTreeMap<u64, (u64, u64)>,
    done: BTreeSet<u64>,
}

impl Model {
    fn new(capacity: usize, concurrency: usize) -> Self {
        let mut plan = Plan::new(Settings { capacity, cores: 1, broker_delays: true, seed: 7 });
        plan.open(at(0), Lane(1), rules(concurrency), &mut Vec::new());
        Self {
            plan,
            concurrency,
            capacity,
            clock: 0,
            next: 0,
            open: BTreeMap::new(),
            running: BTreeMap::new(),
            settling: BTreeMap::new(),
            returning: BTreeMap::new(),
            tickets: BTreeMap::new(),
            done: BTreeSet::new(),
        }
    }

    fn tell(&mut self, input: Input) {
        self.clock += 1;
        for output in step(&mut self.plan, at(self.clock), input) {
            match output {
                Output::Start { ticket, .. } => {
                    let (key, event) = self.tickets[&ticket.0];
                    assert!(self.running.values().all(|(other, _)| *other != key), "one of a key at a time");
                    assert!(self.settling.values().all(|(other, _)| *other != key), "settled before the next begins");
                    assert_eq!(self.open[&key].first(), Some(&event), "the oldest of its key");
                    self.running.insert(ticket.0, (key, event));
                }
                Output::Settle { ticket, decision } => {
                    assert!(!matches!(decision, Decision::Retry { .. }), "order would be lost");
                    self.settling.insert(ticket.0, self.tickets[&ticket.0]);
                }
                Output::Quarantined { .. } | Output::Sleep { .. } => {}
            }
        }
        assert!(self.running.len() <= self.capacity.min(self.concurrency));
        assert_eq!(self.running.len(), self.plan.running());
        let keys = self.open.values().filter(|events| !events.is_empty()).count();
        assert!(self.plan.lanes[&Lane(1)].lines.len() <= keys, "idle keys are forgotten");
        // Work is conserved: what may start has started.
        let asleep = self.plan.load(Lane(1)).unwrap().sleeping;
        let free = keys - self.running.len() - self.settling.len() - self.returning.len() - asleep;
        assert!(free == 0 || self.running.len() == self.capacity.min(self.concurrency), "{free} keys idle in vain");
    }

    fn arrive(&mut self, key: u64) {
        self.next += 1;
        let event = self.next;
        self.open.entry(key).or_default().push(event);
        self.tickets.insert(event, (key, event));
        self.tell(ordered(1, event, key));
    }

    fn come_again(&mut self, old: u64) {
        let (key, event) = self.tickets[&old];
        self.next += 1;
        let ticket = self.next;
        self.tickets.insert(ticket, (key, event));
        self.returning.remove(&old);
        self.tell(again(ticket, key, old));
    }

    fn finish(&mut self, verdict: Verdict) {
        let Some((ticket, _)) = self.running.pop_last() else { return };
        self.tell(Input::Finished { ticket: Ticket(ticket), verdict, used: Used::default() });
    }

    fn taken(&mut self) {
        let Some((ticket, (key, event))) = self.settling.pop_first() else { return };
        assert!(self.done.insert(event), "settled once");
        assert_eq!(self.open.get_mut(&key).unwrap().remove(0), event, "in the order of arrival");
        self.tell(taken(ticket));
    }

    fn not_taken(&mut self) {
        let Some((ticket, of)) = self.settling.pop_last() else { return };
        self.returning.insert(ticket, of);
        self.tell(not_taken(ticket));
    }
}

proptest! {
    /// Random arrivals, failures, keys and settlements that did not take: the order of each key holds, no bound is
    /// broken, nothing idles, and everything is settled once.
    #[test]
    fn the_order_of_each_key_holds_whatever_happens(
        capacity in 1_usize..6,
        concurrency in 1_usize..6,
        choices in prop::collection::vec((0_u64..4, 0_u8..10), 1..200),
    ) {
        let mut model = Model::new(capacity, concurrency);
        for (key, action) in choices {
            match action {
                0..=2 => model.arrive(key),
                3 => model.finish(Verdict::Ack),
                4 => model.finish(RETRY),
                5 => model.finish(Verdict::Reject),
                6 | 7 => model.taken(),
                8 => model.not_taken(),
                _ => match model.returning.keys().next().copied() {
                    Some(old) => model.come_again(old),
                    None => model.tell(Input::Tick),
                },
            }
            model.clock += 100 * key;
        }
        for _ in 0..10_000 {
            model.finish(Verdict::Ack);
            model.taken();
            if let Some(old) = model.returning.keys().next().copied() {
                model.come_again(old);
            }
            model.clock += 100;
            model.tell(Input::Tick);
            if model.plan.is_empty() && model.settling.is_empty() && model.returning.is_empty() {
                break;
            }
        }
        prop_assert!(model.open.values().all(Vec::is_empty));
        prop_assert!(model.plan.is_empty());
        prop_assert_eq!(model.plan.lanes[&Lane(1)].lines.len(), 0);
    }
}
