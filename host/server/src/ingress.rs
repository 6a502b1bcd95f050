//! The ingress: where events come in over HTTP, and where they can be watched going by.
//!
//! `POST /topics/{topic}` publishes whatever body comes, with the request's headers as the message's, or one or
//! more CloudEvents. `GET /topics/{pattern}/events` follows what is published. `POST /` and `POST /_sub` are go-micro's. Whose topics
//! they are about is said by the listener that the request came in by, or by its token.

mod cloud_events;
mod go_micro;
mod publish;
mod tail;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use hostel_api::route::Right;
use hostel_event::id::Ids;
use hostel_event::name::Tenant;
use hostel_event::port::Publish;

use crate::access::{Access, Door, Granted};
use crate::answer::Failure;
use crate::config::UnknownId;
use crate::listener::HangUp;
use crate::network::Network;
use crate::observe::Watchers;

/// What the ingress needs.
#[derive(Clone)]
pub(crate) struct Ingress {
    /// Who is let in.
    pub(crate) access: Arc<Access>,
    pub(crate) publish: Arc<dyn Publish>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) network: Arc<Network>,
    pub(crate) ids: Ids,
    pub(crate) settings: Settings,
    /// Ends the streams that clients follow.
    pub(crate) stop: CancellationToken,
}

/// What the operator sets about the ingress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The most bytes of a body.
    pub(crate) body_limit: usize,
    /// How long a client may take for a body.
    pub(crate) body_timeout: Duration,
    /// The longest that a publisher may wait for its event to be settled.
    pub(crate) wait_limit: Duration,
    /// How long a go-micro publisher waits for its message to be handled; `None`: it is answered once it is kept.
    pub(crate) answer_after: Option<Duration>,
    /// What answers a message for a node that is not ours.
    pub(crate) unknown_id: UnknownId,
}

impl Ingress {
    /// Answers a request. Cancelling leaves open whether an event was published.
    ///
    /// # Errors
    /// [`HangUp`] when a go-micro publisher is to send its message again.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        door: &Door,
    ) -> Result<Response<Body>, HangUp> {
        if door.go_micro && is_go_micros(&request) {
            return match self.access.peer(door, &request, peer) {
                Ok(()) => self.receive(request, peer, &door.tenant).await,
                Err(failure) => Ok(failure.leaving(request.body()).into_response()),
            };
        }
        let granted = match self.access.ingress(door, &request) {
            Ok(granted) => granted,
            Err(failure) => return Ok(failure.leaving(request.body()).into_response()),
        };
        let tenant = granted.tenant.as_ref().unwrap_or(&door.tenant);
        let response = self.route(tenant, &granted, request).await.unwrap_or_else(IntoResponse::into_response);
        Ok(granted.limit(response))
    }

    async fn route(
        &self,
        tenant: &Tenant,
        granted: &Granted,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let topics = granted.segment("topic").or(granted.segment("pattern")).unwrap_or_default();
        let path = request.uri().path();
        match granted.route.map(|route| route.right) {
            _ if topics.contains(char::REPLACEMENT_CHARACTER) => Err(Failure::unknown_path(path)),
            Some(Right::Publish) if !topics.is_empty() => self.publish(tenant, topics, request).await,
            Some(Right::Subscribe) => self.tail(tenant, topics, request.uri()),
            None if path.ends_with("/events") => Err(Failure::method(request.method(), path, "GET")),
            None if path.starts_with("/topics/") && path != "/topics/" => {
                Err(Failure::method(request.method(), path, "POST"))
            }
            _ => Err(Failure::unknown_path(path)),
        }
    }
}

/// Whether a request is for go-micro's endpoint: that is at two paths, and like go-micro's at any other where nothing
/// else is, if the request names a node.
fn is_go_micros(request: &Request<Incoming>) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let names_a_node = || query.split('&').any(|pair| pair.starts_with("id="));
    path == "/" || path == "/_sub" || (!path.starts_with("/topics/") && names_a_node())
}
