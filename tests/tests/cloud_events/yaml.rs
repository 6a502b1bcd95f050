//! As much of YAML as the conformance events are written in: mappings in mappings, plain and quoted scalars, literal
//! blocks, comments. Anything else fails the test that reads it.

use std::collections::BTreeMap;

/// An event of the conformance project.
#[derive(Debug)]
pub(crate) struct Event {
    /// All attributes, extensions among them.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The data as text.
    pub(crate) data: String,
}

/// The events of a file.
pub(crate) fn events(text: &str) -> Vec<Event> {
    text.split("---\n").map(event).collect()
}

fn event(text: &str) -> Event {
    let mut event = Event { attributes: BTreeMap::new(), data: String::new() };
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (content, indentation) = (line.trim(), indentation(line));
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        path.retain(|(outer, _)| *outer < indentation);
        let (key, value) = content.split_once(':').expect("a key and a value");
        let (key, value) = (key.trim(), value.trim());
        let value = if value == "|" {
            let inner = lines.peek().map_or(0, |line| self::indentation(line));
            let mut block = String::new();
            while let Some(line) = lines.next_if(|line| self::indentation(line) >= inner) {
                block.push_str(line.get(inner..).unwrap_or_default());
                block.push('\n');
            }
            block
        } else {
            value.trim_matches('"').to_owned()
        };
        let parents: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
        match (&parents[..], key) {
            ([], "ContextAttributes" | "TransportExtensions") | (["ContextAttributes"], "Extensions") => {
                path.push((indentation, key.to_owned()));
            }
            ([], "Data") => event.data = value,
            ([], "Mode") | (["TransportExtensions"], _) => {}
            // The project's own sender trims them.
            (["ContextAttributes"] | ["ContextAttributes", "Extensions"], _) => {
                drop(event.attributes.insert(key.to_owned(), value.trim().to_owned()));
            }
            other => panic!("not understood: {other:?}"),
        }
    }
    event
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}
