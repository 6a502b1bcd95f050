//! The host of a component: the bindings that are generated from the contract, and the way between their types and
//! ours.

use log::Level;

use crate::error::Advice;
use crate::event::{Event, SettleError};
use crate::host::millis;
use crate::key_value::KeyValueError;
use crate::logging;
use crate::publish::{Message, PublishError};
use crate::{Error, Result};

use self::bindings::hostel::handler::{events, publisher, types};
use self::bindings::wasi::config::store;
use self::bindings::wasi::keyvalue::{atomics, store as key_value};
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
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:http/outgoing-handler@0.2.12;
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

/// A bucket that the host lends.
pub(crate) struct Bucket(key_value::Bucket);

pub(crate) fn open_bucket(name: &str) -> std::result::Result<Bucket, KeyValueError> {
    key_value::open(name).map(Bucket).map_err(|error| match error {
        key_value::Error::AccessDenied => KeyValueError::Denied { bucket: name.to_owned() },
        other => failed(other),
    })
}

impl Bucket {
    pub(crate) fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, KeyValueError> {
        self.0.get(key).map_err(failed)
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> std::result::Result<(), KeyValueError> {
        self.0.set(key, value).map_err(failed)
    }

    pub(crate) fn delete(&self, key: &str) -> std::result::Result<(), KeyValueError> {
        self.0.delete(key).map_err(failed)
    }

    pub(crate) fn exists(&self, key: &str) -> std::result::Result<bool, KeyValueError> {
        self.0.exists(key).map_err(failed)
    }

    pub(crate) fn increment(&self, key: &str, delta: u64) -> std::result::Result<u64, KeyValueError> {
        atomics::increment(&self.0, key, delta).map_err(failed)
    }

    pub(crate) fn list_keys(
        &self,
        cursor: Option<u64>,
    ) -> std::result::Result<(Vec<String>, Option<u64>), KeyValueError> {
        let response = self.0.list_keys(cursor).map_err(failed)?;
        Ok((response.keys, response.cursor))
    }
}

fn failed(error: key_value::Error) -> KeyValueError {
    KeyValueError::Failed(match error {
        key_value::Error::NoSuchStore => "there is no such bucket".to_owned(),
        key_value::Error::AccessDenied => "access denied".to_owned(),
        key_value::Error::Other(why) => why,
    })
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
