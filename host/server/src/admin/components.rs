//! Components: their bytes come in once, and are then named by digest.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};

use hostel_api::problem::Code;
use hostel_api::view::ComponentView;
use hostel_event::handler::Digest;

use super::tenant::InTenant;
use super::{Answer, BODY_TIMEOUT, Shared, progress};
use crate::answer::{Failure, json};
use crate::body::{self, Bounds};
use crate::{query, view};

pub(super) async fn put(
    State(admin): Shared,
    InTenant { tenant, rest }: InTenant,
    _: query::Nothing,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let digest = parsed(&rest.id).map_err(Failure::closing)?;
    let limit = admin.component_limit;
    let too_large = || {
        let text = format!("the component has more than {limit} bytes, the host's `admin.component_limit`");
        Failure::new(Code::ComponentTooLarge, text)
    };
    let bytes = body::read(body, Bounds { bytes: limit, time: BODY_TIMEOUT }, too_large).await?;
    let work = move |took| async move {
        let uploaded = admin.deployments.put_component(&tenant, (digest, bytes), took).await?;
        let view = view::component(&uploaded.component, uploaded.known);
        Ok(json(StatusCode::OK, &ComponentView { took: uploaded.took.view(), ..view }))
    };
    progress::answer(&headers, work).await
}

pub(super) async fn get(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let component = admin.deployments.get_component(&tenant, known(&rest.id)?).await?;
    Ok(json(StatusCode::OK, &view::component(&component, true)))
}

/// A digest that something may be kept under. A text that cannot be one names nothing, and is answered so.
fn known(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|_| Failure::new(Code::NotFound, format!("no component `{text}`; upload it first")))
}

pub(super) fn parsed(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|error| {
        Failure::new(Code::MalformedName, error.to_string())
            .hint("write `sha256:` and the 64 hexadecimal digits that `sha256sum` prints for the file")
    })
}
