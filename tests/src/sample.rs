//! Sample handlers in a whole host: deployed as their manifests say, given an event, and asked what became of it.

use std::path::Path;
use std::time::Duration;

use hostel_api::client::Publication;
use hostel_api::manifest::Manifest;
use hostel_api::unit::Span;
use hostel_api::view::{EventView, SettledView, SettlementOutcome, SettlementView};

use crate::host::{Host, PATIENCE, publication};
use crate::{namespace, sample};

/// The next event that a tail shows.
#[macro_export]
macro_rules! next {
    ($tail:expr) => {
        match tokio::time::timeout($crate::host::PATIENCE, $tail.next()).await.expect("in time") {
            Some(Ok(hostel_api::client::Item::Seen(event))) => event,
            other => panic!("{other:?}"),
        }
    };
}

/// The component of a sample such as `go/hello`. `None`, after saying so, when it was not built: its language's tools are
/// missing.
#[must_use]
pub fn built(test: &str, name: &str) -> Option<Vec<u8>> {
    let manifest = sample(name);
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let component = Manifest::from_toml(&text, "handler.toml").expect("a good manifest").component;
    let component = manifest.parent().unwrap_or(Path::new("")).join(component);
    let bytes = std::fs::read(component).ok();
    if bytes.is_none() {
        namespace::skip(test, &format!("`{name}` was not built; `cargo xtask guests` says what is missing for it"));
    }
    bytes
}

/// A host with a sample deployed as its manifest says, with more time for an event: on a machine that compiles beside, a
/// first event takes longer than any other. `None`, after saying so, when the sample was not built.
pub async fn deployed(test: &str, name: &str) -> Option<Host> {
    built(test, name)?;
    let host = Host::start().await;
    host.deploy(&sample(name), |manifest| manifest.limits.deadline = Some(Span(Duration::from_secs(30)))).await;
    Some(host)
}

/// Publishes, waits, and says how it went for the one subscription that hears it.
pub async fn handled(host: &Host, publication: &Publication) -> (SettledView, SettlementView) {
    let settled = host.client.publish_and_wait(publication, PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    let only = only.clone();
    (settled, only)
}

/// Publishes what is acknowledged at the first attempt.
pub async fn acked(host: &Host, publication: &Publication) -> (SettledView, SettlementView) {
    let (settled, only) = handled(host, publication).await;
    assert_eq!((only.outcome, only.attempts), (SettlementOutcome::Ack, 1), "{only:?}");
    (settled, only)
}

/// Publishes what is rejected at once, and says why.
pub async fn rejected(host: &Host, publication: &Publication) -> String {
    let (_, only) = handled(host, publication).await;
    assert_eq!((only.outcome, only.attempts), (SettlementOutcome::DeadLetter, 1), "{only:?}");
    only.reason.expect("a dead letter says why")
}

/// Has a sample `hello` say so.
pub async fn says_hello(test: &str, name: &str) {
    let Some(host) = deployed(test, name).await else { return };
    let (settled, only) = acked(&host, &publication("greetings.sent.today", vec![0xff, 0, 1])).await;
    let [line] = &only.log[..] else { panic!("one line: {only:?}") };
    assert_eq!(line.text, format!("hello, event {} on greetings.sent.today, attempt 1, with 3 bytes", settled.id));
    assert_eq!((line.level.as_str(), line.source.as_str()), ("info", "logging"));
}

/// The value of the first header of this name.
#[must_use]
pub fn header<'a>(event: &'a EventView, name: &str) -> Option<&'a str> {
    event.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The JSON that an event carries.
#[must_use]
pub fn json(event: &EventView) -> serde_json::Value {
    serde_json::from_str(event.body.as_deref().expect("text")).expect("JSON")
}
