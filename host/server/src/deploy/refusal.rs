//! Why a deployment was refused. What runs goes on running.

use std::fmt;

use hostel_event::handler::Digest;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::pattern::Pattern;
use hostel_event::port::SubscribeError;
use hostel_runtime::{InitFailure, LoadError, PrepareError};

use crate::bundle::BundleError;

/// Why a deployment was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A name or pattern in the manifest is malformed.
    #[error("{0}")]
    Name(String),
    /// Something else in the manifest cannot be.
    #[error("{0}")]
    Manifest(String),
    /// The manifest wants events that this host's broker has not kept.
    #[error("{0}")]
    NothingKept(String),
    /// The bytes are not those that were announced.
    #[error("the {what}'s SHA-256 is {found}, not {expected}")]
    Digest {
        /// What they are.
        what: &'static str,
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The component is not kept for this tenant.
    #[error("no component `sha256:{0}`; upload it first")]
    NoComponent(Digest),
    /// The bundle of files is not kept for this tenant.
    #[error("no files `sha256:{0}`; upload them first")]
    NoFiles(Digest),
    /// The bundle of files is not as it must be, or too large.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The handler does not exist.
    #[error("no handler `{0}`")]
    NoHandler(HandlerName),
    /// The tenant does not exist.
    #[error("there is no tenant `{0}`")]
    NoTenant(Tenant),
    /// The config says what a tenant is.
    #[error("{0}")]
    TenantOfConfig(String),
    /// A tenant cannot be deleted while it has handlers.
    #[error("{0}")]
    TenantNotEmpty(String),
    /// A certificate stands for another token.
    #[error("{0}")]
    CertificateTaken(String),
    /// There are as many of something as there may be.
    #[error("{0}")]
    Limit(String),
    /// Another tenant does not export topics to this one, or does not exist.
    #[error("`subscriptions[{at}]`: tenant `{source_tenant}` exports nothing to `{tenant}` that covers `{pattern}`")]
    NotExported {
        /// Which subscription of the manifest.
        at: usize,
        /// Who wants to hear.
        tenant: Tenant,
        /// Whose topics.
        source_tenant: Tenant,
        /// Which of them.
        pattern: Pattern,
    },
    /// The handler names a secret that its tenant does not have.
    #[error("`secrets`: tenant `{tenant}` has no secret `{name}`")]
    NoSecret {
        /// Who has none.
        tenant: Tenant,
        /// Of this name.
        name: String,
    },
    /// There is no version to go back to.
    #[error("handler `{0}` has had no other version since this host knows it")]
    NoPrevious(HandlerName),
    /// The bytes are no component that this host can run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The component cannot run under the handler's limits.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The handler could not be made ready.
    #[error("{}", told(.0))]
    Init(#[from] Box<InitFailure>),
    /// The broker would not have the subscription.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The disk is full, so that it cannot be kept.
    #[error("{0}")]
    Full(String),
    /// The log takes nothing any more.
    #[error("the log takes nothing more: {0}")]
    Unavailable(String),
    /// The host ends, and begins no change any more.
    #[error("the host is shutting down")]
    Ending,
    /// The host failed.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    pub(super) fn name(key: &str, error: &impl fmt::Display) -> Self {
        Self::Name(format!("`{key}`: {error}"))
    }
}

/// The failure with the last lines the handler logged, where a panic's text stands.
fn told(failure: &InitFailure) -> String {
    let last: Vec<&str> = failure.log.lines.iter().rev().take(3).map(|line| line.text.as_str()).collect();
    match last.is_empty() {
        true => failure.error.to_string(),
        false => format!("{}; it logged: {}", failure.error, last.into_iter().rev().collect::<Vec<_>>().join(" | ")),
    }
}
