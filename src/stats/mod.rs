//! What is measured, and how sure we are of it.
//!
//! Recorders (`Histogram`, `Level`) count in integers, so that merging them is exact and no result
//! depends on the order of events or on the number of threads. Estimators turn recorded numbers
//! into an [`Interval`], find the warm-up and tell a steady state from a growing queue.

mod batch;
mod bootstrap;
mod design;
mod distribution;
mod histogram;
mod interval;
mod level;
mod proportion;
mod ranking;
mod sensitivity;
mod stationarity;
mod warmup;

pub use batch::{
    BatchMeans, Weighed, batch_means_interval, independence, overlapping_batch_means,
    overlapping_batch_means_interval, overlapping_batch_ratio,
};
pub use bootstrap::{FEWEST_RESAMPLED, bootstrap_interval, mean_and_error};
pub use design::{Points, SOBOL_DIMENSIONS, latin_hypercube, sobol_points};
pub use distribution::{
    binomial_probability_at_most, incomplete_beta, normal_probability, normal_quantile,
    student_t_probability, student_t_quantile,
};
pub use histogram::{Histogram, RELATIVE_ERROR};
pub use interval::{Interval, mean_interval, paired_difference, quantile_interval, ratio};
pub use level::{Level, NO_THRESHOLDS, thresholds_of_capacity};
pub use proportion::proportion_interval;
pub use ranking::{holm, possibly_smallest};
pub use sensitivity::{Effect, Index, morris, morris_points, sobol_design, sobol_indices};
pub use stationarity::{FALSE_ALARM, Trend, trend};
pub use warmup::{MSER5_LEAST, Truncation, mser5};

/// The arithmetic mean; of nothing, not a number.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of squared deviations from the mean, in two passes so that it does not cancel.
fn squared_deviations(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre) * (value - centre)).sum()
}

/// Random samples for the tests of this folder: a SplitMix64 generator (Steele, Lea and Flood
/// 2014), so that these tests do not depend on how the simulator draws.
#[cfg(test)]
mod sample {
    use super::normal_quantile;

    pub struct Sample(pub u64);

    impl Sample {
        pub fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
        /// Strictly between 0 and 1.
        pub fn uniform(&mut self) -> f64 {
            ((self.bits() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
        }
        pub fn exponential(&mut self) -> f64 {
            -libm::log(self.uniform())
        }
        pub fn normal(&mut self) -> f64 {
            normal_quantile(self.uniform())
        }
        /// A stationary AR(1) series with mean 0 and variance 1.
        pub fn autoregressive(&mut self, correlation: f64, count: usize) -> Vec<f64> {
            let spread = (1.0 - correlation * correlation).sqrt();
            let mut value = self.normal();
            (0..count)
                .map(|_| {
                    value = correlation * value + spread * self.normal();
                    value
                })
                .collect()
        }
        /// Window means of the number in an M/M/1 system with mean service time 1.
        pub fn number_in_system(&mut self, load: f64, windows: usize, window: f64) -> Vec<f64> {
            let mut number = 0.0;
            if load < 1.0 {
                number = (libm::log(self.uniform()) / libm::log(load)).floor();
            }
            let mut means = vec![0.0; windows];
            let (mut now, end) = (0.0, window * windows as f64);
            while now < end {
                let rate = if number > 0.0 { load + 1.0 } else { load };
                let next = (now + self.exponential() / rate).min(end);
                while now < next {
                    let index = ((now / window) as usize).min(windows - 1);
                    let until = next.min((index + 1) as f64 * window);
                    means[index] += number * (until - now) / window;
                    now = if until > now { until } else { next };
                }
                let arrival = number == 0.0 || self.uniform() * rate < load;
                number += if arrival { 1.0 } else { -1.0 };
            }
            means
        }
    }
}
