//! What the API is, told by the API: the document for programs, and a page of it for people.

use axum::body::Body;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use http::{Response, StatusCode};

use hostel_api::openapi;

use super::Answer;
use crate::answer::{json, with_type};
use crate::query;

/// The page has its style in itself, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

pub(super) async fn document(_: query::Nothing) -> Answer {
    Ok(json(StatusCode::OK, openapi::document()))
}

pub(super) async fn page(_: query::Nothing) -> Answer {
    let mut response: Response<Body> = with_type(StatusCode::OK, "text/html; charset=utf-8", openapi::page().into());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
