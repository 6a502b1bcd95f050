//! What the operator sets about the runtime.

use std::path::PathBuf;

use crate::outgoing::network::Network;

/// How large the runtime is. Any values are fine; what the machine cannot give is refused or replaced at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where compiled code is kept. Made if it is not there; only this host may write to it.
    pub cache_dir: PathBuf,
    /// How many invocations run at the same time. The pool of sandboxes is made for this many; one more is a fault of
    /// the host.
    pub invocations: usize,
    /// The largest memory that any handler may ask for, in bytes.
    pub memory_limit: usize,
    /// The stack of a guest, in bytes.
    pub stack: usize,
    /// The largest component that is taken, in bytes.
    pub component_limit: usize,
    /// The most bytes that a guest hands to the host in one call, or returns. It bounds what the host allocates on a
    /// guest's behalf, and should be some times the largest message.
    pub transfer_limit: usize,
    /// HTTP requests of guests that are under way at the same time, each over a connection of its own. One more waits.
    pub connections: usize,
    /// Networks that are not public and to which guests may connect all the same, if their manifests name the address.
    pub private_addresses: Vec<Network>,
    /// Instances that are kept between two events, of all handlers together. They give way to any that is needed.
    pub warm: usize,
    /// Linear memory that instances may hold between two events, of all handlers together, in bytes.
    pub warm_memory: usize,
    /// Whether a guest that computes can be interrupted. A host says [`Preemption::On`].
    pub preemption: Preemption,
}

/// Whether a guest that computes can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preemption {
    /// At each tick: deadlines hold, and nobody keeps a thread to itself.
    On,
    /// Never: a loop without end would hold its thread for ever. Only for measuring what the other costs.
    Off,
}

impl Settings {
    /// Invocations at the same time for each core unless set otherwise. Arbitrary: far more than run at once, for guests
    /// that wait.
    pub const INVOCATIONS_PER_CORE: usize = 128;
    /// The most invocations at the same time unless set otherwise: their sandboxes, with four memories of 4 GiB each,
    /// reserve 32 TiB of the 128 TiB that a process can address.
    pub const INVOCATIONS_LIMIT: usize = 2048;
    /// The largest memory unless set otherwise. Arbitrary: a Python guest with a large library fits.
    pub const MEMORY_LIMIT: usize = 512 * 1024 * 1024;
    /// The stack unless set otherwise: wasmtime's own default, which the common tool chains are tested with.
    pub const STACK: usize = 512 * 1024;
    /// The largest component unless set otherwise: three times the largest seen, a Python one.
    pub const COMPONENT_LIMIT: usize = 64 * 1024 * 1024;
    /// The most bytes in one call unless set otherwise: sixteen times the largest body of the default settings.
    pub const TRANSFER_LIMIT: usize = 16 * 1024 * 1024;

    /// Connections at the same time unless set otherwise. Arbitrary; a quarter of the files that a process may usually
    /// have open.
    pub const CONNECTIONS: usize = 256;

    /// Memory held between two events unless set otherwise: some thirty Python guests, or a thousand small ones.
    /// Memory that a guest never touched counts and takes nothing.
    pub const WARM_MEMORY: usize = 1024 * 1024 * 1024;

    /// Invocations at the same time unless set otherwise, on this machine.
    #[must_use]
    pub fn invocations_here() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        cores.saturating_mul(Self::INVOCATIONS_PER_CORE).min(Self::INVOCATIONS_LIMIT)
    }

    /// Defaults, with compiled code kept in `cache_dir`.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            invocations: Self::invocations_here(),
            memory_limit: Self::MEMORY_LIMIT,
            stack: Self::STACK,
            component_limit: Self::COMPONENT_LIMIT,
            transfer_limit: Self::TRANSFER_LIMIT,
            connections: Self::CONNECTIONS,
            private_addresses: Vec::new(),
            // Half of the sandboxes, so that a fresh one seldom has to wait until a warm one was given back.
            warm: Self::invocations_here() / 2,
            warm_memory: Self::WARM_MEMORY,
            preemption: Preemption::On,
        }
    }
}
