//! Intervals for statistics that have no formula, by resampling.

use super::interval::Interval;
use super::{mean, squared_deviations};
use crate::stream::StreamKey;

/// The fewest values that are resampled: fewer know nothing of the tails, and an interval of them is
/// wild (of five exponential ones, three times as wide as Student's and no better).
pub const FEWEST_RESAMPLED: usize = 8;

/// An interval for any statistic of independent values that comes with its standard error, such as
/// [`mean_and_error`].
///
/// # Model
/// The bootstrap-t (Hall 1988; Efron and Tibshirani 1993, section 12.5): how many standard errors
/// the statistic of a sample drawn with replacement is away from that of the values, each by its own
/// error, is what the statistic itself may be away from the truth. So the interval leans to the side
/// of the skewness, and knows that the error is itself an estimate; percentiles of the resamples
/// alone, corrected or not, cover too seldom with few values (Hesterberg 2015). At least a thousand
/// resamples make it good. The same stream gives the same interval.
///
/// # Errors
/// `None` with fewer than [`FEWEST_RESAMPLED`] values, or where so many resamples are of one value
/// and have no error that an end would be infinite: Student's interval is the better one then.
///
/// # Panics
/// If the confidence is not strictly between 0 and 1, or there are no resamples.
pub fn bootstrap_interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> (f64, f64),
    resamples: u32,
    confidence: f64,
    stream: StreamKey,
) -> Option<Interval> {
    assert!(confidence > 0.0 && confidence < 1.0, "a confidence lies strictly between 0 and 1");
    assert!(resamples > 0, "an interval needs resamples");
    if values.len() < FEWEST_RESAMPLED {
        return None;
    }
    let (estimate, error) = statistic(values);
    let mut sample = values.to_vec();
    let mut away: Vec<f64> = (0..resamples)
        .map(|number| {
            let mut draws = stream.draw(u64::from(number));
            for place in &mut sample {
                *place = values[draws.below(values.len() as u32) as usize];
            }
            let (found, its_error) = statistic(&sample);
            if found == estimate { 0.0 } else { (found - estimate) / its_error }
        })
        .collect();
    if away.iter().any(|value| value.is_nan()) {
        return None;
    }
    away.sort_by(f64::total_cmp);
    let miss = (1.0 - confidence) / 2.0;
    let at = |level: f64| away[((level * f64::from(resamples)) as usize).min(away.len() - 1)];
    let (low, high) = (estimate - at(1.0 - miss) * error, estimate - at(miss) * error);
    (low.is_finite() && high.is_finite()).then_some(Interval { estimate, low, high, confidence })
}

/// The mean of independent values and its standard error.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    (mean(values), (squared_deviations(values) / (count - 1.0) / count).sqrt())
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
    fn it_covers_skewed_means_at_about_the_stated_rate_where_students_does_not() {
        let mut sample = Sample(41);
        let (mut right, mut shifted, mut student) = (0, 0, 0);
        for number in 0..1_000 {
            let values: Vec<f64> = (0..15).map(|_| sample.exponential().powi(2)).collect();
            let stream = stream().numbered(number);
            let found = bootstrap_interval(&values, mean_and_error, 999, 0.9, stream).unwrap();
            right += u32::from(found.covers(2.0));
            shifted += u32::from(found.covers(6.0));
            let students = super::super::mean_interval(&values, 0.9).unwrap();
            student += u32::from(students.covers(2.0));
        }
        // 900 of 1,000 with a standard deviation of 9.5; values so skewed cost five per cent of it.
        assert!((822..=938).contains(&right), "{right}");
        assert!(student < 770, "Student's must be caught: {student}");
        assert!(shifted < 822, "a mean three times as large must be caught: {shifted}");
    }

    #[test]
    fn a_mean_has_students_interval_when_values_are_normal() {
        let mut sample = Sample(42);
        let values: Vec<f64> = (0..400).map(|_| 10.0 + sample.normal()).collect();
        let ours = bootstrap_interval(&values, mean_and_error, 4_000, 0.95, stream()).unwrap();
        let theirs = super::super::mean_interval(&values, 0.95).unwrap();
        assert_eq!(ours.estimate, theirs.estimate);
        let width = theirs.high - theirs.low;
        assert!((ours.low - theirs.low).abs() < 0.06 * width, "{ours:?} {theirs:?}");
        assert!((ours.high - theirs.high).abs() < 0.06 * width, "{ours:?} {theirs:?}");
    }

    #[test]
    fn too_little_data_gives_no_interval() {
        let of = |values: &[f64]| bootstrap_interval(values, mean_and_error, 100, 0.9, stream());
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), None);
        // One of eight differs: a third of the resamples are without it, and without an error.
        assert_eq!(of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), None);
        let same = of(&[2.0; 8]).unwrap();
        assert_eq!((same.low, same.high), (2.0, 2.0));
    }
}
