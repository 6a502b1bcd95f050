//! The runtime: loads components, each once, and makes guests of them.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use hostel_event::handler::{Digest, Handler};
use hostel_event::port::Clock;
use parking_lot::Mutex;
use wasmtime::Engine;

use crate::aside::Aside;
use crate::capability::files::place::Places;
use crate::compiler::Compiler;
use crate::component::Component;
use crate::engine::Calls;
use crate::guest::Guest;
use crate::load::{LoadError, digest, surface};
use crate::offer;
use crate::outgoing::Outgoing;
use crate::provision::{Nothing, Provision};
use crate::settings::Settings;
use crate::ticker::Ticker;
use crate::turns::Turns;
use crate::warm::Warm;
use crate::world::World;

/// Loads components and runs handlers. There is one in a host.
pub struct Runtime {
    inner: Arc<Inner>,
    plain: Compiler,
    /// Made when the first component needs it.
    concurrent: Mutex<Option<Arc<Compiler>>>,
    places: Arc<Places>,
    settings: Settings,
    loaded: Mutex<HashMap<Digest, Arc<Slot>>>,
    compiled: AtomicU64,
    from_cache: AtomicU64,
}

/// What the runtime does now, and how it came by the code of the components that it loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Guests that run.
    pub running: usize,
    /// Warm instances that wait for an event.
    pub warm: usize,
    /// Components that were compiled.
    pub compiled: u64,
    /// Components whose code was in the cache.
    pub from_cache: u64,
}

/// What guests need for as long as they live.
pub(crate) struct Inner {
    /// Of the components that are not asynchronous.
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ticker: Ticker,
    pub(crate) aside: Aside,
    pub(crate) turns: Arc<Turns>,
    pub(crate) transfer_limit: usize,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) provision: Arc<dyn Provision>,
    pub(crate) warm: Arc<Warm>,
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
    /// The threads for guests that compute for long could not be started.
    #[error("cannot start the threads for guests that compute for long")]
    Aside(#[source] std::io::Error),
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
    /// Makes the engine, opens the compile cache and starts the runtime's threads, which end when it and the last of its
    /// guests are dropped.
    ///
    /// # Errors
    /// [`RuntimeError`] says what the machine would not give.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, RuntimeError> {
        Self::providing(settings, clock, Arc::new(Nothing))
    }

    /// The same, for tenants for whom the operator has something.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn providing(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        provision: Arc<dyn Provision>,
    ) -> Result<Self, RuntimeError> {
        let places = Arc::new(Places::new());
        let plain = Compiler::new(settings, Calls::OneAtATime, &places)?;
        let engine = plain.engine().clone();
        let warm = Arc::new(Warm::new(settings));
        let ticker = Ticker::start(engine.clone(), Arc::clone(&warm)).map_err(RuntimeError::Ticker)?;
        let (transfer_limit, memory_limit) = (settings.transfer_limit, settings.memory_limit);
        let outgoing = Arc::new(Outgoing::new(settings, Arc::clone(&provision)));
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                clock,
                ticker,
                aside: Aside::start().map_err(RuntimeError::Aside)?,
                turns: Turns::new(),
                transfer_limit,
                outgoing,
                provision,
                warm,
                memory_limit,
            }),
            plain,
            concurrent: Mutex::new(None),
            places,
            settings: settings.clone(),
            loaded: Mutex::new(HashMap::new()),
            compiled: AtomicU64::new(0),
            from_cache: AtomicU64::new(0),
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
        let surface = surface(bytes, self.settings.component_limit)?;
        let world = World::detect(&surface.exports)?;
        offer::check(&surface.imports)?;

        let digest = digest(bytes);
        let slot = self.slot(digest);
        let mut held = slot.lock();
        if let Some(component) = held.upgrade() {
            return Ok(component);
        }
        let component = if world.is_concurrent() || offer::needs_concurrency(&surface.imports) {
            self.concurrent()?.load(bytes, digest, world)?
        } else {
            self.plain.load(bytes, digest, world)?
        };
        let count = if component.from_cache() { &self.from_cache } else { &self.compiled };
        count.fetch_add(1, Ordering::Relaxed);
        let component = Arc::new(component);
        *held = Arc::downgrade(&component);
        Ok(component)
    }

    /// What it does now, and did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            running: self.inner.ticker.active(),
            warm: self.inner.warm.waiting(),
            compiled: self.compiled.load(Ordering::Relaxed),
            from_cache: self.from_cache.load(Ordering::Relaxed),
        }
    }

    /// The slot of a digest; forgets those whose components nobody holds any more.
    fn slot(&self, digest: Digest) -> Arc<Slot> {
        let mut loaded = self.loaded.lock();
        // A slot that is locked or shared is being filled.
        loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        Arc::clone(loaded.entry(digest).or_default())
    }

    /// The compiler of asynchronous components. Made once; an error is no reason not to try again.
    fn concurrent(&self) -> Result<Arc<Compiler>, LoadError> {
        let mut concurrent = self.concurrent.lock();
        if let Some(compiler) = &*concurrent {
            return Ok(Arc::clone(compiler));
        }
        let compiler = Compiler::new(&self.settings, Calls::Concurrent, &self.places);
        let compiler = Arc::new(compiler.map_err(|error| LoadError::Host(error.to_string()))?);
        self.inner.ticker.also(compiler.engine().clone());
        *concurrent = Some(Arc::clone(&compiler));
        Ok(compiler)
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
        Ok(Guest::new(Arc::clone(&self.inner), Arc::clone(component), Arc::new(handler.clone())))
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("plain", &self.plain).finish_non_exhaustive()
    }
}
