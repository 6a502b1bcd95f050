//! Tokens: what a client shows to be let in, and what it may do with one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::unit::Span;

/// What a token is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What people call it: whose it is, or what for.
    pub name: String,
    /// What it may do: `publish:<pattern>`, `subscribe:<pattern>`, `read`, `deploy`, `admin`; of a token of the host
    /// itself `operator`.
    pub scopes: Vec<String>,
    /// How long it is good; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Span>,
    /// The SHA-256, in hexadecimal, of a client's certificate: who shows that on a connection has the token, which then
    /// has no secret. Absent: the token is shown by its secret. Takes an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl TokenRequest {
    /// Reads the JSON of the admin API.
    ///
    /// # Errors
    /// [`DocumentError`] names what is wrong and where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::from_json(bytes)
    }
}

/// A token as the host knows it: without what makes it one, which the host does not keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its public part, by which it is listed and revoked.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose it is; `None` for one of the host itself.
    pub tenant: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// Until when it is good; `None`: until it is revoked.
    pub expires_at: Option<String>,
    /// Whether that is over.
    pub expired: bool,
    /// The SHA-256 of the certificate that it stands for; absent: it is shown by its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// A token that was just made. Nobody can be told `secret` a second time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedTokenView {
    /// What stays known of it.
    pub token: TokenView,
    /// The token itself, to be sent as `Authorization: Bearer …`. Absent where the token stands
    /// for a certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

/// Without the secret.
impl std::fmt::Debug for CreatedTokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedTokenView").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Something that was done on the admin API, as the audit log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Its place in the log; later ones have greater.
    pub id: u64,
    /// When.
    pub at: String,
    /// By whom: `local` where nobody is asked, else `token` and its id.
    pub by: String,
    /// The token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From where.
    pub from: String,
    /// What: `deploy`, `token.revoke`, …
    pub action: String,
    /// In which tenant; `None` for what concerns the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// On what: a handler's name, a subscription's id, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What more there is to say, such as the version that was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The status that it was answered with.
    pub status: u16,
    /// Why it was not done, as an error's code; `None`: it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let token = TokenView {
            id: "00".to_owned(),
            name: "ci".to_owned(),
            tenant: None,
            scopes: Vec::new(),
            created_at: String::new(),
            expires_at: None,
            expired: false,
            certificate: None,
        };
        let printed = format!("{:?}", CreatedTokenView { token, secret: "s3cret".to_owned() });
        assert!(printed.contains("ci") && !printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn a_request_is_read_strictly() {
        let read = TokenRequest::from_json(br#"{"name":"ci","scopes":["deploy"],"expires_in":"1d"}"#).unwrap();
        assert_eq!((read.name.as_str(), read.scopes.len(), read.expires_in.is_some()), ("ci", 1, true));
        let error = TokenRequest::from_json(br#"{"name":"ci","scope":["deploy"]}"#).unwrap_err().to_string();
        assert!(error.contains("did you mean `scopes`?"), "{error}");
    }
}
