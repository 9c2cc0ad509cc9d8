//! `VegasLimit`: the queue is what the limit is more than the calls that a call at its best would have
//! needed, limit x (1 - best time / time).

use super::Sample;
use crate::units::Duration;

/// `VegasLimit.Builder`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VegasConfig {
    /// `initialLimit`.
    pub initial: u32,
    /// `maxConcurrency`.
    pub most: u32,
    /// `probeMultiplier`: the best time is measured anew after about so many times the limit of calls.
    pub probe: u32,
}

/// Grows while the queue is short, shrinks while it is long.
pub struct Vegas {
    config: VegasConfig,
    limit: f64,
    best: Duration,
    calls: u64,
    /// Uniform in [0.5, 1), drawn at each probe.
    jitter: f64,
}

/// `Log10RootFunction.create(0)`: the whole part of the decimal logarithm, 1 at least.
fn log10(limit: f64) -> f64 {
    let mut found = 0.0;
    let mut power = 10.0;
    while power <= limit.trunc() {
        (found, power) = (found + 1.0, power * 10.0);
    }
    f64::max(found, 1.0)
}

impl Vegas {
    /// The limit before the first call.
    pub fn new(config: VegasConfig) -> Vegas {
        let limit = f64::from(config.initial);
        Vegas { config, limit, best: Duration::ZERO, calls: 0, jitter: 0.75 }
    }
    /// Calls that may be under way at once.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }
    /// A call has ended; `draw` gives a uniform number in [0, 1).
    pub fn learn(&mut self, sample: Sample, draw: impl FnOnce() -> f64) {
        self.calls += 1;
        if self.jitter * f64::from(self.config.probe) * self.limit <= self.calls as f64 {
            self.jitter = 0.5 + draw() / 2.0;
            (self.calls, self.best) = (0, sample.took);
            return;
        }
        if self.best.is_zero() || sample.took < self.best {
            self.best = sample.took;
            return;
        }
        let queue = (self.limit * (1.0 - self.best.seconds() / sample.took.seconds())).ceil();
        let step = log10(self.limit);
        let (alpha, beta) = (3.0 * step, 6.0 * step);
        let next = if sample.dropped {
            self.limit - step
        } else if f64::from(sample.in_flight) * 2.0 < self.limit {
            return;
        } else if queue <= step {
            self.limit + beta
        } else if queue < alpha {
            self.limit + step
        } else if queue > beta {
            self.limit - step
        } else {
            return;
        };
        self.limit = next.min(f64::from(self.config.most)).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(micros: u64, in_flight: u32) -> Sample {
        Sample { took: Duration::micros(micros), in_flight, dropped: false }
    }

    #[test]
    fn logarithms_are_whole_and_one_at_least() {
        assert_eq!(
            [1.0, 9.9, 10.0, 99.9, 100.0, 999.0, 1_000.0].map(log10),
            [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
        );
    }

    /// At a limit of 20: a queue of up to 1 adds 6, below 3 adds 1, 3 to 6 keeps, above 6 takes 1.
    #[test]
    fn the_queue_decides() {
        let after = |micros: u64| {
            let mut limit = Vegas::new(VegasConfig { initial: 20, most: 1_000, probe: 30 });
            limit.learn(sample(1_000, 20), || 0.0);
            limit.learn(sample(micros, 20), || 0.0);
            limit.limit()
        };
        // 20 (1 - 1/1.05) = 0.95, /1.1 = 1.8, /1.2 = 3.3, /1.4 = 5.7, /1.5 = 6.7.
        assert_eq!([1_050, 1_100, 1_200, 1_400, 1_500].map(after), [26, 21, 20, 20, 19]);
    }

    #[test]
    fn little_use_teaches_nothing_but_a_drop_does() {
        let mut limit = Vegas::new(VegasConfig { initial: 20, most: 1_000, probe: 30 });
        limit.learn(sample(1_000, 20), || 0.0);
        limit.learn(sample(1_000, 9), || 0.0);
        assert_eq!(limit.limit(), 20);
        limit.learn(Sample { dropped: true, ..sample(1_000, 1) }, || 0.0);
        assert_eq!(limit.limit(), 19);
    }

    #[test]
    fn the_best_time_is_measured_anew() {
        let mut limit = Vegas::new(VegasConfig { initial: 20, most: 20, probe: 1 });
        limit.learn(sample(1_000, 20), || 0.0);
        (0..200).for_each(|_| limit.learn(sample(2_000, 20), || 0.0));
        assert_eq!(limit.best, Duration::micros(2_000));
    }
}
