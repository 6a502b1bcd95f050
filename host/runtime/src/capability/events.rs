//! `hostel:handler/events`: the delivery that a guest handles.

use std::sync::Arc;
use std::time::Duration;

use hostel_event::delivery;
use hostel_event::port::Call;
use wasmtime::component::Resource;

use crate::bindings::hostel::handler::events::{Host, HostEvent};
use crate::bindings::hostel::handler::types::{Headers, SettleError};
use crate::state::State;

/// Stands for the one event of a store, which is found in its state and not in a resource table.
#[expect(unreachable_pub, reason = "the generated bindings re-export it under their own name")]
pub struct Lent;

impl Lent {
    /// The handle that `handle` is called with.
    pub(crate) fn resource() -> Resource<Self> {
        Resource::new_borrow(0)
    }
}

impl State {
    /// What the store was made for. A guest gets a handle only together with it, so that its lack is a trap.
    fn event(&self) -> wasmtime::Result<&Call> {
        self.call.as_ref().ok_or_else(|| wasmtime::Error::msg("there is no event outside `subscriber.handle`"))
    }
}

impl Host for State {}

impl HostEvent for State {
    fn id(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.event()?.event.id.as_str().to_owned())
    }

    fn topic(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.event()?.event.topic.as_str().to_owned())
    }

    fn attempt(&mut self, _: Resource<Lent>) -> wasmtime::Result<u32> {
        Ok(self.event()?.attempt)
    }

    fn published_at_ms(&mut self, _: Resource<Lent>) -> wasmtime::Result<u64> {
        Ok(self.event()?.event.published_at.as_millis())
    }

    fn headers(&mut self, _: Resource<Lent>) -> wasmtime::Result<Headers> {
        let headers = self.event()?.event.message.headers.iter();
        Ok(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn header(&mut self, _: Resource<Lent>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.event()?.event.message.headers.get(&name).map(ToOwned::to_owned))
    }

    fn body(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.event()?.event.message.body.to_vec())
    }

    async fn ack(&mut self, _: Resource<Lent>) -> wasmtime::Result<Result<(), SettleError>> {
        let early_ack = Arc::clone(&self.event()?.early_ack);
        Ok(early_ack.ack().await.map_err(|error| match error {
            delivery::SettleError::AlreadySettled => SettleError::AlreadySettled,
            other => SettleError::Failed(other.to_string()),
        }))
    }

    fn error(&mut self, _: Resource<Lent>) -> wasmtime::Result<Option<String>> {
        Ok(self.event()?.last_error.clone())
    }

    fn extend(&mut self, _: Resource<Lent>, ms: u64) -> wasmtime::Result<Result<(), SettleError>> {
        // What is left is rounded down, so that a guest that asks for it at once gets it.
        let too_long = |left: Duration| SettleError::TooLong(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        Ok(self.meter.deadline.extend(Duration::from_millis(ms)).map_err(too_long))
    }

    fn drop(&mut self, _: Resource<Lent>) -> wasmtime::Result<()> {
        // A guest only ever borrows the event; there is nothing to give back.
        Ok(())
    }
}
