//! `wasi:logging`: lines for the log of the delivery.

use hostel_event::outcome;

use crate::bindings::wasi::logging::logging::{Host, Level};
use crate::state::State;

impl Host for State {
    fn log(&mut self, level: Level, context: String, message: String) {
        let level = match level {
            Level::Trace => outcome::Level::Trace,
            Level::Debug => outcome::Level::Debug,
            Level::Info => outcome::Level::Info,
            Level::Warn => outcome::Level::Warn,
            Level::Error => outcome::Level::Error,
            Level::Critical => outcome::Level::Critical,
        };
        self.log.lock().log(level, &context, &message);
    }
}
