//! The document for people: one page of HTML that needs nothing from elsewhere.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use serde_json::Value;

use super::{TAGS, document, operation, tag};
use crate::route::{Face, ROUTES, Route};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h2{border-bottom:2px solid #999;margin-top:3rem}h3{margin:2rem 0 .3rem}code,pre{font:14px/1.5 ui-monospace,monospace}\
pre{background:#f3f3f3;padding:.6rem;overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #ddd}\
.method{display:inline-block;min-width:4.5rem;font-weight:bold}.right{color:#666}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}a{color:#8bf}\
th,td{border-color:#444}.right{color:#999}}";

/// The page. Made once.
#[must_use]
pub fn page() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = write(&mut page, document());
        page
    });
    &PAGE
}

fn write(page: &mut String, document: &Value) -> fmt::Result {
    let text = |pointer: &str| escaped(document.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hostel API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n\
         <h1>Hostel {}</h1>\n<p>{}</p>\n<p>For programs: <a href=\"/v1/openapi.json\">/v1/openapi.json</a>, OpenAPI 3.1. \
         Where a token is required, it goes into <code>TOKEN</code>.</p>\n",
        text("/info/version"),
        text("/info/description"),
    )?;
    contents(page)?;
    for (name, description) in TAGS {
        let mut routes = ROUTES.iter().filter(|route| tag(route) == name).peekable();
        if routes.peek().is_none() {
            continue;
        }
        writeln!(page, "<h2 id=\"{}\">{name}</h2>\n<p>{description}</p>", anchor(name))?;
        for route in routes {
            described(page, document, route)?;
        }
    }
    page.push_str("<h2 id=\"shapes\">Shapes</h2>\n");
    if let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object) {
        for (name, schema) in schemas {
            shape(page, name, schema)?;
        }
    }
    page.push_str("</body></html>\n");
    Ok(())
}

fn contents(page: &mut String) -> fmt::Result {
    page.push_str("<ul>\n");
    for (name, description) in TAGS.iter().filter(|(name, _)| ROUTES.iter().any(|route| tag(route) == *name)) {
        writeln!(page, "<li><a href=\"#{}\">{name}</a>: {description}</li>", anchor(name))?;
    }
    page.push_str("<li><a href=\"#shapes\">Shapes</a>: what goes over the wire.</li>\n</ul>\n");
    Ok(())
}

fn described(page: &mut String, document: &Value, route: &Route) -> fmt::Result {
    let method = route.method.to_lowercase();
    let Some(described) = document.pointer("/paths").and_then(|paths| paths.get(route.path)?.get(&method)) else {
        return Ok(());
    };
    let text = |key: &str| escaped(described.get(key).and_then(Value::as_str).unwrap_or_default());
    let id = operation(route).map_or("", |operation| operation.id);
    writeln!(
        page,
        "<h3 id=\"{id}\"><code><span class=\"method\">{}</span>{}</code></h3>\n<p>{}. <span class=\"right\">{}</span></p>\
         \n<pre>{}</pre>",
        route.method,
        escaped(route.path),
        text("summary"),
        text("description"),
        escaped(&curl(route, described)),
    )?;
    let parameters = described.get("parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>Parameter</th><th>In</th><th></th></tr>\n");
        for parameter in parameters {
            let text = |key: &str| escaped(parameter.get(key).and_then(Value::as_str).unwrap_or_default());
            let must = if parameter.get("required") == Some(&Value::Bool(true)) { "" } else { ", optional" };
            writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}{must}</td><td>{}</td></tr>",
                text("name"),
                text("in"),
                text("description"),
            )?;
        }
        page.push_str("</table>\n");
    }
    if let Some(body) = described.get("requestBody") {
        let said = escaped(body.get("description").and_then(Value::as_str).unwrap_or_default());
        writeln!(page, "<p>Body: {said} {}</p>", contents_of(body))?;
    }
    answers(page, described)
}

fn answers(page: &mut String, described: &Value) -> fmt::Result {
    page.push_str("<table><tr><th>Status</th><th>Answer</th><th></th></tr>\n");
    if let Some(responses) = described.get("responses").and_then(Value::as_object) {
        for (status, response) in responses {
            let said = escaped(response.get("description").and_then(Value::as_str).unwrap_or_default());
            writeln!(page, "<tr><td>{status}</td><td>{said}</td><td>{}</td></tr>", contents_of(response))?;
        }
    }
    page.push_str("</table>\n");
    Ok(())
}

/// The media types of a body, each with its shape.
fn contents_of(body: &Value) -> String {
    let Some(contents) = body.get("content").and_then(Value::as_object) else { return String::new() };
    let each = contents.iter().map(|(media, content)| {
        let shape = content.get("schema").map(kind).filter(|kind| !kind.is_empty());
        format!("<code>{}</code>{}", escaped(media), shape.map(|kind| format!(" {kind}")).unwrap_or_default())
    });
    each.collect::<Vec<_>>().join("<br>")
}

fn shape(page: &mut String, name: &str, schema: &Value) -> fmt::Result {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    writeln!(page, "<h3 id=\"shape-{0}\"><code>{0}</code></h3>\n<p>{1}</p>", escaped(name), escaped(said))?;
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return writeln!(page, "<p>{}</p>", kind(schema));
    };
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    page.push_str("<table><tr><th>Key</th><th>Value</th><th></th></tr>\n");
    for (key, property) in properties {
        let must = if required.iter().any(|name| name == key) { "" } else { ", optional" };
        let said = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let (key, kind, said) = (escaped(key), kind(property), escaped(said));
        writeln!(page, "<tr><td><code>{key}</code></td><td>{kind}{must}</td><td>{said}</td></tr>")?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// What a schema takes, in a few words: a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next()) {
        return format!("<a href=\"#shape-{0}\">{0}</a>", escaped(name));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words
            .iter()
            .map(|word| format!("<code>{}</code>", escaped(&word.to_string())))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(word) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&word.to_string()));
    }
    let of = schema.get("items").map(|items| format!(" of {}", kind(items))).unwrap_or_default();
    match schema.get("type") {
        Some(Value::String(one)) => format!("{one}{of}"),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ") + &of,
        _ => String::new(),
    }
}

/// A command that asks for it.
fn curl(route: &Route, described: &Value) -> String {
    let port = if route.face == Face::Admin { 4301 } else { 4300 };
    let mut line = "curl".to_owned();
    if route.method != "GET" {
        line += &format!(" -X {}", route.method);
    }
    if described.get("security").is_none() {
        line += " -H \"Authorization: Bearer $TOKEN\"";
    }
    if let Some(media) = described.pointer("/requestBody/content").and_then(|it| it.as_object()?.keys().next()) {
        line += &format!(" -H 'Content-Type: {media}' --data-binary @FILE");
    }
    let mut path = String::new();
    for segment in route.path.split('/').skip(1) {
        let segment = segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .map(str::to_uppercase)
            .unwrap_or_else(|| segment.to_owned());
        path += &format!("/{segment}");
    }
    let needed = operation(route).into_iter().flat_map(|operation| operation.query).filter(|it| it.required);
    let query: Vec<String> = needed.map(|it| format!("{}={}", it.name, it.name.to_uppercase())).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{line} 'http://127.0.0.1:{port}{path}{query}'")
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// A text as HTML has it; what stands in backticks becomes code.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut is_code = false;
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '`' => {
                html.push_str(if is_code { "</code>" } else { "<code>" });
                is_code = !is_code;
            }
            c => html.push(c),
        }
    }
    if is_code {
        html.push_str("</code>");
    }
    html
}
