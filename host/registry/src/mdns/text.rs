//! The TXT record: what a name and an address cannot say of a node, as hex(zlib(JSON)).
//!
//! The metadata of the service as a whole has no place in it and is lost, as with go-micro.

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};

use hostel_event::port::{Endpoint, Metadata, Node, Service, Value};

use crate::shape;

/// The most bytes that a text may unfold to: what a service may have, and JSON's quotes and names beside it. Keeps a
/// small packet from becoming much memory.
const UNFOLDED: usize = 2 * shape::BYTES;

/// How hard to compress; zlib's usual level, as go-micro's.
const LEVEL: u8 = 6;

/// What a text says: the service with everything but its nodes, and the metadata of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) service: Service,
    pub(crate) metadata: Metadata,
}

/// Why a text is not go-micro's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error("the TXT record is not hexadecimal")]
    Hex,
    #[error("the TXT record is not zlib, or unfolds to more than {UNFOLDED} bytes")]
    Zlib,
    #[error("the TXT record holds no service in JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// In the order of v1 and v2; v4 and later write the fields in another and read any.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TextJson {
    service: String,
    version: String,
    endpoints: Option<Vec<EndpointJson>>,
    metadata: Option<Metadata>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct EndpointJson {
    name: String,
    request: Option<ValueJson>,
    response: Option<ValueJson>,
    metadata: Option<Metadata>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ValueJson {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    values: Option<Vec<ValueJson>>,
}

/// The text for one node of a service.
pub(crate) fn encode(service: &Service, node: &Node) -> Result<Vec<u8>, serde_json::Error> {
    let json = to_json(service, node)?;
    Ok(to_hex(&compress_to_vec_zlib(json.as_bytes(), LEVEL)))
}

/// The JSON, byte for byte as Go writes it.
fn to_json(service: &Service, node: &Node) -> Result<String, serde_json::Error> {
    let text = TextJson {
        service: service.name.clone(),
        version: service.version.clone(),
        endpoints: some(service.endpoints.iter().map(EndpointJson::from).collect()),
        metadata: (!node.metadata.is_empty()).then(|| node.metadata.clone()),
    };
    // Go escapes what could end a script or a line in HTML. Outside of strings JSON has none of these characters.
    let mut json = serde_json::to_string(&text)?;
    for (plain, escaped) in
        [("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")]
    {
        json = json.replace(plain, escaped);
    }
    Ok(json)
}

/// Reads a text, whatever the order of its fields.
pub(crate) fn decode(text: &[u8]) -> Result<Text, TextError> {
    let text: TextJson = serde_json::from_slice(&unfold(text)?)?;
    let service = Service {
        name: text.service,
        version: text.version,
        endpoints: text.endpoints.unwrap_or_default().into_iter().map(Endpoint::from).collect(),
        ..Service::default()
    };
    Ok(Text { service, metadata: text.metadata.unwrap_or_default() })
}

/// The JSON in a text.
pub(crate) fn unfold(text: &[u8]) -> Result<Vec<u8>, TextError> {
    let folded = from_hex(text).ok_or(TextError::Hex)?;
    decompress_to_vec_zlib_with_limit(&folded, UNFOLDED).map_err(|_| TextError::Zlib)
}

/// Go writes `null` for a list without elements that was never made, and go-micro never makes an empty one.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

impl From<&Endpoint> for EndpointJson {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.name.clone(),
            request: endpoint.request.as_ref().map(ValueJson::from),
            response: endpoint.response.as_ref().map(ValueJson::from),
            metadata: (!endpoint.metadata.is_empty()).then(|| endpoint.metadata.clone()),
        }
    }
}

impl From<EndpointJson> for Endpoint {
    fn from(json: EndpointJson) -> Self {
        Self {
            name: json.name,
            request: json.request.map(Value::from),
            response: json.response.map(Value::from),
            metadata: json.metadata.unwrap_or_default(),
        }
    }
}

impl From<&Value> for ValueJson {
    fn from(value: &Value) -> Self {
        let values = some(value.values.iter().map(Self::from).collect());
        Self { name: value.name.clone(), kind: value.kind.clone(), values }
    }
}

impl From<ValueJson> for Value {
    fn from(json: ValueJson) -> Self {
        let values = json.values.unwrap_or_default().into_iter().map(Self::from).collect();
        Self { name: json.name, kind: json.kind, values }
    }
}

fn to_hex(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn encoded(json: &str) -> Vec<u8> {
        to_hex(&compress_to_vec_zlib(json.as_bytes(), LEVEL))
    }

    #[test]
    fn json_is_written_as_go_writes_it() {
        let service = Service { name: "s".to_owned(), version: "<q&a>".to_owned(), ..Service::default() };
        let node = Node { metadata: pairs(&[("topic", "a"), ("broker", "\u{2028}")]), ..Node::default() };
        let json = r#"{"Service":"s","Version":"\u003cq\u0026a\u003e","Endpoints":null,"Metadata":{"broker":"\u2028","topic":"a"}}"#;
        assert_eq!(to_json(&service, &node).unwrap(), json);
        let bare = r#"{"Service":"s","Version":"\u003cq\u0026a\u003e","Endpoints":null,"Metadata":null}"#;
        assert_eq!(to_json(&service, &Node::default()).unwrap(), bare);
    }

    #[test]
    fn fields_may_come_in_any_order_or_not_at_all() {
        let expected = Text {
            service: Service { name: "s".to_owned(), version: "1".to_owned(), ..Service::default() },
            metadata: pairs(&[("a", "b")]),
        };
        for json in [
            r#"{"Service":"s","Version":"1","Endpoints":null,"Metadata":{"a":"b"}}"#,
            r#"{"Metadata":{"a":"b"},"Endpoints":null,"Service":"s","Version":"1"}"#,
            r#"{"Metadata":{"a":"b"},"Service":"s","Version":"1","Later":[1]}"#,
        ] {
            assert_eq!(decode(&encoded(json)).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_a_text_is_told_apart() {
        let check = |text: &[u8], expected: &str| {
            let error = decode(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(b"xyz", "hexadecimal");
        check(b"789", "hexadecimal");
        check(b"0001", "not zlib");
        check(b"", "not zlib");
        check(&encoded("[1]"), "no service in JSON");
        check(&encoded("{\"Service\":"), "no service in JSON");
    }

    #[test]
    fn a_small_text_does_not_unfold_into_much_memory() {
        let bomb = encoded(&format!("{{\"Service\":\"{}\"}}", "x".repeat(UNFOLDED)));
        assert!(bomb.len() < 2000, "{}", bomb.len());
        assert!(matches!(decode(&bomb), Err(TextError::Zlib)));
    }
}
