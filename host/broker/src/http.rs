//! go-micro's HTTP broker: the other nodes, and the way from and to them.

pub mod circuit;
pub mod client;
pub mod courier;
pub mod node;
pub mod peers;
pub mod selector;
pub mod wire;
