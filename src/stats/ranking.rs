//! Many designs at once: which may be the best, and which differ at all.

use super::interval::paired_difference;

/// Which of several designs may have the smallest mean, replication by replication on common random
/// numbers; the true best is among them with at least the stated confidence.
///
/// # Model
/// A design is out when some other one is smaller with confidence 1 - (1 - confidence) / (k - 1),
/// one-sided, by the paired Student interval: the true best takes part in only k - 1 of these
/// comparisons, so by Bonferroni's inequality it is thrown out with at most 1 - confidence (the
/// subset selection of Gupta 1965, with pairing as in Nelson 1993).
///
/// # Panics
/// If designs have different numbers of replications, or fewer than two.
pub fn possibly_smallest(values: &[Vec<f64>], confidence: f64) -> Vec<bool> {
    let rivals = values.len().saturating_sub(1).max(1) as f64;
    // A one-sided bound is an end of a two-sided interval that misses twice as often.
    let two_sided = 1.0 - 2.0 * (1.0 - confidence) / rivals;
    values
        .iter()
        .map(|mine| {
            values.iter().all(|other| {
                let beyond = paired_difference(mine, other, two_sided.max(0.01))
                    .expect("two replications make an interval");
                beyond.high >= 0.0
            })
        })
        .collect()
}

/// Which of several hypotheses are rejected when the chance of any false rejection is to be at most
/// `level`.
///
/// # Model
/// Holm (1979): the p-values in order are held against level / m, level / (m - 1), ..., up to the
/// first that is not below. Never less powerful than Bonferroni's rule, under any dependence.
pub fn holm(p_values: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]).then(a.cmp(b)));
    let mut rejected = vec![false; p_values.len()];
    for (rank, index) in order.into_iter().enumerate() {
        if p_values[index] > level / (p_values.len() - rank) as f64 {
            break;
        }
        rejected[index] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn holm_rejects_what_the_textbook_rejects() {
        // Holm's own steps: 0.01 <= 0.05/4, 0.015 <= 0.05/3, 0.03 > 0.05/2.
        assert_eq!(holm(&[0.01, 0.03, 0.04, 0.015], 0.05), [true, false, false, true]);
        assert_eq!(holm(&[0.2, 0.3], 0.05), [false, false]);
        assert_eq!(holm(&[], 0.05), Vec::<bool>::new());
    }

    #[test]
    fn holm_keeps_the_family_wise_rate_and_uncorrected_tests_do_not() {
        let mut sample = Sample(51);
        let (mut corrected, mut plain) = (0, 0);
        for _ in 0..2_000 {
            let p_values: Vec<f64> = (0..10).map(|_| sample.uniform()).collect();
            corrected += u32::from(holm(&p_values, 0.05).contains(&true));
            plain += u32::from(p_values.iter().any(|p| *p <= 0.05));
        }
        // 98 of 2,000 with a standard deviation of 9.6.
        assert!((60..=137).contains(&corrected), "{corrected}");
        assert!(plain > 700, "1 - 0.95^10 is 40 %: {plain}");
    }

    #[test]
    fn the_best_is_kept_and_the_worse_go() {
        let mut sample = Sample(52);
        let (mut lost, mut narrowed) = (0, 0);
        for _ in 0..400 {
            let common: Vec<f64> = (0..8).map(|_| 5.0 * sample.normal()).collect();
            let mut design = |mean: f64| -> Vec<f64> {
                common.iter().map(|shared| mean + shared + 0.3 * sample.normal()).collect()
            };
            let kept = possibly_smallest(&[design(10.0), design(10.1), design(12.0)], 0.95);
            lost += u32::from(!kept[0]);
            narrowed += u32::from(!kept[2]);
        }
        // At most 20 of 400 on average; 38 is four standard deviations more.
        assert!(lost <= 38, "{lost}");
        assert!(narrowed > 390, "two standard deviations of what is left apart: {narrowed}");
    }
}
