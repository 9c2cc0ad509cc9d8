//! One number from several replications.

use serde::Serialize;

use crate::stats::{Weighed, overlapping_batch_ratio, stopped_mean_interval};

use super::metric::Fold;

/// An estimate with its interval, as far as there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The best single value; none when nothing was measured.
    pub estimate: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

/// Batches side by side in the timeline of a single replication (Schmeiser 1982: ten to thirty).
pub const BATCHES: usize = 20;

impl Estimate {
    /// A value without an interval.
    pub fn exact(value: f64) -> Estimate {
        Estimate { estimate: Some(value), low: None, high: None }
    }

    /// Folds one value for each replication, those without a value left out.
    ///
    /// # Model
    /// Student's t over replications, which are independent whatever happens within each. A single
    /// replication has an interval only where its course over time (`series`) gives one, by
    /// overlapping batch means, each step weighed by what it holds.
    pub fn fold(
        values: &[Option<f64>],
        fold: Fold,
        confidence: f64,
        series: &[Weighed],
    ) -> Estimate {
        Estimate::stopped(values, fold, confidence, series, u32::MAX)
    }

    /// The same of replications that went on until an interval was narrow enough, of which there were at
    /// least `first`: see [`stopped_mean_interval`].
    pub fn stopped(
        values: &[Option<f64>],
        fold: Fold,
        confidence: f64,
        series: &[Weighed],
        first: u32,
    ) -> Estimate {
        let known: Vec<f64> = values.iter().copied().flatten().collect();
        if known.is_empty() {
            return Estimate::default();
        }
        let sum: f64 = known.iter().sum();
        match fold {
            Fold::Total => Estimate::exact(sum),
            Fold::Greatest => Estimate::exact(known.iter().copied().fold(f64::MIN, f64::max)),
            Fold::Mean => {
                let mean = sum / known.len() as f64;
                let spread = match known.len() {
                    1 => overlapping_batch_ratio(series, series.len() / BATCHES)
                        .map(|found| found.interval(confidence)),
                    _ => stopped_mean_interval(&known, first as usize, confidence),
                };
                // A request counts where it begins or where it ends, so the means of steps may be a
                // hair off the mean of the run: only the width is taken.
                let half = spread.map(|interval| (interval.high - interval.low) / 2.0);
                // What never happens in some replications, and is infinite there, has no spread.
                let half = half.filter(|half| half.is_finite());
                // Where no value is negative, neither is what they estimate.
                let least = if known.iter().all(|value| *value >= 0.0) { 0.0 } else { f64::MIN };
                Estimate {
                    estimate: Some(mean),
                    low: half.map(|half| (mean - half).max(least)),
                    high: half.map(|half| mean + half),
                }
            }
        }
    }

    /// Half the width of the interval, whether or not its lower end is cut off at zero.
    pub fn half_width(&self) -> Option<f64> {
        Some(self.high? - self.estimate?)
    }

    /// Half the width of the interval as a share of the estimate; infinite where there is none.
    pub fn relative_half_width(&self) -> f64 {
        match (self.half_width(), self.estimate) {
            (Some(0.0), Some(_)) => 0.0,
            (Some(half), Some(value)) if value != 0.0 => half / value.abs(),
            _ => f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replications_give_the_textbook_interval_and_gaps_are_left_out() {
        let values = [Some(1.0), None, Some(2.0), Some(3.0), Some(4.0), Some(5.0)];
        let found = Estimate::fold(&values, Fold::Mean, 0.95, &[]);
        // 3 -+ 2.7764451 sqrt(2.5 / 5)
        assert_eq!(found.estimate, Some(3.0));
        assert!((found.half_width().unwrap() - 1.963_243_161).abs() < 1e-8);
        assert_eq!(Estimate::fold(&values, Fold::Greatest, 0.95, &[]), Estimate::exact(5.0));
        assert_eq!(Estimate::fold(&values, Fold::Total, 0.95, &[]), Estimate::exact(15.0));
        assert_eq!(Estimate::fold(&[None], Fold::Mean, 0.95, &[]), Estimate::default());
        let never = Estimate::fold(&[Some(f64::INFINITY); 3], Fold::Mean, 0.95, &[]);
        assert_eq!(never, Estimate::exact(f64::INFINITY));
    }

    #[test]
    fn one_replication_has_an_interval_only_from_its_course_over_time() {
        let bare = Estimate::fold(&[Some(2.0)], Fold::Mean, 0.95, &[]);
        assert_eq!(bare, Estimate::exact(2.0));
        assert_eq!(bare.relative_half_width(), f64::INFINITY);
        let series: Vec<Weighed> = (0..40).map(|step| (f64::from(step % 3), 1.0)).collect();
        let timed = Estimate::fold(&[Some(2.0)], Fold::Mean, 0.95, &series);
        assert_eq!(timed.estimate, Some(2.0));
        assert!(timed.low.unwrap() < 2.0 && timed.high.unwrap() > 2.0);
    }
}
