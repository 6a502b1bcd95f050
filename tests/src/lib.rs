//! What the black-box tests share: a whole host, started for one test and ended with it.
//!
//! A test sees what a user sees: the binary `hostel`, its ports, its API and its command line. `cargo xtask test`
//! builds the binary and the sample handlers and says where they are.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed"
)]

pub mod cli;
pub mod gomicro;
pub mod host;
pub mod namespace;
pub mod raw;
pub mod sample;

use std::path::{Path, PathBuf};

/// Where the binary `hostel` is: `HOSTEL_BIN`, or beside the test.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HOSTEL_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a running test has a path");
    let beside = own.ancestors().nth(2).expect("tests are in target/<profile>/deps").join("hostel");
    assert!(beside.exists(), "`{}` is not there; run `cargo xtask test`", beside.display());
    beside
}

/// `short`, or `long` in the run of `cargo xtask test --long`: how often a test repeats what could go wrong.
#[must_use]
pub fn times<T>(short: T, long: T) -> T {
    if std::env::var_os("HOSTEL_LONG_TESTS").is_some_and(|value| value == "1") { long } else { short }
}

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    // At run time: clones that share a target directory may share this very binary.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().expect("tests/ is in the repository").to_owned()
}

/// The manifest of a sample handler, such as `rust/hello`.
#[must_use]
pub fn sample(name: &str) -> PathBuf {
    repository().join("handlers").join(name).join("handler.toml")
}
