//! Publishing over HTTP: from a request to an event, and if asked for, how it went.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::unit::Span;
use hostel_api::view::{PublishedView, SettledView};
use hostel_api::wire;
use hostel_event::headers::{HeaderError, Headers};
use hostel_event::id::EventId;
use hostel_event::message::{DELIVER_AT_HEADER, ID_HEADER, Message};
use hostel_event::name::Tenant;
use hostel_event::port::{Publication, Receipt};
use hostel_event::subscription::{Audience, SubscriptionId};
use hostel_event::topic::Topic;

use super::Ingress;
use super::cloud_events::{self, Form};
use crate::answer::{self, Failure};
use crate::body::{self, Bounds};
use crate::observe::waiters::Progress;
use crate::{query, view};

/// How long a publisher waits unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    wait: Option<Wait>,
    timeout: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Settled,
}

impl Ingress {
    /// Publishes the body of a request.
    pub(super) async fn publish(
        &self,
        tenant: &Tenant,
        topic: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        // Refused before the body is read: then the connection cannot go on.
        let checked = || {
            let topic = Topic::new(topic)?;
            let parameters: Parameters = query::parameters(request.uri())?;
            if parameters.timeout.is_some() && parameters.wait.is_none() {
                let text = "parameter `timeout` has no effect without `wait=settled`";
                return Err(Failure::new(Code::MalformedQuery, text));
            }
            let headers = message_headers(request.headers())?;
            if parameters.wait.is_some() && headers.get(DELIVER_AT_HEADER).is_some() {
                let text = format!("`wait=settled` does not wait for an event with a `{DELIVER_AT_HEADER}` header");
                return Err(Failure::new(Code::MalformedQuery, text));
            }
            let form = Form::of(&headers)?;
            form.check(&headers, parameters.wait.is_some())?;
            Ok((topic, parameters, headers, form))
        };
        let (topic, parameters, headers, form) = checked().map_err(Failure::closing)?;
        let (limit, time) = (form.limit(self.settings.body_limit), self.settings.body_timeout);
        let too_large = || {
            let text = format!("the body has more than {limit} bytes, the host's `ingress.message_limit`");
            Failure::new(Code::BodyTooLarge, text)
        };
        let body = body::read(request.into_body(), Bounds { bytes: limit, time }, too_large).await?;
        let message = Message { headers, body };
        if form == Form::Batch {
            return self.publish_batch((tenant, &topic), &message).await;
        }
        let (message, id) = cloud_events::single(form, message)?;
        match parameters.wait {
            None => {
                let receipt = self.keep((tenant, &topic), id, message).await?;
                Ok(answer::json(StatusCode::ACCEPTED, &published(&topic, &receipt)))
            }
            Some(Wait::Settled) => {
                let patience = parameters.timeout.map_or(PATIENCE, |span| span.0).min(self.settings.wait_limit);
                self.publish_and_wait((tenant, &topic), (id, message), patience).await
            }
        }
    }

    /// Publishes. The id is one that the publisher gave in another way than by a `Hostel-Id` header.
    pub(super) async fn keep(
        &self,
        on: (&Tenant, &Topic),
        id: Option<EventId>,
        message: Message,
    ) -> Result<Receipt, Failure> {
        self.hand_in(on, None, with_id(message, id)?).await
    }

    async fn hand_in(
        &self,
        (tenant, topic): (&Tenant, &Topic),
        id: Option<EventId>,
        message: Message,
    ) -> Result<Receipt, Failure> {
        let (tenant, topic) = (tenant.clone(), topic.clone());
        Ok(self.publish.publish(Publication { tenant, topic, id, audience: Audience::Everyone, message }).await?)
    }

    async fn publish_and_wait(
        &self,
        (tenant, topic): (&Tenant, &Topic),
        (id, message): (Option<EventId>, Message),
        patience: Duration,
    ) -> Result<Response<Body>, Failure> {
        // The id is needed before the event exists, so that nothing of what happens to it is missed.
        let message = with_id(message, id)?;
        let id = match message.headers.get(ID_HEADER) {
            Some(given) => EventId::new(given).map_err(hostel_event::port::PublishError::from)?,
            None => self.ids.event(),
        };
        let waiter = self.watchers.waiters.expect(tenant.clone(), id.clone());
        let receipt = self.hand_in((tenant, topic), Some(id.clone()), message).await?;
        // How another tenant that imports the topic fares with it is its own.
        let own = |id: &SubscriptionId| id.tenant() == tenant.as_str();
        let subscriptions: Vec<SubscriptionId> = receipt.subscriptions.into_iter().filter(own).collect();
        let progress = waiter.wait(&subscriptions, patience).await;
        let settlement = |(subscription, progress): &(_, Progress)| view::settlement(&id, subscription, progress);
        let answer = SettledView {
            id: id.to_string(),
            topic: topic.to_string(),
            settled: progress.iter().all(|(_, progress)| progress.settled.is_some()),
            subscriptions: progress.iter().map(settlement).collect(),
        };
        Ok(answer::json(StatusCode::OK, &answer))
    }
}

/// The message with the id that its publisher gave it, as a header: by that the host knows that it may come again.
fn with_id(mut message: Message, id: Option<EventId>) -> Result<Message, Failure> {
    if let Some(id) = id {
        message.headers.remove(ID_HEADER);
        message.headers.append(ID_HEADER, id.as_str()).map_err(|error| malformed(&error))?;
    }
    Ok(message)
}

pub(super) fn published(topic: &Topic, receipt: &Receipt) -> PublishedView {
    PublishedView {
        id: receipt.id.to_string(),
        topic: topic.to_string(),
        subscriptions: u64::try_from(receipt.subscriptions.len()).unwrap_or(u64::MAX),
    }
}

/// A request's headers as the message's, without those that belong to the request itself.
fn message_headers(headers: &HeaderMap) -> Result<Headers, Failure> {
    let mut carried = Headers::new();
    for (name, value) in headers {
        if wire::belongs_to_request(name.as_str()) {
            continue;
        }
        let value = str::from_utf8(value.as_bytes())
            .map_err(|_| Failure::new(Code::MalformedHeaders, format!("the value of header `{name}` is not UTF-8")))?;
        carried.append(&canonical(name.as_str()), value).map_err(|error| malformed(&error))?;
    }
    Ok(carried)
}

/// A name as people write it, `Content-Type`: HTTP does not tell case, and to go-micro, where the message may go on to,
/// it matters. As Go's `CanonicalMIMEHeaderKey`.
fn canonical(name: &str) -> String {
    let mut begins = true;
    let upper = |c: char| {
        let c = if begins { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        begins = c == '-';
        c
    };
    name.chars().map(upper).collect()
}

fn malformed(error: &HeaderError) -> Failure {
    let failure = Failure::new(Code::MalformedHeaders, error.to_string());
    match error {
        HeaderError::TooMany | HeaderError::TooLarge => {
            failure.with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_people_and_go_micro_write_them() {
        let check = |name: &str, expected: &str| assert_eq!(canonical(name), expected);
        check("content-type", "Content-Type");
        check("x-trace", "X-Trace");
        check("id", "Id");
        check("MICRO-ID", "Micro-Id");
        check("a--b-", "A--B-");
    }
}
