//! `Gradient2Limit`: the long average of how long calls take, over how long this one took.

use super::Sample;

/// `Gradient2Limit.Builder`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gradient2Config {
    /// `initialLimit`.
    pub initial: u32,
    /// `minLimit`.
    pub least: u32,
    /// `maxConcurrency`.
    pub most: u32,
    /// `queueSize`: what it may grow by in one step, before smoothing.
    pub queue: u32,
    /// `rttTolerance`: so many times as long as the average is no sign of a queue.
    pub tolerance: f64,
    /// `smoothing`: the share of a new limit that is taken over.
    pub smoothing: f64,
    /// `longWindow`: calls that the average goes over.
    pub window: u32,
}

/// `ExpAvgMeasurement`: a plain mean over the first ten, then an exponential average.
struct Average {
    window: u32,
    count: u32,
    sum_s: f64,
    value_s: f64,
}

/// Calls before the average becomes exponential.
const WARM_UP: u32 = 10;

impl Average {
    fn add(&mut self, sample_s: f64) -> f64 {
        if self.count < WARM_UP {
            self.count += 1;
            self.sum_s += sample_s;
            self.value_s = self.sum_s / f64::from(self.count);
        } else {
            let factor = 2.0 / f64::from(self.window + 1);
            self.value_s = self.value_s * (1.0 - factor) + sample_s * factor;
        }
        self.value_s
    }
}

/// Shrinks while calls take longer than on average, grows by `queue` while they do not.
pub struct Gradient2 {
    config: Gradient2Config,
    limit: f64,
    long: Average,
}

impl Gradient2 {
    /// The limit before the first call.
    pub fn new(config: Gradient2Config) -> Gradient2 {
        let long = Average { window: config.window, count: 0, sum_s: 0.0, value_s: 0.0 };
        Gradient2 { config, limit: f64::from(config.initial), long }
    }
    /// Calls that may be under way at once.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }
    /// A call has ended.
    pub fn learn(&mut self, sample: Sample) {
        let config = &self.config;
        let short_s = sample.took.seconds();
        let long_s = self.long.add(short_s);
        if long_s > 2.0 * short_s {
            self.long.value_s *= 0.9;
        }
        if f64::from(sample.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (config.tolerance * long_s / short_s).clamp(0.5, 1.0);
        let next = self.limit * gradient + f64::from(config.queue);
        let next = self.limit * (1.0 - config.smoothing) + next * config.smoothing;
        self.limit = next.min(f64::from(config.most)).max(f64::from(config.least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    const CONFIG: Gradient2Config = Gradient2Config {
        initial: 20,
        least: 20,
        most: 200,
        queue: 4,
        tolerance: 1.5,
        smoothing: 0.2,
        window: 600,
    };

    fn sample(millis: u64, in_flight: u32) -> Sample {
        Sample { took: Duration::millis(millis), in_flight, dropped: false }
    }

    #[test]
    fn it_grows_by_a_fifth_of_the_queue_while_times_are_even() {
        let mut limit = Gradient2::new(CONFIG);
        (0..10).for_each(|_| limit.learn(sample(100, 40)));
        assert!((limit.limit - 28.0).abs() < 1e-9, "{}", limit.limit);
        limit.learn(sample(100, 13));
        assert!((limit.limit - 28.0).abs() < 1e-9, "less than half is used");
    }

    #[test]
    fn times_within_the_tolerance_are_no_queue_and_beyond_it_they_are() {
        let mut limit = Gradient2::new(CONFIG);
        (0..200).for_each(|_| limit.learn(sample(100, 200)));
        let before = limit.limit;
        limit.learn(sample(140, 200));
        assert!(limit.limit > before);
        let (before, long_s) = (limit.limit, limit.long.value_s);
        limit.learn(sample(400, 200));
        // The average moves by 2/601 of the difference; the gradient is not below one half.
        let long_s = long_s + (0.4 - long_s) * 2.0 / 601.0;
        let gradient = f64::max(1.5 * long_s / 0.4, 0.5);
        let expected = before * 0.8 + (before * gradient + 4.0) * 0.2;
        assert!((limit.limit - expected).abs() < 1e-9, "{} {expected}", limit.limit);
    }

    #[test]
    fn a_long_average_far_above_comes_down_faster() {
        let mut limit = Gradient2::new(CONFIG);
        (0..10).for_each(|_| limit.learn(sample(1_000, 1)));
        limit.learn(sample(100, 1));
        let smoothed = 1.0 + (0.1 - 1.0) * 2.0 / 601.0;
        assert!((limit.long.value_s - smoothed * 0.9).abs() < 1e-9);
    }
}
