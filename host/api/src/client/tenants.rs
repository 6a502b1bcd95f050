//! Tenants, tokens and the audit log.

use http::Method;

use super::transport::{Ask, ClientError, segment};
use super::{Client, with_query};
use crate::tenant::{TenantChangedView, TenantDeletedView, TenantDocument, TenantView};
use crate::token::{AuditView, CreatedTokenView, TokenRequest, TokenView};
use crate::view::Page;

/// Whose tokens, or whose part of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The client's tenant.
    Tenant,
    /// The host itself.
    Host,
}

impl Client {
    /// Tenants by name: at most `limit`, those behind the name `before` if given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenants(&self, limit: usize, before: Option<&str>) -> Result<Page<TenantView>, ClientError> {
        let limit = limit.to_string();
        let query = [("limit", Some(limit.as_str())), ("before", before)];
        self.transport.json(Ask::new(Method::GET, with_query(self.admin.url("/v1/tenants"), &query))).await
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenant(&self, name: &str) -> Result<TenantView, ClientError> {
        self.transport.json(Ask::new(Method::GET, self.tenant_url(name))).await
    }

    /// Creates a tenant, or says something else of one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_tenant(&self, name: &str, document: &TenantDocument) -> Result<TenantChangedView, ClientError> {
        self.transport.json(Ask::new(Method::PUT, self.tenant_url(name)).json(document)?).await
    }

    /// Deletes a tenant; with `force` with all the handlers that it has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_tenant(&self, name: &str, force: Force) -> Result<TenantDeletedView, ClientError> {
        let query = [("force", (force == Force::Yes).then_some("true"))];
        self.transport.json(Ask::new(Method::DELETE, with_query(self.tenant_url(name), &query))).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_token(&self, owner: Owner, request: &TokenRequest) -> Result<CreatedTokenView, ClientError> {
        self.transport.json(Ask::new(Method::POST, self.of(owner, "tokens")).json(request)?).await
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tokens(&self, owner: Owner) -> Result<Vec<TokenView>, ClientError> {
        self.items(self.of(owner, "tokens")).await
    }

    /// Revokes a token, given by its id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_token(&self, owner: Owner, id: &str) -> Result<TokenView, ClientError> {
        let url = format!("{}/{}", self.of(owner, "tokens"), segment(id));
        self.transport.json(Ask::new(Method::DELETE, url)).await
    }

    /// Lines of the audit log, newest first: at most `limit`, those older than `before` if given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(
        &self,
        owner: Owner,
        limit: usize,
        before: Option<&str>,
    ) -> Result<Page<AuditView>, ClientError> {
        let limit = limit.to_string();
        let query = [("limit", Some(limit.as_str())), ("before", before)];
        self.transport.json(Ask::new(Method::GET, with_query(self.of(owner, "audit"), &query))).await
    }

    pub(super) fn of(&self, owner: Owner, what: &str) -> String {
        match owner {
            Owner::Tenant => self.admin_url(&[what]),
            Owner::Host => self.admin.url(&format!("/v1/{what}")),
        }
    }

    fn tenant_url(&self, name: &str) -> String {
        self.admin.url(&format!("/v1/tenants/{}", segment(name)))
    }
}

/// Whether a tenant goes with all the handlers that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Only if it has none.
    No,
    /// In any case.
    Yes,
}
