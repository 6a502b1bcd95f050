//! Replays: begun, looked at, ended.

use http::Method;

use super::transport::{Ask, ClientError};
use super::{Client, with_query};
use crate::view::{Items, ReplayView};

/// What to replay. Each end is `earliest`, `latest`, a time, how long ago, an offset, or an event's id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayQuery {
    /// Where to begin.
    pub from: String,
    /// Where to end; this event is no part of it. `None`: behind the newest.
    pub to: Option<String>,
    /// How many events a second at most, for each subscription.
    pub rate: Option<u32>,
}

impl Client {
    /// Delivers again what is kept to a subscription, given by its id, or to all that a handler has, given by its name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay(&self, target: &str, wanted: &ReplayQuery) -> Result<Vec<ReplayView>, ClientError> {
        let rate = wanted.rate.map(|rate| rate.to_string());
        let query = [("from", Some(wanted.from.as_str())), ("to", wanted.to.as_deref()), ("rate", rate.as_deref())];
        let url = with_query(self.admin_url(&["subscriptions", target, "replay"]), &query);
        self.listed(Ask::new(Method::POST, url)).await
    }

    /// Every replay of the tenant that is not over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replays(&self) -> Result<Vec<ReplayView>, ClientError> {
        self.listed(Ask::new(Method::GET, self.admin_url(&["replays"]))).await
    }

    /// Those of a subscription or a handler.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replays_of(&self, target: &str) -> Result<Vec<ReplayView>, ClientError> {
        self.listed(Ask::new(Method::GET, self.admin_url(&["subscriptions", target, "replay"]))).await
    }

    /// Ends those of a subscription or a handler. Says how far they were.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_replay(&self, target: &str) -> Result<Vec<ReplayView>, ClientError> {
        self.listed(Ask::new(Method::DELETE, self.admin_url(&["subscriptions", target, "replay"]))).await
    }

    async fn listed(&self, ask: Ask) -> Result<Vec<ReplayView>, ClientError> {
        self.transport.json::<Items<ReplayView>>(ask).await.map(|list| list.items)
    }
}
