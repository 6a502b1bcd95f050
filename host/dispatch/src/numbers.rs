//! Maps whose keys are numbers that the host gave out itself, one after another. Nobody outside chooses them, so they
//! need no hash that withstands being chosen, which costs more than the look-up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads one number over all bits, by Fibonacci hashing.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: neighbours land far apart. The high bits are the good ones, and the map takes
        // its place from the low ones.
        let spread = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn numbers_in_a_row_fill_every_place_of_a_map() {
        let hash = |number: u64| BuildHasherDefault::<NumberHasher>::default().hash_one(number);
        for step in [1, 2, 3, 1024] {
            let low: HashSet<u64> = (0..4096).map(|n| hash(n * step) % 4096).collect();
            let high: HashSet<u64> = (0..4096).map(|n| hash(n * step) >> 57).collect();
            assert!(low.len() > 2000, "{} places of 4096 in steps of {step}", low.len());
            assert_eq!(high.len(), 128, "in steps of {step}");
        }
    }
}
