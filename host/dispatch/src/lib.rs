//! Which event goes to which handler, when, and when again.
//!
//! [`admit`] lets messages in and makes them events. The broker keeps them and hands deliveries to the [`Dispatcher`],
//! which asks the [`plan`] what to do and does it: the plan decides without I/O, clocks and tasks, the [`driver`] acts
//! without deciding. What a handler publishes and writes goes through `effects`, which holds it back until the ack.
//! [`quota`] knows how much each tenant may use; admission and plan hold it to that.
//!
//! [`Dispatcher`]: driver::Dispatcher

pub mod admit;
pub mod driver;
mod effects;
#[cfg(test)]
mod fake;
mod numbers;
pub mod plan;
pub mod quota;
mod rate;
mod reply;
mod telemetry;
