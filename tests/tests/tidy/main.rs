//! The tree keeps the house rules: one test for each, and each failure names the line and the cure.
//!
//! `cargo fmt` and clippy watch over what they know; these are the rules that they do not.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod budgets;
mod contract;
mod edges;
mod machines;
mod names;
mod samples;
mod tree;

/// Fails with all problems at once, so that one run shows everything there is to cure.
#[track_caller]
fn assert_none(problems: &[String], cure: &str) {
    assert!(problems.is_empty(), "\n{}\ncure: {cure}\n", problems.join("\n"));
}
