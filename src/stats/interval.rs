//! Estimates with their confidence intervals.

use super::distribution::{binomial_probability_at_most, student_t_quantile};
use super::{mean, squared_deviations};

/// An estimate, and the range that covers the truth with the stated confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The best single value.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The share of such intervals that cover the truth, such as 0.95.
    pub confidence: f64,
}

impl Interval {
    /// An interval of Student's t about an estimate with a standard error.
    pub(super) fn student(estimate: f64, error: f64, degrees: f64, confidence: f64) -> Interval {
        assert!(
            confidence > 0.0 && confidence < 1.0,
            "a confidence lies strictly between 0 and 1, not at {confidence}"
        );
        let half = student_t_quantile(0.5 + confidence / 2.0, degrees) * error;
        Interval { estimate, low: estimate - half, high: estimate + half, confidence }
    }

    /// Half the width of the interval as a share of the estimate: the precision reached. Infinite
    /// when the estimate is zero and the interval is not a point.
    pub fn relative_half_width(&self) -> f64 {
        let half = (self.high - self.low) / 2.0;
        if half == 0.0 { 0.0 } else { half / self.estimate.abs() }
    }

    /// Whether the interval covers a value.
    pub fn covers(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The mean of independent values, such as one mean for each replication.
///
/// # Model
/// Student's t with n - 1 degrees of freedom; exact for normal values, and good for means of many.
///
/// # Errors
/// `None` with fewer than two values: one replication says nothing about its own error.
///
/// # Panics
/// If the confidence is not strictly between 0 and 1; so for the other intervals.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    stopped_mean_interval(values, values.len(), confidence)
}

/// The mean of values of which no more were taken as soon as their own interval was narrow enough, at the
/// earliest after the `first`.
///
/// # Model
/// A count that depends on the spread lets small spreads stop early, so those are seen too often. Student's
/// t with the freedom of the first look, however many values followed, makes up for that: Stein (*A
/// two-sample test for a linear hypothesis whose power is independent of the variance*, 1945) proves it
/// exact for normal values when the spread of the first look decides alone; here all decide.
///
/// # Errors
/// `None` with fewer than two values.
pub fn stopped_mean_interval(values: &[f64], first: usize, confidence: f64) -> Option<Interval> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let error = (squared_deviations(values) / (count - 1) as f64 / count as f64).sqrt();
    let degrees = first.clamp(2, count) - 1;
    Some(Interval::student(mean(values), error, degrees as f64, confidence))
}

/// The mean of `after[i] - before[i]`: two designs under common random numbers, replication by
/// replication. The pairing cancels the randomness that both met.
///
/// # Errors
/// `None` with fewer than two pairs.
///
/// # Panics
/// If the two have different lengths.
pub fn paired_difference(before: &[f64], after: &[f64], confidence: f64) -> Option<Interval> {
    assert_eq!(before.len(), after.len(), "a paired difference needs pairs");
    let differences: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
    mean_interval(&differences, confidence)
}

/// The ratio of two means whose values belong together, such as failures and requests of each
/// replication.
///
/// # Model
/// The classical ratio estimator (Law, *Simulation Modeling and Analysis*, section 9.5.3): r = sum
/// y / sum x, with the variance of y - r x over n mean(x)^2, and Student's t. Its bias is of order
/// 1/n.
///
/// # Errors
/// `None` with fewer than two pairs, or when the denominators sum to zero.
///
/// # Panics
/// If the two have different lengths.
pub fn ratio(numerators: &[f64], denominators: &[f64], confidence: f64) -> Option<Interval> {
    assert_eq!(numerators.len(), denominators.len(), "a ratio needs pairs");
    let total: f64 = denominators.iter().sum();
    if numerators.len() < 2 || total == 0.0 {
        return None;
    }
    let count = numerators.len() as f64;
    let estimate = numerators.iter().sum::<f64>() / total;
    let rests: Vec<f64> =
        numerators.iter().zip(denominators).map(|(y, x)| y - estimate * x).collect();
    let variance = squared_deviations(&rests) / (count - 1.0) / count;
    let error = variance.sqrt() / (total / count).abs();
    Some(Interval::student(estimate, error, count - 1.0, confidence))
}

