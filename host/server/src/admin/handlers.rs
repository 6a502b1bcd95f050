//! Handlers: deployed by a manifest, listed, rolled back, taken away.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_api::view::{DeployedView, DiscardedView, HandlerView, Items};
use hostel_event::name::{HandlerName, Tenant};

use super::tenant::InTenant;
use super::{Answer, BODY_TIMEOUT, Shared, progress};
use crate::access::audit::Detail;
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::deploy::{Deployment, Deployments, Failed, Refusal};
use crate::{query, view};

/// The most bytes of a manifest as JSON. Arbitrary; a thousand times what one usually has.
const MANIFEST_LIMIT: usize = 1024 * 1024;

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, _: query::Nothing) -> Answer {
    Ok(json(StatusCode::OK, &Items { items: all(&admin.deployments, &tenant) }))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let name = named(&rest.id)?;
    let found = all(&admin.deployments, &tenant).into_iter().find(|one| one.name == name.as_str());
    Ok(json(StatusCode::OK, &found.ok_or(Refusal::NoHandler(name))?))
}

/// All handlers of a tenant by name: those that run, those that should, and those that the watched folder has and that
/// were refused.
fn all(deployments: &Deployments, tenant: &Tenant) -> Vec<HandlerView> {
    let mut items: Vec<_> = deployments.list(tenant).iter().map(view::handler).collect();
    items.extend(deployments.failed(tenant).iter().map(view::failed));
    for (name, reason) in deployments.refusals(tenant) {
        match items.iter_mut().find(|one| one.name == name.as_str()) {
            Some(one) => one.refused = Some(reason),
            None => items.push(view::failed(&Failed { name, deployed: None, reason })),
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    items
}

pub(super) async fn put(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    headers: HeaderMap,
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
    let work = move |took| async move {
        let (deployment, changed) = admin.deployments.deploy(&tenant, &manifest, took).await?;
        Ok(deployed(&deployment, changed))
    };
    progress::answer(&headers, work).await
}

pub(super) async fn rollback(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    headers: HeaderMap,
) -> Answer {
    let name = named(&rest.id)?;
    let work = move |took| async move {
        let (deployment, changed) = admin.deployments.rollback(&tenant, &name, took).await?;
        Ok(deployed(&deployment, changed))
    };
    progress::answer(&headers, work).await
}

pub(super) async fn delete(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let discarded = admin.deployments.undeploy(&tenant, &named(&rest.id)?).await?;
    Ok(json(StatusCode::OK, &DiscardedView { discarded: u64::try_from(discarded).unwrap_or(u64::MAX) }))
}

fn deployed(deployment: &Deployment, changed: bool) -> http::Response<Body> {
    let (version, digest) = (&deployment.handler.version, deployment.handler.digest);
    let took = if changed { deployment.took.view() } else { Vec::new() };
    let mut response = json(StatusCode::OK, &DeployedView { handler: view::handler(deployment), changed, took });
    response.extensions_mut().insert(Detail(format!("version {version}, sha256:{digest}")));
    response
}

/// A handler's name. A text that cannot be one names no handler, and is answered so.
fn named(text: &str) -> Result<HandlerName, Failure> {
    HandlerName::new(text).map_err(|_| Failure::new(Code::NotFound, format!("no handler `{text}`")))
}
