//! Requests by `wasi:http`: between its resources and streams and our plain values.

use super::component::bindings::wasi::http::outgoing_handler;
use super::component::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use super::component::bindings::wasi::io::streams::StreamError;
use crate::http::{HttpError, Request, Response};

/// Bytes that `blocking-write-and-flush` takes at once.
const CHUNK: usize = 4096;
/// Bytes that are asked for at once.
const READ: u64 = 64 * 1024;

#[expect(clippy::needless_pass_by_value, reason = "the test double keeps it")]
pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    let (secure, authority, path) = request.parts()?;
    let invalid = |what: &str| HttpError::Invalid(format!("{what} is malformed or may not be given"));
    let mut headers: Vec<(String, Vec<u8>)> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    if !request.body.is_empty() {
        headers.push(("content-length".to_owned(), request.body.len().to_string().into_bytes()));
    }
    let outgoing = OutgoingRequest::new(Fields::from_list(&headers).map_err(|_| invalid("a header"))?);
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("the method"))?;
    outgoing.set_scheme(Some(if secure { &Scheme::Https } else { &Scheme::Http })).map_err(|()| invalid("the URL"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| invalid("the URL"))?;
    outgoing.set_path_with_query(Some(path)).map_err(|()| invalid("the URL"))?;
    let body = outgoing.body().map_err(|()| invalid("the body"))?;
    let failed = |code: ErrorCode| refusal(&request.url, &code);
    let future = outgoing_handler::handle(outgoing, None).map_err(failed)?;
    let written = write(body, &request.body);
    future.subscribe().block();
    // What went wrong with the request says more than that its body was not wanted.
    let answer = match future.get() {
        Some(Ok(answer)) => answer.map_err(failed)?,
        _ => return Err(HttpError::Failed("the host gave no answer".to_owned())),
    };
    written?;
    read(&answer).map_err(HttpError::Failed)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), HttpError> {
    let failed = |why: &str| HttpError::Failed(why.to_owned());
    let stream = body.write().map_err(|()| failed("the body cannot be written"))?;
    for chunk in bytes.chunks(CHUNK) {
        stream.blocking_write_and_flush(chunk).map_err(|_| failed("the body was not taken"))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| HttpError::Failed(format!("{code:?}")))
}

fn read(answer: &IncomingResponse) -> Result<Response, String> {
    let status = answer.status();
    let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
    let headers = answer.headers().entries().into_iter().map(text).collect();
    let internal = |()| "the body cannot be read".to_owned();
    let incoming = answer.consume().map_err(internal)?;
    let stream = incoming.stream().map_err(internal)?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(bytes) => body.extend(bytes),
            Err(StreamError::Closed) => return Ok(Response { status, headers, body }),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(error.to_debug_string());
            }
        }
    }
}

fn refusal(url: &str, code: &ErrorCode) -> HttpError {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => HttpError::Denied { url: url.to_owned() },
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => {
            HttpError::Invalid(format!("`{url}` or its method is malformed"))
        }
        other => HttpError::Failed(format!("{other:?}")),
    }
}