/// The `p`-quantile of the population that independent values are drawn from, such as the median or
/// the worst tenth of many replications.
///
/// # Model
/// Order statistics (David and Nagaraja 2003, section 7.1): the number of values below the quantile
/// is binomial, whatever the distribution. Each end misses with at most half of 1 - confidence, so
/// the coverage is at least the confidence. The estimate is the ceil(p n)-th value.
///
/// # Errors
/// `None` when there are too few values for such an interval to exist (a median at 95 % needs 6).
///
/// # Panics
/// If `p` is not strictly between 0 and 1, or a value is not a number.
pub fn quantile_interval(values: &[f64], p: f64, confidence: f64) -> Option<Interval> {
    assert!(p > 0.0 && p < 1.0, "a quantile lies strictly between 0 and 1, not at {p}");
    assert!(values.iter().all(|value| !value.is_nan()), "values that can be ordered");
    let mut ordered = values.to_vec();
    ordered.sort_by(f64::total_cmp);
    let count = ordered.len() as u64;
    let miss = (1.0 - confidence) / 2.0;
    // With B values below the quantile, the k-th smallest exceeds it when B < k.
    let below = (0..count).take_while(|&k| binomial_probability_at_most(k, count, p) <= miss);
    let low = below.count().checked_sub(1)?;
    let reached = |&k: &u64| 1.0 - binomial_probability_at_most(k, count, p) <= miss;
    let high = (0..count).find(reached)? as usize;
    let rank = ((p * count as f64 * (1.0 - 1e-12)).ceil() as usize).max(1);
    Some(Interval {
        estimate: ordered[rank - 1],
        low: ordered[low],
        high: ordered[high],
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    /// How many of 2,000 intervals cover the truth.
    fn covered(
        seed: u64,
        mut make: impl FnMut(&mut Sample) -> Option<Interval>,
        truth: f64,
    ) -> u32 {
        let mut sample = Sample(seed);
        (0..2_000).map(|_| u32::from(make(&mut sample).unwrap().covers(truth))).sum()
    }

    /// 95 % of 2,000 is 1,900 with a standard deviation of 9.7: four of them, 1 in 16,000.
    fn is_95_percent(covered: u32) -> bool {
        (1_861..=1_939).contains(&covered)
    }

    #[test]
    fn a_mean_of_five_is_the_textbook_interval() {
        let interval = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        // 3 -+ 2.7764451 sqrt(2.5 / 5)
        assert!((interval.low - 1.036_756_838_5).abs() < 1e-9);
        assert!((interval.high - 4.963_243_161_5).abs() < 1e-9);
        assert!((interval.relative_half_width() - 0.654_414_387_2).abs() < 1e-9);
        assert_eq!(mean_interval(&[7.0], 0.95), None);
        assert_eq!(mean_interval(&[7.0, 7.0], 0.95).unwrap().relative_half_width(), 0.0);
    }

    #[test]
    fn stopping_at_a_narrow_interval_costs_coverage_and_the_freedom_of_the_first_look_restores_it()
    {
        let until_narrow = |first: usize, freedom: usize| {
            let draw = |sample: &mut Sample| {
                let mut values: Vec<f64> = (0..first).map(|_| sample.normal()).collect();
                loop {
                    let found = stopped_mean_interval(&values, freedom, 0.95);
                    if found.is_some_and(|it| it.high - it.low <= 0.8) {
                        return found;
                    }
                    values.push(sample.normal());
                }
            };
            covered(12, draw, 0.0)
        };
        assert!(until_narrow(5, usize::MAX) < 1_861, "an honest count would have been covered");
        assert!(until_narrow(5, 5) >= 1_900, "at least at the stated rate");
        assert_eq!(stopped_mean_interval(&[1.0, 2.0], 9, 0.9), mean_interval(&[1.0, 2.0], 0.9));
    }

    #[test]
    fn means_of_five_cover_at_the_stated_rate_and_a_normal_quantile_would_not() {
        let draw = |sample: &mut Sample| -> Vec<f64> { (0..5).map(|_| sample.normal()).collect() };
        let mut narrow = 0;
        let covers = |sample: &mut Sample| {
            let interval = mean_interval(&draw(sample), 0.95);
            let half = (interval?.high - interval?.estimate) * 1.96 / 2.776;
            narrow += u32::from(interval?.estimate.abs() <= half);
            interval
        };
        assert!(is_95_percent(covered(11, covers, 0.0)));
        assert!(!is_95_percent(narrow), "1.96 in place of 2.776 must be caught: {narrow}");
    }

    #[test]
    fn pairing_cancels_what_both_designs_met() {
        let mut sample = Sample(12);
        let before: Vec<f64> = (0..10).map(|_| 100.0 + 10.0 * sample.normal()).collect();
        let after: Vec<f64> = before.iter().map(|b| b - 1.0 + 0.1 * sample.normal()).collect();
        let paired = paired_difference(&before, &after, 0.99).unwrap();
        assert!(paired.high < 0.0 && paired.covers(-1.0));
        let apart = mean_interval(&after, 0.99).unwrap();
        assert!(apart.covers(mean(&before)), "unpaired, the difference is lost");
    }

    #[test]
    fn ratios_cover_at_the_stated_rate() {
        let make = |sample: &mut Sample| {
            let requests: Vec<f64> = (0..20).map(|_| 1_000.0 + 100.0 * sample.normal()).collect();
            let failures: Vec<f64> =
                requests.iter().map(|x| 0.02 * x + 2.0 * sample.normal()).collect();
            ratio(&failures, &requests, 0.95)
        };
        assert!(is_95_percent(covered(13, make, 0.02)));
        assert!(!is_95_percent(covered(13, make, 0.02 * 1.03)), "3 % off must be caught");
        assert_eq!(ratio(&[0.0, 0.0], &[0.0, 0.0], 0.95), None);
    }

    #[test]
    fn quantile_intervals_are_the_tabled_order_statistics() {
        // The median of 20 at 95 %: the 6th and the 15th (Conover 1999, section 3.2).
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let median = quantile_interval(&values, 0.5, 0.95).unwrap();
        assert_eq!((median.low, median.estimate, median.high), (6.0, 10.0, 15.0));
        assert_eq!(quantile_interval(&values[..5], 0.5, 0.95), None);
        let six = quantile_interval(&values[..6], 0.5, 0.95).unwrap();
        assert_eq!((six.low, six.high), (1.0, 6.0));
        assert_eq!(quantile_interval(&values, 0.9, 0.95), None);
    }

    #[test]
    fn quantile_intervals_cover_at_least_at_the_stated_rate() {
        let make = |sample: &mut Sample| {
            let values: Vec<f64> = (0..60).map(|_| sample.exponential()).collect();
            quantile_interval(&values, 0.9, 0.95)
        };
        let truth = libm::log(10.0);
        assert!(covered(14, make, truth) >= 1_861);
        assert!(covered(14, make, 1.3 * truth) < 1_861, "a value 30 % off must be caught");
    }
}
