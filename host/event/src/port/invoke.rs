//! The port behind which a handler runs.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use crate::delivery::SettleError;
use crate::message::Event;
use crate::name::Version;
use crate::outcome::Report;
use crate::port::{KeyValue, Publish, Request};

/// Acknowledges a delivery while its handler still runs.
pub trait EarlyAck: Send + Sync {
    /// Settles the delivery as handled. Cancelling leaves open whether it took.
    ///
    /// # Errors
    /// [`SettleError::AlreadySettled`] the second time.
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>>;
}

/// What a handler is called with.
#[derive(Clone)]
pub struct Call {
    /// What to handle.
    pub event: Arc<Event>,
    /// Which attempt this is, counted from 1.
    pub attempt: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// How the handler acknowledges early.
    pub early_ack: Arc<dyn EarlyAck>,
    /// How the handler publishes.
    pub publish: Arc<dyn Publish>,
    /// How the handler asks and waits for an answer. A question is published at once and not with the acknowledgement.
    pub request: Arc<dyn Request>,
    /// How the handler reads and writes what it keeps. The caller has checked that it may use the bucket.
    pub key_value: Arc<dyn KeyValue>,
}

/// One version of a handler, ready to run.
pub trait Invoke: Send + Sync {
    /// The version that its author gave it.
    fn version(&self) -> &Version;

    /// The linear memory that one run may reach, in bytes.
    fn memory(&self) -> usize;

    /// Runs the handler once, in a sandbox of its own, and tells how it went. Never fails: what goes wrong is in the
    /// report, and it returns by the handler's deadline.
    ///
    /// Cancelling ends the guest where it stands; what it did through host calls stays done.
    fn invoke(&self, call: Call) -> BoxFuture<'_, Report>;
}
