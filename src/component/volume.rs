//! A network volume that grants so many operations a second, as AWS EBS does.
//!
//! gp3 grants a constant rate (3,000 operations a second unless more are bought). gp2 grants a
//! baseline and, as long as its bucket of credits lasts, a burst: 3 operations a second for each
//! GiB, 3,000 in a burst, 5.4 million credits (EBS user guide, "General Purpose SSD volumes").
//! Operations are served in the order in which they were submitted.

use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// What a volume grants.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VolumeConfig {
    /// Operations a second, all the time.
    pub rate_per_s: f64,
    /// What one operation takes when nobody else is there.
    pub operation: Duration,
    /// A faster rate while credits last.
    pub burst: Option<Burst>,
}

/// A faster rate while credits last.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Burst {
    /// Operations a second.
    pub rate_per_s: f64,
    /// The most credits that it keeps, each worth one operation.
    pub credits: f64,
    /// Share of them that it starts with, 0 to 1.
    pub start: f64,
}

/// A volume while it runs.
#[derive(Clone, Debug)]
pub struct Volume {
    config: VolumeConfig,
    /// When all that was submitted so far will have been granted.
    free: Time,
    credits: f64,
    /// When the credits were last brought up to date.
    at: Time,
}

impl Volume {
    /// As it is at time zero.
    pub fn new(config: VolumeConfig) -> Volume {
        let credits = config.burst.map_or(0.0, |burst| burst.credits * burst.start);
        Volume { config, free: Time::ZERO, credits, at: Time::ZERO }
    }

    /// Work that takes so long on an idle volume is submitted, as that many operations one after
    /// another. Says when it will be done.
    pub fn submit(&mut self, now: Time, alone: Duration) -> Time {
        if alone.is_zero() {
            return now;
        }
        let operations = alone.0 as f64 / self.config.operation.0.max(1) as f64;
        let start = self.free.max(now);
        self.free = start + Duration::from_secs_f64(self.seconds_for(operations, start));
        self.free.max(now + alone)
    }

    /// How far behind it is.
    pub fn behind(&self, now: Time) -> Duration {
        self.free.max(now).since(now)
    }

    /// How long granting so many operations takes from `start` on.
    fn seconds_for(&mut self, operations: f64, start: Time) -> f64 {
        let base = self.config.rate_per_s;
        let Some(burst) = self.config.burst else { return operations / base };
        let earned = start.since(self.at).0 as f64 / TICKS_PER_SECOND as f64 * base;
        let credits = (self.credits + earned).min(burst.credits);
        // In a burst an operation spends a credit while base / burst of one are earned.
        let net = 1.0 - base / burst.rate_per_s;
        let in_burst = if net > 0.0 { operations.min(credits / net) } else { operations };
        let took = in_burst / burst.rate_per_s + (operations - in_burst) / base;
        self.credits = (credits - in_burst * net).max(0.0);
        self.at = start + Duration::from_secs_f64(took);
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::ZERO + Duration::from_secs_f64(seconds)
    }
    fn volume(rate_per_s: f64, burst: Option<Burst>) -> Volume {
        Volume::new(VolumeConfig { rate_per_s, operation: Duration::millis(1), burst })
    }

    #[test]
    fn one_statement_is_bound_by_its_operations_and_many_by_the_rate() {
        let mut gp3 = volume(3_000.0, None);
        // Ten operations of 1 ms one after another: 10 ms, though 3.3 ms of the volume's time.
        assert_eq!(gp3.submit(at(1.0), Duration::millis(10)), at(1.010));
        let last = (0..300).map(|_| gp3.submit(at(2.0), Duration::millis(10))).last();
        let seconds = last.unwrap().since(at(2.0)).seconds();
        assert!((seconds - 1.0).abs() < 1e-6, "3,000 operations take a second: {seconds}");
    }

    /// AWS's table: a gp2 volume of 100 GiB (300 a second) bursts at 3,000 for 2,000 s.
    #[test]
    fn a_gp2_volume_of_100_gib_bursts_for_2000_s() {
        let burst = Burst { rate_per_s: 3_000.0, credits: 5.4e6, start: 1.0 };
        let mut gp2 = volume(300.0, Some(burst));
        let mut now = Time::ZERO;
        let second = |operations: u64| Duration::millis(operations);
        for _ in 0..2_000 {
            now = gp2.submit(now, second(3_000)).min(gp2.free);
        }
        assert!((now.since(Time::ZERO).seconds() - 2_000.0).abs() < 0.1);
        let before = now;
        gp2.submit(now, second(3_000));
        assert!((gp2.free.since(before).seconds() - 10.0).abs() < 0.1, "then 300 a second");
    }
}
