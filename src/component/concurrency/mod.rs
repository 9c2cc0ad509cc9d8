//! How many calls may be under way at once: a number, or one that follows from how long they take.
//! One file for each rule; all by Netflix's concurrency-limits (0.5.x).

mod aimd;
mod gradient2;
mod vegas;

pub use aimd::{Aimd, AimdConfig};
pub use gradient2::{Gradient2, Gradient2Config};
pub use vegas::{Vegas, VegasConfig};

use crate::units::Duration;

/// What is known of a call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How long it took.
    pub took: Duration,
    /// Calls under way when it began, itself included.
    pub in_flight: u32,
    /// It was turned away further on, or timed out there.
    pub dropped: bool,
}

/// How the limit is found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LimitConfig {
    /// It is said.
    Fixed(u32),
    /// One more for each call that went well, a tenth less for each that was dropped.
    Aimd(AimdConfig),
    /// By the queue that shows in how much longer calls take than at best.
    Vegas(VegasConfig),
    /// By how calls now compare with calls on average.
    Gradient2(Gradient2Config),
}

/// A limit of one process.
pub enum Limit {
    /// It is said.
    Fixed(u32),
    /// See [`LimitConfig::Aimd`].
    Aimd(Aimd),
    /// See [`LimitConfig::Vegas`].
    Vegas(Vegas),
    /// See [`LimitConfig::Gradient2`].
    Gradient2(Gradient2),
}

impl Limit {
    /// The limit before the first call.
    pub fn new(config: LimitConfig) -> Limit {
        match config {
            LimitConfig::Fixed(count) => Limit::Fixed(count),
            LimitConfig::Aimd(config) => Limit::Aimd(Aimd::new(config)),
            LimitConfig::Vegas(config) => Limit::Vegas(Vegas::new(config)),
            LimitConfig::Gradient2(config) => Limit::Gradient2(Gradient2::new(config)),
        }
    }

    /// Calls that may be under way at once.
    pub fn now(&self) -> u32 {
        match self {
            Limit::Fixed(count) => *count,
            Limit::Aimd(rule) => rule.limit(),
            Limit::Vegas(rule) => rule.limit(),
            Limit::Gradient2(rule) => rule.limit(),
        }
    }

    /// A call has ended; `draw` gives a uniform number in [0, 1).
    pub fn learn(&mut self, sample: Sample, draw: impl FnOnce() -> f64) {
        match self {
            Limit::Fixed(_) => {}
            Limit::Aimd(rule) => rule.learn(sample),
            Limit::Vegas(rule) => rule.learn(sample, draw),
            Limit::Gradient2(rule) => rule.learn(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with 10 places of 100 ms each: what more there is waits. The limit after `calls`.
    fn settled(config: LimitConfig, calls: u32) -> u32 {
        let mut limit = Limit::new(config);
        for count in 0..calls {
            let in_flight = limit.now();
            let queue = f64::from(in_flight.saturating_sub(10)) / 10.0;
            let took = Duration::from_secs_f64(0.1 * (1.0 + queue));
            let dropped = took > Duration::secs(5);
            limit.learn(Sample { took, in_flight, dropped }, || f64::from(count % 97) / 97.0);
        }
        limit.now()
    }

    #[test]
    fn each_rule_grows_while_nothing_waits_and_stops_where_its_rule_says() {
        assert_eq!(settled(LimitConfig::Fixed(7), 100), 7);
        let aimd = AimdConfig {
            initial: 1,
            least: 1,
            most: 200,
            backoff: 0.9,
            slow: Duration::millis(500),
        };
        // It does not see a queue, only calls that take more than 500 ms: beyond 50 at once.
        let found = settled(LimitConfig::Aimd(aimd), 2_000);
        assert!((44..=51).contains(&found), "{found}");
        // A queue of 3 to 6 calls beside the 10 in service.
        let vegas = VegasConfig { initial: 5, most: 1_000, probe: u32::MAX };
        let found = settled(LimitConfig::Vegas(vegas), 2_000);
        assert!((12..=20).contains(&found), "{found}");
    }
}
