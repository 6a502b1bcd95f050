//! The host of a component: the bindings that are generated from the contract, and the way between their types and
//! ours.

use log::Level;

use crate::error::Advice;
use crate::event::{Event, SettleError};
use crate::host::millis;
use crate::logging;
use crate::publish::{Message, PublishError};
use crate::{Error, Result};

use self::bindings::hostel::handler::{events, publisher, types};
use self::bindings::wasi::config::store;
use self::bindings::wasi::logging::logging as host_log;

/// What wit-bindgen generates. Each attribute's export is a world of its own, so that a component exports `lifecycle`
/// only if it has an `init`; together they are worlds of `hostel:handler`.
#[expect(missing_docs, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hostel:sdk;

            world subscriber {
                import hostel:handler/publisher@0.1.0;
                import wasi:logging/logging@0.1.0-draft;
                import wasi:config/store@0.2.0-rc.1;
                export hostel:handler/subscriber@0.1.0;
            }
        ",
        world: "hostel:sdk/subscriber",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_subscriber",
    });

    pub mod lifecycle {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package hostel:sdk;

                world lifecycle {
                    export hostel:handler/lifecycle@0.1.0;
                }
            ",
            world: "hostel:sdk/lifecycle",
            generate_all,
            pub_export_macro: true,
            export_macro_name: "__export_lifecycle",
        });
    }
}

/// Runs the author's handler for one delivery.
#[expect(clippy::missing_errors_doc, reason = "called by generated code only")]
pub fn handle(handler: fn(Event<'_>) -> Result, event: &events::Event) -> std::result::Result<(), types::Failure> {
    logging::install();
    handler(Event::new(Delivery(event))).map_err(Into::into)
}

/// Runs the author's preparation.
#[expect(clippy::missing_errors_doc, reason = "called by generated code only")]
pub fn init(init: fn() -> Result) -> std::result::Result<(), String> {
    logging::install();
    init().map_err(|error| error.into_parts().0)
}

/// The delivery that the host lends.
pub(crate) struct Delivery<'a>(&'a events::Event);

impl Delivery<'_> {
    pub(crate) fn id(&self) -> String {
        self.0.id()
    }

    pub(crate) fn topic(&self) -> String {
        self.0.topic()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    pub(crate) fn published_at_ms(&self) -> u64 {
        self.0.published_at_ms()
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.0.headers()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.0.body()
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.0.error()
    }

    pub(crate) fn ack(&self) -> std::result::Result<(), SettleError> {
        Ok(self.0.ack()?)
    }

    pub(crate) fn extend(&self, time: std::time::Duration) -> std::result::Result<(), SettleError> {
        Ok(self.0.extend(millis(time))?)
    }
}

pub(crate) fn publish(topic: &str, message: Message) -> std::result::Result<String, PublishError> {
    let Message { headers, body } = message;
    Ok(publisher::publish(topic, &types::Message { headers, body })?)
}

pub(crate) fn config(key: &str) -> std::result::Result<Option<String>, String> {
    store::get(key).map_err(|error| match error {
        store::Error::Upstream(why) | store::Error::Io(why) => why,
    })
}

pub(crate) fn log(level: Level, context: &str, text: &str) {
    let level = match level {
        Level::Error => host_log::Level::Error,
        Level::Warn => host_log::Level::Warn,
        Level::Info => host_log::Level::Info,
        Level::Debug => host_log::Level::Debug,
        Level::Trace => host_log::Level::Trace,
    };
    host_log::log(level, context, text);
}

impl From<Error> for types::Failure {
    fn from(error: Error) -> Self {
        match error.into_parts() {
            (reason, Advice::Reject) => Self::Reject(reason),
            (reason, Advice::Retry(after)) => Self::Retry(types::RetryAdvice { reason, after_ms: after.map(millis) }),
        }
    }
}

impl From<types::SettleError> for SettleError {
    fn from(error: types::SettleError) -> Self {
        match error {
            types::SettleError::AlreadySettled => Self::AlreadySettled,
            types::SettleError::Failed(why) => Self::Failed(why),
            types::SettleError::TooLong(left) => Self::TooLong { left: std::time::Duration::from_millis(left) },
        }
    }
}

impl From<types::PublishError> for PublishError {
    fn from(error: types::PublishError) -> Self {
        match error {
            types::PublishError::Denied(why) => Self::Denied(why),
            types::PublishError::Invalid(why) => Self::Invalid(why),
            types::PublishError::TooLarge(limit) => Self::TooLarge { limit },
            types::PublishError::Overloaded(ms) => {
                Self::Overloaded { retry_after: std::time::Duration::from_millis(ms) }
            }
            types::PublishError::Failed(why) => Self::Failed(why),
        }
    }
}
