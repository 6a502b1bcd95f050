//! A compiler: an engine, what guests in it can import, and where its compiled code is kept.
//!
//! There is one for components whose export is called and returns, and one, made when it is first needed, for those that
//! are asynchronous in the component model's own way: their stores are larger, which the others should not pay for.

use std::fmt;
use std::sync::Arc;

use hostel_event::handler::Digest;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::cache::Cache;
use crate::capability::files::place::Places;
use crate::component::{Component, Source};
use crate::engine::Calls;
use crate::load::{LoadError, damaged};
use crate::runtime::RuntimeError;
use crate::settings::Settings;
use crate::state::State;
use crate::world::World;
use crate::{capability, engine, telemetry};

/// See the module's page.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<State>,
    cache: Cache,
}

impl Compiler {
    /// Makes the engine and opens its part of the compile cache. `places` is what guests of all compilers share.
    pub(crate) fn new(settings: &Settings, calls: Calls, places: &Arc<Places>) -> Result<Self, RuntimeError> {
        let text = |error: wasmtime::Error| RuntimeError::Engine(format!("{error:#}"));
        let engine = engine::build(settings, calls).map_err(text)?;
        let linker = capability::linker(&engine, calls, places).map_err(text)?;
        let cache = Cache::open(&settings.cache_dir, &engine)?;
        Ok(Self { engine, linker, cache })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes a component of bytes whose surface was checked, with code from the cache if it is there.
    pub(crate) fn load(&self, bytes: &[u8], digest: Digest, world: World) -> Result<Component, LoadError> {
        let cached = self.cache.fetch(&self.engine, &digest);
        let source = Source { digest, bytes: bytes.len(), world, from_cache: cached.is_some() };
        let code = match cached {
            Some(code) => code,
            None => self.compile(bytes, &digest)?,
        };
        Component::link(&source, &code, &self.linker)
    }

    fn compile(&self, bytes: &[u8], digest: &Digest) -> Result<wasmtime::component::Component, LoadError> {
        let code = wasmtime::component::Component::from_binary(&self.engine, bytes).map_err(|error| {
            let text = format!("{error:#}");
            // wasmtime hides the place of an error inside a function; the validator tells it.
            match wasmparser::Validator::new().validate_all(bytes) {
                Err(error) => damaged(&error, bytes.len()),
                // The pool's checks come with the same type of error as all others. They speak of what exceeds what.
                Ok(_) if text.contains("exceeds") => LoadError::Limits(text),
                Ok(_) => LoadError::Host(text),
            }
        })?;
        match code.serialize() {
            Ok(image) => self.cache.store(digest, &image),
            Err(error) => telemetry::code_not_cached(digest, &format_args!("{error:#}")),
        }
        Ok(code)
    }
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").field("cache", &self.cache).finish_non_exhaustive()
    }
}
