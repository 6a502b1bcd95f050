//! The log lines of this crate, all of them.

use std::path::Path;

use crate::error::Damage;

/// A write or a sync failed; an operator must act.
pub(crate) fn poisoned(store: &Path, reason: &str) {
    tracing::error!(store = %store.display(), reason, "the store takes no more commits until it is opened again");
}

/// The disk is full, or is no longer.
pub(crate) fn full(store: &Path, is_full: bool) {
    if is_full {
        tracing::warn!(store = %store.display(), "the disk is full; the store refuses commits until there is space");
    } else {
        tracing::info!(store = %store.display(), "there is space again; the store takes commits");
    }
}

/// Bytes on the disk are not what was written.
pub(crate) fn damaged(store: &Path, damage: &Damage) {
    tracing::error!(store = %store.display(), %damage, "the store is damaged");
}

/// A write-ahead log ended torn, as it may after a crash.
pub(crate) fn torn(store: &Path, bytes: u64) {
    tracing::warn!(store = %store.display(), bytes, "cut away what was being written when the host died");
}

/// Merging tables failed; it is tried again later and nothing depends on it but space.
pub(crate) fn not_merged(store: &Path, error: &str) {
    tracing::warn!(store = %store.display(), error, "cannot merge tables");
}
