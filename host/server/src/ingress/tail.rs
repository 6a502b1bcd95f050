//! Following what is published.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, Uri};
use serde::Deserialize;

use hostel_api::view::LostEventsView;
use hostel_event::cloud_event::CloudEvent;
use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::pattern::Pattern;

use super::Ingress;
use super::cloud_events::json;
use crate::answer::Failure;
use crate::follow::{Message, follow};
use crate::{query, view};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    CloudEvents,
}

impl Ingress {
    /// Every event of a tenant whose topic a pattern hears, from now on.
    pub(super) fn tail(&self, tenant: &Tenant, pattern: &str, uri: &Uri) -> Result<Response<Body>, Failure> {
        let Parameters { format } = query::parameters(uri)?;
        let pattern = Pattern::new(pattern)?;
        let tenant = tenant.clone();
        let pick = move |event: &Arc<Event>| {
            let wanted = event.tenant == tenant && pattern.matches(&event.topic);
            let id = Some(event.id.as_str());
            wanted.then(|| match format {
                None => Message::json("event", id, &view::event(event)),
                Some(Format::CloudEvents) => Message::json("event", id, &json::Written(&CloudEvent::of(event))),
            })?
        };
        let lost = |events| Message::json("lost", None, &LostEventsView { events });
        Ok(follow(Vec::new(), (self.watchers.tails.watch(), self.stop.clone()), pick, lost))
    }
}
