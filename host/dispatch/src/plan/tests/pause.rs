//! Lanes that are paused, by an operator or because their handler keeps failing.

use super::*;

const RULE: Quarantine = Quarantine { faults: 3, window: Duration::from_secs(10) };

fn guarded() -> Plan {
    let mut plan = Plan::new(Settings { capacity: 10, cores: 1, broker_delays: false, seed: 7 });
    open(&mut plan, &mut Vec::new());
    plan
}

fn open(plan: &mut Plan, outputs: &mut Vec<Output>) {
    let retry = RetryPolicy { attempts: 100, backoff: Duration::ZERO, ..POLICY };
    plan.open(at(0), Lane(1), Rules { retry, quarantine: RULE, ..rules(1) }, outputs);
}

/// One attempt of ticket 1 at this time, which ends so and is followed by another.
fn attempt(plan: &mut Plan, millis: u64, verdict: Verdict) -> bool {
    finish(plan, at(millis), 1, verdict).contains(&Output::Quarantined { lane: Lane(1) })
}

#[test]
fn faults_in_a_row_pause_the_lane_and_nothing_is_lost() {
    let mut plan = guarded();
    arrive(&mut plan, 1, 1);
    assert!(!attempt(&mut plan, 0, Verdict::Fault));
    assert!(!attempt(&mut plan, 1, Verdict::Fault));
    assert!(attempt(&mut plan, 2, Verdict::Fault));
    assert_eq!(plan.paused(Lane(1)), Some(PausedBy::Quarantine));
    assert_eq!(arrive(&mut plan, 1, 2), []);
    assert_eq!(plan.load(Lane(1)), Some(Load { waiting: 2, running: 0, sleeping: 0 }));
    assert!(plan.is_at_rest());
    let resume = Input::Resume { lane: Lane(1) };
    assert_eq!(step(&mut plan, at(3), resume), [start(1, 4)]);
    assert!(!attempt(&mut plan, 4, Verdict::Fault), "counted anew");
}

#[test]
fn faults_that_lie_far_apart_or_around_an_ack_pause_nothing() {
    let mut plan = guarded();
    arrive(&mut plan, 1, 1);
    for second in (0..10).map(|number| 6 * number) {
        assert!(!attempt(&mut plan, 1000 * second, Verdict::Fault), "at most two in ten seconds");
    }
    let mut plan = guarded();
    arrive(&mut plan, 1, 1);
    assert!(!attempt(&mut plan, 0, Verdict::Fault));
    assert!(!attempt(&mut plan, 0, Verdict::Fault));
    assert!(!attempt(&mut plan, 0, Verdict::Ack));
    arrive(&mut plan, 1, 1);
    assert!(!attempt(&mut plan, 0, Verdict::Fault));
    assert!(!attempt(&mut plan, 0, RETRY), "the handler's own word is no fault");
}

#[test]
fn no_number_of_faults_pauses_a_lane_that_is_not_to_be_paused() {
    let mut plan = Plan::new(Settings { capacity: 10, cores: 1, broker_delays: false, seed: 7 });
    let retry = RetryPolicy { attempts: u32::MAX, backoff: Duration::ZERO, ..POLICY };
    plan.open(at(0), Lane(1), Rules { retry, ..rules(1) }, &mut Vec::new());
    arrive(&mut plan, 1, 1);
    for _ in 0..100 {
        assert!(!attempt(&mut plan, 0, Verdict::Fault));
    }
}

#[test]
fn another_version_ends_a_quarantine_and_no_operators_pause() {
    let mut plan = guarded();
    arrive(&mut plan, 1, 1);
    assert_eq!([0; 3].map(|now| attempt(&mut plan, now, Verdict::Fault)), [false, false, true]);
    let mut outputs = Vec::new();
    open(&mut plan, &mut outputs);
    assert_eq!(outputs, [start(1, 4)]);
    assert_eq!(plan.paused(Lane(1)), None);

    step(&mut plan, at(0), Input::Pause { lane: Lane(1), by: PausedBy::Operator });
    finish(&mut plan, at(0), 1, Verdict::Ack);
    arrive(&mut plan, 1, 2);
    let mut outputs = Vec::new();
    open(&mut plan, &mut outputs);
    assert_eq!(outputs, []);
    assert_eq!(plan.paused(Lane(1)), Some(PausedBy::Operator));
}

#[test]
fn faults_of_the_version_before_do_not_count() {
    let mut plan = guarded();
    plan.open(at(0), Lane(1), Rules { quarantine: RULE, ..rules(3) }, &mut Vec::new());
    (1..=3).for_each(|ticket| drop(arrive(&mut plan, 1, ticket)));
    assert_eq!(plan.running(), 3);
    open(&mut plan, &mut Vec::new());
    for ticket in 1..=3 {
        finish(&mut plan, at(0), ticket, Verdict::Fault);
    }
    assert_eq!(plan.paused(Lane(1)), None);
}

#[test]
fn an_operators_pause_lets_finish_what_runs_and_holds_what_comes() {
    let mut plan = plan(10, &[(1, 2), (2, 1)]);
    (1..=3).for_each(|ticket| drop(arrive(&mut plan, 1, ticket)));
    assert_eq!(step(&mut plan, at(0), Input::Pause { lane: Lane(1), by: PausedBy::Operator }), []);
    assert_eq!(finish(&mut plan, at(0), 1, Verdict::Ack), [settle(1, Decision::Ack)]);
    assert_eq!(arrive(&mut plan, 1, 4), []);
    assert_eq!(arrive(&mut plan, 2, 20), [start(20, 1)], "others go on");
    assert!(!plan.is_at_rest());
    assert_eq!(step(&mut plan, at(0), Input::Resume { lane: Lane(1) }), [start(3, 1)]);
}
