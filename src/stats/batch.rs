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
    let estimate = mean(values);
    let deviations: Vec<f64> = values.iter().map(|value| value - estimate).collect();
    of_deviations(estimate, &deviations, length)
}

/// A step of a run: the mean over what it holds, and how much that is (requests, or seconds).
pub type Weighed = (f64, f64);

/// The mean over all that the steps of a stationary run hold, such as its requests, with its standard
/// error.
///
/// # Model
/// sum w x / sum w is a ratio, so its error is that of the residuals w (x - ratio) over the mean of w
/// (the classical ratio estimator: Law, *Simulation Modeling and Analysis*, section 9.5.3), here by
/// overlapping batch means. Where busy steps hold more requests, plain means of steps spread less
/// than what is estimated, and their intervals are too narrow. With equal weights it is
/// [`overlapping_batch_means`].
///
/// # Errors
/// `None` when `length` is zero, fewer than two disjoint batches fit, or nothing weighs anything.
pub fn overlapping_batch_ratio(steps: &[Weighed], length: usize) -> Option<BatchMeans> {
    let (estimate, rests) = residuals(steps)?;
    of_deviations(estimate, &rests, length)
}

/// The mean of what steps hold, and by how much each moves it: w (x - mean) / mean of w, which sum
/// to zero.
fn residuals(steps: &[Weighed]) -> Option<(f64, Vec<f64>)> {
    let total: f64 = steps.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let estimate = steps.iter().map(|(value, weight)| value * weight).sum::<f64>() / total;
    let share = steps.len() as f64 / total;
    Some((estimate, steps.iter().map(|(x, weight)| weight * share * (x - estimate)).collect()))
}

/// How far a mean may be off, from deviations that sum to zero: so the running sum stays small, and
/// exact enough.
fn of_deviations(estimate: f64, deviations: &[f64], length: usize) -> Option<BatchMeans> {
    if length == 0 || deviations.len() < 2 * length {
        return None;
    }
    let (count, width) = (deviations.len() as f64, length as f64);
    let mut window: f64 = deviations[..length].iter().sum();
    let mut squares = window * window;
    for (leaving, entering) in deviations.iter().zip(&deviations[length..]) {
        window += entering - leaving;
        squares += window * window;
    }
    let variance = squares / width / ((count - width + 1.0) * (count - width));
    Some(BatchMeans { estimate, error: variance.sqrt(), degrees: 1.5 * (count / width - 1.0) })
}

/// How likely batches that are independent of one another would follow one another as closely as
/// these: the smaller, the more surely they are too short, and an interval of them too narrow.
///
/// # Model
/// Von Neumann's ratio of the mean squared difference of neighbours to the variance, one-sided: with
/// independent normal values 1 - ratio / 2 has the mean 0 and the variance (k - 2) / (k^2 - 1) for k
/// batches (von Neumann 1941; as Fishman and Yarberry 1997 test batches).
///
/// # Errors
/// `None` with fewer than eight batches, of which the normal law says nothing; fewer steps than
/// batches; or batches that are all alike.
pub fn independence(steps: &[Weighed], batches: usize) -> Option<f64> {
    if batches < 8 || steps.len() < batches {
        return None;
    }
    let (_, rests) = residuals(steps)?;
    let length = rests.len() / batches;
    let means: Vec<f64> =
        rests[rests.len() - length * batches..].chunks_exact(length).map(mean).collect();
    let squares = super::squared_deviations(&means);
    if squares == 0.0 {
        return None;
    }
    let apart: f64 = means.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
    let count = batches as f64;
    let score = (1.0 - apart / squares / 2.0) * ((count * count - 1.0) / (count - 2.0)).sqrt();
    Some(1.0 - super::normal_probability(score))
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
    fn steps_that_weigh_more_when_values_are_high_need_the_error_of_a_ratio() {
        // As in a queue: where more come, each waits longer. Both are exp(x / 2) here, so the true
        // mean over requests is exp(3/8). 950 of 1,000 with a standard deviation of 6.9, less about
        // ten for what is skewed.
        let truth = libm::exp(0.375);
        let mut sample = Sample(22);
        let (mut right, mut alike) = (0, 0);
        for _ in 0..1_000 {
            let course = sample.autoregressive(0.6, 2_000);
            let values: Vec<f64> = course.iter().map(|x| libm::exp(0.5 * x)).collect();
            let steps: Vec<Weighed> = values.iter().map(|value| (*value, *value)).collect();
            let found = overlapping_batch_ratio(&steps, 100).unwrap();
            let plain = overlapping_batch_means(&values, 100).unwrap();
            let covers = |error: f64| BatchMeans { error, ..found }.interval(0.95).covers(truth);
            right += u32::from(covers(found.error));
            alike += u32::from(covers(plain.error));
        }
        assert!((912..=972).contains(&right), "{right}");
        assert!(alike < 850, "steps that are weighed alike must be caught: {alike}");
        let equal: Vec<Weighed> = (0..50).map(|it| (f64::from(it % 7), 3.0)).collect();
        let values: Vec<f64> = equal.iter().map(|(value, _)| *value).collect();
        let (ratio, mean) = (
            overlapping_batch_ratio(&equal, 5).unwrap(),
            overlapping_batch_means(&values, 5).unwrap(),
        );
        assert!((ratio.error / mean.error - 1.0).abs() < 1e-12);
        assert_eq!(overlapping_batch_ratio(&[(1.0, 0.0), (2.0, 0.0)], 1), None);
    }

    #[test]
    fn batches_that_follow_one_another_are_told_from_those_that_do_not() {
        let mut sample = Sample(23);
        let mut told = |coefficient: f64| -> u32 {
            let one = |_| {
                let steps = sample.autoregressive(coefficient, 400);
                let steps: Vec<Weighed> = steps.into_iter().map(|value| (value, 1.0)).collect();
                u32::from(independence(&steps, 20).unwrap() < 0.01)
            };
            (0..1_000).map(one).sum()
        };
        // 10 of 1,000 by chance, with a standard deviation of 3.1; batches of 20 are nothing to a
        // correlation over 100.
        let (independent, bound) = (told(0.0), told(0.99));
        assert!(independent <= 23, "{independent}");
        assert!(bound > 700, "{bound}");
        assert_eq!(independence(&[(1.0, 1.0); 40], 20), None);
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
