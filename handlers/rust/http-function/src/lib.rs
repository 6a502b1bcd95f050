//! A function that knows only HTTP: it counts the words of a text and answers with a CloudEvent. A request with the
//! header `Answer-With` is answered with that status instead, and with `Retry-After: 1` if it is 503. Written to
//! `wasi:http@0.2` alone: nothing here knows of Hostel.

use bindings::exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use bindings::wasi::http::types::{Fields, Method, OutgoingBody, OutgoingResponse};
use bindings::wasi::io::streams::StreamError;

/// What one call may write to a stream.
const CHUNK: usize = 4096;

struct Function;

/// What is answered.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Guest for Function {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let Answer { status, headers, body } = answer(&request);
        let fields = Fields::new();
        for (name, value) in &headers {
            if fields.append(name, value.as_bytes()).is_err() {
                return;
            }
        }
        let response = OutgoingResponse::new(fields);
        if response.set_status_code(status).is_err() {
            return;
        }
        let Ok(outgoing) = response.body() else { return };
        // Before the body: a host that reads it while it is written is not kept waiting.
        ResponseOutparam::set(outparam, Ok(response));
        if let Ok(stream) = outgoing.write() {
            for chunk in body.as_bytes().chunks(CHUNK) {
                if stream.blocking_write_and_flush(chunk).is_err() {
                    return;
                }
            }
        }
        // Whoever reads sees what is missing.
        let _ = OutgoingBody::finish(outgoing, None);
    }
}

fn answer(request: &IncomingRequest) -> Answer {
    let plain = |status, body: String| Answer { status, headers: Vec::new(), body };
    if !matches!(request.method(), Method::Post) || request.path_with_query().as_deref() != Some("/") {
        return plain(405, "only POST to / is known here".to_owned());
    }
    let told = |name: &str| {
        let value = request.headers().get(name).into_iter().next()?;
        String::from_utf8(value).ok()
    };
    if let Some(status) = told("answer-with") {
        let status = status.parse().unwrap_or(500);
        let mut answer = plain(status, format!("as asked, on attempt {}", told("hostel-attempt").unwrap_or_default()));
        if status == 503 {
            answer.headers.push(("retry-after", "1".to_owned()));
        }
        return answer;
    }
    let Some(body) = read(request) else { return plain(500, "the body cannot be read".to_owned()) };
    let Ok(text) = String::from_utf8(body) else { return plain(400, "the body is no text".to_owned()) };
    let counted = |name: &str| told(name).unwrap_or_default();
    let headers = vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", format!("{}-counted", counted("ce-id"))),
        ("ce-source", "/words".to_owned()),
        ("ce-type", told("count-as").unwrap_or_else(|| "words.counted".to_owned())),
        ("ce-subject", counted("ce-type")),
        ("content-type", "application/json".to_owned()),
    ];
    let words = text.split_whitespace().count();
    Answer { status: 200, headers, body: format!("{{\"words\":{words},\"bytes\":{}}}", text.len()) }
}

fn read(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Some(bytes),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
}

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Function;

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package sample:function;

            world component {
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        world: "sample:function/component",
        generate_all,
    });

    export!(Function);
}
