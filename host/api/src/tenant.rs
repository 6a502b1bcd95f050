//! Tenants: what an operator says of one, as JSON on the admin API's wire and as a table of `hostel.toml`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::unit::{ByteSize, Span};

/// What an operator says of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantDocument {
    /// How much of the host it may use.
    #[serde(default, skip_serializing_if = "QuotaDocument::is_empty")]
    pub quota: QuotaDocument,
    /// Which of its topics others may hear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
}

/// Topics that others may hear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Patterns of the topics.
    pub topics: Vec<String>,
    /// The tenants that may hear them.
    pub to: Vec<String>,
}

/// How much of a host a tenant may use. What is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaDocument {
    /// Events published in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<NonZeroU32>,
    /// Deliveries begun in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<NonZeroU32>,
    /// Handlers that run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocations: Option<NonZeroU32>,
    /// CPU time in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Span>,
    /// Memory that all that runs may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Bytes that are kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<ByteSize>,
    /// Handlers deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handlers: Option<u32>,
    /// Connections to the outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Its share in proportion to others, when there is not enough for all; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<NonZeroU32>,
}

impl TenantDocument {
    /// Reads the JSON of the admin API.
    ///
    /// # Errors
    /// [`DocumentError`] names what is wrong and where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::from_json(bytes)
    }

    /// Reads a file of TOML. `file` is its name for errors.
    ///
    /// # Errors
    /// [`DocumentError`] names the line and the key, and the nearest known key where one is unknown.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, DocumentError> {
        document::from_toml(text, file)
    }
}

impl QuotaDocument {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A tenant as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantView {
    /// Its name.
    pub name: String,
    /// How much of the host it may use.
    pub quota: QuotaDocument,
    /// Which of its topics others may hear.
    pub exports: Vec<Export>,
    /// When it was created.
    pub created_at: String,
    /// Whether the host's config names it: then it is always there.
    pub configured: bool,
    /// How many handlers it has.
    pub handlers: u64,
}

/// What became of a change of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantChangedView {
    /// The tenant as it is now.
    pub tenant: TenantView,
    /// Whether it was not there before.
    pub created: bool,
}

/// What went with a tenant that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantDeletedView {
    /// Handlers that were taken away.
    pub handlers: u64,
    /// Deliveries that waited for them and are now nobody's.
    pub discarded: u64,
    /// Tokens that were revoked.
    pub tokens: u64,
    /// Dead letters that were dropped.
    pub dead_letters: u64,
    /// What stays, in words.
    pub stays: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_from_toml_and_survives_json() {
        let text = "[quota]\nevents = 100\ncpu = '500ms'\nmemory = '1GiB'\nhandlers = 3\n\n\
                    [[exports]]\ntopics = ['orders.>']\nto = ['billing']\n";
        let document = TenantDocument::from_toml(text, "acme.toml").unwrap();
        assert_eq!(document.quota.events, NonZeroU32::new(100));
        assert_eq!(document.quota.memory, Some(ByteSize(1 << 30)));
        assert_eq!(document.exports[0].to, ["billing"]);
        let json = serde_json::to_vec(&document).unwrap();
        assert_eq!(TenantDocument::from_json(&json), Ok(document));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        let error = TenantDocument::from_toml("[quota]\nevent = 1", "acme.toml").unwrap_err().to_string();
        assert_eq!(error, "`acme.toml` line 2: unknown key `event` in `quota`; did you mean `events`?");
    }

    #[test]
    fn nothing_said_is_nothing_written() {
        assert_eq!(serde_json::to_string(&TenantDocument::default()).unwrap(), "{}");
    }
}
