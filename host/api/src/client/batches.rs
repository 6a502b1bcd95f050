//! Many dead letters with one request, a batch at a time.

use http::Method;

use super::transport::{Ask, ClientError};
use super::{Client, DeadLetterQuery, with_query};
use crate::view::BatchView;

impl Client {
    /// Delivers a batch of the dead letters again that are asked for, the oldest first: the first batch, or the one at a
    /// cursor that the batch before gave. Those that die meanwhile are not among them. A query that limits nothing means
    /// all.
    ///
    /// # Errors
    /// [`ClientError`] when nothing was done. Ask again with the same cursor.
    pub async fn redrive_batch(
        &self,
        wanted: &DeadLetterQuery,
        cursor: Option<&str>,
    ) -> Result<BatchView, ClientError> {
        let url = self.batch_url(&["dead-letters", "redrive"], wanted, cursor);
        self.transport.json(Ask::new(Method::POST, url)).await
    }

    /// Forgets a batch of the dead letters for good that are asked for, as [`redrive_batch`](Self::redrive_batch) delivers
    /// them.
    ///
    /// # Errors
    /// As there.
    pub async fn drop_batch(&self, wanted: &DeadLetterQuery, cursor: Option<&str>) -> Result<BatchView, ClientError> {
        let url = self.batch_url(&["dead-letters"], wanted, cursor);
        self.transport.json(Ask::new(Method::DELETE, url)).await
    }

    fn batch_url(&self, path: &[&str], wanted: &DeadLetterQuery, cursor: Option<&str>) -> String {
        let is_everything = *wanted == DeadLetterQuery::default();
        let DeadLetterQuery { handler, subscription, topic, reason, since, until } = wanted;
        let query = [
            ("all", is_everything.then_some("true")),
            ("handler", handler.as_deref()),
            ("subscription", subscription.as_deref()),
            ("topic", topic.as_deref()),
            ("reason", reason.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("cursor", cursor),
        ];
        with_query(self.admin_url(path), &query)
    }
}
