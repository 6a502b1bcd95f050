//! Write event handlers for Hostel in Rust.
//!
//! A handler is a function that the host calls once for each delivery of an event, in a sandbox of its own. What it
//! returns settles the event: `Ok(())` acknowledges it, an error has it come again or makes it a dead letter.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     number: u64,
//!     items: Vec<String>,
//! }
//!
//! #[hostel::handler]
//! fn handle(event: hostel::Event) -> hostel::Result {
//!     let order: Order = event.json()?; // Not the JSON expected: rejected, with the reason.
//!     if order.items.is_empty() {
//!         return Err(hostel::reject(format!("order {} has no items", order.number)));
//!     }
//!     let rate: f64 = hostel::require_config("rate")?.parse()?; // Any other error: a retry.
//!     if rate == 0.0 {
//!         return Err(hostel::retry("the shop is closed").after(Duration::from_secs(60)));
//!     }
//!     hostel::info!("order {} has {} items", order.number, order.items.len());
//!     hostel::publish("orders.priced", &serde_json::json!({ "number": order.number, "rate": rate }))?;
//!     Ok(())
//! }
//!
//! // A test runs natively, without a host.
//! use hostel::testing;
//!
//! let event = testing::Event::new("orders.created").json(&serde_json::json!({ "number": 7, "items": ["pen"] }));
//! let run = testing::Host::new().config("rate", "1.5").run(handle, event);
//! assert_eq!(run.result, Ok(()));
//! assert_eq!(run.published[0].topic, "orders.priced");
//! ```
//!
//! # What an error does
//! | the handler returns | what becomes of the event |
//! |---|---|
//! | `Ok(())` | acknowledged |
//! | [`reject("…")`](reject) | a dead letter at once |
//! | [`retry("…")`](retry), perhaps with [`after`](Error::after) | attempted again, until the attempts are used up |
//! | `?` on a [`BodyError`] or a [`CloudEventError`] | rejected: the same event will be as wrong next time |
//! | `?` on a [`PublishError`] or a [`KeyValueError`](key_value::KeyValueError) | see there: rejected or attempted again |
//! | `?` on an [`HttpError`](http::HttpError) | see there: rejected or attempted again |
//! | `?` on any other error | attempted again |
//! | a panic, no answer before the deadline, too much memory | attempted again |
//!
//! # Logs
//! The macros [`trace!`], [`debug!`], [`info!`], [`warn!`] and [`error!`] are those of the crate `log`, and what any
//! dependency logs by that crate appears as well. All levels are passed on; `log::set_max_level` narrows them. With the
//! feature `tracing` the events of the crate `tracing` appear too, each with the spans it is in. The host keeps so many
//! lines of one delivery as the manifest's `[limits]` say.
//!
//! # What is deliberately absent
//! Async: one instance handles one event at a time.

pub mod http;
pub mod key_value;
pub mod testing;

mod cloud_event;
mod config;
mod error;
mod event;
mod host;
mod logging;
mod publish;
#[cfg(feature = "tracing")]
mod subscriber;

pub use hostel_macros::{handler, init};
pub use log::{debug, error, info, trace, warn};

pub use crate::cloud_event::{CloudEvent, CloudEventError, publish_cloud_event};
pub use crate::config::{ConfigError, config, require_config};
pub use crate::error::{Error, Result, reject, retry};
pub use crate::event::{BodyError, Event, SettleError};
pub use crate::publish::{Message, PublishError, publish, publish_message};

/// The guide for authors, so that its examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Guide;

/// That of Rust's own library for this target asks for more memory at the first allocation, which costs more than a small
/// handler does. This one begins in what is there.
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What the attributes need. Not for authors: it may change in any version.
#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub mod __private {
    pub use crate::host::{bindings, handle, init};
}

/// Exports a function as the component's `subscriber`.
#[doc(hidden)]
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! __export_handler {
    ($handler:ident) => {
        const _: () = {
            struct Component;

            impl $crate::__private::bindings::exports::hostel::handler::subscriber::Guest for Component {
                fn handle(
                    event: &$crate::__private::bindings::hostel::handler::events::Event,
                ) -> ::core::result::Result<(), $crate::__private::bindings::hostel::handler::types::Failure> {
                    $crate::__private::handle($handler, event)
                }
            }

            $crate::__private::bindings::__export_subscriber!(
                Component with_types_in $crate::__private::bindings
            );
        };
    };
}

/// Exports a function as the component's `lifecycle`.
#[doc(hidden)]
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! __export_init {
    ($init:ident) => {
        const _: () = {
            struct Component;

            impl $crate::__private::bindings::lifecycle::exports::hostel::handler::lifecycle::Guest for Component {
                fn init() -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__private::init($init)
                }
            }

            $crate::__private::bindings::lifecycle::__export_lifecycle!(
                Component with_types_in $crate::__private::bindings::lifecycle
            );
        };
    };
}

/// Natively there is nobody to export to.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! __export_handler {
    ($handler:ident) => {};
}

/// Natively there is nobody to export to.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! __export_init {
    ($init:ident) => {};
}
