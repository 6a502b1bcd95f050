//! Spans as OTLP's JSON, as the specification of OTLP 1 has it: ids in hexadecimal, 64-bit numbers as texts.

use serde_json::{Value as Json, json};

use super::{Role, Span, Value};

/// A request that hands over these spans of this service.
pub(super) fn request(service: &str, spans: &[Span]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [("service.name", service.into()), ("service.version", version.into())];
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes(&resource) },
            "scopeSpans": [{
                "scope": { "name": "hostel", "version": version },
                "spans": spans.iter().map(span).collect::<Vec<_>>(),
            }],
        }],
    })
}

fn span(span: &Span) -> Json {
    let kind = match span.role {
        Role::Internal => 1,
        Role::Producer => 4,
        Role::Consumer => 5,
    };
    let mut json = json!({
        "traceId": span.trace.to_string(),
        "spanId": span.id.to_string(),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.began.0.to_string(),
        "endTimeUnixNano": span.ended.0.to_string(),
        "attributes": attributes(&span.attributes),
    });
    if let Json::Object(fields) = &mut json {
        if let Some(parent) = span.parent {
            fields.insert("parentSpanId".to_owned(), parent.to_string().into());
        }
        if let Some(failure) = &span.failure {
            fields.insert("status".to_owned(), json!({ "code": 2, "message": failure }));
        }
    }
    json
}

fn attributes(attributes: &[(&'static str, Value)]) -> Json {
    let attribute = |(name, value): &(&'static str, Value)| {
        let value = match value {
            Value::Text(text) => json!({ "stringValue": text }),
            Value::Number(number) => json!({ "intValue": number.to_string() }),
        };
        json!({ "key": name, "value": value })
    };
    attributes.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hostel_event::outcome::Outcome;

    use super::super::super::meter::tests::{attempt, event, subscription};
    use super::super::attempted;
    use super::*;

    #[test]
    fn a_span_is_written_as_the_specification_says() {
        let event = event("acme");
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let failed = Outcome::Retry { reason: "later".to_owned(), after: None };
        let span =
            attempted(context, &event, &subscription("acme", "h", "a"), &attempt(failed, Duration::from_nanos(7)));
        let request = request("shop", &[span]);
        let resource = &request["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({"key": "service.name", "value": {"stringValue": "shop"}})
        );
        let span = &resource["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((span["spanId"].as_str().unwrap().len(), span["parentSpanId"].as_str().unwrap().len()), (16, 16));
        assert_eq!((&span["kind"], &span["endTimeUnixNano"]), (&json!(5), &json!("7")));
        assert_eq!(span["status"], json!({"code": 2, "message": "later"}));
        let attributes = span["attributes"].as_array().unwrap();
        assert!(attributes.contains(&json!({"key": "hostel.attempt", "value": {"intValue": "1"}})), "{attributes:?}");
    }
}
