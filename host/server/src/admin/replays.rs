//! Replays: what is kept delivered again to a subscription, or to all that a handler has.

use std::num::NonZeroU32;

use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::time::past;
use hostel_api::view::Items;
use hostel_event::id::EventId;
use hostel_event::name::Tenant;
use hostel_event::port::{Replay, ReplayError, Replaying, Span, Start};
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Timestamp;

use super::tenant::InTenant;
use super::{Admin, Answer, Shared, subscriptions};
use crate::answer::{Failure, json};
use crate::{query, view};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    from: Option<String>,
    to: Option<String>,
    rate: Option<NonZeroU32>,
}

/// One end of what is to be replayed, as it was written.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Known(Start),
    /// Where this event stands.
    Event(EventId),
}

impl Place {
    fn read(name: &str, text: &str, now: u64) -> Result<Self, Failure> {
        Ok(match text {
            "earliest" => Self::Known(Start::Earliest),
            "latest" => Self::Known(Start::Latest),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let too_large = |_| malformed(format!("parameter `{name}`: offset {digits} is too large"));
                Self::Known(Start::Offset(digits.parse().map_err(too_large)?))
            }
            text => match past(text, now) {
                Ok(millis) => Self::Known(Start::Time(Timestamp::from_millis(millis))),
                Err(_) => {
                    Self::Event(EventId::new(text).map_err(|error| malformed(format!("parameter `{name}`: {error}")))?)
                }
            },
        })
    }

    /// Looks up where an event stands. One event is heard by one subscription of a handler, and its place is the same
    /// for all.
    async fn resolve(self, port: &dyn Replay, ids: &[SubscriptionId]) -> Result<Start, Failure> {
        let event = match self {
            Self::Known(start) => return Ok(start),
            Self::Event(event) => event,
        };
        for id in ids {
            if let Some(offset) = port.find(id, &event).await.map_err(|error| Failure::internal(&error.to_string()))? {
                return Ok(Start::Offset(offset));
            }
        }
        let hint = match event.time() {
            Some(time) => {
                let time = hostel_api::time::rfc3339(time.as_millis());
                format!(
                    "it is not kept any more, or another topic's; its id was made at {time}, give that time instead"
                )
            }
            None => "write `earliest`, `latest`, a time such as `2026-01-31T12:00:00Z`, how long ago such as `1h`, an \
                     offset, or the id of an event; an id that its publisher gave is known for `broker.dedupe_window`"
                .to_owned(),
        };
        Err(Failure::new(Code::NotFound, format!("no event `{event}` is found that the subscription hears")).hint(hint))
    }
}

pub(super) async fn begin(State(admin): Shared, InTenant { tenant, rest }: InTenant, uri: Uri) -> Answer {
    let Parameters { from, to, rate } = query::parameters(&uri)?;
    let from = from.ok_or_else(|| {
        malformed("parameter `from` is missing: where to begin".to_owned())
            .hint("write `earliest`, a time, how long ago such as `1h`, an offset, or the id of an event")
    })?;
    let port = admin.broker.replay().ok_or_else(keeps_nothing)?;
    let ids = subscriptions::meant(&admin, &tenant, &rest.id)?;
    let now = admin.clock.wall().as_millis();
    let from = Place::read("from", &from, now)?;
    let to = Place::read("to", to.as_deref().unwrap_or("latest"), now)?;
    let span = Span { from: from.resolve(port, &ids).await?, to: to.resolve(port, &ids).await?, rate };
    if is_backwards(&span) {
        return Err(malformed("parameter `to` lies before `from`".to_owned()));
    }
    // Of a handler's subscriptions all begin or none, but for one that ends or begins in this very moment.
    if let Some(busy) = port.replays().into_iter().find(|one| ids.contains(&one.subscription)) {
        return Err(failed(&admin, &ReplayError::UnderWay(busy.subscription)));
    }
    let mut begun = Vec::with_capacity(ids.len());
    for id in &ids {
        begun.push(port.replay(id, span).await.map_err(|error| failed(&admin, &error))?);
    }
    Ok(shown(&begun))
}

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, _: query::Nothing) -> Answer {
    Ok(shown(&of(&admin, &tenant, |_| true)))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let ids = subscriptions::meant(&admin, &tenant, &rest.id)?;
    Ok(shown(&of(&admin, &tenant, |id| ids.contains(id))))
}

