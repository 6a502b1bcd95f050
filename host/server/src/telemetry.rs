//! The log lines of this crate, all of them, and where log lines go: stderr, for stdout is data.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// Sends log lines to stderr from now on. Called once; a second call changes nothing.
pub(crate) fn begin(log: &Log) {
    let filter = EnvFilter::new(&log.filter);
    // Colour is for eyes, and for those who have not said that they want none (no-color.org).
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    // An error means that log lines go somewhere already, which is what was asked for.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}

/// The host listens and is ready.
pub(crate) fn ready(ingress: SocketAddr, secure: bool, admin: SocketAddr, data_dir: &Path) {
    let scheme = if secure { "https" } else { "http" };
    tracing::info!(ingress = %format_args!("{scheme}://{ingress}"), admin = %format_args!("http://{admin}"), data_dir = %data_dir.display(), "ready");
}

/// The host was told to end.
pub(crate) fn draining(signal: &str) {
    tracing::info!(signal, "shutting down: no new events, finishing what is here; a second signal hurries");
}

/// The host has ended.
pub(crate) fn drained(left: usize, is_durable: bool) {
    match left {
        0 => tracing::info!("all deliveries ended"),
        left if is_durable => {
            tracing::info!(left, "deliveries were not finished; they are kept and go on at the next start");
        }
        left => tracing::error!(left, "deliveries were not finished and are lost with the memory broker"),
    }
}

/// A handler was deployed or replaced.
pub(crate) fn deployed(tenant: &str, handler: &str, version: &str, digest: &str) {
    tracing::info!(tenant, handler, version, digest, "deployed");
}

/// What was deployed before runs again.
pub(crate) fn restored(handlers: usize) {
    if handlers > 0 {
        tracing::info!(handlers, "what was deployed before runs again");
    }
}

/// A handler that was deployed before does not run any more.
pub(crate) fn not_restored(tenant: &str, handler: &str, reason: &str) {
    tracing::error!(
        tenant,
        handler,
        reason,
        "a handler that was deployed does not run; its events wait until it is deployed again"
    );
}

/// A handler was taken away.
pub(crate) fn undeployed(tenant: &str, handler: &str, discarded: usize) {
    tracing::info!(tenant, handler, discarded, "undeployed");
}

/// A connection ended in an error, most often because its client left.
pub(crate) fn connection_failed(peer: SocketAddr, error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(%peer, %error, "connection ended");
}

/// The listener could not accept, most often for want of file descriptors.
pub(crate) fn accept_failed(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection; waiting a moment");
}

/// Another certificate is shown from now on.
pub(crate) fn certificate_changed(path: &Path) {
    tracing::info!(certificate = %path.display(), "the certificate has changed and serves from now on");
}

/// The files of the certificate have changed and cannot be used.
pub(crate) fn certificate_unusable(error: &str) {
    tracing::error!(error, "the new certificate cannot be used; the old one goes on serving");
}

/// A message came for a node that is not ours, and so for nobody; and so did some that nothing was said of.
pub(crate) fn unknown_node(peer: SocketAddr, node: &str, unsaid: u64) {
    // Somebody else wrote it.
    let node: String = node.chars().take(200).collect();
    tracing::warn!(%peer, node, unsaid, "a message for an unknown node reached nobody");
}

/// A peer's message is none.
pub(crate) fn message_refused(peer: SocketAddr, error: &dyn std::fmt::Display) {
    tracing::debug!(%peer, %error, "refused a peer's message");
}

/// A peer's message could not be kept; the peer got no answer and will send it again.
pub(crate) fn message_not_kept(peer: SocketAddr, error: &dyn std::fmt::Display) {
    tracing::warn!(%peer, %error, "a peer's message was not kept; it was given no answer, so that it tries again");
}

/// A request failed for a reason that is the host's own.
pub(crate) fn internal_error(detail: &str) {
    tracing::error!(detail, "a request failed inside the host");
}
