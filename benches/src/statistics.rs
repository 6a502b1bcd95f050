//! What is made of samples: the median, how far they spread, and ratios of what was measured side by side.

use serde::Serialize;

/// What a row tells of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of at least one sample; of none there is nothing to tell.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// Each round's subject over the same round's limit. What slowed the machine down in a round slowed both, so that
/// these spread less than the samples do.
pub(crate) fn ratios(subject: &[f64], limit: &[f64]) -> Vec<f64> {
    subject.iter().zip(limit).map(|(subject, limit)| subject / limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_samples() {
        let summary = Summary::of(&[9.0, 1.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { median: 4.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn of_an_even_number_the_median_lies_between_the_two_in_the_middle() {
        let summary = Summary::of(&[10.0, 2.0, 1.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { median: 3.0, min: 1.0, max: 10.0 });
    }

    #[test]
    fn one_sample_has_no_spread_and_none_has_no_summary() {
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_compares_what_was_measured_in_the_same_round() {
        // The second round ran on a machine of half the speed: the samples halve and the ratio stays.
        assert_eq!(ratios(&[50.0, 25.0], &[100.0, 50.0]), [0.5, 0.5]);
    }
}