/// Ends them, and shows them as they were.
pub(super) async fn end(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let port = admin.broker.replay().ok_or_else(keeps_nothing)?;
    let ids = subscriptions::meant(&admin, &tenant, &rest.id)?;
    let under_way = of(&admin, &tenant, |id| ids.contains(id));
    if under_way.is_empty() {
        return Err(Failure::new(Code::NotFound, format!("nothing is replayed to `{}`", rest.id))
            .hint("`hostel replay --list` shows what is"));
    }
    for one in &under_way {
        match port.end_replay(&one.subscription).await {
            // It came to its own end meanwhile.
            Ok(()) | Err(ReplayError::Unknown(_)) => {}
            Err(error) => return Err(failed(&admin, &error)),
        }
    }
    Ok(shown(&under_way))
}

fn of(admin: &Admin, tenant: &Tenant, is_meant: impl Fn(&SubscriptionId) -> bool) -> Vec<Replaying> {
    let mut replays = admin.broker.replay().map(Replay::replays).unwrap_or_default();
    replays.retain(|one| one.subscription.tenant() == tenant.as_str() && is_meant(&one.subscription));
    replays
}

fn shown(replays: &[Replaying]) -> http::Response<axum::body::Body> {
    json(StatusCode::OK, &Items { items: replays.iter().map(view::replay).collect() })
}

/// Where both ends are of one kind, what stands there can be compared before anything is looked up.
fn is_backwards(span: &Span) -> bool {
    match (span.from, span.to) {
        (Start::Time(from), Start::Time(to)) => to < from,
        (Start::Offset(from), Start::Offset(to)) => to < from,
        _ => false,
    }
}

fn malformed(text: String) -> Failure {
    Failure::new(Code::MalformedQuery, text)
}

fn keeps_nothing() -> Failure {
    Failure::new(Code::NothingKept, "this host runs with the memory broker, which forgets an event once it is settled")
}

fn failed(admin: &Admin, error: &ReplayError) -> Failure {
    let detail = error.to_string();
    match error {
        ReplayError::UnderWay(_) => Failure::new(Code::ReplayUnderWay, detail),
        ReplayError::Unknown(_) => Failure::new(Code::NotFound, detail).hint("`hostel replay --list` shows what is"),
        _ => match admin.keep.log().map(|log| log.health()) {
            Some(health) if health.poisoned.is_some() => Failure::new(Code::LogUnusable, detail),
            Some(health) if health.is_full => Failure::new(Code::DiskFull, detail),
            _ => Failure::internal(&detail),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_an_offset_a_time_or_an_event() {
        let now = 1_700_000_000_000;
        let check = |text: &str, expected| assert_eq!(Place::read("from", text, now).ok(), Some(expected), "{text}");
        let time = |millis| Place::Known(Start::Time(Timestamp::from_millis(millis)));
        check("earliest", Place::Known(Start::Earliest));
        check("latest", Place::Known(Start::Latest));
        check("42", Place::Known(Start::Offset(42)));
        check("1h", time(now - 3_600_000));
        check("2023-11-14T22:13:20.123Z", time(now + 123));
        for id in ["018f0000-0000-7000-8000-000000000000", "o-1"] {
            check(id, Place::Event(EventId::new(id).unwrap()));
        }
        assert!(Place::read("from", "99999999999999999999", now).is_err());
        assert!(Place::read("from", "", now).is_err());
    }

    #[test]
    fn an_end_before_the_beginning_is_seen() {
        let span = |from, to| Span { from, to, rate: None };
        assert!(is_backwards(&span(Start::Offset(2), Start::Offset(1))));
        assert!(!is_backwards(&span(Start::Offset(2), Start::Offset(2))));
        let time = |millis| Start::Time(Timestamp::from_millis(millis));
        assert!(is_backwards(&span(time(2), time(1))));
        assert!(!is_backwards(&span(Start::Earliest, time(1))));
    }
}
