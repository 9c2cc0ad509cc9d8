//! `AIMDLimit`: additive increase, multiplicative decrease.

use super::Sample;
use crate::units::Duration;

/// `AIMDLimit.Builder`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AimdConfig {
    /// `initialLimit`.
    pub initial: u32,
    /// `minLimit`.
    pub least: u32,
    /// `maxLimit`.
    pub most: u32,
    /// `backoffRatio`.
    pub backoff: f64,
    /// `timeout`: a call that took longer counts as dropped.
    pub slow: Duration,
}

/// One more for each call that went well while at least half of the limit was used; less by a factor
/// for each that was dropped.
pub struct Aimd {
    config: AimdConfig,
    limit: u32,
}

impl Aimd {
    /// The limit before the first call.
    pub fn new(config: AimdConfig) -> Aimd {
        Aimd { config, limit: config.initial }
    }
    /// Calls that may be under way at once.
    pub fn limit(&self) -> u32 {
        self.limit
    }
    /// A call has ended.
    pub fn learn(&mut self, sample: Sample) {
        let config = &self.config;
        let next = if sample.dropped || sample.took > config.slow {
            (f64::from(self.limit) * config.backoff) as u32
        } else if sample.in_flight.saturating_mul(2) >= self.limit {
            self.limit + 1
        } else {
            self.limit
        };
        self.limit = next.max(config.least).min(config.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_by_one_down_by_a_tenth_within_bounds() {
        let slow = Duration::secs(5);
        let mut limit =
            Aimd::new(AimdConfig { initial: 20, least: 20, most: 200, backoff: 0.9, slow });
        let sample = |in_flight, millis, dropped| Sample {
            took: Duration::millis(millis),
            in_flight,
            dropped,
        };
        limit.learn(sample(9, 1, false));
        assert_eq!(limit.limit(), 20, "less than half is used");
        (0..80).for_each(|_| limit.learn(sample(100, 1, false)));
        assert_eq!(limit.limit(), 100);
        limit.learn(sample(1, 1, true));
        assert_eq!(limit.limit(), 90);
        limit.learn(sample(1, 5_001, false));
        assert_eq!(limit.limit(), 81, "too slow is as good as dropped");
        (0..50).for_each(|_| limit.learn(sample(1, 1, true)));
        assert_eq!(limit.limit(), 20);
        (0..500).for_each(|_| limit.learn(sample(200, 1, false)));
        assert_eq!(limit.limit(), 200);
    }
}
