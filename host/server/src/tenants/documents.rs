//! Documents of one kind, kept in the log; nowhere if the host keeps its events in memory.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use hostel_log::batch::Batch;
use hostel_log::error::CommitError;
use hostel_log::log::Log;
use hostel_log::record::Kind;
use hostel_log::settings::Sync;

use crate::deploy::Refusal;

/// See the module's page.
pub(crate) struct Documents {
    log: Option<Arc<Log>>,
    kind: Kind,
}

impl Documents {
    pub(crate) const fn new(log: Option<Arc<Log>>, kind: Kind) -> Self {
        Self { log, kind }
    }

    /// Whether what is put survives a restart.
    pub(crate) const fn is_durable(&self) -> bool {
        self.log.is_some()
    }

    /// Keeps a document in the place of what was kept under its key. Returns once it is on the disk.
    pub(crate) async fn put<T: Serialize>(&self, key: &str, document: &T) -> Result<(), Refusal> {
        let Some(log) = &self.log else { return Ok(()) };
        let bytes = serde_json::to_vec(document).map_err(|error| Refusal::Internal(error.to_string()))?;
        let mut batch = Batch::new();
        batch.put_document(self.kind, key.to_owned(), bytes);
        log.commit(batch, Sync::Always).await.map(drop).map_err(refusal)
    }

    /// Forgets the documents under these keys: all or none.
    pub(crate) async fn remove(&self, keys: &[&str]) -> Result<(), Refusal> {
        let Some(log) = self.log.as_ref().filter(|_| !keys.is_empty()) else { return Ok(()) };
        let mut batch = Batch::new();
        for key in keys {
            batch.remove_document(self.kind, (*key).to_owned());
        }
        log.commit(batch, Sync::Always).await.map(drop).map_err(refusal)
    }

    /// Everything that is kept, by key.
    ///
    /// # Errors
    /// It cannot be read, or one is none of this version's: better no start than one that forgets who may do what.
    pub(crate) async fn read<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, Refusal> {
        let Some(log) = self.log.clone() else { return Ok(Vec::new()) };
        let kind = self.kind;
        let documents = tokio::task::spawn_blocking(move || log.snapshot().documents(kind, "")).await;
        let documents = documents
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .map_err(|error| Refusal::Internal(crate::network::chain(&error)))?;
        let read = |key: String, bytes: &[u8]| match serde_json::from_slice(bytes) {
            Ok(document) => Ok((key, document)),
            Err(error) => {
                Err(Refusal::Internal(format!("what the log keeps of {kind:?} `{key}` is of another version: {error}")))
            }
        };
        documents.into_iter().map(|document| read(document.key.to_string(), &document.bytes)).collect()
    }
}

fn refusal(error: CommitError) -> Refusal {
    match error {
        CommitError::Full { .. } => Refusal::Full(error.to_string()),
        CommitError::Poisoned { reason } => Refusal::Unavailable(reason),
        error => Refusal::Internal(format!("cannot keep it: {error}")),
    }
}
