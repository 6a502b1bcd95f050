//! The shapes of what goes over the wire: one set of named schemas out of two, that of requests and that of answers.
//!
//! One type may look different on its way in, where what has a default may be left out and what is unknown is refused,
//! and on its way out. Where it does, the way in is called `…Request`.

use std::collections::BTreeSet;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

use super::operations::Shape;

const REFERENCE: &str = "#/components/schemas/";

/// Collects shapes.
pub(super) struct Shapes {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    /// How a type looks on its way in. Which name it gets is known at the end: until then it is `…Request`.
    pub(super) fn request(&mut self, shape: Shape) -> Value {
        let mut schema = shape(&mut self.requests).to_value();
        rename(&mut schema, &|name| Some(requested(name)));
        schema
    }

    /// How a type looks on its way out.
    pub(super) fn answer(&mut self, shape: Shape) -> Value {
        shape(&mut self.answers).to_value()
    }

    /// All that have a name.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.answers.take_definitions(true);
        for (name, mut schema) in self.requests.take_definitions(true) {
            rename(&mut schema, &|name| Some(requested(name)));
            components.insert(requested(&name), schema);
        }
        components
    }
}

fn requested(name: &str) -> String {
    match name.strip_suffix("Request") {
        Some(_) => name.to_owned(),
        None => format!("{name}Request"),
    }
}

/// Gives what a schema refers to other names.
pub(super) fn rename(schema: &mut Value, new: &impl Fn(&str) -> Option<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(name) = text.strip_prefix(REFERENCE).and_then(new) {
                            *text = format!("{REFERENCE}{name}");
                        }
                    }
                    value => rename(value, new),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, new)),
        _ => {}
    }
}

/// Makes one of two schemas that say the same: `…Request` goes where it differs from the way out in nothing but names.
pub(super) fn fold(document: &mut Value) {
    loop {
        let Some(Value::Object(schemas)) = document.pointer("/components/schemas") else { return };
        let same: BTreeSet<String> = schemas
            .iter()
            .filter_map(|(name, schema)| {
                let short = name.strip_suffix("Request")?;
                (schemas.get(short)? == schema).then(|| short.to_owned())
            })
            .collect();
        if same.is_empty() {
            return;
        }
        rename(document, &|name| name.strip_suffix("Request").filter(|short| same.contains(*short)).map(str::to_owned));
        if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
            for name in &same {
                schemas.remove(&format!("{name}Request"));
            }
        }
    }
}
