//! The ingress: where events come in over HTTP, and where they can be watched going by.
//!
//! `POST /topics/{topic}` publishes whatever body comes, with the request's headers as the message's. `GET
//! /topics/{pattern}/events` follows what is published. `POST /` and `POST /_sub` are go-micro's. It belongs to one
//! tenant, which the config names.

mod go_micro;
mod publish;
mod tail;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;

use hostel_event::id::Ids;
use hostel_event::name::Tenant;
use hostel_event::port::Publish;

use crate::answer::Failure;
use crate::listener::HangUp;
use crate::network::{Network, UnknownNode};
use crate::observe::Watchers;

/// What the ingress needs.
pub(crate) struct Ingress {
    /// Whose topics it serves.
    pub(crate) tenant: Tenant,
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
    pub(crate) unknown_node: UnknownNode,
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
    ) -> Result<Response<Body>, HangUp> {
        if is_go_micros(&request) {
            self.receive(request, peer).await
        } else {
            Ok(self.route(request).await.unwrap_or_else(IntoResponse::into_response))
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let path = request.uri().path().to_owned();
        let mut segments = path.trim_start_matches('/').split('/');
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("topics"), Some(topic), None, None) if !topic.is_empty() => match *request.method() {
                Method::POST => self.publish(&decoded(topic, &path)?, request).await,
                ref other => Err(Failure::method(other, &path, "POST")),
            },
            (Some("topics"), Some(pattern), Some("events"), None) => match *request.method() {
                Method::GET => self.tail(&decoded(pattern, &path)?, request.uri()),
                ref other => Err(Failure::method(other, &path, "GET")),
            },
            _ => Err(Failure::unknown_path(&path)),
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

/// A segment of a path as it was meant. What is no UTF-8 is no topic either.
fn decoded(segment: &str, path: &str) -> Result<String, Failure> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map(Into::into).map_err(|_| Failure::unknown_path(path))
}
