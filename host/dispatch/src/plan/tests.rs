//! The plan, one decision at a time, and then anything in any order.

mod order;
mod pause;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const POLICY: RetryPolicy =
    RetryPolicy { attempts: 3, backoff: Duration::from_secs(1), backoff_limit: Duration::from_secs(60) };

fn at(millis: u64) -> Moment {
    Moment::new(Duration::from_millis(millis))
}

fn plan(capacity: usize, lanes: &[(u64, usize)]) -> Plan {
    let mut plan = Plan::new(Settings { capacity, cores: 1, broker_delays: false, seed: 7 });
    for &(lane, concurrency) in lanes {
        plan.open(at(0), Lane(lane), rules(concurrency), &mut Vec::new());
    }
    plan
}

fn rules(concurrency: usize) -> Rules {
    Rules { owner: Owner(1), memory: 0, concurrency, retry: POLICY, quarantine: Quarantine::OFF }
}

fn arrival(lane: u64, ticket: u64) -> Arrival {
    Arrival { ticket: Ticket(ticket), lane: Lane(lane), attempts: 0, key: None, expires: None, instead_of: None }
}

fn step(plan: &mut Plan, now: Moment, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    plan.step(now, input, &mut outputs);
    outputs
}

fn arrive(plan: &mut Plan, lane: u64, ticket: u64) -> Vec<Output> {
    step(plan, at(0), Input::Arrived(arrival(lane, ticket)))
}

fn finish(plan: &mut Plan, now: Moment, ticket: u64, verdict: Verdict) -> Vec<Output> {
    step(plan, now, Input::Finished { ticket: Ticket(ticket), verdict, used: Used::default() })
}

fn start(ticket: u64, attempt: u32) -> Output {
    Output::Start { ticket: Ticket(ticket), attempt }
}

fn settle(ticket: u64, decision: Decision) -> Output {
    Output::Settle { ticket: Ticket(ticket), decision }
}

const RETRY: Verdict = Verdict::Retry { after: None };

#[test]
fn a_delivery_starts_at_once_and_is_settled_when_it_finishes() {
    let mut plan = plan(10, &[(1, 10)]);
    assert_eq!(arrive(&mut plan, 1, 1), [start(1, 1)]);
    assert_eq!(finish(&mut plan, at(5), 1, Verdict::Ack), [settle(1, Decision::Ack)]);
    assert!(plan.is_empty());
}

#[test]
fn a_lane_runs_no_more_than_its_concurrency() {
    let mut plan = plan(10, &[(1, 2)]);
    assert_eq!(arrive(&mut plan, 1, 1), [start(1, 1)]);
    assert_eq!(arrive(&mut plan, 1, 2), [start(2, 1)]);
    assert_eq!(arrive(&mut plan, 1, 3), []);
    assert_eq!(plan.load(Lane(1)), Some(Load { waiting: 1, running: 2, sleeping: 0 }));
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), [settle(1, Decision::Ack), start(3, 1)]);
}

#[test]
fn lanes_take_turns_when_the_host_is_full() {
    let mut plan = plan(1, &[(1, 10), (2, 10)]);
    assert_eq!(arrive(&mut plan, 1, 1), [start(1, 1)]);
    for ticket in 2..=4 {
        assert_eq!(arrive(&mut plan, 1, ticket), []);
    }
    assert_eq!(arrive(&mut plan, 2, 20), []);
    let order: Vec<Output> =
        [1, 2, 20, 3].into_iter().filter_map(|ticket| finish(&mut plan, at(0), ticket, Verdict::Ack).pop()).collect();
    assert_eq!(order, [start(2, 1), start(20, 1), start(3, 1), start(4, 1)], "the short lane waits for one start");
}

#[test]
fn a_failed_attempt_sleeps_no_longer_than_its_bound_and_runs_again() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    let outputs = finish(&mut plan, at(100), 1, RETRY);
    let [Output::Sleep { until }] = outputs[..] else { panic!("{outputs:?}") };
    assert!(until >= at(100) && until <= at(1100), "{until}");
    assert_eq!(plan.load(Lane(1)), Some(Load { waiting: 0, running: 0, sleeping: 1 }));

    let early = Moment::new(until.since_start() - Duration::from_nanos(1));
    assert_eq!(step(&mut plan, early, Input::Tick), [Output::Sleep { until }]);
    assert_eq!(step(&mut plan, until, Input::Tick), [start(1, 2)]);
}

#[test]
fn jitter_spreads_what_failed_together() {
    let mut plan = plan(100, &[(1, 100)]);
    (0..100).for_each(|ticket| drop(arrive(&mut plan, 1, ticket)));
    (0..100).for_each(|ticket| drop(finish(&mut plan, at(0), ticket, RETRY)));
    let mut started = Vec::new();
    for millis in 0..=1000 {
        let outputs = step(&mut plan, at(millis), Input::Tick);
        started.extend(outputs.iter().filter(|output| matches!(output, Output::Start { .. })).map(|_| millis));
    }
    assert_eq!(started.len(), 100);
    let quarters = started.iter().map(|millis| (millis / 250).min(3)).collect::<BTreeSet<_>>();
    assert_eq!(quarters.len(), 4, "every quarter of the second has some");
}

