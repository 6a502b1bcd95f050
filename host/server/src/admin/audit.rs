//! The audit log, read: all of it by the operator, what concerns a tenant by its admins.

use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::view::Page;

use super::tenant::InTenant;
use super::{Admin, Answer, Shared};
use crate::answer::{Failure, json};
use crate::query;

/// Lines in a page unless asked otherwise.
const PAGE: usize = 100;
/// Lines in a page at most.
const PAGE_LIMIT: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<usize>,
    before: Option<String>,
}

pub(super) async fn of_host(State(admin): Shared, uri: Uri) -> Answer {
    read(&admin, None, &uri)
}

pub(super) async fn of_tenant(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    read(&admin, Some(tenant.as_str()), &uri)
}

/// Newest first.
fn read(admin: &Admin, tenant: Option<&str>, uri: &Uri) -> Answer {
    let parameters: Parameters = query::parameters(uri)?;
    let limit = parameters.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT);
    let before = parameters
        .before
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Failure::new(Code::MalformedQuery, "parameter `before`: not the `next` of a page before"))?;
    // One more than asked for tells whether there is another page.
    let mut items = admin.access.audit.read(tenant, before, limit + 1);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|line| line.id.to_string());
    Ok(json(StatusCode::OK, &Page { items, next }))
}
