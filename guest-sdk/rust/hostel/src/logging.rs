//! The logger that hands the lines of the crate `log` to the host.

use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

use crate::host;

struct HostLog;

/// Makes the host's log the logger of this component, unless the author has set another. Cheap when it was done.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();

    INSTALLED.call_once(|| {
        if log::set_logger(&HostLog).is_ok() {
            log::set_max_level(LevelFilter::Trace);
        }
        #[cfg(feature = "tracing")]
        crate::subscriber::install();
        #[cfg(target_family = "wasm")]
        log_panics();
    });
}

/// A panic as one line of the host's log. What Rust would print to stderr instead are four lines, one of them a hint
/// that helps nobody here.
#[cfg(target_family = "wasm")]
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref().map(String::as_str));
        let message = message.unwrap_or("a value that is no text");
        let text = match panic.location() {
            Some(location) => format!("panicked at {location}: {message}"),
            None => format!("panicked: {message}"),
        };
        host::log(log::Level::Error, "panic", &text);
    }));
}

impl Log for HostLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.args().as_str() {
            Some(text) => host::log(record.level(), record.target(), text),
            None => host::log(record.level(), record.target(), &record.args().to_string()),
        }
    }

    fn flush(&self) {}
}
