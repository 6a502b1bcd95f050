//! What the sample handler `hello` does, as a component for any host of `wasi:http@0.2`: it reads the request's body,
//! writes one line to standard output and answers 204.

use bindings::exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use bindings::wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};
use bindings::wasi::io::streams::StreamError;

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let status = match read(&request) {
            Some(body) => {
                println!("hello, request for {path}, with {} bytes", body.len());
                204
            }
            None => 400,
        };
        let response = OutgoingResponse::new(Fields::new());
        if response.set_status_code(status).is_err() {
            return;
        }
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(outparam, Ok(response));
        // Whoever reads sees what is missing.
        let _ = OutgoingBody::finish(body, None);
    }
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
    use super::Hello;

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package bench:hello;

            world component {
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        world: "bench:hello/component",
        generate_all,
    });

    export!(Hello);
}
