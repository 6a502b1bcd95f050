//! Services as the admin API writes them: go-micro's own JSON, so that any program that knows one knows the other.
//!
//! What is empty is written as `null`, as Go does, and read from `null`, from an empty value, or from nothing at all.
//! Fields that are not here are passed over: go-micro has added some before.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names and values that a service, node or endpoint says of itself.
pub type MetadataView = BTreeMap<String, String>;

/// Nodes that do the same thing under one name and version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceView {
    /// Such as `micro.http.broker`.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub name: String,
    /// A version, or in the broker's case the queue's name.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub version: String,
    /// Of the service as a whole.
    #[serde(deserialize_with = "or_null", serialize_with = "map_or_null")]
    #[schemars(with = "Option<MetadataView>")]
    pub metadata: MetadataView,
    /// What it answers to.
    #[serde(deserialize_with = "or_null", serialize_with = "list_or_null")]
    #[schemars(with = "Option<Vec<EndpointView>>")]
    pub endpoints: Vec<EndpointView>,
    /// Who offers it.
    #[serde(deserialize_with = "or_null", serialize_with = "list_or_null")]
    #[schemars(with = "Option<Vec<NodeView>>")]
    pub nodes: Vec<NodeView>,
}

/// Something that a service answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndpointView {
    /// Such as `Greeter.Hello`.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub name: String,
    /// What it takes, where its owner says.
    pub request: Option<ValueView>,
    /// What it answers, where its owner says.
    pub response: Option<ValueView>,
    /// Of this endpoint.
    #[serde(deserialize_with = "or_null", serialize_with = "map_or_null")]
    #[schemars(with = "Option<MetadataView>")]
    pub metadata: MetadataView,
}

/// The shape of what an endpoint takes or answers, in its owner's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValueView {
    /// Such as `name`.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub name: String,
    /// Such as `string`.
    #[serde(rename = "type", deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub kind: String,
    /// Its parts.
    #[serde(deserialize_with = "or_null", serialize_with = "list_or_null")]
    #[schemars(with = "Option<Vec<ValueView>>")]
    pub values: Vec<ValueView>,
}

/// One process that offers a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeView {
    /// Unique within its service.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub id: String,
    /// `host:port`.
    #[serde(deserialize_with = "or_null")]
    #[schemars(with = "Option<String>")]
    pub address: String,
    /// Of this node.
    #[serde(deserialize_with = "or_null", serialize_with = "map_or_null")]
    #[schemars(with = "Option<MetadataView>")]
    pub metadata: MetadataView,
}

/// Every version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionsView {
    /// One for each version.
    pub items: Vec<ServiceView>,
    /// Why this may be out of date; `None`: it is not.
    pub stale: Option<StaleView>,
}

/// The host could not ask its registry, and answered what that had said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaleView {
    /// When the registry said so.
    pub asked_at: String,
    /// Why it could not be asked now.
    pub reason: String,
}

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceChangeView {
    /// Whether it came, changed or went.
    pub action: ServiceAction,
    /// The service, with the nodes concerned.
    pub service: ServiceView,
}

/// Whether a service came, changed or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It came.
    Create,
    /// It changed.
    Update,
    /// It went.
    Delete,
}

impl ServiceAction {
    /// As it is written: the kind of the stream's message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// From the kind of a stream's message; `None` if it is another.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete].into_iter().find(|action| action.as_str() == text)
    }
}

/// Changes that a watcher missed because it read too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostChangesView {
    /// How many.
    pub changes: u64,
}

fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn map_or_null<S: Serializer>(map: &MetadataView, serializer: S) -> Result<S::Ok, S::Error> {
    (!map.is_empty()).then_some(map).serialize(serializer)
}

fn list_or_null<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    (!list.is_empty()).then_some(list).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> ServiceView {
        let metadata = MetadataView::from([("broker".to_owned(), "http".to_owned())]);
        let node = NodeView { id: "a-1".to_owned(), address: "127.0.0.1:33625".to_owned(), metadata };
        let (name, version) = ("micro.http.broker".to_owned(), "q1".to_owned());
        ServiceView { name, version, nodes: vec![node], ..ServiceView::default() }
    }

    #[test]
    fn a_service_is_written_as_go_micro_writes_it() {
        let json = r#"{"name":"micro.http.broker","version":"q1","metadata":null,"endpoints":null,"nodes":[{"id":"a-1","address":"127.0.0.1:33625","metadata":{"broker":"http"}}]}"#;
        assert_eq!(serde_json::to_string(&bare()).unwrap(), json);
        let value = ValueView { name: "name".to_owned(), kind: "string".to_owned(), values: Vec::new() };
        let endpoint =
            EndpointView { name: "Greeter.Hello".to_owned(), request: Some(value), ..EndpointView::default() };
        let json = r#"{"name":"Greeter.Hello","request":{"name":"name","type":"string","values":null},"response":null,"metadata":null}"#;
        assert_eq!(serde_json::to_string(&endpoint).unwrap(), json);
    }

    #[test]
    fn what_is_empty_may_be_null_or_left_out_and_what_is_new_is_passed_over() {
        let node = r#"[{"metadata":{"broker":"http"},"id":"a-1","address":"127.0.0.1:33625"}]"#;
        for json in [
            format!(r#"{{"name":"micro.http.broker","version":"q1","nodes":{node}}}"#),
            format!(
                r#"{{"nodes":{node},"endpoints":[],"metadata":{{}},"version":"q1","name":"micro.http.broker","new":1}}"#
            ),
        ] {
            assert_eq!(serde_json::from_str::<ServiceView>(&json).unwrap(), bare());
        }
        let nulls = r#"{"name":null,"version":null,"metadata":null,"endpoints":null,"nodes":null}"#;
        assert_eq!(serde_json::from_str::<ServiceView>(nulls).unwrap(), ServiceView::default());
    }

    #[test]
    fn actions_read_what_they_write() {
        for action in [ServiceAction::Create, ServiceAction::Update, ServiceAction::Delete] {
            assert_eq!(ServiceAction::parse(action.as_str()), Some(action));
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("{:?}", action.as_str()));
        }
        assert_eq!(ServiceAction::parse("lost"), None);
    }
}
