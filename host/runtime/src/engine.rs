//! The wasmtime engine: how guests are compiled and where their memories come from.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::fault::FRAMES;
use crate::settings::{Preemption, Settings};
use crate::telemetry;

/// Core instances in one component. A Rust guest has some 4, a Python guest, which links shared libraries inside
/// itself, some 25.
pub(crate) const CORE_INSTANCES: u32 = 40;
/// Linear memories in one component. One, unless components were composed into one.
pub(crate) const MEMORIES: u32 = 4;
/// Tables in one component. About one for each core instance.
pub(crate) const TABLES: u32 = 40;
/// Elements in one table. Interpreters compiled to WebAssembly have 5,000 to 15,000.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Stack left for host functions above the guest's own, as in wasmtime's defaults (2 MiB less 512 KiB).
const HOST_STACK: usize = 1536 * 1024;
/// Memory of a used slot that stays resident and is cleared by hand, where the kernel tells which pages were touched.
/// A small guest touches well under this, so that its slot is ready again without a `madvise`; with the 100 warm slots
/// that wasmtime keeps it bounds what an idle pool holds to 200 MiB.
const KEEP_RESIDENT: usize = 2 * 1024 * 1024;
/// The same for tables: one page, which holds those of a small guest.
const KEEP_RESIDENT_TABLE: usize = 4096;
const WASM_PAGE: usize = 64 * 1024;

/// How guests of an engine are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// A call ends before anything else happens in the guest.
    OneAtATime,
    /// In the component model's asynchronous way: tasks, streams and futures.
    Concurrent,
}

/// Where the memories of sandboxes come from, the fastest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allocator {
    /// A pool that asks the kernel which pages were touched.
    ScanningPool,
    /// A pool that cannot.
    Pool {
        /// Why.
        reason: String,
    },
    /// The system, for each sandbox anew.
    OnDemand {
        /// Why there is no pool.
        reason: String,
    },
}

/// Which allocator a runtime of these settings would have on this machine. Makes a pool and lets it go.
#[must_use]
pub fn allocator(settings: &Settings) -> Allocator {
    let made = |scan| {
        let engine = Engine::new(config(settings, Calls::OneAtATime).allocation_strategy(pool(settings, scan)));
        engine.map(drop).map_err(|error| format!("{error:#}"))
    };
    match (made(Enabled::Yes), made(Enabled::No)) {
        (Ok(()), _) => Allocator::ScanningPool,
        (Err(reason), Ok(())) => Allocator::Pool { reason },
        (Err(_), Err(reason)) => Allocator::OnDemand { reason },
    }
}

/// Makes the engine with the fastest allocator that the machine can give: a pool that asks the kernel which pages were
/// touched (Linux 6.7), a plain pool, or memory on demand with a warning.
pub(crate) fn build(settings: &Settings, calls: Calls) -> wasmtime::Result<Engine> {
    let scanning = Engine::new(config(settings, calls).allocation_strategy(pool(settings, Enabled::Yes)));
    let Err(no_scan) = scanning else { return scanning };
    let plain = Engine::new(config(settings, calls).allocation_strategy(pool(settings, Enabled::No)));
    let Err(no_pool) = plain else {
        telemetry::pool_without_scans(&no_scan);
        return plain;
    };
    let engine = Engine::new(config(settings, calls).allocation_strategy(InstanceAllocationStrategy::OnDemand))?;
    telemetry::no_pool(settings, &no_pool);
    Ok(engine)
}

fn config(settings: &Settings, calls: Calls) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(settings.preemption == Preemption::On)
        .max_wasm_stack(settings.stack)
        .async_stack_size(settings.stack.saturating_add(HOST_STACK))
        // Names come from the name section. Reading a guest's debug info at each trap would let a guest that traps
        // keep the host busy.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES))
        // Where one export is called at a time, what concurrency would need in each store is not made.
        .concurrency_support(calls == Calls::Concurrent);
    if calls == Calls::Concurrent {
        config.wasm_component_model_async(true);
    }
    config
}

fn pool(settings: &Settings, scan: Enabled) -> InstanceAllocationStrategy {
    let invocations = u32::try_from(settings.invocations).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    // Each count is what `invocations` guests of the largest shape need, so that no guest's shape can starve another.
    // Slots cost address space until they are used.
    pool.total_component_instances(invocations)
        .total_core_instances(invocations.saturating_mul(CORE_INSTANCES))
        .total_memories(invocations.saturating_mul(MEMORIES))
        .total_tables(invocations.saturating_mul(TABLES))
        .total_stacks(invocations)
        .total_gc_heaps(invocations)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(settings.memory_limit.next_multiple_of(WASM_PAGE));
    // Without scans, what is kept resident is cleared whole each time, touched or not, which costs more than it saves.
    if scan == Enabled::Yes {
        pool.linear_memory_keep_resident(KEEP_RESIDENT).table_keep_resident(KEEP_RESIDENT_TABLE);
    }
    pool.pagemap_scan(scan);
    InstanceAllocationStrategy::Pooling(pool)
}
