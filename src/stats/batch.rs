//! Intervals from one long run, whose successive values are not independent.

use super::interval::{Interval, mean_interval};
use super::mean;

/// The mean of a stationary series by non-overlapping batch means.
///
/// # Model
/// The series is cut into `batches` equal parts, whose means are nearly independent once a part is
/// much longer than the correlation; Student's t on them (Law, *Simulation Modeling and Analysis*,
/// section 9.5.3). Ten to thirty batches serve best (Schmeiser 1982). A rest that fills no batch is
/// dropped from the front, where the warm-up was.
///
/// # Errors
/// `None` with fewer than two batches, or fewer values than batches.
pub fn batch_means_interval(values: &[f64], batches: usize, confidence: f64) -> Option<Interval> {
    if batches < 2 || values.len() < batches {
        return None;
    }
    let length = values.len() / batches;
    let means: Vec<f64> =
        values[values.len() - length * batches..].chunks_exact(length).map(mean).collect();
    mean_interval(&means, confidence)
}

/// The mean of a stationary series by overlapping batch means, of all windows of `length` values.
///
/// # Errors
/// `None` when `length` is zero or fewer than two disjoint batches fit.
pub fn overlapping_batch_means_interval(
    values: &[f64],
    length: usize,
    confidence: f64,
) -> Option<Interval> {
    overlapping_batch_means(values, length).map(|found| found.interval(confidence))
}

/// The mean of a stationary series and how far it may be off, before a confidence is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchMeans {
    /// The mean.
    pub estimate: f64,
    /// Its standard error.
    pub error: f64,
    /// The degrees of freedom of the error.
    pub degrees: f64,
}

impl BatchMeans {
    /// Student's interval.
    pub fn interval(&self, confidence: f64) -> Interval {
        Interval::student(self.estimate, self.error, self.degrees, confidence)
    }
}

/// The mean of a stationary series with its standard error, of all windows of `length` values.
///
/// # Model
/// Variance of the mean = b / ((n - b + 1)(n - b)) sum (window mean - mean)^2, with 1.5 (n/b - 1)
/// degrees of freedom (Meketon and Schmeiser 1984): a third less variable than disjoint batches.
///
/// # Errors
/// `None` when `length` is zero or fewer than two disjoint batches fit.
pub fn overlapping_batch_means(values: &[f64], length: usize) -> Option<BatchMeans> {
    if length == 0 || values.len() < 2 * length {
        return None;
    }
    let (count, width) = (values.len() as f64, length as f64);
    let estimate = mean(values);
    // Deviations from the mean are summed, which keeps the running window sum small and exact
    // enough.
    let mut window: f64 = values[..length].iter().map(|value| value - estimate).sum();
    let mut squares = window * window;
    for (leaving, entering) in values.iter().zip(&values[length..]) {
        window += entering - leaving;
        squares += window * window;
    }
    let variance = squares / width / ((count - width + 1.0) * (count - width));
    Some(BatchMeans { estimate, error: variance.sqrt(), degrees: 1.5 * (count / width - 1.0) })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    /// How many of 1,000 intervals from AR(1) series of 4,000 values cover their mean of zero.
    fn covered(interval: impl Fn(&[f64]) -> Option<Interval>) -> u32 {
        let mut sample = Sample(21);
        let covers = |_| interval(&sample.autoregressive(0.8, 4_000)).unwrap().covers(0.0);
        (0..1_000).map(covers).map(u32::from).sum()
    }

    #[test]
    fn batches_cover_at_the_stated_rate_and_single_values_do_not() {
        // 900 of 1,000 with a standard deviation of 9.5; four of them are 1 in 16,000.
        let expected = 862..=938;
        let disjoint = covered(|values| batch_means_interval(values, 20, 0.9));
        let overlapping = covered(|values| overlapping_batch_means_interval(values, 200, 0.9));
        let naive = covered(|values| mean_interval(values, 0.9));
        assert!(expected.contains(&disjoint), "disjoint {disjoint}");
        assert!(expected.contains(&overlapping), "overlapping {overlapping}");
        assert!(naive < 600, "values taken for independent must be caught: {naive}");
    }

    #[test]
    fn overlapping_windows_of_one_are_the_plain_variance() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0];
        let interval = overlapping_batch_means_interval(&values, 1, 0.95).unwrap();
        // Sum of squares 12.8 over 5 x 4, and 6 degrees of freedom.
        let half = 2.446_911_851_1 * (12.8f64 / 20.0).sqrt();
        assert!((interval.high - interval.estimate - half).abs() < 1e-9);
    }

    #[test]
    fn too_little_data_gives_no_interval() {
        assert_eq!(batch_means_interval(&[1.0, 2.0, 3.0], 1, 0.9), None);
        assert_eq!(batch_means_interval(&[1.0], 2, 0.9), None);
        assert_eq!(overlapping_batch_means_interval(&[1.0, 2.0, 3.0], 2, 0.9), None);
        assert_eq!(overlapping_batch_means_interval(&[1.0, 2.0, 3.0], 0, 0.9), None);
    }

    #[test]
    fn a_rest_is_dropped_from_the_front() {
        let interval = batch_means_interval(&[99.0, 1.0, 3.0, 5.0, 7.0], 2, 0.9).unwrap();
        assert_eq!(interval.estimate, 4.0);
    }
}
