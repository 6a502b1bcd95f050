//! The embedded durable store of a host: everything that must survive a crash, in one folder.
//!
//! It keeps events by topic and offset, cursors of subscriptions, deliveries that failed and when they are due,
//! scheduled publishes, dead letters, key-value data, ids that were seen, and desired state. It imports nothing of the
//! host and does not know what an event or a handler is: names are strings, contents are bytes, times are given to it.
//!
//! # How to use it
//! - [`Log::open`](log::Log::open) opens or makes a store; one process at a time.
//! - A [`Batch`](batch::Batch) collects changes and preconditions of any kind. [`Log::commit`](log::Log::commit)
//!   queues it and gives a future. All of a batch is kept, or none.
//! - [`Sync`](settings::Sync) says how long a commit waits: for the disk, or less.
//! - A [`Snapshot`](snapshot::Snapshot) reads one state of everything and never sees what was not yet synced as its
//!   batch asked.
//! - [`Log::health`](log::Log::health) says whether commits are taken. A poisoned log still reads.
//!
//! # What is inside
//! A write-ahead log (`wal`) in front of log-structured merge trees (`tables`). One thread, the `committer`, decides
//! and writes; one, the `keeper`, moves what is in memory into tables; one, the `merger`, merges those and lets go of
//! what is no longer needed. The bytes are described in `docs/wire/log.md`, the choice in
//! `docs/adr/0006-embedded-store.md`.

pub mod batch;
mod book;
mod codec;
mod committer;
pub mod disk;
pub mod error;
mod group;
mod keeper;
mod key;
pub mod log;
mod merger;
mod queue;
pub mod record;
pub mod retention;
pub mod settings;
mod shared;
pub mod snapshot;
mod space;
mod tables;
mod telemetry;
mod wal;
