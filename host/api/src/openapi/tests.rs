//! The document: whole, sound, and the one that is kept.

use std::collections::HashSet;

use super::*;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_the_one_that_is_kept() {
    if std::env::var_os("RENEW").is_some_and(|value| value == "1") {
        std::fs::write(KEPT, format!("{:#}\n", document())).unwrap();
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(KEPT).unwrap_or_default()).unwrap_or_default();
    let (kept, made) = (format!("{kept:#}"), format!("{:#}", document()));
    let at = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "`docs/openapi.json` is out of date from line {} on; look whether the change of the wire is meant, then renew it: \
         RENEW=1 cargo test --package hostel-api openapi",
        at.unwrap_or_default() + 1,
    );
}

#[test]
fn every_route_is_described_and_nothing_else() {
    for route in ROUTES {
        assert!(
            operation(route).is_some(),
            "{} {} is not described in openapi/operations.rs",
            route.method,
            route.path
        );
    }
    let rows: HashSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    for operation in OPERATIONS {
        let row = (operation.method, operation.path);
        assert!(rows.contains(&row), "{row:?} is described and no route");
    }
    let ids: HashSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), OPERATIONS.len());
}

#[test]
fn every_route_is_in_the_document_with_its_segments() {
    for route in ROUTES {
        let described = document().pointer("/paths").unwrap().get(route.path).unwrap();
        let described = described.get(route.method.to_lowercase()).unwrap();
        let parameters = described.get("parameters").and_then(Value::as_array).unwrap();
        let named = parameters.iter().filter(|parameter| parameter.get("in") == Some(&json!("path")));
        assert!(named.map(|parameter| parameter.get("name").unwrap()).eq(names(route.path)), "{}", route.path);
        let open = described.get("security").is_some();
        assert_eq!(open, route.right == Right::Open, "{}", route.path);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_shape_is_used() {
    let mut found = Vec::new();
    references(document(), &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document().pointer(pointer).is_some(), "{reference}");
    }
    for name in document().pointer("/components/schemas").and_then(Value::as_object).unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(found.contains(&reference.as_str()), "{name} is not used");
    }
}

#[test]
fn what_may_be_left_out_of_a_request_is_there_in_an_answer() {
    let required = |name: &str| {
        let schema = document().pointer("/components/schemas").unwrap().get(name).unwrap();
        let names = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(!required("ManifestRequest").contains(&"version".to_owned()));
    assert!(required("ManifestRequest").contains(&"component".to_owned()));
    assert!(required("HandlerView").contains(&"version".to_owned()));
}

#[test]
fn a_status_is_there_for_every_code_that_a_path_brings_with_it() {
    let responses = |path: &str, method: &str| {
        let described = document().pointer("/paths").unwrap().get(path).unwrap().get(method).unwrap();
        described.get("responses").and_then(Value::as_object).unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(responses("/healthz", "get"), ["200"]);
    assert_eq!(responses("/v1/tenants/{tenant}", "get"), ["200", "400", "401", "403", "404", "500"]);
    let put = responses("/v1/tenants/{tenant}", "put");
    assert_eq!(put, ["200", "201", "400", "401", "403", "404", "408", "409", "413", "500", "503", "507"]);
}

#[test]
fn the_page_tells_every_route_and_needs_nothing_from_elsewhere() {
    let page = page();
    for operation in OPERATIONS {
        assert!(page.contains(&format!("id=\"{}\"", operation.id)), "{}", operation.id);
    }
    for foreign in ["<script", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("curl -X POST -H &quot;Authorization: Bearer $TOKEN&quot;"), "{page}");
    let links = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for link in links {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
}
