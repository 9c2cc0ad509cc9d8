//! Intervals for statistics that have no formula, by resampling.

use super::distribution::{normal_probability, normal_quantile, student_t_quantile};
use super::interval::Interval;
use super::mean;
use crate::stream::StreamKey;

/// An interval for any statistic of independent values, such as the ratio of two quantiles.
///
/// # Model
/// The bias-corrected and accelerated bootstrap (Efron 1987): the statistic of `resamples` samples
/// drawn with replacement, at percentiles that are moved by the bias of the resamples and by the
/// skewness that the jackknife finds. Resamples of n values spread too little, by sqrt((n - 1) / n),
/// and know nothing of the uncertainty of that spread: percentiles are taken further out, where a
/// normal variable reaches Student's t times sqrt(n / (n - 1)) (Hesterberg 2015, the expanded
/// percentile interval). At least a thousand resamples make it good. The same stream gives the same
/// interval.
///
/// # Errors
/// `None` with fewer than two values, or where the statistic of some sample is not a number.
///
/// # Panics
/// If the confidence is not strictly between 0 and 1, or there are no resamples.
pub fn bootstrap_interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    resamples: u32,
    confidence: f64,
    stream: StreamKey,
) -> Option<Interval> {
    assert!(confidence > 0.0 && confidence < 1.0, "a confidence lies strictly between 0 and 1");
    assert!(resamples > 0, "an interval needs resamples");
    if values.len() < 2 {
        return None;
    }
    let estimate = statistic(values);
    let mut sample = values.to_vec();
    let mut found: Vec<f64> = (0..resamples)
        .map(|number| {
            let mut draws = stream.draw(u64::from(number));
            for place in &mut sample {
                *place = values[draws.below(values.len() as u32) as usize];
            }
            statistic(&sample)
        })
        .collect();
    if estimate.is_nan() || found.iter().any(|value| value.is_nan()) {
        return None;
    }
    found.sort_by(f64::total_cmp);
    let below = found.iter().filter(|value| **value < estimate).count() as f64;
    let ties = found.iter().filter(|value| **value == estimate).count() as f64;
    let count = f64::from(resamples);
    // Half of the ties count as below, or a statistic with few values would seem biased.
    let share = ((below + 0.5 * ties) / count).clamp(0.5 / count, 1.0 - 0.5 / count);
    let bias = normal_quantile(share);
    let acceleration = acceleration(values, &statistic);
    let size = values.len() as f64;
    let wider = (size / (size - 1.0)).sqrt();
    let end = |p: f64| {
        let shifted = bias + wider * student_t_quantile(p, size - 1.0);
        let level = normal_probability(bias + shifted / (1.0 - acceleration * shifted));
        found[((level * count) as usize).min(found.len() - 1)]
    };
    let miss = (1.0 - confidence) / 2.0;
    Some(Interval { estimate, low: end(miss), high: end(1.0 - miss), confidence })
}

/// A sixth of the skewness of the jackknife's influence values.
fn acceleration(values: &[f64], statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let mut others = values[1..].to_vec();
    let mut left_out = Vec::with_capacity(values.len());
    for index in 0..values.len() {
        if index > 0 {
            others[index - 1] = values[index - 1];
        }
        left_out.push(statistic(&others));
    }
    let centre = mean(&left_out);
    let power = |n: i32| -> f64 {
        left_out.iter().map(|value| (0..n).fold(1.0, |all, _| all * (centre - value))).sum()
    };
    let (squares, cubes) = (power(2), power(3));
    if squares > 0.0 { cubes / (6.0 * squares * squares.sqrt()) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use crate::stream::Seed;

    fn stream() -> StreamKey {
        Seed(5).replication(0).named("bootstrap")
    }

    #[test]
    fn it_covers_skewed_means_at_about_the_stated_rate_and_a_shift_is_caught() {
        let mut sample = Sample(41);
        let mut covered = |truth: f64| -> u32 {
            let one = |number: u64| {
                let values: Vec<f64> = (0..60).map(|_| sample.exponential()).collect();
                let stream = stream().numbered(number);
                let interval = bootstrap_interval(&values, mean, 999, 0.9, stream).unwrap();
                u32::from(interval.covers(truth))
            };
            (0..500).map(one).sum()
        };
        // 450 of 500 with a standard deviation of 6.7; its error at n = 60 is about one per cent.
        let (right, shifted) = (covered(1.0), covered(1.25));
        assert!((418..=472).contains(&right), "{right}");
        assert!(shifted < 418, "a mean 25 % off must be caught: {shifted}");
    }

    #[test]
    fn a_mean_has_students_interval_when_values_are_normal() {
        let mut sample = Sample(42);
        let values: Vec<f64> = (0..400).map(|_| 10.0 + sample.normal()).collect();
        let ours = bootstrap_interval(&values, mean, 4_000, 0.95, stream()).unwrap();
        let theirs = super::super::mean_interval(&values, 0.95).unwrap();
        assert_eq!(ours.estimate, theirs.estimate);
        let width = theirs.high - theirs.low;
        assert!((ours.low - theirs.low).abs() < 0.06 * width, "{ours:?} {theirs:?}");
        assert!((ours.high - theirs.high).abs() < 0.06 * width, "{ours:?} {theirs:?}");
    }

    #[test]
    fn too_little_data_gives_no_interval() {
        assert_eq!(bootstrap_interval(&[1.0], mean, 10, 0.9, stream()), None);
        let undefined = |_: &[f64]| f64::NAN;
        assert_eq!(bootstrap_interval(&[1.0, 2.0], undefined, 10, 0.9, stream()), None);
        let same = bootstrap_interval(&[2.0, 2.0, 2.0], mean, 10, 0.9, stream()).unwrap();
        assert_eq!((same.low, same.high), (2.0, 2.0));
    }
}
