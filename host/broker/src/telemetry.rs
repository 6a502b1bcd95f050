//! The log lines of this crate, all of them.

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
