//! The files that this binary carries for authors. `build.rs` lists them from the tree.

use super::language::Language;

/// Where a file stands below its folder, and what is in it.
pub(crate) type File = (&'static str, &'static [u8]);

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

impl Language {
    /// The SDK, without the contract.
    pub(super) const fn sdk(self) -> &'static [File] {
        match self {
            Self::Rust => RUST_SDK,
            Self::Javascript | Self::Typescript => JAVASCRIPT_SDK,
            Self::Python => PYTHON_SDK,
            Self::Go => GO_SDK,
            Self::C => C_SDK,
        }
    }

    /// What a new project has of its own, beside [`SHARED_TEMPLATE`].
    pub(super) const fn template(self) -> &'static [File] {
        match self {
            Self::Rust => RUST_TEMPLATE,
            Self::Javascript => JAVASCRIPT_TEMPLATE,
            Self::Typescript => TYPESCRIPT_TEMPLATE,
            Self::Python => PYTHON_TEMPLATE,
            Self::Go => GO_TEMPLATE,
            Self::C => C_TEMPLATE,
        }
    }
}
