//! Lots: numbers that look random, made of a counter. SplitMix64, by Sebastiano Vigna, after Steele, Lea and Flood: "Fast
//! splittable pseudorandom number generators", 2014. Who draws keeps the counter, behind a lock or without one.

/// By how much the counter grows with each draw.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number below `limit`, made of the counter after its step; 0 if the limit is 0.
pub(crate) fn below(counter: u64, limit: usize) -> usize {
    let mut mixed = counter;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The remainder's bias is some 2^-50 for any real number of nodes.
    mixed.checked_rem(limit as u64).and_then(|rest| usize::try_from(rest).ok()).unwrap_or(0)
}
