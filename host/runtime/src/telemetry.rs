//! The log lines of this crate, all of them.

use std::fmt::Display;
use std::path::Path;

use hostel_event::handler::Digest;

use crate::settings::Settings;

/// The machine's kernel does not tell which pages were touched.
pub(crate) fn pool_without_scans(reason: &wasmtime::Error) {
    tracing::debug!(reason = %format_args!("{reason:#}"), "the pool of sandboxes works without page scans");
}

/// The machine cannot give a pool at all.
pub(crate) fn no_pool(settings: &Settings, reason: &wasmtime::Error) {
    tracing::warn!(
        invocations = settings.invocations,
        memory_limit = settings.memory_limit,
        reason = %format_args!("{reason:#}"),
        "the machine cannot give a pool of sandboxes of this size; memory is allocated for each event, which is slower"
    );
}

/// A file of compiled code was damaged, or not written by this host.
pub(crate) fn cached_code_unusable(path: &Path, reason: &dyn Display) {
    tracing::warn!(path = %path.display(), %reason, "cached code is not used; the component is compiled again");
}

/// Compiled code could not be kept.
pub(crate) fn code_not_cached(digest: &Digest, reason: &dyn Display) {
    tracing::warn!(%digest, %reason, "cannot cache compiled code; it is compiled again next time");
}

/// The key that tells this host's own compiled code cannot be trusted.
pub(crate) fn cache_key_replaced(path: &Path) {
    tracing::warn!(path = %path.display(), "the compile cache's key is damaged or others may read it; it is replaced");
}

/// The threads for guests that compute for long could not be ended in good order. A defect: please report it.
pub(crate) fn aside_panicked() {
    tracing::error!("the thread that owns the threads for guests that compute for long panicked");
}

/// The system does not let a thread give way to others.
pub(crate) fn cannot_give_way(reason: &dyn Display) {
    tracing::warn!(%reason, "guests that compute for long do not give way to others, which then wait for them longer");
}

/// The thread that preempts guests has ended before its time. A defect: please report it.
pub(crate) fn ticker_panicked() {
    tracing::error!("the ticker's thread panicked; guests were not preempted since");
}
