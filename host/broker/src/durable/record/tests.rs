//! Records of this format and of the one before it.

use crate::conformance::event;

use super::*;

fn check(id: &str, source: &str, pause: Option<Pause>) {
    let Name { id: name, tenant, pattern } = subscription_id(id).unwrap();
    assert_eq!(name.as_str(), id);
    let one = Known {
        number: SubscriptionNumber(300),
        id: name,
        tenant,
        source: Tenant::new(source).unwrap(),
        pattern,
        queue: Some(QueueGroup::new("q").unwrap()),
        ended: false,
        replay: Some(KnownReplay { end: Offset(7), rate: 1 }),
        pause,
    };
    let bytes = known(&one);
    assert_eq!(read_known(&bytes), Ok(one));
    for cut in 0..bytes.len() {
        assert!(read_known(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn every_kind_of_subscription_comes_back() {
    let pause = |by| Some(Pause { by, since: Timestamp::from_millis(9), reason: "é".to_owned() });
    check("acme/hello:orders.>", "acme", None);
    check("acme/@queue.q:orders", "acme", pause(PausedBy::Operator));
    check("acme/hello:@rival/orders.*", "rival", pause(PausedBy::Quarantine));
}

#[test]
fn names_that_are_none_are_refused() {
    for text in ["", "acme", "acme/hello", "acme/hello:", "acme/hello:@rival", "acme/@q:@rival/a", "a/b:@R/c"] {
        assert!(subscription_id(text).is_err(), "{text}");
    }
}

#[test]
fn a_subscription_of_the_first_format_hears_its_owners_topics_and_is_not_paused() {
    let mut writer = Writer::new(1, 0);
    writer.number(3).text("acme/hello:a").byte(1).byte(1).text("q").byte(0);
    let known = read_known(&writer.done()).unwrap();
    assert_eq!((known.number, known.id.as_str(), known.ended), (SubscriptionNumber(3), "acme/hello:a", true));
    assert_eq!((&known.source, &known.tenant, known.pause), (&known.tenant, &Tenant::new("acme").unwrap(), None));
    let mut writer = Writer::new(3, 0);
    writer.number(3);
    assert_eq!(read_known(&writer.done()), Err(Unreadable("its format is unknown")));
}

#[test]
fn a_dead_letter_keeps_its_events_tenant_and_one_of_the_first_format_has_its_owners() {
    let subscription = subscription_id("rival/hello:@acme/a").unwrap().id;
    let event = Event::clone(&event("1", "a"));
    let bytes = dead_letter(&subscription, &event, &[]);
    assert_eq!(read_dead_letter(bytes, "rival"), Ok((subscription, event.clone(), vec![])));

    let mut writer = Writer::new(1, 0);
    writer.text("acme/hello:a").text("a");
    put_event(&mut writer, &event);
    writer.bytes(&history::encode(&[]));
    let own = subscription_id("acme/hello:a").unwrap().id;
    assert_eq!(read_dead_letter(writer.done(), "acme"), Ok((own, event, vec![])));
}
