//! Bundles of files that handlers read: their bytes come in once, and are then named by digest.

use axum::body::Body;
use axum::extract::State;
use http::StatusCode;

use hostel_api::problem::Code;
use hostel_api::view::FilesView;
use hostel_event::handler::Digest;

use super::tenant::InTenant;
use super::{Answer, BODY_TIMEOUT, Shared};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::deploy::Refusal;
use crate::query;

pub(super) async fn put(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    body: Body,
) -> Answer {
    let digest = super::components::parsed(&rest.id).map_err(Failure::closing)?;
    let files = admin.deployments.files();
    let limit = files.limit();
    let too_large = || {
        let text = format!("the bundle has more than {limit} bytes, the host's `admin.files_limit`");
        Failure::new(Code::BundleRefused, text)
    };
    let bytes = body::read(body, Bounds { bytes: limit, time: BODY_TIMEOUT }, too_large).await?;
    let known = files.put(&tenant, digest, bytes).await?;
    Ok(json(StatusCode::OK, &FilesView { digest: format!("sha256:{digest}"), known }))
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let nothing = |_| Failure::new(Code::NotFound, format!("no files `{}`; upload them first", rest.id));
    let digest = Digest::parse(&rest.id).map_err(nothing)?;
    match admin.deployments.files().has(&tenant, &digest).await {
        true => Ok(json(StatusCode::OK, &FilesView { digest: format!("sha256:{digest}"), known: true })),
        false => Err(Refusal::NoFiles(digest).into()),
    }
}
