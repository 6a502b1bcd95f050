//! Which node of a queue group gets the next event.

use crate::choice::Choice;
use crate::lot;

/// Where the choices come from: lots and a turn.
#[derive(Debug, Clone)]
pub struct Chance {
    /// Of the lots.
    counter: u64,
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
        Self { counter: seed, last: None }
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.counter = self.counter.wrapping_add(lot::STEP);
        lot::below(self.counter, limit)
    }

    /// The number of the chosen node; `None` without a candidate. Candidates come in the order of their numbers.
    pub fn choose(&mut self, choice: Choice, candidates: &[Candidate]) -> Option<usize> {
        let chosen = match choice {
            Choice::Random => *candidates.get(self.below(candidates.len()))?,
            Choice::RoundRobin => {
                let after = |candidate: &&Candidate| self.last.is_none_or(|last| candidate.number > last);
                *candidates.iter().find(after).or_else(|| candidates.first())?
            }
            Choice::LeastLoaded => {
                let least = candidates.iter().map(|candidate| candidate.in_flight).min()?;
                let equal = |candidate: &&Candidate| candidate.in_flight == least;
                let equals = candidates.iter().filter(equal).count();
                *candidates.iter().filter(equal).nth(self.below(equals))?
            }
        };
        self.last = Some(chosen.number);
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
            (0..300).filter_map(|_| chance.choose(Choice::Random, &idle(&[0, 1, 2]))).collect::<Vec<_>>()
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
        let mut turn = |numbers: &[usize]| chance.choose(Choice::RoundRobin, &idle(numbers));
        assert_eq!([turn(&[0, 1, 2]), turn(&[0, 1, 2]), turn(&[0, 1, 2])], [Some(0), Some(1), Some(2)]);
        assert_eq!([turn(&[0, 2]), turn(&[0, 2]), turn(&[1])], [Some(0), Some(2), Some(1)]);
    }

    #[test]
    fn the_least_loaded_is_chosen() {
        let mut chance = Chance::new(0);
        let loads = [(0, 3), (4, 1), (9, 2)].map(|(number, in_flight)| Candidate { number, in_flight });
        assert_eq!(chance.choose(Choice::LeastLoaded, &loads), Some(4));
    }

    #[test]
    fn nobody_is_chosen_of_none() {
        for choice in [Choice::Random, Choice::RoundRobin, Choice::LeastLoaded] {
            assert_eq!(Chance::new(0).choose(choice, &[]), None);
        }
    }
}
