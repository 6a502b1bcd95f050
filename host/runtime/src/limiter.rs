//! What a store may allocate: memory over all its memories together, table elements, instances.

use wasmtime::ResourceLimiter;

use crate::engine::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};

/// Table elements over all tables of a store. Each is a pointer of the host's memory.
const TABLE_ELEMENTS_TOTAL: usize = 5 * TABLE_ELEMENTS;

/// Counts and caps one store's allocations.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory: usize,
    /// What it held when it was ready for its first event.
    first: usize,
    /// What it held when this event began.
    before: usize,
    peak: usize,
    table_elements: usize,
    denied: Option<Denied>,
}

/// What a guest asked for and did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Memory, this many bytes in all.
    Memory(usize),
    /// Table elements, this many in all.
    Table(usize),
}

impl Limiter {
    pub(crate) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory: 0, first: 0, before: 0, peak: 0, table_elements: 0, denied: None }
    }

    /// Begins to count for another event what the same instance holds.
    pub(crate) fn begin(&mut self) {
        (self.before, self.peak, self.denied) = (self.memory, self.memory, None);
    }

    /// Remembers what is held now as what a new instance holds.
    pub(crate) fn made(&mut self) {
        (self.first, self.before) = (self.memory, self.memory);
    }

    /// The memory that is held now. It only ever grows.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether events have used up half of the room that a new instance had. What is left may be too little for the
    /// next.
    pub(crate) fn is_worn(&self) -> bool {
        self.memory - self.first > self.memory_limit.saturating_sub(self.first) / 2
    }

    /// The memory that this event took anew.
    pub(crate) fn growth(&self) -> usize {
        self.peak - self.before
    }

    /// The most memory that was held at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// The last request that was refused.
    pub(crate) fn denied(&self) -> Option<Denied> {
        self.denied
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.memory.saturating_add(growth);
        if total > self.memory_limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = Some(Denied::Memory(total));
            return Ok(false);
        }
        self.memory = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    /// Called when the allocator could not fulfil a grant, and also when a growth was refused before it was asked for
    /// here. The two look the same, so nothing is given back: a guest that provokes the second must not gain by it.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.denied = Some(Denied::Memory(self.memory));
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if desired > TABLE_ELEMENTS || total > TABLE_ELEMENTS_TOTAL || maximum.is_some_and(|most| desired > most) {
            self.denied = Some(Denied::Table(total));
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert_eq!(limiter.denied(), None);
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert_eq!((limiter.peak(), limiter.denied()), (100, Some(Denied::Memory(101))));
    }

    #[test]
    fn a_growth_that_fails_gains_no_room() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 90, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert_eq!(limiter.denied(), Some(Denied::Memory(90)));
        assert!(!limiter.memory_growing(0, 11, None).unwrap());
    }

    #[test]
    fn tables_are_capped_each_and_together() {
        let mut limiter = Limiter::new(0);
        assert!(!limiter.table_growing(0, TABLE_ELEMENTS + 1, None).unwrap());
        for _ in 0..5 {
            assert!(limiter.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        }
        assert!(!limiter.table_growing(0, 1, None).unwrap());
    }
}
