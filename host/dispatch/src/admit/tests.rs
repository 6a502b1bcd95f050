//! What headers say of an event's times.

use hostel_event::message::Message;
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Guarantees, Settled};
use hostel_event::subscription::{Audience, SubscriptionId};
use hostel_event::time::Moment;
use hostel_event::topic::Topic;

use crate::fake::{self, Fake, MEMORY};

use super::*;

/// The wall clock says this all the time.
const NOW: u64 = 1_700_000_000_000;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(NOW)
    }
}

struct Nobody;

impl Observe for Nobody {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {}

    fn settled(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Settled) {}
}

/// What a message with these headers is admitted as, by a broker that delays or not.
fn admit(delays: bool, headers: &[(&str, &str)]) -> Result<Admitted, PublishError> {
    let broker = Fake::new(Guarantees { delays, ..MEMORY });
    let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
    let mut message = Message::default();
    for (name, value) in headers {
        message.headers.append(name, value).unwrap();
    }
    let (tenant, topic) = (Tenant::new("acme").unwrap(), Topic::new("a").unwrap());
    admission.admit(Publication { tenant, topic, id: None, audience: Audience::Everyone, message })
}

#[test]
fn an_event_without_times_is_published_now_and_does_not_age() {
    let admitted = admit(true, &[("a", "b")]).unwrap();
    assert_eq!((admitted.not_before, admitted.event.expires_at), (None, None));
    assert_eq!(admitted.event.message.headers.len(), 1);
}

#[test]
fn an_expiry_is_kept_as_a_point_in_time() {
    for delays in [false, true] {
        let admitted = admit(delays, &[("hostel-expires", "5m"), ("a", "b")]).unwrap();
        assert_eq!(admitted.event.expires_at, Some(Timestamp::from_millis(NOW + 300_000)));
        assert_eq!(admitted.event.message.headers.get(EXPIRES_HEADER), Some("2023-11-14T22:18:20.000Z"));
    }
}

#[test]
fn a_later_publication_is_asked_of_a_broker_that_delays() {
    let admitted = admit(true, &[("Hostel-Deliver-At", "2023-11-14T22:14:20Z")]).unwrap();
    assert_eq!(admitted.not_before, Some(Timestamp::from_millis(NOW + 60_000)));
    assert!(admitted.event.message.headers.is_empty(), "it is not the handler's");
    let refusal = admit(false, &[("Hostel-Deliver-At", "1m")]).unwrap_err();
    let expected = "header `Hostel-Deliver-At`: this host's broker publishes nothing later; leave it out";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn what_is_to_be_published_in_the_past_is_published_now() {
    for delays in [false, true] {
        let admitted = admit(delays, &[("Hostel-Deliver-At", "2023-11-14T22:13:20Z")]).unwrap();
        assert_eq!(admitted.not_before, None);
        assert!(admitted.event.message.headers.is_empty());
    }
}

#[test]
fn a_malformed_time_is_refused() {
    for header in [EXPIRES_HEADER, DELIVER_AT_HEADER] {
        let refusal = admit(true, &[(header, "soon")]).unwrap_err();
        assert!(matches!(&refusal, PublishError::Timing(text) if text.contains(header)), "{refusal}");
    }
}
