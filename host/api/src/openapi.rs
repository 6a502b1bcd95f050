//! The document of the admin API and the ingress in the words of OpenAPI 3.1, made from the types that go over the wire.
//!
//! Every row of [`ROUTES`] is in it: paths and rights come from there, what a request takes and what it is answered from
//! [`operations`], the shapes from the types themselves. A test compares it with `docs/openapi.json`, so that a change of
//! the wire is seen by whoever reads the change.

mod operations;
mod page;
mod shapes;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use self::operations::{Answer, Kind, OPERATIONS, Operation, Parameter, Request};
pub use self::page::page;
use self::shapes::Shapes;
use crate::problem::{Code, MEDIA_TYPE, Problem};
use crate::route::{Face, ROUTES, Right, Route};

/// The media type of the document.
pub const OPENAPI_MEDIA_TYPE: &str = "application/json";

const ABOUT: &str = "Many tenants' event handlers on one host. The paths of tag `Ingress` are answered where events come \
    in (port 4300 unless configured), all others where operators come in (port 4301). Whoever may GET a path may HEAD it \
    as well. Parameters and keys that are not known are refused with the nearest that is. An answer may have more keys \
    than are here: newer hosts say more. Errors are problems of RFC 9457 whose `code` has a page: `hostel explain E0012`.";

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> Value {
    let mut shapes = Shapes::new();
    // Whatever may go wrong refers to it by name.
    shapes.answer(operations::shape::<Problem>);
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = of(route, &mut shapes);
        let path = paths.entry(route.path).or_insert_with(|| match route.face {
            Face::Admin => json!({}),
            Face::Ingress => json!({ "servers": [{ "url": "http://127.0.0.1:4300", "description": "the ingress" }] }),
        });
        if let Value::Object(path) = path {
            path.insert(route.method.to_lowercase(), operation);
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hostel",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The admin API and the ingress of a host",
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:4301", "description": "the admin API" }],
        "security": [{ "token": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": shapes.into_components(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the tenant or of the host. A host that requires none, as one on loopback \
                        does by default, takes requests without.",
                },
            },
        },
    });
    shapes::fold(&mut document);
    document
}

/// The operation of a row; one that nothing more is said of has a bare answer, and a test names it.
fn operation(route: &Route) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.method == route.method && operation.path == route.path)
}

