//! The work: one event, the same in every row.

use bytes::Bytes;
use serde_json::{Value, json};

/// Where it is published.
pub(crate) const TOPIC: &str = "greetings.bench";
/// What hears it.
pub(crate) const PATTERN: &str = "greetings.>";
pub(crate) const CONTENT_TYPE: &str = "application/json";
/// An ordinary business document: about as large as a webhook's.
const BYTES: usize = 1_400;

/// The body: JSON of [`BYTES`] bytes or one item more.
pub(crate) fn body() -> Bytes {
    let item = |at: usize| json!({ "sku": format!("A-{at:05}"), "quantity": at % 7 + 1, "price": "12.50" });
    let document = |items: &[Value]| json!({ "order": "2f1c", "currency": "EUR", "items": items }).to_string();
    let mut items = Vec::new();
    while document(&items).len() < BYTES {
        items.push(item(items.len()));
    }
    document(&items).into()
}

/// A component with a section that nobody reads, which makes it another component to the host; 0 leaves it as it is.
pub(crate) fn marked(component: &[u8], mark: usize) -> Vec<u8> {
    /// The id of a custom section, the length of what follows, and the section's name after its length.
    const SECTION: [u8; 7] = [0, 13, 4, b'm', b'a', b'r', b'k'];
    let mut bytes = component.to_vec();
    if mark > 0 {
        bytes.extend_from_slice(&SECTION);
        bytes.extend_from_slice(&(mark as u64).to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_of_its_size() {
        let body = body();
        assert!((BYTES..BYTES + 60).contains(&body.len()), "{}", body.len());
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert!(document["items"].as_array().unwrap().len() > 10);
    }
}
