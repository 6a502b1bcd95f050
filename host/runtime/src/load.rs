//! From bytes to what they are: the checks that come before anything is compiled.

use hostel_event::handler::Digest;
use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, Parser, Payload};

/// Why bytes were not taken as a handler's component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Not WebAssembly at all.
    #[error("not a WebAssembly file: {0}")]
    NotWasm(String),
    /// A core module.
    #[error(
        "a core module and not a component; build for the target `wasm32-wasip2`, or wrap it with `wasm-tools \
         component new`"
    )]
    CoreModule,
    /// A component that exports nothing the host knows to call.
    #[error("component does not export `{wanted}`; {looks}")]
    NoWorld {
        /// The export that it lacks.
        wanted: &'static str,
        /// What it seems to be instead.
        looks: String,
    },
    /// A component for another version of the contract.
    #[error(
        "component exports `{found}`, which is not compatible with this host's `{wanted}`; build it against the version \
         of the contract that this host has"
    )]
    OtherVersion {
        /// What it exports.
        found: String,
        /// What the host calls, in every version that it knows.
        wanted: String,
    },
    /// Cut off, or not valid WebAssembly.
    #[error("component is damaged at byte {offset} of {bytes}: {message}")]
    Damaged {
        /// Where.
        offset: usize,
        /// The length of what was given.
        bytes: usize,
        /// What is wrong there.
        message: String,
    },
    /// More bytes than the host takes.
    #[error("component has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// Imports that the host does not offer; the text names all of them.
    #[error("component imports what this host does not offer: {0}")]
    Imports(String),
    /// It can never be instantiated under this host's limits.
    #[error("component exceeds this host's limits: {0}")]
    Limits(String),
    /// The host could not compile it; no fault that its author can see.
    #[error("cannot compile the component: {0}")]
    Host(String),
}

/// The SHA-256 by which a component is known.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

/// What a component shows to the outside.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    /// Names of its imports, in order.
    pub(crate) imports: Vec<String>,
    /// Names of its exports, in order.
    pub(crate) exports: Vec<String>,
}

/// Reads what a component imports and exports, and refuses what is no component.
///
/// Walks over all sections without validating what is inside: that is the compiler's part, and compiled code in the
/// cache has passed it.
pub(crate) fn surface(bytes: &[u8], limit: usize) -> Result<Surface, LoadError> {
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm(beginning(bytes)));
    }
    let damaged = |error: wasmparser::BinaryReaderError| damaged(&error, bytes.len());
    let mut surface = Surface::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(LoadError::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    surface.imports.push(import.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    surface.exports.push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

pub(crate) fn damaged(error: &wasmparser::BinaryReaderError, bytes: usize) -> LoadError {
    LoadError::Damaged { offset: error.offset(), bytes, message: error.message().to_owned() }
}

/// What a file that is not WebAssembly begins with, for the person who sent the wrong one.
fn beginning(bytes: &[u8]) -> String {
    const GUESSES: [(&[u8], &str); 5] = [
        (b"(module", ", which is WebAssembly's text form; `wasm-tools parse` turns it into a binary"),
        (b"(component", ", which is WebAssembly's text form; `wasm-tools parse` turns it into a binary"),
        (b"\x7fELF", ", which is a native program or library"),
        (b"\x1f\x8b", ", which is a gzip file; unpack it first"),
        (b"PK\x03\x04", ", which is a zip file; unpack it first"),
    ];
    /// Enough to recognise a file by.
    const SHOWN: usize = 16;
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    let guess = GUESSES.iter().find(|(magic, _)| bytes.starts_with(magic)).map_or("", |(_, guess)| guess);
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    format!("it begins with \"{}\"{guess}", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        surface(bytes, 1000).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_says_what_it_is_instead() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(refusal(bytes), expected);
        check(b"", "not a WebAssembly file: it is empty");
        check(b"#!/bin/sh\necho hello world", r##"not a WebAssembly file: it begins with "#!/bin/sh\necho h""##);
        check(
            b"(module)",
            "not a WebAssembly file: it begins with \"(module)\", which is WebAssembly's text form; `wasm-tools parse` \
             turns it into a binary",
        );
        check(
            b"\x7fELF\x02\x01\x01",
            "not a WebAssembly file: it begins with \"\\x7fELF\\x02\\x01\\x01\", which is a native program or library",
        );
        check(
            &wat::parse_str("(module)").unwrap(),
            "a core module and not a component; build for the target `wasm32-wasip2`, or wrap it with `wasm-tools \
             component new`",
        );
        check(&[0; 1001], "component has 1001 bytes, more than 1000");
        check(b"\0asm\x0d\0", "component is damaged at byte 4 of 6: unexpected end-of-file");
        check(b"\0asm\x77\0\x77\0", "component is damaged at byte 4 of 8: unknown binary version:   0x770077");
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = wat::parse_str(r#"(component (import "a" (instance)) (core module (func)) (component))"#).unwrap();
        let names = surface(&whole, 1000).unwrap();
        assert_eq!(names.imports, ["a"]);
        // A cut between two sections leaves a shorter component, which its missing exports give away.
        let noticed = (8..whole.len()).filter(|&end| surface(&whole[..end], 1000).is_err()).count();
        assert!(noticed >= whole.len() - 8 - 6, "{noticed} of {}", whole.len() - 8);
    }

    #[test]
    fn names_inside_are_not_names_of_the_whole() {
        let bytes = wat::parse_str(
            r#"(component (component (import "in" (func)) (export "x" (func 0))) (import "a" (func)) (export "b" (func 0)))"#,
        )
        .unwrap();
        let expected = Surface { imports: vec!["a".to_owned()], exports: vec!["b".to_owned()] };
        assert_eq!(surface(&bytes, 1000).unwrap(), expected);
    }
}
