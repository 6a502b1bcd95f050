//! The backlog's order. What couriers do is seen through the peers' tests.

use std::time::Duration;

use hostel_event::delivery::{Settle, SettleError};
use hostel_event::id::EventId;
use hostel_event::message::Event;

use crate::conformance::event;

use super::attempt::version;
use super::backlog::{Backlog, Hold, Take};
use super::*;

struct Unused;

impl Settle for Unused {
    fn settle(self: Box<Self>, _: Settlement) -> futures_core::future::BoxFuture<'static, Result<(), SettleError>> {
        unreachable!("nothing is settled here")
    }
}

fn parcel(id: &str, scale: &Arc<AtomicUsize>) -> Parcel {
    let event = Arc::new(Event { id: EventId::new(id).unwrap(), ..Event::clone(&event("x", "a")) });
    let subscription = crate::conformance::subscription("h", "a").id;
    let delivery = Delivery { subscription, event, history: Vec::new(), settle: Box::new(Unused) };
    Parcel::new(delivery, Moment::default(), scale)
}

fn filled(order: Order, scale: &Arc<AtomicUsize>) -> Backlog {
    let mut backlog = Backlog::new(order);
    ["1", "2", "3"].iter().for_each(|id| backlog.push(parcel(id, scale)));
    backlog
}

fn at(seconds: u64) -> Moment {
    Moment::new(Duration::from_secs(seconds))
}

fn take(backlog: &mut Backlog, now: u64) -> String {
    match backlog.take(at(now)) {
        Take::Parcel(parcel) => parcel.delivery.event.id.to_string(),
        Take::Until(until) => format!("until {}", until.since_start().as_secs()),
        Take::Empty => "empty".to_owned(),
    }
}

fn hold_first(backlog: &mut Backlog, until: u64, why: Hold) {
    let Take::Parcel(parcel) = backlog.take(at(0)) else { panic!("it is empty") };
    backlog.hold(parcel, at(until), why);
}

#[test]
fn where_order_is_kept_the_first_holds_up_the_others() {
    let scale = Arc::default();
    let mut backlog = filled(Order::Kept, &scale);
    hold_first(&mut backlog, 5, Hold::Refused);
    assert!(!backlog.is_ready(at(4)) && backlog.is_ready(at(5)));
    assert_eq!(take(&mut backlog, 4), "until 5");
    backlog.release();
    assert_eq!(take(&mut backlog, 4), "until 5", "a node that is back does not shorten the wait that it asked for");
    assert_eq!([5, 5, 5, 5].map(|now| take(&mut backlog, now)), ["1", "2", "3", "empty"]);
}

#[test]
fn where_order_is_free_the_others_go_on() {
    let scale = Arc::default();
    let mut backlog = filled(Order::Free, &scale);
    hold_first(&mut backlog, 5, Hold::Refused);
    assert_eq!([0, 0, 0, 5, 5].map(|now| take(&mut backlog, now)), ["2", "3", "until 5", "1", "empty"]);
}

#[test]
fn what_was_held_for_want_of_a_node_is_free_when_one_is_back() {
    for order in [Order::Kept, Order::Free] {
        let scale = Arc::default();
        let mut backlog = filled(order, &scale);
        hold_first(&mut backlog, 5, Hold::Away);
        backlog.release();
        assert_eq!([0, 0, 0, 0].map(|now| take(&mut backlog, now)), ["1", "2", "3", "empty"]);
    }
}

#[test]
fn the_oldest_goes_first_held_or_not_and_weight_is_given_back() {
    for order in [Order::Kept, Order::Free] {
        let scale: Arc<AtomicUsize> = Arc::default();
        let mut backlog = filled(order, &scale);
        assert_eq!(scale.load(Ordering::Acquire), 3 * event("x", "a").bytes());
        hold_first(&mut backlog, 5, Hold::Away);
        assert_eq!(backlog.pop_oldest().unwrap().delivery.event.id.as_str(), "1");
        assert_eq!(take(&mut backlog, 0), "2", "what it held up is free");
        hold_first(&mut backlog, 9, Hold::Refused);
        assert_eq!(backlog.drain().len(), 1);
        assert!(backlog.is_empty());
        assert_eq!(scale.load(Ordering::Acquire), 0);
    }
}

#[test]
fn any_node_id_has_a_version_to_be_remembered_by() {
    let check = |id: &str, expected: &str| assert_eq!(version(id).as_str(), expected);
    check("jobs-02f7b43a-0000-4000-8000-000000000001", "02f7b43a-0000-4000-8000-000000000001");
    check("odd id/é", "oddid");
    check("é", "node");
}

#[test]
fn pauses_double_to_their_limit() {
    let settings = Settings::default();
    let pauses: Vec<u128> = (0..8).map(|rounds| settings.pause(rounds).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(settings.pause(u32::MAX), Duration::from_secs(5));
}
