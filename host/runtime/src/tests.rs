//! Tests of the whole crate, through what other crates see of it.

pub(crate) mod support;

mod caching;
mod capabilities;
mod faults;
mod loading;
mod outcomes;
mod usage;
mod warm;
