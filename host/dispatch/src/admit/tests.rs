//! What headers say of an event's times and id, and what quotas say.

use std::num::NonZeroU32;

use hostel_event::message::Message;
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Guarantees, Settled};
use hostel_event::quota::Quota;
use hostel_event::subscription::{Audience, SubscriptionId};
use hostel_event::time::Moment;
use hostel_event::topic::Topic;

use crate::fake::{self, Fake, MEMORY};

use super::*;

/// The wall clock says this all the time.
const NOW: u64 = 1_700_000_000_000;

pub(super) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(NOW)
    }
}

pub(super) struct Nobody;

impl Observe for Nobody {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self, _: &Tenant) {}

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

/// What is admitted of a message with this id of the host's and this one of its publisher's.
fn identified(drawn: Option<&str>, given: Option<&str>) -> Result<(String, bool), PublishError> {
    let broker = Fake::new(MEMORY);
    let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
    let mut publication = publication();
    publication.id = drawn.map(|id| EventId::new(id).unwrap());
    if let Some(given) = given {
        publication.message.headers.append("hostel-id", given).unwrap();
    }
    let Admitted { event, given_id, .. } = admission.admit(publication)?;
    assert!(event.message.headers.is_empty(), "no handler sees the header");
    Ok((event.id.to_string(), given_id))
}

fn publication() -> Publication {
    let (tenant, topic) = (Tenant::new("acme").unwrap(), Topic::new("a").unwrap());
    Publication { tenant, topic, id: None, audience: Audience::Everyone, message: Message::default() }
}

#[test]
fn only_an_id_that_its_publisher_gave_may_come_again() {
    assert_eq!(identified(Some("drawn"), None), Ok(("drawn".to_owned(), false)));
    assert_eq!(identified(None, Some("given")), Ok(("given".to_owned(), true)));
    assert_eq!(identified(Some("given"), Some("given")), Ok(("given".to_owned(), true)));
    assert_eq!(identified(Some("drawn"), Some("given")), Ok(("given".to_owned(), true)));
    assert!(matches!(identified(None, None), Ok((_, false))));
    assert!(matches!(identified(Some("drawn"), Some("")), Err(PublishError::Id(_))));
}

#[tokio::test]
async fn what_handlers_publish_counts_against_the_quota_and_what_is_refused_does_not() {
    let broker = Fake::new(MEMORY);
    let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
    let quota = Quota { events: NonZeroU32::new(2), ..Quota::UNLIMITED };
    admission.quotas().set(&publication().tenant, quota);
    let mut malformed = publication();
    malformed.message.headers.append("hostel-expires", "soon").unwrap();
    assert!(matches!(admission.publish(malformed).await, Err(PublishError::Timing(_))));
    assert!(admission.publish(publication()).await.is_ok());
    assert!(admission.stage(publication()).is_ok());
    assert!(matches!(admission.publish(publication()).await, Err(PublishError::Quota { .. })));
    assert!(matches!(admission.stage(publication()), Err(PublishError::Quota { .. })));
    assert_eq!(broker.published.lock().len(), 1, "nothing of what was refused is kept");
    let other = Publication { tenant: Tenant::new("rival").unwrap(), ..publication() };
    assert!(admission.publish(other).await.is_ok());
}

/// The context with which an event with these headers is admitted where one in so many traces is told of.
fn traced(one_in: u32, headers: &[(&str, &str)]) -> (Event, Option<Context>) {
    let broker = Fake::new(MEMORY);
    let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
    let admission = Arc::into_inner(admission).unwrap().tracing(one_in);
    let mut publication = publication();
    headers.iter().for_each(|(name, value)| publication.message.headers.append(name, value).unwrap());
    let event = Event::clone(&admission.admit(publication).unwrap().event);
    let context = Context::of(&event);
    (event, context)
}

#[test]
fn an_event_without_a_trace_begins_one_where_traces_are_told_of() {
    let (event, context) = traced(1, &[]);
    assert_eq!(context, Some(Context::begun_by(&event, true)));
    let (_, context) = traced(0, &[]);
    assert!(!context.unwrap().is_sampled(), "what it causes is told of as little");
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let (event, _) = traced(1, &[("traceparent", given)]);
    assert_eq!(event.message.headers.get("traceparent"), Some(given));
    assert_eq!(admit(true, &[]).unwrap().event.message.headers.len(), 0, "and nowhere else");
}
