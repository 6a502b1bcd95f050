//! The log lines of what goes to remote nodes, all of them.

use std::time::Duration;

use hostel_event::delivery::SettleError;
use hostel_event::id::EventId;
use hostel_event::outcome::Attempt;
use hostel_event::port::{RegistryError, Settled, SubscribeError};
use hostel_event::subscription::SubscriptionId;

use crate::http::client::PostError;

use super::table::{Census, End};

/// An attempt reached a node and ended.
pub(crate) fn attempted(event: &EventId, subscription: &SubscriptionId, node: &str, attempt: &Attempt) {
    let outcome = attempt.report.outcome.as_str();
    tracing::trace!(%event, %subscription, node, attempt = attempt.number, outcome, "a remote node was tried");
}

/// A subscription is done with an event.
pub(crate) fn settled(event: &EventId, subscription: &SubscriptionId, settled: &Settled) {
    match settled {
        Settled::DeadLetter { reason } => {
            tracing::warn!(%event, %subscription, reason, "an event for a remote node became a dead letter");
        }
        _ => tracing::trace!(%event, %subscription, ?settled, "an event for a remote node was settled"),
    }
}

/// A settlement did not take.
pub(crate) fn settle_failed(event: &EventId, subscription: &SubscriptionId, error: &SettleError) {
    tracing::error!(%event, %subscription, %error, "cannot settle an event that went to a remote node");
}

/// A node gave no answer.
pub(crate) fn node_failed(subscription: &SubscriptionId, node: &str, error: &PostError) {
    tracing::debug!(%subscription, node, %error, "a remote node did not answer");
}

/// A remote subscription began or was given other nodes.
pub(crate) fn begun(subscription: &SubscriptionId, nodes: usize) {
    tracing::info!(%subscription, nodes, "events go to remote nodes");
}

/// A remote subscription ended.
pub(crate) fn ended(subscription: &SubscriptionId, why: End, discarded: usize, handed_over: usize) {
    match why {
        End::Gone if discarded > 0 => tracing::warn!(
            %subscription,
            discarded,
            "a broadcast node has left; what waited for it was discarded"
        ),
        End::Gone => tracing::info!(%subscription, "a broadcast node has left"),
        End::Retention => tracing::warn!(
            %subscription,
            "no node of the queue group came back within the retention; what waited became dead letters"
        ),
        End::HandOver => tracing::info!(
            %subscription,
            handed_over,
            discarded,
            "no remote node of the queue group answers; its members on this host take over"
        ),
    }
}

/// The broker did not do as asked.
pub(crate) fn subscribe_failed(subscription: &SubscriptionId, error: &SubscribeError) {
    tracing::error!(%subscription, %error, "cannot change a remote subscription; it is tried again");
}

/// A registry could not be read. Said when it begins.
pub(crate) fn registry_away(error: &RegistryError) {
    tracing::warn!(%error, "cannot read who else is there; the nodes that are known stay");
}

/// A registry can be read again.
pub(crate) fn registry_back() {
    tracing::info!("who else is there can be read again");
}

/// Entries were left out. Said when their number has changed.
pub(crate) fn left_out(census: Census, limit: usize) {
    let Census { malformed, beyond } = census;
    if beyond > 0 {
        tracing::warn!(beyond, limit, "more remote nodes are announced than are served; the others get nothing");
    }
    if malformed > 0 {
        tracing::warn!(malformed, "remote nodes with an id, topic, queue or address that cannot be used get nothing");
    }
}

/// Everything to remote nodes has ended.
pub(crate) fn closed(unsettled: usize, patience: Duration) {
    if unsettled > 0 {
        tracing::warn!(unsettled, ?patience, "events for remote nodes were left when the host stopped");
    }
}
