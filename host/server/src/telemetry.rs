//! The log lines of this crate, all of them, and where log lines go: stderr, for stdout is data.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use hostel_event::id::EventId;
use hostel_event::outcome::{Level, LogLine};
use hostel_event::subscription::SubscriptionId;

use crate::config::{Log, LogFormat};

/// What handlers log goes by this name in a filter.
const HANDLER: &str = "handler";

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

/// A line that a handler logged in an attempt.
pub(crate) fn handler_logged((event, subscription, attempt): (&EventId, &SubscriptionId, u32), line: &LogLine) {
    // The text as a field: a line feed in it is escaped, so that no handler can write a line in another's name.
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                target: HANDLER,
                tenant = subscription.tenant(),
                handler = subscription.handler(),
                event = event.as_str(),
                attempt,
                context = line.context,
                text = line.text,
            )
        };
    }
    match line.level {
        Level::Trace => say!(trace),
        Level::Debug => say!(debug),
        Level::Info => say!(info),
        Level::Warn => say!(warn),
        Level::Error | Level::Critical => say!(error),
    }
}

/// What handlers logged was not written to the host's own log, for want of somebody who reads it fast enough. Said at the
/// first, and then when the number of lines has doubled.
pub(crate) fn handlers_lines_dropped(total: u64) {
    tracing::warn!(total, "lines of handlers were dropped: stderr is read too slowly");
}

/// The host listens and is ready.
pub(crate) fn ready(ingress: (SocketAddr, bool), admin: (SocketAddr, bool), data_dir: &Path) {
    let url = |(address, secure): (SocketAddr, bool)| format!("{}://{address}", if secure { "https" } else { "http" });
    tracing::info!(ingress = url(ingress), admin = url(admin), data_dir = %data_dir.display(), "ready");
}

/// The host listens for the events of another tenant as well.
pub(crate) fn listens(address: SocketAddr, tenant: &str) {
    tracing::info!(%address, tenant, "listens for the events of a tenant");
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

/// A subscription that nothing deployed has any more was there still, from before the start.
pub(crate) fn ended_late(subscription: &SubscriptionId, discarded: usize, handed_over: usize) {
    tracing::info!(%subscription, discarded, handed_over, "ended a subscription that the host had not ended when it ended");
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

/// A folder is watched from now on.
pub(crate) fn watching(folder: &Path, tenant: &str) {
    tracing::info!(folder = %folder.display(), tenant, "watching a folder of handlers");
}

/// A folder with one for each tenant is watched from now on.
pub(crate) fn watching_tenants(folder: &Path) {
    tracing::info!(folder = %folder.display(), "watching a folder of tenants' handlers");
}

/// What lies in the watched folder does not run.
pub(crate) fn watched_refused(entry: &str, code: &str, reason: &str) {
    tracing::warn!(entry, code, reason, "refused what lies in the watched folder; what ran before goes on");
}

/// A handler's entry is gone, and what runs is not what came from it.
pub(crate) fn watched_left(entry: &str, handler: &str) {
    tracing::warn!(entry, handler, "gone from the watched folder; what runs was deployed otherwise and goes on");
}

/// The watched folder cannot be read, or what came from it cannot be noted.
pub(crate) fn watched_trouble(what: &str) {
    tracing::error!(what, "the watched folder is not followed; what runs goes on");
}

/// A secret has a new value.
pub(crate) fn secret_changed(tenant: &str, secret: &str) {
    tracing::info!(tenant, secret, "a secret has a new value");
}

/// A secret's file has changed and cannot be read.
pub(crate) fn secret_unusable(tenant: &str, secret: &str, file: &Path, reason: &str) {
    tracing::error!(tenant, secret, file = %file.display(), reason, "a secret cannot be read; its old value holds");
}

/// Others than its owner can reach a secret's file.
pub(crate) fn secret_exposed(file: &Path, mode: u32) {
    tracing::warn!(file = %file.display(), mode = format!("{mode:o}"), "others can reach a secret's file; `chmod 600` it");
}

/// A connection ended in an error, most often because its client left.
pub(crate) fn connection_failed(peer: SocketAddr, error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(%peer, %error, "connection ended");
}

/// The listener could not accept, most often for want of file descriptors.
pub(crate) fn accept_failed(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection; waiting a moment");
}

/// Other certificates are shown, or believed, from now on.
pub(crate) fn certificate_changed(files: &[PathBuf]) {
    let shown: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    tracing::info!(files = shown.join(" "), "certificates have changed and count from now on");
}

/// The files of certificates have changed and cannot be used.
pub(crate) fn certificate_unusable(error: &str) {
    tracing::error!(error, "the new certificates cannot be used; the old ones go on serving");
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

/// A go-micro peer posted where a token is required.
pub(crate) fn peer_denied(peer: SocketAddr) {
    tracing::debug!(%peer, "a message to go-micro's endpoint was refused: it takes a token, or `ingress.anonymous`");
}

/// The operator's first token was written to a file.
pub(crate) fn operator_token(path: &Path) {
    tracing::info!(file = %path.display(), "wrote a token for the operator; make others with it and revoke it");
}

/// A request failed for a reason that is the host's own.
pub(crate) fn internal_error(detail: &str) {
    tracing::error!(detail, "a request failed inside the host");
}

/// What handlers used cannot be kept; it is tried again and nothing is lost unless the host ends before.
pub(crate) fn usage_not_kept(error: &str) {
    tracing::warn!(error, "cannot keep what handlers used; trying again");
}

/// It can again.
pub(crate) fn usage_kept_again() {
    tracing::info!("what handlers used is kept again");
}

/// What was kept of one hour of one tenant is lost.
pub(crate) fn usage_unreadable(key: &str, error: &serde_json::Error) {
    tracing::error!(key, %error, "what was used in an hour cannot be read, and is counted anew");
}

/// The collector of traces did not take spans. Said at the first, and then when the number of those lost has doubled.
pub(crate) fn spans_not_sent(total: u64, error: &str) {
    tracing::warn!(total, error, "the collector of traces did not take spans; they are lost");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use hostel_event::name::{HandlerName, Tenant};
    use hostel_event::outcome::LogSource;
    use hostel_event::pattern::Pattern;
    use hostel_event::time::Timestamp;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_handler_writes_a_line_in_anothers_name() {
        let (event, tenant) = (EventId::new("1").unwrap(), Tenant::new("acme").unwrap());
        let handler = HandlerName::new("liar").unwrap();
        let subscription = SubscriptionId::new(&tenant, &handler, &Pattern::new("a").unwrap());
        let line = LogLine {
            at: Timestamp::default(),
            level: Level::Warn,
            source: LogSource::Logging,
            context: "x\nERROR".to_owned(),
            text: "hm\n2026-01-01 ERROR handler: tenant=\"rival\"\u{1b}[2J".to_owned(),
        };
        let page = Page::default();
        let writer = page.clone();
        let lines = fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(lines, || handler_logged((&event, &subscription, 1), &line));
        let text = String::from_utf8(page.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN handler: tenant=\"acme\" handler=\"liar\""), "{text}");
        assert!(text.contains("text=\"hm\\n2026") && !text.contains('\u{1b}'), "{text}");
    }
}
