//! The API's document, served: the one that is kept, and a page of it.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;

use hostel_api::route::{Face, ROUTES};
use hostel_tests::host::Host;
use hostel_tests::raw::{Answer, exchange, request};
use serde_json::Value;

async fn get(host: &Host, path: &str) -> Answer {
    let answer = exchange(host.admin, &request("GET", path, &[], b"")).await;
    answer.unwrap_or_else(|| panic!("{path}: no answer"))
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_that_is_kept() {
    // It is told to whoever asks, also where a token is required.
    let host = Host::start_with("[access]\nrequire = 'token'\n").await;
    let answer = get(&host, "/v1/openapi.json").await;
    assert_eq!(answer.status, 200);
    let served: Value = serde_json::from_str(&answer.body).expect("JSON");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let kept: Value = serde_json::from_slice(&std::fs::read(kept).expect("it is kept")).expect("JSON");
    assert_eq!(served.get("openapi"), Some(&Value::from("3.1.0")));
    assert!(served == kept, "the host serves another document than `docs/openapi.json`");
    let refused = get(&host, "/v1/openapi.json?pretty=1").await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[tokio::test]
async fn the_page_tells_people_every_path() {
    let host = Host::start_with("[access]\nrequire = 'token'\n").await;
    let answer = get(&host, "/v1/docs").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("<!doctype html>"), "{}", answer.body.get(..100).unwrap_or_default());
    for route in ROUTES.iter().filter(|route| route.face == Face::Admin) {
        assert!(answer.body.contains(&format!("{}</code>", route.path)), "{}", route.path);
    }
    assert!(answer.body.trim_end().ends_with("</html>"));
}

#[tokio::test]
async fn a_client_reads_the_version_of_the_host() {
    let host = Host::start().await;
    let version = host.client.version().await.expect("told");
    assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
}