#[test]
fn advice_is_followed_up_to_its_limit() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    let week = Duration::from_secs(7 * 24 * 3600);
    let advice = Verdict::Retry { after: Some(Duration::from_millis(250)) };
    assert_eq!(finish(&mut plan, at(100), 1, advice), [Output::Sleep { until: at(350) }]);
    assert_eq!(step(&mut plan, at(350), Input::Tick), [start(1, 2)]);
    let outputs = finish(&mut plan, at(350), 1, Verdict::Retry { after: Some(week) });
    assert_eq!(outputs, [Output::Sleep { until: at(350).after(RetryPolicy::ADVICE_LIMIT) }]);
}

#[test]
fn retries_stop_at_the_limit() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    let now = Verdict::Retry { after: Some(Duration::ZERO) };
    assert_eq!(finish(&mut plan, at(0), 1, now), [start(1, 2)]);
    assert_eq!(finish(&mut plan, at(0), 1, now), [start(1, 3)]);
    assert_eq!(finish(&mut plan, at(0), 1, now), [settle(1, Decision::Exhausted)]);
    assert!(plan.is_empty());
}

#[test]
fn attempts_made_elsewhere_count() {
    let mut plan = plan(10, &[(1, 1)]);
    let arrived = Input::Arrived(Arrival { attempts: 2, ..arrival(1, 1) });
    assert_eq!(step(&mut plan, at(0), arrived), [start(1, 3)]);
    assert_eq!(finish(&mut plan, at(0), 1, RETRY), [settle(1, Decision::Exhausted)]);
}

#[test]
fn a_rejected_event_is_given_up_at_once() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Reject), [settle(1, Decision::Rejected)]);
}

#[test]
fn a_broker_that_keeps_delays_gets_the_retry() {
    let mut plan = Plan::new(Settings { capacity: 1, cores: 1, broker_delays: true, seed: 7 });
    plan.open(at(0), Lane(1), rules(1), &mut Vec::new());
    arrive(&mut plan, 1, 1);
    let advice = Verdict::Retry { after: Some(Duration::from_secs(9)) };
    let decision = Decision::Retry { after: Duration::from_secs(9) };
    assert_eq!(finish(&mut plan, at(0), 1, advice), [settle(1, decision)]);
    assert!(plan.is_empty());
}

#[test]
fn an_early_ack_settles_once_and_later_failures_change_nothing() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    arrive(&mut plan, 1, 2);
    let early = Input::AckedEarly { ticket: Ticket(1) };
    assert_eq!(step(&mut plan, at(0), early), [settle(1, Decision::Ack)]);
    assert_eq!(step(&mut plan, at(0), early), []);
    assert_eq!(plan.running(), 1, "it still runs and holds its place");
    assert_eq!(finish(&mut plan, at(0), 1, RETRY), [start(2, 1)]);
}

#[test]
fn a_closed_lane_forgets_what_waits_and_lets_finish_what_runs() {
    let mut plan = plan(10, &[(1, 1), (2, 1)]);
    for ticket in 1..=3 {
        arrive(&mut plan, 1, ticket);
    }
    arrive(&mut plan, 2, 9);
    finish(&mut plan, at(0), 1, RETRY);
    assert_eq!(plan.load(Lane(1)), Some(Load { waiting: 1, running: 1, sleeping: 1 }));
    let mut forgotten = plan.close(at(0), Lane(1));
    forgotten.sort();
    assert_eq!(forgotten, [Ticket(1), Ticket(3)]);
    assert_eq!(arrive(&mut plan, 1, 4), [settle(4, Decision::Discarded)]);
    assert_eq!(finish(&mut plan, at(0), 2, RETRY), [settle(2, Decision::Discarded)]);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan.running(), 1);
}

#[test]
fn a_halted_plan_starts_nothing_and_lets_finish_what_runs() {
    let mut plan = plan(8, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    arrive(&mut plan, 1, 2);
    assert_eq!(step(&mut plan, at(0), Input::Halt), []);
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), [settle(1, Decision::Ack)]);
    assert_eq!(arrive(&mut plan, 1, 3), []);
    assert_eq!((plan.running(), plan.len()), (0, 2));
}

#[test]
fn new_rules_take_effect_at_once() {
    let mut plan = plan(10, &[(1, 1)]);
    for ticket in 1..=3 {
        arrive(&mut plan, 1, ticket);
    }
    let mut outputs = Vec::new();
    plan.open(at(0), Lane(1), rules(2), &mut outputs);
    assert_eq!(outputs, [start(2, 1)]);
    plan.open(at(0), Lane(1), rules(1), &mut Vec::new());
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), [settle(1, Decision::Ack)]);
    assert_eq!(finish(&mut plan, at(0), 2, Verdict::Ack), [settle(2, Decision::Ack), start(3, 1)]);
}

