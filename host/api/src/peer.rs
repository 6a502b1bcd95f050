//! The peers of a host as its admin API shows them: nodes of others that get events from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that a host knows of its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeersView {
    /// The nodes that get events.
    pub items: Vec<PeerView>,
    /// Queue groups whose nodes are all gone and for which events are kept.
    pub orphans: Vec<OrphanView>,
    /// Nodes that were announced and for which there was no room.
    pub beyond: u64,
    /// Announcements that could not be used.
    pub malformed: u64,
}

/// One node of another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerView {
    /// Its id.
    pub node: String,
    /// Where it listens, the one tried first in front.
    pub addresses: Vec<String>,
    /// Whether it takes TLS only.
    pub secure: bool,
    /// What it hears.
    pub topic: String,
    /// The queue group that it shares events in; none: it gets each.
    pub queue: Option<String>,
    /// The subscription by which it gets them.
    pub subscription: String,
    /// Whether it answered when it was last asked.
    pub reachable: bool,
    /// `closed` while it is asked, `open` while it is left alone, `probing` while one event finds out.
    pub circuit: String,
    /// Events that wait for its subscription.
    pub waiting: u64,
    /// Events that it took.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Why the last attempt that failed did.
    pub last_error: Option<String>,
}

/// A queue group without nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrphanView {
    /// Its subscription.
    pub subscription: String,
    /// Events that wait for a node to come.
    pub waiting: u64,
}
