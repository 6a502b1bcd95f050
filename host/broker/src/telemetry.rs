//! The log lines of this crate, all of them.

use hostel_event::subscription::SubscriptionId;
use hostel_log::record::Offset;

/// A dead letter was dropped to make room for a newer one.
///
/// Said at the first and then at each power of two, so that a storm of dead letters does not become a storm of lines.
pub(crate) fn dead_letter_dropped(total: u64) {
    if total.is_power_of_two() {
        tracing::error!(
            total,
            "dead letters were dropped to make room for newer ones; redrive or read them sooner, or raise \
             `broker.dead_letters`"
        );
    }
}

/// A delivery waits because its event could not be read. It is tried again.
pub(crate) fn cannot_read(subscription: &SubscriptionId, offset: Offset, reason: &str) {
    tracing::error!(%subscription, %offset, reason, "an event could not be read from the log and is not delivered");
}

/// A dead letter is there and cannot be shown.
pub(crate) fn cannot_read_dead_letter(id: &str, reason: &str) {
    tracing::error!(id, reason, "a dead letter could not be read from the log");
}

/// A scheduled publish is due and waits. It is tried again.
pub(crate) fn cannot_publish_scheduled(reason: &str) {
    tracing::warn!(reason, "a scheduled publish that is due could not be published and is tried again");
}

/// What need not be kept was not dropped. It is tried again.
pub(crate) fn cannot_retain(reason: &str) {
    tracing::warn!(reason, "events that need not be kept could not be dropped; that is tried again");
}

/// A replay does not go on. It is tried again.
pub(crate) fn cannot_replay(subscription: &SubscriptionId, reason: &str) {
    tracing::error!(%subscription, reason, "a replay could not read on; that is tried again");
}
