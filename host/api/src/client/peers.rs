//! The peers of a host.

use http::Method;

use super::Client;
use super::transport::{Ask, ClientError};
use crate::peer::PeersView;

impl Client {
    /// The nodes of other processes that get events from the host, and how that goes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peers(&self) -> Result<PeersView, ClientError> {
        self.transport.json(Ask::new(Method::GET, self.admin.url("/v1/peers"))).await
    }
}
