//! The runtime: loads components, each once, and makes guests of them.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use hostel_event::handler::{Digest, Handler};
use hostel_event::port::Clock;
use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::cache::Cache;
use crate::component::{Component, Source};
use crate::guest::Guest;
use crate::load::{LoadError, damaged, digest, surface};
use crate::outgoing::Outgoing;
use crate::settings::Settings;
use crate::state::State;
use crate::ticker::Ticker;
use crate::world::World;
use crate::{capability, engine, offer, telemetry};

/// Loads components and runs handlers. There is one in a host.
pub struct Runtime {
    inner: Arc<Inner>,
    linker: Linker<State>,
    cache: Cache,
    loaded: Mutex<HashMap<Digest, Arc<Slot>>>,
    component_limit: usize,
}

/// What guests need for as long as they live.
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ticker: Ticker,
    pub(crate) transfer_limit: usize,
    pub(crate) outgoing: Arc<Outgoing>,
    memory_limit: usize,
}

/// Where a component of one digest is, or will be once the first who wants it has loaded it.
type Slot = Mutex<Weak<Component>>;

/// The unit in which WebAssembly counts memory.
const WASM_PAGE: u64 = 64 * 1024;

/// Why the runtime could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// wasmtime refused the settings, or does not run on this machine.
    #[error("cannot make the WebAssembly engine: {0}")]
    Engine(String),
    /// The folder for compiled code cannot be used.
    #[error("cannot use the compile cache `{}`", .path.display())]
    Cache {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread that preempts guests could not be started.
    #[error("cannot start the ticker's thread")]
    Ticker(#[source] std::io::Error),
}

/// Why a component cannot run under a handler's limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The limit is larger than the operator allows for any handler.
    #[error("memory limit of {asked} bytes is more than the host's {limit}")]
    MemoryLimit {
        /// What the manifest asks for.
        asked: usize,
        /// The most it may ask for.
        limit: usize,
    },
    /// A memory of it begins larger than the limit.
    #[error("component begins with {needed} bytes of memory, more than the handler's limit of {limit}")]
    Memory {
        /// The size of its largest memory at the start.
        needed: u64,
        /// The handler's limit.
        limit: usize,
    },
}

impl Runtime {
    /// Makes the engine, opens the compile cache and starts the ticker's thread, which ends when the runtime and the
    /// last of its guests are dropped.
    ///
    /// # Errors
    /// [`RuntimeError`] says what the machine would not give.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, RuntimeError> {
        let text = |error: wasmtime::Error| RuntimeError::Engine(format!("{error:#}"));
        let engine = engine::build(settings).map_err(text)?;
        let linker = capability::linker(&engine).map_err(text)?;
        let cache = Cache::open(&settings.cache_dir, &engine)?;
        let ticker = Ticker::start(engine.clone()).map_err(RuntimeError::Ticker)?;
        let (transfer_limit, memory_limit) = (settings.transfer_limit, settings.memory_limit);
        let outgoing = Arc::new(Outgoing::new(settings.connections, transfer_limit));
        Ok(Self {
            inner: Arc::new(Inner { engine, clock, ticker, transfer_limit, outgoing, memory_limit }),
            linker,
            cache,
            loaded: Mutex::new(HashMap::new()),
            component_limit: settings.component_limit,
        })
    }

    /// Makes a component of bytes: checks what they are, compiles them or takes the code from the cache, and links
    /// them. Bytes that are loaded already cost a hash; several who load the same at the same time compile once.
    ///
    /// Blocks, for seconds where it compiles: not to be called on a thread that serves events.
    ///
    /// # Errors
    /// [`LoadError`] says what the bytes are instead, or what they lack.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Component>, LoadError> {
        let surface = surface(bytes, self.component_limit)?;
        let world = World::detect(&surface.exports)?;
        offer::check(&surface.imports)?;

        let digest = digest(bytes);
        let slot = self.slot(digest);
        let mut held = slot.lock();
        if let Some(component) = held.upgrade() {
            return Ok(component);
        }
        let cached = self.cache.fetch(&self.inner.engine, &digest);
        let source = Source { digest, bytes: bytes.len(), world, from_cache: cached.is_some() };
        let code = match cached {
            Some(code) => code,
            None => self.compile(bytes, &digest)?,
        };
        let component = Arc::new(Component::link(&source, &code, &self.linker)?);
        *held = Arc::downgrade(&component);
        Ok(component)
    }

    /// The slot of a digest; forgets those whose components nobody holds any more.
    fn slot(&self, digest: Digest) -> Arc<Slot> {
        let mut loaded = self.loaded.lock();
        // A slot that is locked or shared is being filled.
        loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        Arc::clone(loaded.entry(digest).or_default())
    }

    fn compile(&self, bytes: &[u8], digest: &Digest) -> Result<wasmtime::component::Component, LoadError> {
        let code = wasmtime::component::Component::from_binary(&self.inner.engine, bytes).map_err(|error| {
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

    /// Joins a component with a handler's limits and grants. Cheap: the code was linked when it was loaded.
    ///
    /// # Errors
    /// [`PrepareError`] when the component can never run under these limits.
    pub fn prepare(&self, component: &Arc<Component>, handler: &Handler) -> Result<Arc<Guest>, PrepareError> {
        let (asked, limit) = (handler.limits.memory, self.inner.memory_limit);
        if asked > limit {
            return Err(PrepareError::MemoryLimit { asked, limit });
        }
        let first_memory = component.code.component().resources_required().and_then(|it| it.max_initial_memory_size);
        let needed = first_memory.unwrap_or_default().saturating_mul(WASM_PAGE);
        if usize::try_from(needed).unwrap_or(usize::MAX) > asked {
            return Err(PrepareError::Memory { needed, limit: asked });
        }
        let guest = Guest::new(Arc::clone(&self.inner), Arc::clone(component), Arc::new(handler.clone()));
        Ok(Arc::new(guest))
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("cache", &self.cache).finish_non_exhaustive()
    }
}
