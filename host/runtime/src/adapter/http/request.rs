//! An event as a request: a POST of the CloudEvent that it is.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;

use hostel_event::cloud_event::{CloudEvent, CloudEventError};
use hostel_event::port::Call;

use super::TOPIC_HEADER;

/// Where the request goes, to a guest that asks. There is no such host.
const TARGET: &str = "http://hostel/";
/// The header that says which attempt it is, counted from 1.
const ATTEMPT_HEADER: &str = "hostel-attempt";

/// The request for a delivery: to `/`, with the attributes in `ce-…`, the event's other headers as they are, and beside
/// them the topic and the attempt. A header that HTTP cannot carry is left out.
///
/// # Errors
/// [`CloudEventError`] when the event has so many headers that there is no room for attributes.
pub(super) fn of(call: &Call) -> Result<Request<Full<Bytes>>, CloudEventError> {
    let message = CloudEvent::of(&call.event).into_message(&call.event.message.headers)?;
    let mut request = Request::new(Full::new(message.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(TARGET);
    let headers = request.headers_mut();
    for (name, value) in message.headers.iter() {
        let is_ours = [TOPIC_HEADER, ATTEMPT_HEADER].iter().any(|ours| name.eq_ignore_ascii_case(ours));
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        if let ((Ok(name), Ok(value)), false) = (pair, is_ours) {
            // What is said of the body is said of this one.
            if name != CONTENT_LENGTH {
                headers.append(name, value);
            }
        }
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(message.body.len()));
    headers.insert(ATTEMPT_HEADER, HeaderValue::from(call.attempt));
    // A topic has only characters that a header may have.
    if let Ok(topic) = HeaderValue::from_str(call.event.topic.as_str()) {
        headers.insert(TOPIC_HEADER, topic);
    }
    Ok(request)
}
