//! Tenants: created, changed and deleted by the operator; each can look at itself.

use axum::body::Body;
use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::tenant::{TenantChangedView, TenantDeletedView, TenantDocument, TenantView};
use hostel_api::time::rfc3339;
use hostel_api::view::Page;
use hostel_event::name::{HandlerName, Tenant};

use super::tenant::InTenant;
use super::{Admin, Answer, BODY_TIMEOUT, Shared};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::deploy::Refusal;
use crate::query;
use crate::tenants::{NamedBy, Record};

/// The most bytes of what is said of a tenant. Arbitrary; room for all exports that it may have.
const DOCUMENT_LIMIT: usize = 4 * 1024 * 1024;
/// Tenants in a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const PAGE_LIMIT: usize = 1000;
/// Dead letters that are looked for at a time when they are dropped with their tenant.
const BATCH: usize = 500;
/// What a deleted tenant leaves behind.
const STAYS: &str = "events that were published stay until their retention is over, and buckets of keys and values stay; \
                     a tenant that is created under this name would have them";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleting {
    #[serde(default)]
    force: bool,
}

/// By name. A page goes on behind the name that the last one ended with.
pub(super) async fn list(State(admin): Shared, uri: Uri) -> Answer {
    let parameters: Parameters = query::parameters(&uri)?;
    let limit = parameters.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT);
    let after = parameters.before.as_deref().map(Tenant::new).transpose()?;
    // One more than asked for tells whether there is another page.
    let mut tenants = admin.access.tenants.list(after.as_ref(), limit + 1);
    let more = tenants.len() > limit;
    tenants.truncate(limit);
    let next = tenants.last().filter(|_| more).map(|(tenant, _)| tenant.to_string());
    let items: Vec<TenantView> = tenants.iter().map(|(tenant, record)| view(&admin, tenant, record)).collect();
    Ok(json(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, _: query::Nothing) -> Answer {
    let record = admin.access.tenants.get(&tenant).ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
    Ok(json(StatusCode::OK, &view(&admin, &tenant, &record)))
}

pub(super) async fn put(
    State(admin): Shared,
    InTenant { tenant, .. }: InTenant<()>,
    _: query::Nothing,
    body: Body,
) -> Answer {
    let too_large = || Failure::new(Code::BodyTooLarge, format!("the document has more than {DOCUMENT_LIMIT} bytes"));
    let body = body::read(body, Bounds { bytes: DOCUMENT_LIMIT, time: BODY_TIMEOUT }, too_large).await?;
    let document =
        TenantDocument::from_json(&body).map_err(|error| Failure::new(Code::MalformedDocument, error.to_string()))?;
    let (record, created) = admin.access.tenants.put(&tenant, document, admin.clock.wall()).await?;
    // What it exported before may be heard no more.
    admin.deployments.end_withdrawn().await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &TenantChangedView { tenant: view(&admin, &tenant, &record), created }))
}

/// Takes all that a tenant has with it. What fails in between leaves the tenant there, with what it still has.
pub(super) async fn delete(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let Deleting { force } = query::parameters(&uri)?;
    let count = admin.deployments.count(&tenant);
    if count > 0 && !force {
        let text = format!("tenant `{tenant}` has handlers: {count}");
        return Err(Refusal::TenantNotEmpty(text).into());
    }
    // Nobody finds it from here on, so that nothing is added to what is taken away.
    let leaving = admin.access.tenants.leave(&tenant)?;
    let tokens = admin.access.tokens.revoke_all(&tenant).await?;
    let mut names: Vec<HandlerName> =
        admin.deployments.list(&tenant).into_iter().map(|deployment| deployment.handler.name.clone()).collect();
    names.extend(admin.deployments.failed(&tenant).into_iter().map(|failed| failed.name));
    let mut discarded = 0;
    for name in &names {
        match admin.deployments.undeploy(&tenant, name).await {
            Ok(some) => discarded += some,
            // Somebody else has done it.
            Err(Refusal::NoHandler(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    discarded += drop_orphans(&admin, &tenant).await?;
    let dead_letters = drop_dead_letters(&admin, &tenant).await?;
    admin.deployments.drop_components(&tenant).await?;
    leaving.forget().await?;
    // What it exported is heard no more.
    admin.deployments.end_withdrawn().await?;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let deleted = TenantDeletedView {
        handlers: number(names.len()),
        discarded: number(discarded),
        tokens: number(tokens),
        dead_letters: number(dead_letters),
        stays: STAYS.to_owned(),
    };
    Ok(json(StatusCode::OK, &deleted))
}

async fn drop_orphans(admin: &Admin, tenant: &Tenant) -> Result<usize, Refusal> {
    let mut dropped = 0;
    for orphan in admin.keep.orphans() {
        if orphan.subscription.tenant() == tenant.as_str() {
            dropped += admin.keep.drop_orphan(&orphan.subscription).await?;
        }
    }
    Ok(dropped)
}

async fn drop_dead_letters(admin: &Admin, tenant: &Tenant) -> Result<usize, Failure> {
    let mut dropped = 0;
    loop {
        let letters = admin.broker.dead_letters().list(tenant, None, BATCH);
        if letters.is_empty() {
            return Ok(dropped);
        }
        for letter in letters {
            admin.broker.dead_letters().discard(tenant, &letter.id).await?;
            dropped += 1;
        }
    }
}

fn view(admin: &Admin, tenant: &Tenant, record: &Record) -> TenantView {
    TenantView {
        name: tenant.to_string(),
        quota: record.document.quota.clone(),
        exports: record.document.exports.clone(),
        created_at: rfc3339(record.created_at.as_millis()),
        configured: record.named_by != NamedBy::Operator,
        handlers: u64::try_from(admin.deployments.count(tenant)).unwrap_or(u64::MAX),
    }
}
