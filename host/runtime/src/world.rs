//! Which world a component fits, found from what it exports.
//!
//! Worlds of other hosts become further variants here, each with an adapter in `invocation`.

use std::fmt;

use crate::interface::Interface;
use crate::load::LoadError;

/// The export by which a handler is called.
pub(crate) const SUBSCRIBER: &str = "hostel:handler/subscriber@0.1.0";
/// The export by which a handler prepares itself.
pub(crate) const LIFECYCLE: &str = "hostel:handler/lifecycle@0.1.0";

/// A shape of component that the host knows to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum World {
    /// `hostel:handler/handler@0.1`: exports `subscriber`, and `lifecycle` if it has something to prepare.
    Handler,
}

impl World {
    /// Its name in answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "hostel:handler/handler@0.1.0",
        }
    }

    /// Finds the world that a component with these exports fits.
    ///
    /// # Errors
    /// [`LoadError::OtherVersion`] when it exports a known interface in another version, [`LoadError::NoWorld`] when it
    /// exports none.
    pub(crate) fn detect(exports: &[String]) -> Result<Self, LoadError> {
        let wanted = Interface::parse(SUBSCRIBER);
        let mut other_version = None;
        for found in exports.iter().map(|text| Interface::parse(text)) {
            if found.is_compatible(&wanted) {
                return Ok(Self::Handler);
            }
            if found.name == wanted.name {
                other_version = Some(found.to_string());
            }
        }
        match other_version {
            Some(found) => Err(LoadError::OtherVersion { found, wanted: SUBSCRIBER }),
            None => Err(LoadError::NoWorld { wanted: SUBSCRIBER, looks: looks(exports) }),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Interfaces by which components for other purposes are known.
const KNOWN: [(&str, &str); 8] = [
    ("wasi:cli/run", "so it looks like a command, which has a `main` and handles no events"),
    ("wasi:http/incoming-handler", "so it looks like an HTTP server for `wasi:http`"),
    ("wasi:http/handler", "so it looks like an HTTP server for `wasi:http`"),
    ("wasmcloud:messaging/handler", "so it looks like a message handler for wasmCloud, which this host does not adapt"),
    (
        "wasi:messaging/incoming-handler",
        "so it looks like a handler for `wasi:messaging`, which this host does not adapt",
    ),
    (
        "wasi:messaging/messaging-guest",
        "so it looks like a handler for `wasi:messaging`, which this host does not adapt",
    ),
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
            &["wasmcloud:messaging/handler@0.2.0"],
            "component does not export `hostel:handler/subscriber@0.1.0`; it exports \
             `wasmcloud:messaging/handler@0.2.0`, so it looks like a message handler for wasmCloud, which this host \
             does not adapt",
        );
        check(&[], "component does not export `hostel:handler/subscriber@0.1.0`; it exports nothing");
        check(
            &["a", "b", "c", "d", "e", "f", "g"],
            "component does not export `hostel:handler/subscriber@0.1.0`; it exports `a`, `b`, `c`, `d`, `e` and 2 more",
        );
    }
}