fn of(route: &Route, shapes: &mut Shapes) -> Value {
    let mut parameters: Vec<Value> = names(route.path).map(segment).collect();
    let Some(operation) = operation(route) else {
        return json!({ "tags": [tag(route)], "parameters": parameters, "responses": {} });
    };
    parameters.extend(operation.query.iter().map(parameter));
    let mut responses = Map::new();
    for answer in std::iter::once(&operation.answer).chain(&operation.other) {
        let described = success(answer, shapes);
        match responses.get_mut(&answer.status.to_string()) {
            Some(known) => merge_content(known, &described),
            None => {
                responses.insert(answer.status.to_string(), described);
            }
        }
    }
    for (status, codes) in problems(route, operation) {
        let described: Vec<String> = codes.iter().map(|code| format!("{code}: {}", code.title())).collect();
        let problem = json!({
            "description": format!("{}.", described.join("; ")),
            "content": { MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        match responses.get_mut(&status.to_string()) {
            // The plain answer of `/readyz` has the status that a problem has, too.
            Some(known) => merge_content(known, &problem),
            None => {
                responses.insert(status.to_string(), problem);
            }
        }
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("Takes {}.", takes(route.right)),
        "tags": [tag(route)],
        "parameters": parameters,
        "responses": responses,
    });
    if let Value::Object(described) = &mut described {
        if let Some(request) = &operation.request {
            described.insert("requestBody".to_owned(), body(request, shapes));
        }
        if route.right == Right::Open {
            described.insert("security".to_owned(), json!([]));
        }
    }
    described
}

fn merge_content(known: &mut Value, more: &Value) {
    let (Some(Value::Object(known)), Some(Value::Object(more))) = (known.get_mut("content"), more.get("content"))
    else {
        return;
    };
    known.extend(more.clone());
}

/// The names in braces.
fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn segment(name: &str) -> Value {
    let description = match name {
        "tenant" => "The tenant's name.",
        "digest" => "The SHA-256 of the bytes: `sha256:` and 64 hexadecimal digits.",
        "id" => "The id, as a list shows it. Of a subscription also its handler's name, which means all that it has.",
        "topic" => "A topic, such as `orders.created`.",
        "pattern" => "A pattern of topics, such as `orders.*` or `orders.>`.",
        _ => "The name.",
    };
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Kind::Rate => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Span => json!({ "type": "string", "examples": ["60s"] }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    })
}

fn body(request: &Request, shapes: &mut Shapes) -> Value {
    let schema = request.shape.map_or_else(|| json!({}), |shape| shapes.request(shape));
    json!({
        "description": request.description,
        "required": request.required,
        "content": { request.media: { "schema": schema } },
    })
}

fn success(answer: &Answer, shapes: &mut Shapes) -> Value {
    let Some(media) = answer.media else { return json!({ "description": answer.description }) };
    let schema = answer.shape.map_or_else(|| json!({ "type": "string" }), |shape| shapes.answer(shape));
    json!({ "description": answer.description, "content": { media: { "schema": schema } } })
}

/// What can go wrong, by status: what the row's right and path bring with them, and what the operation adds.
fn problems(route: &Route, operation: &Operation) -> Vec<(u16, Vec<Code>)> {
    let mut codes: BTreeSet<Code> = operation.codes.iter().copied().collect();
    if route.right != Right::Open {
        codes.extend([Code::Unauthorized, Code::Forbidden, Code::MalformedQuery, Code::Internal]);
    }
    if names(route.path).next().is_some() {
        // A tenant that one may not see is not there, and neither is a segment that is no text.
        codes.extend([Code::NotFound, Code::UnknownPath]);
    }
    if operation.request.is_some() {
        codes.extend([Code::BodyTooLarge, Code::RequestTooSlow, Code::BrokenBody]);
    }
    if operation.request.as_ref().is_some_and(|request| request.shape.is_some()) {
        codes.insert(Code::MalformedDocument);
    }
    if route.action.is_some() {
        codes.extend([Code::DiskFull, Code::LogUnusable]);
    }
    let mut statuses: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in codes {
        match statuses.iter_mut().find(|(status, _)| *status == code.status()) {
            Some((_, codes)) => codes.push(code),
            None => statuses.push((code.status(), vec![code])),
        }
    }
    statuses.sort_by_key(|(status, _)| *status);
    statuses
}

/// What one must be allowed to do, in words.
fn takes(right: Right) -> &'static str {
    match right {
        Right::Open => "no token",
        Right::Publish => "a token that may publish on the topic",
        Right::Peer => "a token that may publish on every topic, unless the listener is open to go-micro",
        Right::Subscribe => "a token that may subscribe to the pattern",
        Right::Read => "scope `read` in the tenant",
        Right::Deploy => "scope `deploy` in the tenant",
        Right::Admin => "scope `admin` in the tenant",
        Right::Operator => "a token of the operator",
    }
}

fn tag(route: &Route) -> &'static str {
    if route.face == Face::Ingress {
        return "Ingress";
    }
    if route.path.ends_with("/usage") {
        return "Usage";
    }
    let below = route.path.strip_prefix("/v1/tenants/{tenant}/").or_else(|| route.path.strip_prefix("/v1/"));
    match below.and_then(|rest| rest.split('/').next()) {
        Some("tenants") => "Tenants",
        Some("tokens") => "Tokens",
        Some("audit") => "Audit",
        Some("components" | "files" | "handlers" | "changes") => "Handlers",
        Some("subscriptions" | "replays") => "Subscriptions",
        Some("dead-letters") => "Dead letters",
        Some("logs") => "Logs",
        Some("peers" | "registry") => "Services",
        _ => "Host",
    }
}

/// In the order in which the page shows them.
const TAGS: [(&str, &str); 11] = [
    ("Ingress", "Where events come in."),
    ("Handlers", "Components and the handlers made of them."),
    ("Subscriptions", "What handlers hear, how that goes, and what is delivered again."),
    ("Dead letters", "Events that were given up."),
    ("Logs", "What handlers said."),
    ("Usage", "What handlers used."),
    ("Tenants", "Whose things they are."),
    ("Tokens", "Who is let in."),
    ("Audit", "Who changed what."),
    ("Services", "The registry, and the nodes that get events."),
    ("Host", "The host itself."),
];

fn tags() -> Value {
    TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect()
}

#[cfg(test)]
mod tests;
