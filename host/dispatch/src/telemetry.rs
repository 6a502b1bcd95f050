//! The log lines of this crate, all of them.

use hostel_event::delivery::SettleError;
use hostel_event::id::EventId;
use hostel_event::key_value::Key;
use hostel_event::port::{Pause, PausedBy, Settled, SubscribeError};
use hostel_event::subscription::SubscriptionId;

/// An attempt ended; at TRACE, since there is one for each event.
pub(crate) fn attempted(event: &EventId, subscription: &SubscriptionId, attempt: u32, outcome: &str) {
    tracing::trace!(%event, %subscription, attempt, outcome, "attempt ended");
}

/// A subscription is done with an event.
pub(crate) fn settled(event: &EventId, subscription: &SubscriptionId, settled: &Settled) {
    match settled {
        Settled::Ack => tracing::trace!(%event, %subscription, "event acknowledged"),
        Settled::DeadLetter { reason } => {
            tracing::debug!(%event, %subscription, reason, "event became a dead letter");
        }
        Settled::Discarded => tracing::debug!(%event, %subscription, "event discarded with its subscription"),
        Settled::Expired => tracing::debug!(%event, %subscription, "event expired before its turn came"),
    }
}

/// Nothing of a subscription starts any more. If nobody asked for it, an operator must act.
pub(crate) fn paused(subscription: &SubscriptionId, Pause { by, reason, .. }: &Pause) {
    match by {
        PausedBy::Operator => tracing::info!(%subscription, reason, "subscription paused"),
        PausedBy::Quarantine => tracing::warn!(
            %subscription,
            reason,
            "subscription quarantined: its handler keeps failing, and its events wait until you deploy another version, \
             roll back or resume it"
        ),
    }
}

/// A subscription goes on after a pause.
pub(crate) fn resumed(subscription: &SubscriptionId) {
    tracing::info!(%subscription, "subscription goes on");
}

/// A pause, or its end, is not remembered over a restart.
pub(crate) fn cannot_keep_pause(subscription: &SubscriptionId, error: &SubscribeError) {
    tracing::warn!(%subscription, %error, "a restart will not find whether this subscription is paused");
}

/// An attempt failed after its handler had acknowledged early; nothing makes the event come again.
pub(crate) fn failed_after_ack(event: &EventId, subscription: &SubscriptionId, outcome: &str) {
    tracing::debug!(%event, %subscription, outcome, "attempt failed after its early ack");
}

/// An ack did not take, because another wrote a key that the attempt wrote as well.
pub(crate) fn conflicted(event: &EventId, subscription: &SubscriptionId, key: &Key) {
    tracing::debug!(%event, %subscription, %key, "another wrote a key meanwhile; the event comes again");
}

/// The broker did not take a settlement.
pub(crate) fn settle_failed(event: &EventId, subscription: &SubscriptionId, error: &SettleError) {
    tracing::error!(%event, %subscription, %error, "the broker did not take a settlement");
}

/// The host's own code panicked while a handler ran. A defect: please report it.
pub(crate) fn invocation_panicked(subscription: &SubscriptionId) {
    tracing::error!(%subscription, "the host panicked while it ran a handler; the attempt counts as failed");
}
