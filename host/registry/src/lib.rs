//! Registries: who is there, so that brokers and services find one another in go-micro's words.
//!
//! | adapter | where the services are known | nodes leave |
//! |---|---|---|
//! | [`memory`] | in this process | when their TTL is over by the clock, or on `deregister` |
//! | [`mdns`] | on the local network, by go-micro's multicast format | the same, and others hear a goodbye |
//! | [`http`] | with another host, over its admin API | as that host's registry says |
//! | [`cached`] | in another registry, with its answers kept | as that registry says |
//!
//! Each adapter has a file of its own and runs the `conformance` suite. Registering again before the TTL is over is
//! the caller's part: a registry has no heart of its own. [`heartbeat`] is one, for any of them.

pub mod cached;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod heartbeat;
pub mod http;
pub mod mdns;
pub mod memory;
mod shape;
mod telemetry;
mod versions;
pub mod view;
mod watch;
