//! Authors' projects: laying out a new one, building one to a component that fits, and noticing its changes.
//!
//! A project is a folder with a `handler.toml`. It carries the SDK of its language in `hostel-sdk`, as this binary
//! brought it, so that it builds on any machine, and builds the same there. The languages' own tools do the work; none
//! is installed outside the project.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod embedded;
pub(crate) mod language;
pub(crate) mod project;
pub(crate) mod sdk;
pub(crate) mod template;
pub(crate) mod tool;
pub(crate) mod watch;
