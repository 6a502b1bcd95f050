//! The words of Hostel as types that cannot hold a bad value, and the ports between its parts.
//!
//! Everything that two crates must agree on stands here, and nothing else: no I/O, no async runtime, no WebAssembly.
//! The modules in the order in which an event meets them: what is published ([`message`], [`topic`], [`id`], and as
//! others call it [`cloud_event`]), who
//! gets it ([`pattern`], [`routes`], [`subscription`], [`handler`]), how one attempt goes ([`delivery`], [`outcome`], [`destination`]),
//! what takes effect with it ([`key_value`]), and what is left when it will not go ([`dead_letter`]). [`port`] holds the
//! traits that adapters implement.

pub mod cloud_event;
pub mod dead_letter;
pub mod delivery;
pub mod destination;
pub mod handler;
pub mod headers;
pub mod id;
pub mod key_value;
pub mod message;
pub mod name;
pub mod outcome;
pub mod pattern;
pub mod port;
pub mod quota;
pub mod reply;
pub mod routes;
pub mod subscription;
pub mod time;
pub mod topic;
pub mod trace;
