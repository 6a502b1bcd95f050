//! The peers: nodes of other processes that get events from this host.

use axum::extract::State;
use http::StatusCode;

use hostel_api::peer::{OrphanView, PeerView, PeersView};
use hostel_broker::http::{circuit, peers};

use super::{Answer, Shared};
use crate::answer::json;
use crate::query;

pub(super) async fn list(State(admin): Shared, _: query::Nothing) -> Answer {
    let state = admin.network.peers();
    let view = state.map_or_else(nobody, |state| PeersView {
        items: state.peers.into_iter().map(peer).collect(),
        orphans: state.orphans.into_iter().map(orphan).collect(),
        beyond: number(state.beyond),
        malformed: number(state.malformed),
    });
    Ok(json(StatusCode::OK, &view))
}

/// The view of a host that keeps to itself.
fn nobody() -> PeersView {
    PeersView { items: Vec::new(), orphans: Vec::new(), beyond: 0, malformed: 0 }
}

fn peer(peer: peers::PeerView) -> PeerView {
    let circuit = match peer.circuit {
        circuit::State::Closed => "closed",
        circuit::State::Open { .. } => "open",
        circuit::State::Probing => "probing",
    };
    PeerView {
        node: peer.node,
        addresses: peer.addresses,
        secure: peer.secure,
        topic: peer.topic.to_string(),
        queue: peer.queue.map(|queue| queue.to_string()),
        subscription: peer.subscription.to_string(),
        reachable: peer.reachable,
        circuit: circuit.to_owned(),
        waiting: number(peer.waiting),
        delivered: peer.counts.delivered,
        failed: peer.counts.failed,
        last_error: peer.last_error,
    }
}

fn orphan((subscription, waiting): (hostel_event::subscription::SubscriptionId, usize)) -> OrphanView {
    OrphanView { subscription: subscription.to_string(), waiting: number(waiting) }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
