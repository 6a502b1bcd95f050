//! The ports: traits through which the parts of the host meet.
//!
//! A port says what it can do as data, such as [`Guarantees`], and never has a method that quietly does nothing. Each
//! is object-safe and given around as `Arc<dyn …>`.

mod broker;
mod clock;
mod invoke;
mod key_value;
mod observe;
mod publish;
mod registry;
mod replay;
mod request;

pub use broker::{
    Admitted, Broker, DeadLetterError, DeadLetters, Guarantees, Receipt, Sink, SubscribeError, Unsubscribed,
};
pub use clock::Clock;
pub use invoke::{Call, EarlyAck, Invoke};
pub use key_value::{KeyValue, KeyValueError};
pub use observe::{Observe, Pause, PausedBy, Settled};
pub use publish::{Publication, Publish, PublishError};
pub use registry::{Change, ChangeKind, Endpoint, Metadata, Node, Registry, RegistryError, Service, Value, Watch};
pub use replay::{Replay, ReplayError, Replaying, Span, Start};
pub use request::{Question, Request, RequestError};
