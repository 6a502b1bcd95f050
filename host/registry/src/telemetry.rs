//! The log lines of this crate, all of them.
//!
//! What a peer can cause at will is said at the first time and then at each power of two, so that a storm of packets
//! does not become a storm of lines.

use std::net::SocketAddr;
use std::time::Duration;

use hostel_event::port::{RegistryError, Service};

/// A watcher was too slow and lost its oldest change.
pub(crate) fn change_lost(total: u64) {
    if total.is_power_of_two() {
        tracing::warn!(total, "a watcher of the registry was too slow and lost changes; it has to read anew");
    }
}

/// A node was not registered again in time.
pub(crate) fn node_expired(gone: &Service) {
    for node in &gone.nodes {
        tracing::info!(
            service = gone.name,
            version = gone.version,
            node = node.id,
            "a node was not registered again before its TTL was over, and is forgotten"
        );
    }
}

/// The registry behind the cache cannot be asked.
pub(crate) fn registry_away(error: &RegistryError) {
    tracing::warn!(%error, "the registry is away; what is known of services goes on serving and may be out of date");
}

/// The registry behind the cache answers again.
pub(crate) fn registry_back(after: Duration) {
    tracing::info!(?after, "the registry is back");
}

/// An answer was given that the registry could not confirm.
pub(crate) fn stale_answer(service: &str, age: Duration) {
    tracing::debug!(service, ?age, "answered from what the registry said before it was away");
}

/// The watch that keeps the cache up to date ended and is begun again.
pub(crate) fn watch_ended() {
    tracing::debug!("the watch on the registry ended; watching again");
}

/// The other host could not ask its own registry.
pub(crate) fn stale_elsewhere(service: &str, asked_at: &str, reason: &str) {
    tracing::debug!(service, asked_at, reason, "the host that was asked answered what its own registry said before");
}

/// The stream of changes from another host broke.
pub(crate) fn watch_broke(reason: &str) {
    tracing::warn!(reason, "the watch on another host's registry broke; changes are missed until it is back");
}

/// The stream of changes from another host is back.
pub(crate) fn watch_back() {
    tracing::info!("the watch on another host's registry is back");
}

/// The registry takes a node.
pub(crate) fn node_registered(service: &str, version: &str, node: &str) {
    tracing::debug!(service, version, node, "registered a node");
}

/// The registry does not take a node.
pub(crate) fn node_refused(service: &str, version: &str, node: &str, reason: &str) {
    tracing::warn!(service, version, node, reason, "the registry does not take a node; the others are registered");
}

/// Nodes cannot be registered, for the registry does not answer.
pub(crate) fn heart_stopped(reason: &str) {
    tracing::warn!(reason, "cannot register with the registry; trying again");
}

/// Nodes are registered again.
pub(crate) fn heart_beats(after: Duration) {
    tracing::info!(?after, "the registry takes registrations again");
}

/// The check fails, so that the nodes are taken out.
pub(crate) fn check_fails(reason: &str) {
    tracing::warn!(reason, "the check before registering fails; the nodes are taken out until it passes");
}

/// The check passes again.
pub(crate) fn check_passes() {
    tracing::info!("the check before registering passes again; the nodes come back");
}

/// The nodes were taken out at the end.
pub(crate) fn heart_closed(left: usize) {
    match left {
        0 => tracing::debug!("took all nodes out of the registry"),
        left => tracing::warn!(left, "could not take all nodes out of the registry in time; their TTL will"),
    }
}

/// The mDNS registry listens.
pub(crate) fn mdns_started(interface: &str, address: std::net::Ipv4Addr) {
    tracing::info!(interface, %address, "mDNS registry started");
}

/// The mDNS registry said goodbye and stopped.
pub(crate) fn mdns_stopped(nodes: usize) {
    tracing::info!(nodes, "mDNS registry stopped; its nodes were taken out");
}

/// A packet is not DNS, or not what go-micro puts into it.
pub(crate) fn malformed_packet(total: u64, from: SocketAddr, reason: &str) {
    if total.is_power_of_two() {
        tracing::warn!(total, %from, reason, "malformed mDNS packets were ignored");
    }
}

/// A packet came from outside the interface's network.
pub(crate) fn foreign_packet(total: u64, from: SocketAddr) {
    if total.is_power_of_two() {
        tracing::warn!(total, %from, "mDNS packets from outside the interface's network were ignored");
    }
}

/// A packet could not be sent.
pub(crate) fn packet_unsent(total: u64, to: SocketAddr, error: &std::io::Error) {
    if total.is_power_of_two() {
        tracing::warn!(total, %to, %error, "cannot send mDNS packets");
    }
}

/// The socket failed to receive.
pub(crate) fn receive_failed(total: u64, error: &std::io::Error) {
    if total.is_power_of_two() {
        tracing::warn!(total, %error, "cannot receive mDNS packets");
    }
}

/// A question had more answers than are taken in.
pub(crate) fn answers_cut(total: u64, question: &str, limit: usize) {
    if total.is_power_of_two() {
        tracing::warn!(
            total,
            question,
            limit,
            "more nodes answered by mDNS than are taken in; the others were left out"
        );
    }
}

/// More nodes announce themselves than are remembered.
pub(crate) fn announcement_forgotten(total: u64, limit: usize) {
    if total.is_power_of_two() {
        tracing::warn!(
            total,
            limit,
            "more nodes announce themselves by mDNS than are remembered; the oldest were forgotten"
        );
    }
}
