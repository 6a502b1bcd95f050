//! Real go-micro programs for a test to talk to: the drivers in `tests/interop/gomicro/`, built once and driven line by
//! line.
//!
//! What a driver understands is in `tests/interop/gomicro/protocol/driver.go`. A driver is started in the namespace of
//! the test; its publisher asks the registry once and then believes a cache, so start it when whom it shall reach is
//! registered.

mod build;
mod driver;

use std::path::PathBuf;
use std::time::Duration;

use crate::namespace::{self, Namespace};

pub use self::driver::{Decoded, Driver, Message, Publish, Published, Subscriber};

/// A release of go-micro. Pinned in the `go.mod` of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// v1.18.0: the first generation of the broker's wire.
    V1,
    /// v2.9.1: the second generation, and services that speak gRPC.
    V2,
    /// v5.30.0: the second generation as it is now.
    V5,
}

impl Version {
    /// The service under which its brokers are registered.
    #[must_use]
    pub const fn broker(self) -> &'static str {
        match self {
            Self::V1 => "go.micro.http.broker",
            Self::V2 | Self::V5 => "micro.http.broker",
        }
    }

    /// The version of a service whose nodes get each message; any other is a queue.
    pub const BROADCAST: &'static str = "ff.http.broadcast";

    const fn folder(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V5 => "v5",
        }
    }

    /// Where its driver is, once it is built.
    fn program(self) -> PathBuf {
        build::folder().join(self.folder())
    }
}

/// Runs the scenario of a test inside a namespace, with the version's driver built. Where that cannot be, says so
/// loudly.
pub fn run(module: &str, name: &str, version: Version, scenario: impl AsyncFnOnce(Version)) {
    if namespace::is_inside() {
        return namespace::inside(scenario(version));
    }
    // The harness names tests without the crate.
    let (_, module) = module.split_once("::").expect("a module inside of the test's crate");
    let test = format!("{module}::{name}");
    match build::build(version).and_then(|()| Namespace::make()) {
        Ok(namespace) => namespace.run(&test),
        Err(reason) => namespace::skip(&test, &reason),
    }
}

/// A test of each scenario for each version: `v2::name`.
#[macro_export]
macro_rules! each_go_micro {
    ($($scenario:ident),+ $(,)?) => {
        $crate::each_go_micro!(@ v1 V1 $($scenario)+);
        $crate::each_go_micro!(@ v2 V2 $($scenario)+);
        $crate::each_go_micro!(@ v5 V5 $($scenario)+);
    };
    (@ $module:ident $version:ident $($scenario:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $scenario() {
                    let version = $crate::gomicro::Version::$version;
                    $crate::gomicro::run(module_path!(), stringify!($scenario), version, super::$scenario);
                }
            )+
        }
    };
}

/// Waits until a condition holds that nobody tells of.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::host::PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
