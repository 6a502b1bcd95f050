//! The registry that a host offers: services of all who registered with it, by whatever tenant.

use std::time::Duration;

use http::Method;

use super::follow::{Followed, Item};
use super::transport::{Ask, ClientError, segment};
use super::{Client, with_query};
use crate::registry::{LostChangesView, ServiceAction, ServiceChangeView, ServiceView, VersionsView};
use crate::sse::Message;
use crate::unit::Span;
use crate::view::Items;

/// How long a call may take. Shorter than others, for who asks a registry is on the way to something else. Arbitrary.
const LIMIT: Duration = Duration::from_secs(5);

impl Client {
    /// Every service that the host's registry knows. Some registries leave the nodes out.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn services(&self) -> Result<Vec<ServiceView>, ClientError> {
        let ask = Ask::new(Method::GET, self.admin.url("/v1/registry/services")).within(LIMIT);
        self.transport.json::<Items<ServiceView>>(ask).await.map(|list| list.items)
    }

    /// Every version of one service, with its nodes.
    ///
    /// # Errors
    /// [`ClientError`]; a service that nobody offers is a problem with code E0015.
    pub async fn service(&self, name: &str) -> Result<VersionsView, ClientError> {
        let url = self.admin.url(&format!("/v1/registry/services/{}", segment(name)));
        self.transport.json(Ask::new(Method::GET, url).within(LIMIT)).await
    }

    /// Makes the service's nodes known for `ttl`; again before that is over to stay known.
    ///
    /// # Errors
    /// [`ClientError`]; a service that the registry cannot take is a problem with code E0024.
    pub async fn register(&self, service: &ServiceView, ttl: Duration) -> Result<(), ClientError> {
        let ttl = Span(ttl).to_string();
        let url = with_query(self.admin.url("/v1/registry/services"), &[("ttl", Some(&ttl))]);
        self.transport.text(Ask::new(Method::POST, url).json(service)?.within(LIMIT)).await.map(drop)
    }

    /// Takes the service's nodes out. Those that are not there are no error.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deregister(&self, service: &ServiceView) -> Result<(), ClientError> {
        let ask = Ask::new(Method::DELETE, self.admin.url("/v1/registry/services"));
        self.transport.text(ask.json(service)?.within(LIMIT)).await.map(drop)
    }

    /// What comes, changes and goes from now on, of one service or of all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch_services(&self, name: Option<&str>) -> Result<Followed<ServiceChangeView>, ClientError> {
        let url = with_query(self.admin.url("/v1/registry/watch"), &[("service", name)]);
        let body = self.transport.stream(Ask::new(Method::GET, url).within(LIMIT)).await?;
        Ok(Followed::new(body, "changes of services", read))
    }
}

fn read(message: &Message) -> Result<Option<Item<ServiceChangeView>>, serde_json::Error> {
    if message.event == "lost" {
        return serde_json::from_str::<LostChangesView>(&message.data).map(|lost| Some(Item::Lost(lost.changes)));
    }
    let Some(action) = ServiceAction::parse(&message.event) else { return Ok(None) };
    serde_json::from_str(&message.data).map(|service| Some(Item::Seen(ServiceChangeView { action, service })))
}
