//! A component that was checked, compiled and linked: what every handler with these bytes shares.

use std::fmt;

use hostel_event::handler::Digest;
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker};

use crate::adapter::Export;
use crate::load::LoadError;
use crate::state::State;
use crate::world::{LIFECYCLE, World};

/// A loaded component. Kept once however many handlers use it.
pub struct Component {
    digest: Digest,
    bytes: usize,
    world: World,
    from_cache: bool,
    pub(crate) code: InstancePre<State>,
    /// How it is called.
    pub(crate) export: Export,
    pub(crate) init: Option<ComponentExportIndex>,
}

/// What is known of a component before it is compiled.
pub(crate) struct Source {
    pub(crate) digest: Digest,
    pub(crate) bytes: usize,
    pub(crate) world: World,
    pub(crate) from_cache: bool,
}

impl Component {
    /// Links compiled code with what the host offers, and finds the functions that the host calls.
    pub(crate) fn link(
        source: &Source,
        code: &wasmtime::component::Component,
        linker: &Linker<State>,
    ) -> Result<Self, LoadError> {
        // The names were checked before, so that what is left is a function or a type that differs.
        let linked = linker.instantiate_pre(code).map_err(|error| LoadError::Imports(format!("{error:#}")))?;
        let world = source.world;
        let lacks = || LoadError::NoWorld {
            wanted: world.export(),
            looks: format!("what it exports by that name has no function `{}`", world.function()),
        };
        let called = function(code, world.export(), world.function()).ok_or_else(lacks)?;
        Ok(Self {
            digest: source.digest,
            bytes: source.bytes,
            world,
            from_cache: source.from_cache,
            export: Export { world, function: called },
            init: function(code, LIFECYCLE, "init"),
            code: linked,
        })
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The length of its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The world that it fits.
    #[must_use]
    pub fn world(&self) -> World {
        self.world
    }

    /// Whether it exports `lifecycle` and wants to prepare itself.
    #[must_use]
    pub fn has_lifecycle(&self) -> bool {
        self.init.is_some()
    }

    /// Whether its code came from the cache and was not compiled for this.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }
}

fn function(code: &wasmtime::component::Component, interface: &str, name: &str) -> Option<ComponentExportIndex> {
    let interface = code.get_export_index(None, interface)?;
    code.get_export_index(Some(&interface), name)
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.digest)
            .field("bytes", &self.bytes)
            .field("world", &self.world)
            .field("from_cache", &self.from_cache)
            .finish_non_exhaustive()
    }
}
