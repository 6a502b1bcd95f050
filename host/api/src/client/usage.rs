//! What handlers used.

use http::Method;

use super::tenants::Owner;
use super::transport::{Ask, ClientError};
use super::{Client, with_query};
use crate::usage::UsagePage;

/// Which usage to ask for. What is `None` is left to the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageQuery {
    /// From when on: a time, or how long ago.
    pub from: Option<String>,
    /// Until when.
    pub to: Option<String>,
    /// Of one handler.
    pub handler: Option<String>,
    /// By what rows are told apart: `hour` or `day`, `tenant`, `handler`, several with commas between them, or `total`.
    pub group_by: Option<String>,
}

impl Client {
    /// A page of what handlers of the client's tenant, or of all tenants, used; the one behind `before` if given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn usage(
        &self,
        owner: Owner,
        query: &UsageQuery,
        before: Option<&str>,
    ) -> Result<UsagePage, ClientError> {
        let UsageQuery { from, to, handler, group_by } = query;
        let pairs = [
            ("from", from.as_deref()),
            ("to", to.as_deref()),
            ("handler", handler.as_deref()),
            ("group_by", group_by.as_deref()),
            ("limit", Some("1000")),
            ("before", before),
        ];
        self.transport.json(Ask::new(Method::GET, with_query(self.of(owner, "usage"), &pairs))).await
    }

    /// The host's numbers, as Prometheus reads them; with a tenant's token those of the tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.transport.text(Ask::new(Method::GET, self.admin.url("/metrics"))).await
    }
}
