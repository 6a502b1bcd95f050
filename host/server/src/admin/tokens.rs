//! Tokens of a tenant and of the host itself: made, listed, revoked.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;

use hostel_api::problem::Code;
use hostel_api::time::rfc3339;
use hostel_api::token::{CreatedTokenView, TokenRequest, TokenView};
use hostel_api::view::Items;
use hostel_event::name::Tenant;
use hostel_event::time::Timestamp;

use super::tenant::{InTenant, Named};
use super::{Admin, Answer, BODY_TIMEOUT, Shared};
use crate::access::Granted;
use crate::access::audit::Detail;
use crate::access::tokens::Token;
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::query;

/// The most bytes of a request for a token. Arbitrary; as many scopes as one may have, with the longest patterns.
const REQUEST_LIMIT: usize = 64 * 1024;

pub(super) async fn of_tenant(
    State(admin): Shared,
    InTenant { tenant, .. }: InTenant<()>,
    _: query::Nothing,
) -> Answer {
    Ok(list(&admin, Some(&tenant)))
}

pub(super) async fn of_host(State(admin): Shared, _: query::Nothing) -> Answer {
    Ok(list(&admin, None))
}

pub(super) async fn create_of_tenant(
    State(admin): Shared,
    Extension(granted): Extension<Granted>,
    InTenant { tenant, .. }: InTenant<()>,
    _: query::Nothing,
    body: Body,
) -> Answer {
    create(&admin, &granted, Some(&tenant), body).await
}

pub(super) async fn create_of_host(
    State(admin): Shared,
    Extension(granted): Extension<Granted>,
    _: query::Nothing,
    body: Body,
) -> Answer {
    create(&admin, &granted, None, body).await
}

pub(super) async fn revoke_of_tenant(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
) -> Answer {
    revoke(&admin, Some(&tenant), &rest.id).await
}

pub(super) async fn revoke_of_host(State(admin): Shared, Path(named): Path<Named>, _: query::Nothing) -> Answer {
    revoke(&admin, None, &named.id).await
}

fn list(admin: &Admin, tenant: Option<&Tenant>) -> http::Response<Body> {
    let now = admin.clock.wall();
    let items: Vec<_> = admin.access.tokens.list(tenant).iter().map(|token| view(token, now)).collect();
    json(StatusCode::OK, &Items { items })
}

async fn create(admin: &Admin, granted: &Granted, tenant: Option<&Tenant>, body: Body) -> Answer {
    let too_large = || Failure::new(Code::BodyTooLarge, format!("the request has more than {REQUEST_LIMIT} bytes"));
    let body = body::read(body, Bounds { bytes: REQUEST_LIMIT, time: BODY_TIMEOUT }, too_large).await?;
    let request =
        TokenRequest::from_json(&body).map_err(|error| Failure::new(Code::MalformedDocument, error.to_string()))?;
    // A certificate is the same at every tenant: one that a tenant could take would be missed by another.
    if request.certificate.is_some() && !granted.is_operators() {
        let text = "a token for a certificate takes one with the scope `operator` to make it";
        return Err(Failure::new(Code::Forbidden, text));
    }
    let now = admin.clock.wall();
    let (token, secret) = admin.access.tokens.create(tenant, &request, now).await?;
    let view = view(&token, now);
    let detail = Detail(format!("{} `{}`: {}", view.id, view.name, view.scopes.join(" ")));
    let mut response = json(StatusCode::CREATED, &CreatedTokenView { token: view, secret: secret.unwrap_or_default() });
    response.extensions_mut().insert(detail);
    Ok(response)
}

async fn revoke(admin: &Admin, tenant: Option<&Tenant>, id: &str) -> Answer {
    let revoked = admin.access.tokens.revoke(tenant, id).await?;
    let token = revoked.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no token `{id}`")).hint("`hostel tokens list` shows the ids")
    })?;
    Ok(json(StatusCode::OK, &view(&token, admin.clock.wall())))
}

fn view(token: &Token, now: Timestamp) -> TokenView {
    TokenView {
        id: token.id.clone(),
        name: token.name.clone(),
        tenant: token.tenant.as_ref().map(ToString::to_string),
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
        created_at: rfc3339(token.created_at.as_millis()),
        expires_at: token.expires_at.map(|at| rfc3339(at.as_millis())),
        expired: token.has_expired(now),
        certificate: token.certificate().map(|certificate| certificate.to_string()),
    }
}
