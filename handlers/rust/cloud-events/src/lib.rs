//! Reads each event as a CloudEvent, logs the attributes that it saw as JSON, and passes it on with an extension of its
//! own: an intermediary in the sense of CloudEvents. What it does not know it passes on as it came.

use serde_json::{Map, Value};

/// The extension that tells who passed an event on.
const HANDLED_BY: &str = "handledby";

/// Handles one event; one that is no CloudEvent is rejected.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let mut event = event.cloud_event()?;
    hostel::info!("{}", Value::Object(attributes(&event)));
    event.extensions.insert(HANDLED_BY.to_owned(), "cloud-events".to_owned());
    hostel::publish_cloud_event("cloud-events.out", event)?;
    Ok(())
}

fn attributes(event: &hostel::CloudEvent) -> Map<String, Value> {
    let known = [
        ("id", Some(&event.id)),
        ("source", Some(&event.source)),
        ("type", Some(&event.kind)),
        ("subject", event.subject.as_ref()),
        ("time", event.time.as_ref()),
        ("datacontenttype", event.data_content_type.as_ref()),
        ("dataschema", event.data_schema.as_ref()),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let extensions = event.extensions.iter().map(|(name, value)| (name.as_str(), value));
    let all = known.chain(extensions).map(|(name, value)| (name.to_owned(), Value::from(value.as_str())));
    all.chain([("data".to_owned(), Value::from(String::from_utf8_lossy(&event.data)))]).collect()
}

#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::*;

    #[test]
    fn an_event_is_passed_on_with_what_nobody_knows() {
        let headers =
            [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-x", "%C3%A9")];
        let event = headers
            .into_iter()
            .fold(testing::Event::new("cloud-events.in"), |event, (name, value)| event.header(name, value));
        let run = testing::run(handle, event.body("data"));
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.logs[0].text, r#"{"data":"data","id":"1","source":"/s","type":"t","x":"é"}"#);
        let expected = [("ce-handledby", "cloud-events"), ("ce-x", "%C3%A9")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(run.published[0].headers[4..], expected);
        assert_eq!(run.published[0].body, b"data");
    }

    #[test]
    fn what_is_no_cloud_event_is_rejected() {
        let run = testing::run(handle, testing::Event::new("cloud-events.in"));
        assert!(run.result.unwrap_err().is_reject());
        assert_eq!(run.published.len(), 0);
    }
}