#[test]
fn what_has_expired_when_its_turn_comes_is_settled_and_not_started() {
    let mut plan = plan(10, &[(1, 1)]);
    arrive(&mut plan, 1, 1);
    for (ticket, expires) in [(2, 100), (3, 101)] {
        let expiring = Arrival { expires: Some(at(expires)), ..arrival(1, ticket) };
        assert_eq!(step(&mut plan, at(0), Input::Arrived(expiring)), []);
    }
    let outputs = finish(&mut plan, at(100), 1, Verdict::Ack);
    assert_eq!(outputs, [settle(1, Decision::Ack), settle(2, Decision::Expired), start(3, 1)]);
    assert_eq!(finish(&mut plan, at(200), 3, Verdict::Ack), [settle(3, Decision::Ack)], "what runs is let finish");
    assert!(plan.is_empty());
}

#[test]
fn what_expires_while_it_sleeps_is_not_tried_again() {
    let mut plan = plan(10, &[(1, 1)]);
    let expiring = Arrival { expires: Some(at(50)), ..arrival(1, 1) };
    assert_eq!(step(&mut plan, at(0), Input::Arrived(expiring)), [start(1, 1)]);
    let advice = Verdict::Retry { after: Some(Duration::from_millis(60)) };
    assert_eq!(finish(&mut plan, at(0), 1, advice), [Output::Sleep { until: at(60) }]);
    assert_eq!(step(&mut plan, at(60), Input::Tick), [settle(1, Decision::Expired)]);
}

proptest! {
    /// Whatever comes in whatever order: no bound is broken, and at the end each ticket was settled once.
    #[test]
    fn every_ticket_is_settled_once_and_no_bound_is_broken(
        capacity in 1_usize..5,
        concurrency in prop::array::uniform3(1_usize..4),
        choices in prop::collection::vec((0_u64..3, 0_u8..6), 1..200),
    ) {
        let lanes: Vec<(u64, usize)> = concurrency.iter().enumerate().map(|(n, &c)| (n as u64, c)).collect();
        let mut plan = plan(capacity, &lanes);
        let mut running: BTreeMap<u64, u64> = BTreeMap::new();
        let mut lane_of: BTreeMap<u64, u64> = BTreeMap::new();
        let mut settled: BTreeMap<u64, u32> = BTreeMap::new();
        let mut clock = 0;
        let take = |outputs: Vec<Output>,
                        running: &mut BTreeMap<u64, u64>,
                        lane_of: &BTreeMap<u64, u64>,
                        settled: &mut BTreeMap<u64, u32>| {
            for output in outputs {
                match output {
                    Output::Start { ticket, attempt } => {
                        assert!((1..=POLICY.attempts).contains(&attempt));
                        assert!(running.insert(ticket.0, lane_of[&ticket.0]).is_none(), "runs once at a time");
                    }
                    Output::Settle { ticket, .. } => *settled.entry(ticket.0).or_default() += 1,
                    Output::Quarantined { .. } | Output::Sleep { .. } => {}
                }
            }
        };
        for (number, (lane, action)) in choices.into_iter().enumerate() {
            let number = number as u64;
            clock += 50;
            let victim = running.keys().next().copied();
            let outputs = match (action, victim) {
                (0..=1, _) => {
                    lane_of.insert(number, lane);
                    arrive(&mut plan, lane, number)
                }
                (2, Some(ticket)) => { running.remove(&ticket); finish(&mut plan, at(clock), ticket, Verdict::Ack) }
                (3, Some(ticket)) => { running.remove(&ticket); finish(&mut plan, at(clock), ticket, RETRY) }
                (4, Some(ticket)) => step(&mut plan, at(clock), Input::AckedEarly { ticket: Ticket(ticket) }),
                _ => step(&mut plan, at(clock), Input::Tick),
            };
            take(outputs, &mut running, &lane_of, &mut settled);
            prop_assert!(running.len() <= capacity);
            prop_assert_eq!(plan.running(), running.len());
            for &(lane, concurrency) in &lanes {
                prop_assert!(running.values().filter(|&&other| other == lane).count() <= concurrency);
            }
        }
        while !plan.is_empty() {
            clock += 60_000;
            let victims: Vec<u64> = running.keys().copied().collect();
            running.clear();
            for ticket in victims {
                take(finish(&mut plan, at(clock), ticket, Verdict::Ack), &mut running, &lane_of, &mut settled);
            }
            take(step(&mut plan, at(clock), Input::Tick), &mut running, &lane_of, &mut settled);
        }
        prop_assert_eq!(settled.keys().copied().collect::<Vec<_>>(), lane_of.keys().copied().collect::<Vec<_>>());
        prop_assert!(settled.values().all(|&count| count == 1));
    }
}
