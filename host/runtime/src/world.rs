//! Which world a component fits, found from what it exports.
//!
//! Worlds of other hosts are variants here, each with a file in `adapter`.

use std::fmt;

use crate::interface::Interface;
use crate::load::LoadError;

/// The export by which a handler prepares itself.
pub(crate) const LIFECYCLE: &str = "hostel:handler/lifecycle@0.1.0";

/// A shape of component that the host knows to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum World {
    /// `hostel:handler/handler@0.1`: exports `subscriber`, and `lifecycle` if it has something to prepare.
    Handler,
    /// wasmCloud's message handler of version 0.3, which is asynchronous.
    WasmcloudMessagingAsync,
    /// wasmCloud's message handler of version 0.2.
    WasmcloudMessaging,
    /// The message handler of WASI's draft 0.2.0.
    WasiMessaging,
    /// WASI's server of HTTP 0.2: events come as requests.
    WasiHttp,
}

impl World {
    /// All of them, in the order in which a component that fits several is taken.
    const ALL: [Self; 5] =
        [Self::Handler, Self::WasmcloudMessagingAsync, Self::WasmcloudMessaging, Self::WasiMessaging, Self::WasiHttp];

    /// Its name in answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            // The world, whose name is older than the other worlds here; of those the export, which has one.
            Self::Handler => "hostel:handler/handler@0.1.0",
            _ => self.export(),
        }
    }

    /// The interface by which a component of it is called.
    pub(crate) const fn export(self) -> &'static str {
        match self {
            Self::Handler => "hostel:handler/subscriber@0.1.0",
            Self::WasmcloudMessagingAsync => "wasmcloud:messaging/handler@0.3.0",
            Self::WasmcloudMessaging => "wasmcloud:messaging/handler@0.2.0",
            Self::WasiMessaging => "wasi:messaging/incoming-handler@0.2.0-draft",
            Self::WasiHttp => "wasi:http/incoming-handler@0.2.12",
        }
    }

    /// The function of that interface.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Handler | Self::WasiMessaging | Self::WasiHttp => "handle",
            Self::WasmcloudMessagingAsync | Self::WasmcloudMessaging => "handle-message",
        }
    }

    /// Whether its function is asynchronous in the component model's own way.
    pub(crate) const fn is_concurrent(self) -> bool {
        matches!(self, Self::WasmcloudMessagingAsync)
    }

    /// Finds the world that a component with these exports fits.
    ///
    /// # Errors
    /// [`LoadError::OtherVersion`] when it exports a known interface in another version, [`LoadError::NoWorld`] when it
    /// exports none.
    pub(crate) fn detect(exports: &[String]) -> Result<Self, LoadError> {
        let exported: Vec<Interface<'_>> = exports.iter().map(|text| Interface::parse(text)).collect();
        let fits = |world: &Self| {
            let wanted = Interface::parse(world.export());
            exported.iter().any(|found| found.is_compatible(&wanted))
        };
        if let Some(world) = Self::ALL.into_iter().find(fits) {
            return Ok(world);
        }
        for found in &exported {
            let known: Vec<&str> = Self::ALL.into_iter().map(Self::export).filter(|it| found.is_named(it)).collect();
            if !known.is_empty() {
                return Err(LoadError::OtherVersion { found: found.to_string(), wanted: known.join("` and `") });
            }
        }
        Err(LoadError::NoWorld { wanted: Self::Handler.export(), looks: looks(exports) })
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Interfaces by which components for other purposes are known.
const KNOWN: [(&str, &str); 5] = [
    ("wasi:cli/run", "so it looks like a command, which has a `main` and handles no events"),
    ("wasi:http/handler", "so it looks like an HTTP server for `wasi:http` 0.3; this host knows version 0.2"),
    ("wasi:messaging/messaging-guest", "so it looks like a handler for a draft of `wasi:messaging` before 0.2.0"),
    ("fermyon:spin/inbound-redis", "so it looks like a Redis handler for Spin"),
    ("hostel:handler/lifecycle", "so it prepares itself and handles nothing"),
];

/// What a component with these exports seems to be, as the end of a sentence.
fn looks(exports: &[String]) -> String {
    if exports.is_empty() {
        return "it exports nothing".to_owned();
    }
    for export in exports {
        let name = Interface::parse(export).name;
        if let Some((_, guess)) = KNOWN.iter().find(|(known, _)| *known == name) {
            return format!("it exports `{export}`, {guess}");
        }
    }
    /// A component with more exports than this is not helped by the rest.
    const SHOWN: usize = 5;
    let shown: Vec<String> = exports.iter().take(SHOWN).map(|export| format!("`{export}`")).collect();
    match exports.len().saturating_sub(SHOWN) {
        0 => format!("it exports {}", shown.join(", ")),
        rest => format!("it exports {} and {rest} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(exports: &[&str]) -> Result<World, String> {
        let exports: Vec<String> = exports.iter().map(|&export| export.to_owned()).collect();
        World::detect(&exports).map_err(|error| error.to_string())
    }

    #[test]
    fn a_compatible_version_fits() {
        assert_eq!(detect(&["hostel:handler/subscriber@0.1.0"]), Ok(World::Handler));
        assert_eq!(detect(&["other", "hostel:handler/subscriber@0.1.4"]), Ok(World::Handler));
    }

    #[test]
    fn worlds_of_other_hosts_fit() {
        assert_eq!(detect(&["wasmcloud:messaging/handler@0.2.0"]), Ok(World::WasmcloudMessaging));
        assert_eq!(detect(&["wasmcloud:messaging/handler@0.3.0"]), Ok(World::WasmcloudMessagingAsync));
        assert_eq!(detect(&["wasi:messaging/incoming-handler@0.2.0-draft"]), Ok(World::WasiMessaging));
        assert_eq!(detect(&["wasi:http/incoming-handler@0.2.0"]), Ok(World::WasiHttp));
    }

    #[test]
    fn of_several_worlds_the_one_that_says_most_is_taken() {
        let mut exports = vec!["wasi:http/incoming-handler@0.2.3"];
        assert_eq!(detect(&exports), Ok(World::WasiHttp));
        for (export, world) in [
            ("wasi:messaging/incoming-handler@0.2.0-draft", World::WasiMessaging),
            ("wasmcloud:messaging/handler@0.2.0", World::WasmcloudMessaging),
            ("wasmcloud:messaging/handler@0.3.0", World::WasmcloudMessagingAsync),
            ("hostel:handler/subscriber@0.1.0", World::Handler),
        ] {
            exports.push(export);
            assert_eq!(detect(&exports), Ok(world), "{exports:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_it_looks_like() {
        let check = |exports: &[&str], expected: &str| assert_eq!(detect(exports), Err(expected.to_owned()));
        check(
            &["hostel:handler/subscriber@0.2.0"],
            "component exports `hostel:handler/subscriber@0.2.0`, which is not compatible with this host's \
             `hostel:handler/subscriber@0.1.0`; build it against the version of the contract that this host has",
        );
        check(
            &["wasi:cli/run@0.2.3"],
            "component does not export `hostel:handler/subscriber@0.1.0`; it exports `wasi:cli/run@0.2.3`, so it looks \
             like a command, which has a `main` and handles no events",
        );
        check(
            &["wasmcloud:messaging/handler@0.4.0"],
            "component exports `wasmcloud:messaging/handler@0.4.0`, which is not compatible with this host's \
             `wasmcloud:messaging/handler@0.3.0` and `wasmcloud:messaging/handler@0.2.0`; build it against the version of the contract that this host has",
        );
        check(
            &["wasi:http/incoming-handler@0.3.0", "wasi:messaging/incoming-handler@0.2.0"],
            "component exports `wasi:http/incoming-handler@0.3.0`, which is not compatible with this host's \
             `wasi:http/incoming-handler@0.2.12`; build it against the version of the contract that this host has",
        );
        check(
            &["wasi:http/handler@0.3.0"],
            "component does not export `hostel:handler/subscriber@0.1.0`; it exports `wasi:http/handler@0.3.0`, so it \
             looks like an HTTP server for `wasi:http` 0.3; this host knows version 0.2",
        );
        check(&[], "component does not export `hostel:handler/subscriber@0.1.0`; it exports nothing");
        check(
            &["a", "b", "c", "d", "e", "f", "g"],
            "component does not export `hostel:handler/subscriber@0.1.0`; it exports `a`, `b`, `c`, `d`, `e` and 2 more",
        );
    }
}
