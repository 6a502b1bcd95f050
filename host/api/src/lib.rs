//! The admin API: what goes over its wire, what its errors mean, and a client for it.
//!
//! Shared by the server, the command line and the tests, so that the three cannot disagree. It knows nothing of how a
//! host works: names, topics and patterns are texts here, and the server checks them.

pub mod change;
pub mod client;
pub mod document;
pub mod manifest;
pub mod openapi;
pub mod peer;
pub mod problem;
pub mod registry;
pub mod route;
pub mod sse;
pub mod suggest;
pub mod tenant;
pub mod time;
pub mod token;
pub mod unit;
pub mod usage;
pub mod view;
pub mod wire;
