//! What an answer means: acknowledge, retry, reject, or publish the event that it carries and then acknowledge.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use hostel_event::cloud_event::{Mode, PREFIX, from_message};
use hostel_event::headers::Headers;
use hostel_event::message::{ID_HEADER, Message};
use hostel_event::time::Timestamp;
use hostel_event::topic::Topic;

use super::super::{Answer, retry};
use super::{Read, TOPIC_HEADER};
use crate::bindings::hostel::handler::types::{Failure, RetryAdvice};

/// Bytes of an answer's body that are told as the reason. The report cuts what is too long all the same.
const REASON_BYTES: usize = 1024;

/// What follows from an answer.
#[derive(Debug)]
pub(super) enum Decision {
    /// The delivery ends so.
    Settle(Answer),
    /// It is acknowledged with this publication, or not at all.
    Publish {
        /// Where.
        topic: String,
        /// What.
        message: Box<Message>,
    },
}

/// Decides by the status, and where that is good by what the answer carries.
pub(super) fn decide(read: &Read, now: Timestamp) -> Decision {
    let status = read.parts.status;
    let reason = || reason(status, &read.body);
    match status {
        status if status.is_success() => event(read).unwrap_or_else(|text| Decision::Settle(retry(text))),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Decision::Settle(again(reason(), retry_after(&read.parts.headers, now)))
        }
        // A redirection is an answer for someone who asks elsewhere then, which nobody does here.
        status if status.is_client_error() || status.is_redirection() => {
            Decision::Settle(Err(Failure::Reject(reason())))
        }
        _ => Decision::Settle(retry(reason())),
    }
}

/// Another attempt, after a while if it says how long.
pub(super) fn again(reason: String, after: Option<Duration>) -> Answer {
    // Rounded up, so that "soon" is not "now".
    let after_ms = after.map(|after| u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
    Err(Failure::Retry(RetryAdvice { reason, after_ms }))
}

/// The CloudEvent in an answer, if it carries one.
fn event(read: &Read) -> Result<Decision, String> {
    let headers = &read.parts.headers;
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !matches!(Mode::of(told(CONTENT_TYPE.as_str()).unwrap_or_default()), Mode::Binary) {
        let text = "the handler answered with a CloudEvent in structured or batched mode; answer in binary mode";
        return Err(text.to_owned());
    }
    let malformed = |error: &dyn std::error::Error| format!("the event in the handler's answer is malformed: {error}");
    let mut own = Headers::new();
    for (name, value) in headers {
        if name == CONTENT_TYPE || name.as_str().starts_with(PREFIX) {
            let value = String::from_utf8_lossy(value.as_bytes());
            own.append(name.as_str(), &value).map_err(|error| malformed(&error))?;
        }
    }
    let message = Message { headers: own, body: read.body.clone() };
    let Some(event) = from_message(&message).map_err(|error| malformed(&error))? else {
        return Ok(Decision::Settle(Ok(())));
    };
    let topic = match told(TOPIC_HEADER) {
        Some(topic) => topic.to_owned(),
        None => Topic::new(event.kind()).map(|topic| topic.as_str().to_owned()).map_err(|error| {
            format!("the handler's answer has no `{TOPIC_HEADER}`, and its `ce-type` is no topic: {error}")
        })?,
    };
    let id = event.event_id();
    let mut message = event.into_message(&Headers::new()).map_err(|error| malformed(&error))?;
    message.headers.append(ID_HEADER, id.as_str()).map_err(|error| malformed(&error))?;
    Ok(Decision::Publish { topic, message: Box::new(message) })
}

/// How long to wait, as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now = UNIX_EPOCH + Duration::from_millis(now.as_millis());
    // One that is over is now.
    Some(at.duration_since(now).unwrap_or_default())
}

/// The status and the first of the body, if that is text.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let start = body.get(..REASON_BYTES).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    match text.trim() {
        "" => format!("the handler answered {status}"),
        text => format!("the handler answered {status}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A Sunday in 1994, 08:49:37.
    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn read(status: u16, headers: &[(&str, &str)], body: &'static str) -> Read {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        Read { parts, body: Bytes::from_static(body.as_bytes()) }
    }

    fn settled(status: u16, headers: &[(&str, &str)], body: &'static str) -> String {
        match decide(&read(status, headers, body), NOW) {
            Decision::Settle(Ok(())) => "ack".to_owned(),
            Decision::Settle(Err(Failure::Reject(reason))) => format!("reject: {reason}"),
            Decision::Settle(Err(Failure::Retry(advice))) => match advice.after_ms {
                Some(ms) => format!("retry in {ms}: {}", advice.reason),
                None => format!("retry: {}", advice.reason),
            },
            Decision::Publish { topic, message } => format!("publish on {topic}: {:?}", message.headers),
        }
    }

    #[test]
    fn a_status_says_what_becomes_of_the_event() {
        let check = |status: u16, headers: &[(&str, &str)], body: &'static str, expected: &str| {
            assert_eq!(settled(status, headers, body), expected, "{status}");
        };
        check(200, &[], "done", "ack");
        check(204, &[], "", "ack");
        check(400, &[], "no total\n", "reject: the handler answered 400 Bad Request: no total");
        check(404, &[], "", "reject: the handler answered 404 Not Found");
        check(302, &[], "", "reject: the handler answered 302 Found");
        check(500, &[], "boom", "retry: the handler answered 500 Internal Server Error: boom");
        check(429, &[("retry-after", "3")], "", "retry in 3000: the handler answered 429 Too Many Requests");
        check(503, &[], "", "retry: the handler answered 503 Service Unavailable");
        check(503, &[("retry-after", "soon")], "", "retry: the handler answered 503 Service Unavailable");
        check(
            503,
            &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")],
            "",
            "retry in 30000: the handler answered 503 Service Unavailable",
        );
        check(
            503,
            &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")],
            "",
            "retry in 0: the handler answered 503 Service Unavailable",
        );
    }

    #[test]
    fn an_event_in_the_answer_is_published() {
        let event = |others: &[(&'static str, &'static str)]| {
            let mut headers = vec![("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/a"), ("x-other", "1")];
            headers.extend(others);
            settled(200, &headers, "{}")
        };
        let published = event(&[("ce-type", "orders.priced"), ("content-type", "application/json")]);
        let expected = "publish on orders.priced: [(\"ce-specversion\", \"1.0\"), (\"ce-id\", \"7\"), (\"ce-source\", \
                        \"/a\"), (\"ce-type\", \"orders.priced\"), (\"Content-Type\", \"application/json\"), \
                        (\"Hostel-Id\", \"/a 7\")]";
        assert_eq!(published.to_ascii_lowercase(), expected.to_ascii_lowercase());
        assert!(
            event(&[("ce-type", "priced!"), ("hostel-topic", "orders.priced")]).starts_with("publish on orders.priced")
        );
        let check = |others: &[(&'static str, &'static str)], expected: &str| {
            let answer = event(others);
            assert!(answer.starts_with("retry: ") && answer.contains(expected), "{answer}");
        };
        check(&[("ce-type", "priced!")], "its `ce-type` is no topic");
        check(&[], "`type`");
        check(&[("content-type", "application/cloudevents+json")], "answer in binary mode");
    }
}
