//! What is told while it happens: how far a deployment is, and what changes of a tenant's handlers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stage of a deployment that has begun: event `stage` of an answer that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageBegunView {
    /// Which: `check`, `compile` or `load`, `keep`, `init`, `switch`. A host of a newer version may have others.
    pub stage: String,
    /// When it began, in milliseconds since the host had the whole request.
    pub elapsed_ms: u64,
}

/// What changed of a handler or of one of its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeView {
    /// When.
    pub at: String,
    /// What.
    pub change: ChangeKind,
    /// Which handler.
    pub handler: String,
    /// The version that runs since then, or that ran until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its component: `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The subscription, if only one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Why, if there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What may change. More may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// A handler, or a new version of it, runs.
    Deployed,
    /// The version runs again that ran before.
    RolledBack,
    /// It is gone.
    Undeployed,
    /// What lies for it in the watched folder was refused; what ran goes on.
    Refused,
    /// An operator paused a subscription.
    Paused,
    /// The host paused a subscription, since its handler kept failing.
    Quarantined,
    /// A subscription goes on.
    Resumed,
    /// Another, of a newer host.
    #[serde(other)]
    Other,
}

impl ChangeKind {
    /// As people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::RolledBack => "rolled-back",
            Self::Undeployed => "undeployed",
            Self::Refused => "refused",
            Self::Paused => "paused",
            Self::Quarantined => "quarantined",
            Self::Resumed => "resumed",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_there_is_to_say_and_one_of_a_newer_host_is_read() {
        let view = ChangeView {
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            change: ChangeKind::RolledBack,
            handler: "hello".to_owned(),
            version: Some("1".to_owned()),
            component: None,
            subscription: None,
            reason: None,
        };
        let json = r#"{"at":"2026-01-01T00:00:00.000Z","change":"rolled-back","handler":"hello","version":"1"}"#;
        assert_eq!(serde_json::to_string(&view).unwrap(), json);
        let newer = json.replace("rolled-back", "exploded");
        assert_eq!(serde_json::from_str::<ChangeView>(&newer).unwrap().change, ChangeKind::Other);
        for kind in [ChangeKind::Deployed, ChangeKind::Quarantined, ChangeKind::RolledBack, ChangeKind::Other] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.as_str()));
        }
    }
}
