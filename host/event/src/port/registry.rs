//! The port through which nodes find one another, in go-micro's words.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_core::future::BoxFuture;

/// Names and values that a service, node or endpoint says of itself.
pub type Metadata = BTreeMap<String, String>;

/// Nodes that do the same thing under one name and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Such as `micro.http.broker`.
    pub name: String,
    /// A version, or in the broker's case the queue's name.
    pub version: String,
    /// Of the service as a whole.
    pub metadata: Metadata,
    /// What it answers to.
    pub endpoints: Vec<Endpoint>,
    /// Who offers it.
    pub nodes: Vec<Node>,
}

/// Something that a service answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Such as `Greeter.Hello`.
    pub name: String,
    /// What it takes, where its owner says.
    pub request: Option<Value>,
    /// What it answers, where its owner says.
    pub response: Option<Value>,
    /// Of this endpoint.
    pub metadata: Metadata,
}

/// The shape of what an endpoint takes or answers, in its owner's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// Such as `name`.
    pub name: String,
    /// Such as `string`.
    pub kind: String,
    /// Its parts.
    pub values: Vec<Value>,
}

/// One process that offers a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Unique within its service.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// Of this node.
    pub metadata: Metadata,
}

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whether it came, changed or went.
    pub kind: ChangeKind,
    /// The service, with the nodes concerned.
    pub service: Service,
}

/// Whether a service came, changed or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came.
    Create,
    /// It changed.
    Update,
    /// It went.
    Delete,
}

/// Why the registry did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Nobody offers it.
    #[error("service `{0}` not found")]
    NotFound(String),
    /// It cannot be carried, for instance because a name is too long for the registry's wire.
    #[error("cannot register service `{service}`: {reason}")]
    Refused {
        /// Which service.
        service: String,
        /// Why.
        reason: String,
    },
    /// The registry could not be reached.
    #[error("cannot reach the registry: {0}")]
    Unreachable(String),
}

/// Changes as they come.
pub trait Watch: Send {
    /// Waits for the next change; `None` once the registry has closed. Cancelling loses nothing.
    fn next(&mut self) -> BoxFuture<'_, Option<Change>>;

    /// How many changes this watcher has lost so far because it was too slow, the oldest first. When the number has
    /// grown, what the watcher knows is out of date and has to be read anew.
    fn lost(&self) -> u64;
}

/// Knows who is there.
pub trait Registry: Send + Sync {
    /// Makes the service's nodes known for `ttl`; again before that is over to stay known. Cancelling leaves open
    /// whether they are.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] or [`RegistryError::Unreachable`].
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Takes the service's nodes out. Those that are not there are no error.
    ///
    /// # Errors
    /// [`RegistryError::Unreachable`].
    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Every version of a service, with its nodes.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when nobody offers it.
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>>;

    /// Every service. Nodes may be left out.
    ///
    /// # Errors
    /// [`RegistryError::Unreachable`].
    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>>;

    /// Changes from now on, of one service or of all.
    ///
    /// # Errors
    /// [`RegistryError::Unreachable`].
    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>>;
}
