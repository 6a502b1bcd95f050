//! Runs handlers: WebAssembly components in sandboxes.
//!
//! The way of a component: [`Runtime::load`] reads what it is, finds out which [`World`] it fits, compiles it or takes
//! the compiled code from the host's own cache, and links it, once. [`Runtime::prepare`] joins it with one handler's
//! limits and grants to a [`Guest`], which implements the port [`Invoke`](hostel_event::port::Invoke): a fresh store
//! and instance for each event, or for as many as its manifest says, held to a memory cap, a stack cap and one wall-clock
//! deadline, and a report of how it went and what it used.
//!
//! What a guest can reach stands in `capability`, one file for each; nothing else is linked. Which events a handler
//! gets, and what follows a failure, is not decided here.

mod adapter;
mod aside;
mod bindings;
mod cache;
mod capability;
mod compiler;
mod component;
mod deadline;
mod engine;
mod fault;
mod guest;
mod inspect;
mod interface;
mod invocation;
mod limiter;
mod load;
mod log;
mod meter;
mod offer;
mod outgoing;
mod provision;
mod runtime;
mod sandbox;
mod settings;
mod state;
mod telemetry;
mod ticker;
mod turns;
mod warm;
mod world;

#[cfg(test)]
mod tests;

pub use capability::files::Files;
pub use component::Component;
pub use engine::{Allocator, allocator};
pub use guest::{Guest, InitError, InitFailure};
pub use inspect::{Inspected, inspect};
pub use load::{LoadError, digest};
pub use outgoing::network::{Network, NetworkError};
pub use provision::Provision;
pub use runtime::{Counts, PrepareError, Runtime, RuntimeError};
pub use settings::{Preemption, Settings};
pub use world::World;
