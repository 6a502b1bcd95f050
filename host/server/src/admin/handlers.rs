//! Handlers: deployed by a manifest, listed, rolled back, taken away.

use axum::body::Body;
use axum::extract::State;
use http::StatusCode;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_api::view::{DeployedView, DiscardedView, Items};
use hostel_event::name::HandlerName;

use super::tenant::InTenant;
use super::{Answer, BODY_TIMEOUT, Shared};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::deploy::Refusal;
use crate::{query, view};

/// The most bytes of a manifest as JSON. Arbitrary; a thousand times what one usually has.
const MANIFEST_LIMIT: usize = 1024 * 1024;

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, _: query::Nothing) -> Answer {
    let mut items: Vec<_> = admin.deployments.list(&tenant).iter().map(view::handler).collect();
    items.extend(admin.deployments.failed(&tenant).iter().map(view::failed));
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(json(StatusCode::OK, &Items { items }))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let name = HandlerName::new(&rest.id)?;
    if let Some(deployment) = admin.deployments.get(&tenant, &name) {
        return Ok(json(StatusCode::OK, &view::handler(&deployment)));
    }
    let failed = admin.deployments.failed(&tenant).into_iter().find(|failed| failed.name == name);
    Ok(json(StatusCode::OK, &view::failed(&failed.ok_or(Refusal::NoHandler(name))?)))
}

pub(super) async fn put(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    body: Body,
) -> Answer {
    let too_large = || {
        Failure::new(Code::BodyTooLarge, format!("the manifest has more than {MANIFEST_LIMIT} bytes"))
            .hint("keep large values out of `[config]`")
    };
    let body = body::read(body, Bounds { bytes: MANIFEST_LIMIT, time: BODY_TIMEOUT }, too_large).await?;
    let manifest =
        Manifest::from_json(&body).map_err(|error| Failure::new(Code::MalformedDocument, error.to_string()))?;
    if manifest.name != rest.id {
        let text = format!("`name` is `{}`, but the path says `{}`", manifest.name, rest.id);
        return Err(Failure::new(Code::MalformedDocument, text));
    }
    let (deployment, changed) = admin.deployments.deploy(&tenant, &manifest).await?;
    Ok(json(StatusCode::OK, &DeployedView { handler: view::handler(&deployment), changed }))
}

pub(super) async fn rollback(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let (deployment, changed) = admin.deployments.rollback(&tenant, &HandlerName::new(&rest.id)?).await?;
    Ok(json(StatusCode::OK, &DeployedView { handler: view::handler(&deployment), changed }))
}

pub(super) async fn delete(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let discarded = admin.deployments.undeploy(&tenant, &HandlerName::new(&rest.id)?).await?;
    Ok(json(StatusCode::OK, &DiscardedView { discarded: u64::try_from(discarded).unwrap_or(u64::MAX) }))
}
