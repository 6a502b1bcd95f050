//! Which node of a queue group gets the next event.

/// How a remote queue group's node is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Selector {
    /// By lot, as go-micro does.
    #[default]
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests on their way; between equals by lot.
    LeastLoaded,
}

/// Where a selector's choices come from: its lots and its turn.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
    /// The number of the node that was chosen last.
    last: Option<usize>,
}

/// A node that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its number among all nodes, candidates or not.
    pub number: usize,
    /// Its requests on their way.
    pub in_flight: usize,
}

impl Chance {
    /// Lots that begin at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, last: None }
    }

    /// A number below `limit`; 0 if that is 0. SplitMix64, by Sebastiano Vigna.
    pub fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The remainder's bias is some 2^-50 for any real number of nodes.
        mixed.checked_rem(limit as u64).and_then(|rest| usize::try_from(rest).ok()).unwrap_or(0)
    }
}

impl Selector {
    /// The number of the chosen node; `None` without a candidate. Candidates come in the order of their numbers.
    pub fn choose(self, candidates: &[Candidate], chance: &mut Chance) -> Option<usize> {
        let chosen = match self {
            Self::Random => *candidates.get(chance.below(candidates.len()))?,
            Self::RoundRobin => {
                let after = |candidate: &&Candidate| chance.last.is_none_or(|last| candidate.number > last);
                *candidates.iter().find(after).or_else(|| candidates.first())?
            }
            Self::LeastLoaded => {
                let least = candidates.iter().map(|candidate| candidate.in_flight).min()?;
                let equal = |candidate: &&Candidate| candidate.in_flight == least;
                let equals = candidates.iter().filter(equal).count();
                *candidates.iter().filter(equal).nth(chance.below(equals))?
            }
        };
        chance.last = Some(chosen.number);
        Some(chosen.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(numbers: &[usize]) -> Vec<Candidate> {
        numbers.iter().map(|&number| Candidate { number, in_flight: 0 }).collect()
    }

    #[test]
    fn lots_fall_on_every_node_and_are_the_same_for_the_same_seed() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..300).filter_map(|_| Selector::Random.choose(&idle(&[0, 1, 2]), &mut chance)).collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        for node in 0..3 {
            let share = drawn.iter().filter(|&&other| other == node).count();
            assert!((70..=130).contains(&share), "{share} of 300");
        }
    }

    #[test]
    fn turns_go_round_and_skip_who_is_missing() {
        let mut chance = Chance::new(0);
        let mut turn = |numbers: &[usize]| Selector::RoundRobin.choose(&idle(numbers), &mut chance);
        assert_eq!([turn(&[0, 1, 2]), turn(&[0, 1, 2]), turn(&[0, 1, 2])], [Some(0), Some(1), Some(2)]);
        assert_eq!([turn(&[0, 2]), turn(&[0, 2]), turn(&[1])], [Some(0), Some(2), Some(1)]);
    }

    #[test]
    fn the_least_loaded_is_chosen() {
        let mut chance = Chance::new(0);
        let loads = [(0, 3), (4, 1), (9, 2)].map(|(number, in_flight)| Candidate { number, in_flight });
        assert_eq!(Selector::LeastLoaded.choose(&loads, &mut chance), Some(4));
    }

    #[test]
    fn nobody_is_chosen_of_none() {
        for selector in [Selector::Random, Selector::RoundRobin, Selector::LeastLoaded] {
            assert_eq!(selector.choose(&[], &mut Chance::new(0)), None);
        }
    }
}
