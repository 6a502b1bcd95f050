//! Brokers: where events come from and go to.
//!
//! A broker keeps each event for every subscription that matched when it was published, hands it over as a
//! [`Delivery`](hostel_event::delivery::Delivery), and forgets it when the delivery is settled. When a delivery runs
//! and what follows a failure is not decided here but in the dispatcher.
//!
//! Each adapter has a file of its own and runs the `conformance` suite.

mod chain;
pub mod choice;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod durable;
pub mod http;
mod lot;
pub mod memory;
mod telemetry;
