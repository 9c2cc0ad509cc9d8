//! How sure a share is that was counted.

use super::distribution::incomplete_beta;
use super::interval::Interval;

/// The probability behind a count of `successes` among independent `trials`, such as seeds whose run
/// collapsed.
///
/// # Model
/// Clopper and Pearson (1934): each end is the probability under which a count at least as extreme
/// has half of 1 - confidence. It covers at least at the stated rate for any number of trials; with
/// none of n successes its upper end at 95 % is near 3.7 / n.
///
/// # Errors
/// `None` without trials.
///
/// # Panics
/// If there are more successes than trials, or the confidence is not strictly between 0 and 1.
pub fn proportion_interval(successes: u64, trials: u64, confidence: f64) -> Option<Interval> {
    assert!(successes <= trials, "{successes} of {trials}");
    assert!(confidence > 0.0 && confidence < 1.0, "a confidence lies strictly between 0 and 1");
    if trials == 0 {
        return None;
    }
    let (count, of) = (successes as f64, trials as f64);
    let miss = (1.0 - confidence) / 2.0;
    let low = match successes {
        0 => 0.0,
        _ => beta_quantile(miss, count, of - count + 1.0),
    };
    let high = match successes == trials {
        true => 1.0,
        false => beta_quantile(1.0 - miss, count + 1.0, of - count),
    };
    Some(Interval { estimate: count / of, low, high, confidence })
}

/// The `p`-quantile of a beta distribution, by sixty halvings.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if incomplete_beta(a, b, middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn intervals_are_the_tabled_ones() {
        // 1 - 0.025^(1/10) of nothing in ten, and the textbook's 3 in 10: 0.0667 to 0.6525.
        let none = proportion_interval(0, 10, 0.95).unwrap();
        assert_eq!((none.estimate, none.low), (0.0, 0.0));
        assert!((none.high - 0.308_497).abs() < 1e-6, "{}", none.high);
        let three = proportion_interval(3, 10, 0.95).unwrap();
        assert!((three.low - 0.066_74).abs() < 1e-5 && (three.high - 0.652_45).abs() < 1e-5);
        let all = proportion_interval(10, 10, 0.95).unwrap();
        assert!((all.low - (1.0 - none.high)).abs() < 1e-9 && all.high == 1.0);
        assert_eq!(proportion_interval(0, 0, 0.95), None);
    }

    #[test]
    fn they_cover_at_least_at_the_stated_rate() {
        let mut sample = Sample(31);
        let mut covered = |truth: f64, claimed: f64| -> u32 {
            let one = |_| {
                let count = (0..60).filter(|_| sample.uniform() < truth).count() as u64;
                u32::from(proportion_interval(count, 60, 0.95).unwrap().covers(claimed))
            };
            (0..2_000).map(one).sum()
        };
        // At least 1,900 of 2,000, less four standard deviations.
        assert!(covered(0.2, 0.2) >= 1_861);
        assert!(covered(0.2, 0.35) < 1_861, "a share of 35 % must be told from 20 %");
    }
}
