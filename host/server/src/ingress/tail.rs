//! Following what is published.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, Uri};

use hostel_api::view::LostEventsView;
use hostel_event::message::Event;
use hostel_event::pattern::Pattern;

use super::Ingress;
use crate::answer::Failure;
use crate::follow::{Message, follow};
use crate::{query, view};

impl Ingress {
    /// Every event of this tenant whose topic a pattern hears, from now on.
    pub(super) fn tail(&self, pattern: &str, uri: &Uri) -> Result<Response<Body>, Failure> {
        query::parameters::<query::Nothing>(uri)?;
        let pattern = Pattern::new(pattern)?;
        let tenant = self.tenant.clone();
        let pick = move |event: &Arc<Event>| {
            let wanted = event.tenant == tenant && pattern.matches(&event.topic);
            wanted.then(|| Message::json("event", Some(event.id.as_str()), &view::event(event))).flatten()
        };
        let lost = |events| Message::json("lost", None, &LostEventsView { events });
        Ok(follow(Vec::new(), (self.watchers.tails.watch(), self.stop.clone()), pick, lost))
    }
}
