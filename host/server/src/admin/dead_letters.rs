//! Dead letters: listed, shown, sent on their way again, and dropped. Many with one request stand in [`many`].

mod many;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::time::past;
use hostel_api::view::{MessageView, Page};
use hostel_event::dead_letter::{DeadLetter, Filter};
use hostel_event::headers::Headers;
use hostel_event::id::DeadLetterId;
use hostel_event::message::Message;
use hostel_event::name::Tenant;
use hostel_event::pattern::Pattern;
use hostel_event::port::DeadLetters;
use hostel_event::time::Timestamp;

pub(super) use self::many::{discard_many, redrive_many};
use super::tenant::InTenant;
use super::{Answer, BODY_TIMEOUT, Shared};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::{query, view};

/// Dead letters in a page unless asked otherwise.
const PAGE: usize = 50;
/// Dead letters in a page at most.
const PAGE_LIMIT: usize = 1000;
/// The most bytes of a message as JSON. Arbitrary; the default limit of a message, in base64, with room for more.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<usize>,
    before: Option<String>,
    handler: Option<String>,
    subscription: Option<String>,
    topic: Option<String>,
    reason: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// Which ones are asked for.
struct Wanted {
    /// As ids are texts of other types, those of a handler and of a subscription are looked for here.
    handler: Option<String>,
    subscription: Option<String>,
    filter: Filter,
}

impl Wanted {
    fn read(parameters: Parameters, now: u64) -> Result<Self, Failure> {
        let Parameters { handler, subscription, topic, reason, since, until, .. } = parameters;
        let time = |name: &str, text: Option<String>| {
            let read = text.map(|text| past(&text, now)).transpose();
            let failed = |error| Failure::new(Code::MalformedQuery, format!("parameter `{name}`: {error}"));
            read.map(|millis| millis.map(Timestamp::from_millis)).map_err(failed)
        };
        let filter = Filter {
            subscription: None,
            topic: topic.as_deref().map(Pattern::new).transpose()?,
            reason,
            since: time("since", since)?,
            until: time("until", until)?,
        };
        Ok(Self { handler, subscription, filter })
    }

    fn accepts(&self, letter: &DeadLetter) -> bool {
        let id = &letter.subscription;
        self.handler.as_ref().is_none_or(|wanted| wanted == id.handler())
            && self.subscription.as_ref().is_none_or(|wanted| wanted == id.as_str())
    }

    /// Looks through as many as it takes to find `limit`.
    fn search(
        &self,
        port: &dyn DeadLetters,
        tenant: &Tenant,
        mut before: Option<DeadLetterId>,
        limit: usize,
    ) -> Vec<Arc<DeadLetter>> {
        let mut found = Vec::new();
        while found.len() < limit {
            let some = port.search(tenant, &self.filter, before.as_ref(), PAGE_LIMIT);
            let Some(last) = some.last() else { break };
            before = Some(last.id.clone());
            let is_last = some.len() < PAGE_LIMIT;
            found.extend(some.into_iter().filter(|letter| self.accepts(letter)));
            if is_last {
                break;
            }
        }
        found.truncate(limit);
        found
    }
}

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let parameters: Parameters = query::parameters(&uri)?;
    let limit = parameters.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT);
    let before = parameters.before.as_deref().map(DeadLetterId::parse);
    let wanted = Wanted::read(parameters, admin.clock.wall().as_millis())?;
    let broker = Arc::clone(&admin.broker);
    // A durable broker reads them from the disk. One more than asked for tells whether there is another page.
    let search = tokio::task::spawn_blocking(move || wanted.search(broker.dead_letters(), &tenant, before, limit + 1));
    let mut letters = search.await.map_err(|error| Failure::internal(&error.to_string()))?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let next = letters.last().filter(|_| more).map(|letter| letter.id.to_string());
    let items = letters.iter().map(|letter| view::dead_letter_summary(letter)).collect();
    Ok(json(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let letter = admin.broker.dead_letters().get(&tenant, &DeadLetterId::parse(&rest.id));
    let letter = letter.ok_or_else(|| Failure::new(Code::NotFound, format!("no dead letter `{}`", rest.id)))?;
    Ok(json(StatusCode::OK, &view::dead_letter(&letter)))
}

/// Without a body as it is; with one, that is a message, with this in the place of its own.
pub(super) async fn redrive(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    body: Body,
) -> Answer {
    let too_large = || Failure::new(Code::BodyTooLarge, format!("the message has more than {MESSAGE_LIMIT} bytes"));
    let body = body::read(body, Bounds { bytes: MESSAGE_LIMIT, time: BODY_TIMEOUT }, too_large).await?;
    let (port, id) = (admin.broker.dead_letters(), DeadLetterId::parse(&rest.id));
    let letter = if body.is_empty() {
        port.redrive(&tenant, &id).await?
    } else {
        port.redrive_as(&tenant, &id, message(&body)?).await?
    };
    Ok(json(StatusCode::OK, &view::dead_letter_summary(&letter)))
}

fn message(body: &[u8]) -> Result<Message, Failure> {
    let malformed = |text: String| Failure::new(Code::MalformedDocument, text);
    let view: MessageView = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let body = view.bytes().map_err(malformed)?;
    let mut headers = Headers::new();
    for (name, value) in &view.headers {
        headers.append(name, value).map_err(|error| Failure::new(Code::MalformedHeaders, error.to_string()))?;
    }
    Ok(Message { headers, body: body.into() })
}

pub(super) async fn discard(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let letter = admin.broker.dead_letters().discard(&tenant, &DeadLetterId::parse(&rest.id)).await?;
    Ok(json(StatusCode::OK, &view::dead_letter_summary(&letter)))
}
