//! What is deployed, kept in the log as documents, so that a host runs after a restart what it ran before.
//!
//! A document is written before the switch to what it says and removed before the switch away from it: after a crash in
//! between, the start goes on to where the switch was going, and ends the subscriptions that no document says any more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use hostel_api::manifest::Manifest;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::time::Timestamp;
use hostel_log::batch::Batch;
use hostel_log::error::CommitError;
use hostel_log::log::Log;
use hostel_log::record::Kind;
use hostel_log::settings::Sync;

use super::{Deployment, Refusal};

/// A handler as it is kept. Keys that a later version adds are passed over, so that one can go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) manifest: Manifest,
    /// What ran before, to go back to.
    #[serde(default)]
    pub(super) previous: Option<Manifest>,
    /// Milliseconds since 1970.
    deployed_at: u64,
}

impl Document {
    pub(super) fn of(deployment: &Deployment) -> Self {
        Self {
            manifest: Manifest::clone(&deployment.manifest),
            previous: deployment.previous.as_deref().cloned(),
            deployed_at: deployment.deployed_at.as_millis(),
        }
    }

    /// What was deployed, and when.
    pub(super) fn deployed(&self) -> (Arc<Manifest>, Timestamp) {
        (Arc::new(self.manifest.clone()), Timestamp::from_millis(self.deployed_at))
    }
}

/// A handler that was kept, or why it cannot be told what it was.
pub(super) struct Row {
    pub(super) tenant: Tenant,
    pub(super) name: HandlerName,
    pub(super) document: Result<Document, String>,
}

/// Where they are kept; nowhere if the host keeps its events in memory.
pub(super) struct Kept {
    log: Option<Arc<Log>>,
}

impl Kept {
    pub(super) const fn new(log: Option<Arc<Log>>) -> Self {
        Self { log }
    }

    /// Whether what is deployed survives a restart.
    pub(super) const fn is_durable(&self) -> bool {
        self.log.is_some()
    }

    /// Keeps a handler in the place of what was kept of it.
    pub(super) async fn put(&self, tenant: &Tenant, name: &HandlerName, document: &Document) -> Result<(), Refusal> {
        let Some(log) = &self.log else { return Ok(()) };
        let bytes = serde_json::to_vec(document).map_err(|error| Refusal::Internal(error.to_string()))?;
        let mut batch = Batch::new();
        batch.put_document(Kind::Handler, key(tenant, name), bytes);
        log.commit(batch, Sync::Always).await.map_err(refusal)?;
        Ok(())
    }

    /// Forgets a handler.
    pub(super) async fn remove(&self, tenant: &Tenant, name: &HandlerName) -> Result<(), Refusal> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut batch = Batch::new();
        batch.remove_document(Kind::Handler, key(tenant, name));
        log.commit(batch, Sync::Always).await.map_err(refusal)?;
        Ok(())
    }

    /// Everything that is kept.
    pub(super) async fn read(&self) -> Result<Vec<Row>, Refusal> {
        let Some(log) = self.log.clone() else { return Ok(Vec::new()) };
        let documents = tokio::task::spawn_blocking(move || log.snapshot().documents(Kind::Handler, "")).await;
        let documents = documents
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .map_err(|error| Refusal::Internal(crate::network::chain(&error)))?;
        documents.into_iter().map(|document| row(&document.key, &document.bytes)).collect()
    }
}

/// Neither name holds a `/`.
fn key(tenant: &Tenant, name: &HandlerName) -> String {
    format!("{tenant}/{name}")
}

fn row(key: &str, bytes: &[u8]) -> Result<Row, Refusal> {
    let names = key.split_once('/').and_then(|(tenant, name)| {
        let (tenant, name) = (Tenant::new(tenant).ok()?, HandlerName::new(name).ok()?);
        Some((tenant, name))
    });
    let (tenant, name) =
        names.ok_or_else(|| Refusal::Internal(format!("the log keeps a handler under the malformed key `{key}`")))?;
    let document = serde_json::from_slice(bytes)
        .map_err(|error| format!("what the log keeps of it is of another version of the host: {error}"));
    Ok(Row { tenant, name, document })
}

fn refusal(error: CommitError) -> Refusal {
    match error {
        CommitError::Full { .. } => Refusal::Full(error.to_string()),
        CommitError::Poisoned { reason } => Refusal::Unavailable(reason),
        error => Refusal::Internal(format!("cannot keep what is deployed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_read_after_the_log_was_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = hostel_log::settings::Settings { reserve: 0, ..hostel_log::settings::Settings::default() };
        let (tenant, name) = (Tenant::new("acme").unwrap(), HandlerName::new("hello").unwrap());
        let text = "name = 'hello'\ncomponent = 'a.wasm'\nconfig = { key = 'value' }";
        let manifest = Manifest::from_toml(text, "handler.toml").unwrap();
        let document = Document { manifest: manifest.clone(), previous: Some(manifest), deployed_at: 7 };
        {
            let log = Arc::new(Log::open(folder.path(), settings).unwrap());
            let kept = Kept::new(Some(log));
            kept.put(&tenant, &name, &document).await.unwrap();
            kept.put(&tenant, &HandlerName::new("other").unwrap(), &document).await.unwrap();
            kept.remove(&tenant, &HandlerName::new("other").unwrap()).await.unwrap();
        }
        let kept = Kept::new(Some(Arc::new(Log::open(folder.path(), settings).unwrap())));
        let rows = kept.read().await.unwrap();
        let [Row { tenant: owner, name: found, document: Ok(read) }] = &rows[..] else { panic!("one, readable") };
        assert_eq!((owner, found, read), (&tenant, &name, &document));
        assert_eq!(read.deployed().1, Timestamp::from_millis(7));
    }

    #[test]
    fn a_document_of_another_version_is_no_reason_to_fail() {
        let row = row("acme/hello", b"{}").ok().unwrap();
        let why = row.document.unwrap_err();
        assert!(why.starts_with("what the log keeps of it is of another version of the host: missing field"), "{why}");
    }
}
