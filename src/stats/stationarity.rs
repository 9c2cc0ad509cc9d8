//! Does a queue grow without end?

use super::distribution::student_t_probability;
use super::{mean, squared_deviations};
use crate::units::Duration;

/// How often a level that does not drift is said to: at most this, nominally.
pub const FALSE_ALARM: f64 = 0.01;

/// How a level moves over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The slope of the least-squares line (1/s).
    pub per_second: f64,
    /// Whether the level drifts, up or down, rather than wanders about.
    pub significant: bool,
}

impl Trend {
    /// Whether the level grows: the run is not stationary, and more load comes in than goes out.
    pub fn grows(&self) -> bool {
        self.significant && self.per_second > 0.0
    }
}

/// Steps are tested between at most this many batches: enough degrees of freedom, and noise within
/// a batch averages out.
const BATCHES: usize = 40;

/// The trend of a level (number in system) from its means over equal, successive windows.
///
/// # Model
/// A queue short of capacity is a random walk with a drift: its *increments* average more than
/// zero. The mean increment is compared with its standard error (Student's t, two-sided, at
/// [`FALSE_ALARM`]), of at most 40 batches, with the lag-1 covariance added where positive because
/// averaging over windows correlates neighbouring increments (Working 1960). A stationary level,
/// however slowly it wanders, comes back, so its increments sum to next to nothing and the test is
/// the more conservative the shorter the memory: an AR(1) of 200 values alarms in at most 2 of
/// 1,000 runs up to a correlation of 0.98 from window to window. A driftless random walk (a load of
/// exactly 1) alarms in 1 to 2 % of runs. A test of the slope against its residuals would take
/// either for a trend.
///
/// Fewer than five windows are never significant.
pub fn trend(window_means: &[f64], window: Duration) -> Trend {
    let count = window_means.len();
    if count < 5 {
        return Trend { per_second: slope(window_means) / window.seconds(), significant: false };
    }
    let length = count.div_ceil(BATCHES);
    let first = count % length;
    let batches: Vec<f64> = window_means[first..].chunks_exact(length).map(mean).collect();
    let steps: Vec<f64> = batches.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (drift, degrees) = (mean(&steps), (steps.len() - 1) as f64);
    let neighbours: f64 = steps.windows(2).map(|pair| (pair[0] - drift) * (pair[1] - drift)).sum();
    let variance = (squared_deviations(&steps) + 2.0 * neighbours.max(0.0)) / degrees;
    let error = (variance / steps.len() as f64).sqrt();
    let significant = if error == 0.0 {
        drift != 0.0
    } else {
        2.0 * student_t_probability(-(drift / error).abs(), degrees) < FALSE_ALARM
    };
    Trend { per_second: slope(window_means) / window.seconds(), significant }
}

/// The least-squares slope over the index; zero with fewer than two values.
fn slope(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = (values.len() - 1) as f64 / 2.0;
    let level = mean(values);
    let offsets = || (0..values.len()).map(|index| index as f64 - centre);
    let products: f64 = offsets().zip(values).map(|(x, y)| x * (y - level)).sum();
    products / offsets().map(|x| x * x).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn alarms(runs: u32, mut run: impl FnMut() -> Vec<f64>) -> u32 {
        (0..runs).map(|_| u32::from(trend(&run(), Duration::secs(1)).significant)).sum()
    }

    #[test]
    fn a_stationary_level_alarms_no_more_often_than_stated() {
        let mut sample = Sample(31);
        for correlation in [0.0, 0.5, 0.8, 0.9, 0.95, 0.98] {
            let count = alarms(1_000, || sample.autoregressive(correlation, 200));
            assert!(count <= 2, "correlation {correlation}: {count} of 1,000");
        }
        for load in [0.5, 0.8, 0.9, 0.95] {
            let count = alarms(200, || sample.number_in_system(load, 60, 50.0));
            assert!(count <= 2, "load {load}: {count} of 200");
        }
    }

    #[test]
    fn even_a_random_walk_alarms_rarely() {
        let mut sample = Sample(32);
        let count = alarms(2_000, || {
            let mut value = 0.0;
            (0..60)
                .map(|_| {
                    value += sample.normal();
                    value
                })
                .collect()
        });
        // 2 % of 2,000 with a standard deviation of 6.3, and four of them.
        assert!((5..=65).contains(&count), "{count} of 2,000");
    }

    #[test]
    fn an_overload_of_a_fifth_is_found_with_its_rate() {
        let mut sample = Sample(33);
        let runs: Vec<Trend> = (0..200)
            .map(|_| trend(&sample.number_in_system(1.2, 60, 50.0), Duration::secs(50)))
            .collect();
        assert!(runs.iter().filter(|run| run.grows()).count() >= 198);
        // 0.2 requests a second too many; the drift's standard deviation over 3,000 s is 0.027.
        assert!(runs.iter().all(|run| (run.per_second - 0.2).abs() < 0.13));
        let average = runs.iter().map(|run| run.per_second).sum::<f64>() / 200.0;
        assert!((average - 0.2).abs() < 0.01, "{average}");
    }

    #[test]
    fn exact_lines_and_short_series() {
        let line: Vec<f64> = (0..50).map(|step| 7.0 + 2.0 * f64::from(step)).collect();
        let rising = trend(&line, Duration::millis(500));
        assert!(rising.grows() && (rising.per_second - 4.0).abs() < 1e-12);
        let falling: Vec<f64> = line.iter().rev().copied().collect();
        let fall = trend(&falling, Duration::secs(1));
        assert!(fall.significant && !fall.grows());
        assert!(!trend(&[3.0; 50], Duration::secs(1)).significant);
        assert!(!trend(&line[..4], Duration::secs(1)).significant);
        assert_eq!(trend(&[], Duration::secs(1)).per_second, 0.0);
    }
}
