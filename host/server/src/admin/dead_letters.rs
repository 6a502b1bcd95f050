//! Dead letters: listed, shown, sent on their way again.

use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::view::Page;
use hostel_event::id::DeadLetterId;

use super::tenant::InTenant;
use super::{Answer, Shared};
use crate::answer::{Failure, json};
use crate::{query, view};

/// Dead letters in a page unless asked otherwise.
const PAGE: usize = 50;
/// Dead letters in a page at most.
const PAGE_LIMIT: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<usize>,
    before: Option<String>,
}

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let Parameters { limit, before } = query::parameters(&uri)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT);
    let before = before.as_deref().map(DeadLetterId::parse);
    // One more than asked for tells whether there is another page.
    let mut letters = admin.broker.dead_letters().list(&tenant, before.as_ref(), limit + 1);
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

pub(super) async fn redrive(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let letter = admin.broker.dead_letters().redrive(&tenant, &DeadLetterId::parse(&rest.id)).await?;
    Ok(json(StatusCode::OK, &view::dead_letter_summary(&letter)))
}
