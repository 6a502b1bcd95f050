//! What go-micro's publishers post: a message for one node of this host.
//!
//! A go-micro publisher reads no status. What it is answered, it forgets; only when there is no answer does it try
//! again. So a message that could not be kept gets none: the connection ends, and the message stays where it was.

use std::net::SocketAddr;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use hostel_api::problem::Code;
use hostel_broker::http::wire::decode::{self, Inbound};
use hostel_broker::http::wire::refusal::Refusal;
use hostel_event::id::EventId;
use hostel_event::message::ID_HEADER;
use hostel_event::name::Tenant;
use hostel_event::port::{Publication, PublishError};

use super::Ingress;
use crate::answer::Failure;
use crate::body::{self, Bounds};
use crate::config::UnknownId;
use crate::listener::HangUp;
use crate::telemetry;

/// What a message takes on the wire beyond its own bytes: base64 adds a third to the body, JSON's escapes up to five
/// bytes for one to the headers, which have 64 KiB at most.
fn on_the_wire(message: usize) -> usize {
    message.saturating_mul(4) / 3 + 6 * hostel_event::headers::TOTAL_LIMIT
}

impl Ingress {
    /// Publishes a posted message to what the node named in it stands for, if that is one of the tenant whose listener it
    /// came by.
    ///
    /// # Errors
    /// [`HangUp`] when the message was not kept and may be sent again.
    pub(super) async fn receive(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        tenant: &Tenant,
    ) -> Result<Response<Body>, HangUp> {
        if *request.method() != Method::POST {
            return Ok(refused(&Refusal::Method));
        }
        let (head, body) = request.into_parts();
        let limit = on_the_wire(self.settings.body_limit);
        let too_large = || {
            let text =
                format!("the body has more than {limit} bytes, what `ingress.message_limit` comes to on the wire");
            Failure::new(Code::BodyTooLarge, text)
        };
        let body = match body::read(body, Bounds { bytes: limit, time: self.settings.body_timeout }, too_large).await {
            Ok(body) => body,
            Err(failure) => return Ok(axum::response::IntoResponse::into_response(failure)),
        };
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (path, query) = (head.uri.path(), head.uri.query());
        match decode::decode(&decode::Request { path, query, content_type, body: &body }) {
            Ok(inbound) => self.take(inbound, peer, tenant).await,
            Err(refusal) => {
                telemetry::message_refused(peer, &refusal);
                Ok(refused(&refusal))
            }
        }
    }

    async fn take(&self, inbound: Inbound, peer: SocketAddr, tenant: &Tenant) -> Result<Response<Body>, HangUp> {
        let Inbound { node_id, topic, mut message, .. } = inbound;
        let addressed = topic.ok().and_then(|topic| Some((self.network.resolve(tenant, &node_id, &topic)?, topic)));
        let Some((addressed, topic)) = addressed else { return Ok(self.unknown(&node_id, peer)) };
        // The id is needed before the event exists, so that nothing of what happens to it is missed.
        let id = match message.headers.get(ID_HEADER).map(EventId::new) {
            Some(Ok(id)) => id,
            // One that Hostel did not write is no reason to lose the message.
            Some(Err(_)) => {
                message.headers.remove(ID_HEADER);
                self.ids.event()
            }
            None => self.ids.event(),
        };
        let waiter = self
            .settings
            .answer_after
            .map(|patience| (self.watchers.waiters.expect(addressed.tenant.clone(), id.clone()), patience));
        let (tenant, audience) = (addressed.tenant, addressed.audience);
        let receipt = match self.publish.publish(Publication { tenant, topic, id: Some(id), audience, message }).await {
            Ok(receipt) => receipt,
            // It would be too large or malformed the next time as well.
            Err(error @ (PublishError::TooLarge { .. } | PublishError::Header(_) | PublishError::Timing(_))) => {
                return Ok(axum::response::IntoResponse::into_response(Failure::from(error)));
            }
            Err(error) => {
                telemetry::message_not_kept(peer, &error);
                return Err(HangUp(error.to_string()));
            }
        };
        if let Some((waiter, patience)) = waiter {
            waiter.wait(&receipt.subscriptions, patience).await;
        }
        Ok(Response::default())
    }

    /// A message for nobody here. go-micro says 200 to that, and so its sender believes that it arrived.
    fn unknown(&self, node_id: &str, peer: SocketAddr) -> Response<Body> {
        self.network.unknown_node(node_id, peer);
        let mut response = Response::default();
        if self.settings.unknown_id == UnknownId::Refuse {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let answer = refusal.answer();
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
