//! Deployments that tell on their way how far they are, and what changes of handlers as it changes.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::follow::{Followed, Item};
use super::transport::{Ask, ClientError};
use super::upload::Sent;
use super::{COMPILE_LIMIT, Client, item, with_query};
use crate::change::{ChangeView, StageBegunView};
use crate::manifest::Manifest;
use crate::problem::Problem;
use crate::registry::LostChangesView;
use crate::sse::Message;
use crate::view::{ComponentView, DeployedView, FilesView};

/// Stages that may wait to be looked at. A deployment has less than ten.
const WAITING: usize = 32;

/// Where a call tells how far it is.
#[derive(Debug, Clone)]
pub struct Progress {
    sent: Sent,
    stages: mpsc::Sender<StageBegunView>,
}

impl Progress {
    /// One, and where the stages come that the host begins.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<StageBegunView>) {
        let (stages, begun) = mpsc::channel(WAITING);
        (Self { sent: Sent::default(), stages }, begun)
    }

    /// How many bytes of what is uploaded are on their way.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.bytes()
    }
}

/// What comes of such a call, or on the way to it.
enum Told<T> {
    Stage(StageBegunView),
    Done(T),
    Problem(Box<Problem>),
}

impl Client {
    /// As [`put_component`](Self::put_component), telling how far it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_component_telling(
        &self,
        digest: &str,
        bytes: Bytes,
        progress: &Progress,
    ) -> Result<ComponentView, ClientError> {
        let ask = Ask::new(Method::PUT, self.component_url(digest))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/wasm"))
            .body(bytes)
            .counting(&progress.sent);
        self.told(ask, "the upload", progress).await
    }

    /// Hands the host a bundle of files, telling how far it is. `digest` is its SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_files(&self, digest: &str, bundle: Bytes, progress: &Progress) -> Result<FilesView, ClientError> {
        let ask = Ask::new(Method::PUT, self.files_url(digest))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"))
            .body(bundle)
            .counting(&progress.sent);
        self.transport.json(ask.within(COMPILE_LIMIT)).await
    }

    /// The bundle of files of this digest, if the host has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn files(&self, digest: &str) -> Result<Option<FilesView>, ClientError> {
        match self.transport.json(Ask::new(Method::GET, self.files_url(digest))).await {
            Err(ClientError::Problem { problem, .. }) if problem.code == "E0015" => Ok(None),
            other => other.map(Some),
        }
    }

    fn files_url(&self, digest: &str) -> String {
        self.admin_url(&["files", digest.strip_prefix("sha256:").unwrap_or(digest)])
    }

    /// As [`deploy`](Self::deploy), telling how far it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy_telling(&self, manifest: &Manifest, progress: &Progress) -> Result<DeployedView, ClientError> {
        let ask = Ask::new(Method::PUT, self.admin_url(&["handlers", &manifest.name]));
        self.told(ask.json(manifest)?, "the deployment", progress).await
    }

    /// Sends a request and follows its answer to its end.
    async fn told<T: DeserializeOwned>(
        &self,
        ask: Ask,
        what: &'static str,
        progress: &Progress,
    ) -> Result<T, ClientError> {
        // The limit is for the request; a host that says how far it is may take its time then.
        let body = self.transport.stream(ask.within(COMPILE_LIMIT)).await?;
        let mut told = Followed::new(body, what, read::<T>);
        while let Some(item) = told.next().await {
            match item? {
                // Nobody has looked at many before it. What a stage is called is no matter of life and death.
                Item::Seen(Told::Stage(stage)) => drop(progress.stages.try_send(stage)),
                Item::Seen(Told::Done(done)) => return Ok(done),
                Item::Seen(Told::Problem(problem)) => return Err(ClientError::Problem { problem, retry_after: None }),
                Item::Lost(_) => {}
            }
        }
        let source = "the host ended it before it said what came of it".into();
        Err(ClientError::Broken { what: format!("the stream of {what}"), source })
    }

    /// What changes of the tenant's handlers from now on, of one or of all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_changes(&self, handler: Option<&str>) -> Result<Followed<ChangeView>, ClientError> {
        let url = with_query(self.admin_url(&["changes"]), &[("handler", handler)]);
        let body = self.transport.stream(Ask::new(Method::GET, url)).await?;
        Ok(Followed::new(body, "changes", |message| {
            item(message, "change", |data| serde_json::from_str::<LostChangesView>(data).map(|lost| lost.changes))
        }))
    }
}

fn read<T: DeserializeOwned>(message: &Message) -> Result<Option<Item<Told<T>>>, serde_json::Error> {
    let data = &message.data;
    Ok(Some(Item::Seen(match message.event.as_str() {
        "stage" => Told::Stage(serde_json::from_str(data)?),
        "done" => Told::Done(serde_json::from_str(data)?),
        "problem" => Told::Problem(serde_json::from_str(data)?),
        // Kinds that a newer host may have are passed over.
        _ => return Ok(None),
    })))
}
