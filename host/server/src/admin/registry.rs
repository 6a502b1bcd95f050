//! The host's registry, offered: services are registered, taken out, looked up, listed and watched.
//!
//! Services belong to no tenant: they are processes that look for each other. What the registry makes of a service is
//! its own business; here only sizes and times are bounded.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use http::{Response, StatusCode, Uri};
use serde::Deserialize;

use hostel_api::document::from_json;
use hostel_api::problem::Code;
use hostel_api::registry::{LostChangesView, ServiceView, StaleView, VersionsView};
use hostel_api::time::rfc3339;
use hostel_api::unit::Span;
use hostel_api::view::Items;
use hostel_event::port::{Change, Clock, Service, Watch};
use hostel_event::time::Moment;
use hostel_registry::cached::Away;
use hostel_registry::view;

use super::{Admin, Answer, BODY_TIMEOUT, Shared};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::follow::{Message, Source, stream};
use crate::query;

/// The most bytes of a service as JSON. Arbitrary: a few times what a registry takes of one node.
const SERVICE_LIMIT: usize = 1024 * 1024;
/// The most nodes that one request registers or takes out. Arbitrary; go-micro sends one.
const NODES_LIMIT: usize = 256;
/// For how long nodes may be registered at once. A shorter time could not be kept over a network, and after a longer
/// one nobody would believe in the node any more.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
/// How often to look whether a watch has lost changes while none comes: one that comes over a network may.
const LOOK_FOR_LOSSES: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registering {
    ttl: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watching {
    service: Option<String>,
}

pub(super) async fn list(State(admin): Shared, _: query::Nothing) -> Answer {
    let items: Vec<ServiceView> = admin.network.registry().list().await?.into_iter().map(view::write).collect();
    Ok(json(StatusCode::OK, &Items { items }))
}

pub(super) async fn get(
    State(admin): Shared,
    OriginalUri(uri): OriginalUri,
    name: Result<Path<String>, PathRejection>,
    _: query::Nothing,
) -> Answer {
    let Path(name) = name.map_err(|_| Failure::unknown_path(uri.path()))?;
    Ok(json(StatusCode::OK, &admin.versions(&name).await?))
}

pub(super) async fn register(State(admin): Shared, uri: Uri, body: Body) -> Answer {
    let ttl = query::parameters(&uri).and_then(|parameters| ttl(&parameters)).map_err(Failure::closing)?;
    admin.network.registry().register(service(body).await?, ttl).await?;
    Ok(nothing())
}

pub(super) async fn deregister(State(admin): Shared, _: query::Nothing, body: Body) -> Answer {
    admin.network.registry().deregister(service(body).await?).await?;
    Ok(nothing())
}

pub(super) async fn watch(State(admin): Shared, uri: Uri) -> Answer {
    let Watching { service } = query::parameters(&uri)?;
    let watch = admin.network.registry().watch(service.as_deref()).await?;
    let lost = watch.lost();
    Ok(stream(Vec::new(), Changes { watch, lost, held: None }, admin.stop.clone()))
}

impl Admin {
    /// Every version of a service, and whether the registry could say so itself.
    async fn versions(&self, name: &str) -> Result<VersionsView, Failure> {
        let write = |services: Vec<Service>| services.into_iter().map(view::write).collect();
        let Some(cached) = self.network.cached() else {
            return Ok(VersionsView { items: write(self.network.registry().get(name).await?), stale: None });
        };
        let answer = cached.look_up(name).await?;
        let stale = answer.stale.then(|| stale(answer.asked, cached.away(), &*self.clock));
        Ok(VersionsView { items: write(answer.services), stale })
    }
}

/// What is said of an answer that the registry gave at this moment and cannot confirm now.
fn stale(asked: Moment, away: Option<Away>, clock: &dyn Clock) -> StaleView {
    let age = u64::try_from(clock.now().since(asked).as_millis()).unwrap_or(u64::MAX);
    StaleView {
        asked_at: rfc3339(clock.wall().as_millis().saturating_sub(age)),
        // It may have come back since it was asked.
        reason: away.map_or_else(|| "it did not answer".to_owned(), |away| away.reason),
    }
}

/// The TTL to register with. There is none by default: who registers has to come again, and should know when.
fn ttl(parameters: &Registering) -> Result<Duration, Failure> {
    let malformed = |text: String| Failure::new(Code::MalformedQuery, text);
    let Some(Span(ttl)) = parameters.ttl else {
        return Err(malformed(
            "parameter `ttl` is missing; say for how long the nodes are known, such as `ttl=60s`".into(),
        ));
    };
    if !(TTL.0..=TTL.1).contains(&ttl) {
        let text = format!("parameter `ttl` is {}; it must be from {} to {}", Span(ttl), Span(TTL.0), Span(TTL.1));
        return Err(malformed(text));
    }
    Ok(ttl)
}

/// The service in a request's body.
async fn service(body: Body) -> Result<Service, Failure> {
    let too_large = || {
        Failure::new(Code::BodyTooLarge, format!("the service has more than {SERVICE_LIMIT} bytes"))
            .hint("send its nodes in several requests")
    };
    let bytes = body::read(body, Bounds { bytes: SERVICE_LIMIT, time: BODY_TIMEOUT }, too_large).await?;
    let service: ServiceView =
        from_json(&bytes).map_err(|error| Failure::new(Code::MalformedDocument, error.to_string()))?;
    if service.nodes.len() > NODES_LIMIT {
        let text = format!("service `{}` has {} nodes, more than {NODES_LIMIT}", service.name, service.nodes.len());
        return Err(Failure::new(Code::ServiceRefused, text).hint("send its nodes in several requests"));
    }
    Ok(view::read(service))
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Changes of services as messages of a stream.
struct Changes {
    watch: Box<dyn Watch>,
    /// Losses that the client knows of.
    lost: u64,
    /// A change that comes after the message about losses.
    held: Option<Change>,
}

impl Source for Changes {
    async fn next(&mut self) -> Option<Message> {
        while self.held.is_none() && self.watch.lost() == self.lost {
            match tokio::time::timeout(LOOK_FOR_LOSSES, self.watch.next()).await {
                Ok(Some(change)) => self.held = Some(change),
                Ok(None) => return None,
                Err(_) => {}
            }
        }
        let lost = self.watch.lost();
        if lost != self.lost {
            let changes = lost.saturating_sub(self.lost);
            self.lost = lost;
            return Message::json("lost", None, &LostChangesView { changes });
        }
        let view = view::write_change(self.held.take()?);
        Message::json(view.action.as_str(), None, &view.service)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hostel_event::port::{Node, Registry};
    use hostel_event::time::Timestamp;
    use hostel_registry::memory::{Memory, Settings};

    use super::*;

    /// A clock that stands still.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Moment {
            Moment::new(Duration::from_secs(100))
        }

        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(1_700_000_000_123)
        }
    }

    fn node(id: &str) -> Service {
        let node = Node { id: id.to_owned(), address: "a:1".to_owned(), ..Node::default() };
        Service { name: "s".to_owned(), nodes: vec![node], ..Service::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_watcher_is_told_how_many_changes_it_lost_and_then_goes_on() {
        let registry = Memory::new(Settings { nodes: 10, watch_buffer: 2 }, Arc::new(Still));
        let watch = registry.watch(None).await.unwrap();
        let mut changes = Changes { watch, lost: 0, held: None };
        for id in ["1", "2", "3", "4", "5"] {
            registry.register(node(id), TTL.0).await.unwrap();
        }
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let text = changes.next().await.unwrap().into_text();
            kinds.push(text.split("\"nodes\"").next().unwrap_or_default().trim_end().to_owned());
        }
        let change = r#"event: create
data: {"name":"s","version":"","metadata":null,"endpoints":null,"#;
        assert_eq!(kinds, ["event: lost\ndata: {\"changes\":3}", change, change]);
        drop(registry);
        assert!(changes.next().await.is_none());
    }

    #[test]
    fn a_stale_answer_says_when_the_registry_was_asked_and_why_it_was_not_now() {
        let asked = Moment::new(Duration::from_secs(40));
        let view = stale(asked, Some(Away { since: asked, reason: "it is away".to_owned() }), &Still);
        let expected = StaleView { asked_at: rfc3339(1_699_999_940_123), reason: "it is away".to_owned() };
        assert_eq!(view, expected);
        assert_eq!(stale(asked, None, &Still).reason, "it did not answer");
    }
}
