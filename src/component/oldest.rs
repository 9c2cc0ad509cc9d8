//! The age of the oldest of those that wait, over time.

use crate::units::{Duration, Time};

/// How old the oldest is, with the exact integral of that.
///
/// # Model
/// Mean = (1/T) integral of age(t) dt, and no age at all while nobody waits. Between two changes the age
/// grows as time does, so twice its integral is a difference of squares: an integer.
///
/// # Invariants
/// Calls come in the order of simulated time.
#[derive(Clone, Debug)]
pub struct OldestAge {
    /// Since when the oldest waits; never, if nobody does.
    since: Time,
    accounted: Time,
    start: Time,
    /// Twice the integral.
    twice: u128,
    /// The same up to `start`.
    before: u128,
    peak: Duration,
}

impl Default for OldestAge {
    fn default() -> Self {
        OldestAge {
            since: Time::NEVER,
            accounted: Time::ZERO,
            start: Time::ZERO,
            twice: 0,
            before: 0,
            peak: Duration::ZERO,
        }
    }
}

impl OldestAge {
    /// Since when the oldest waits.
    pub fn since(&self) -> Option<Time> {
        (self.since < Time::NEVER).then_some(self.since)
    }
    /// From now on the oldest is one that waits since then, or nobody waits.
    pub fn set(&mut self, now: Time, since: Option<Time>) {
        self.twice = self.twice_until(now);
        self.peak = self.peak(now);
        (self.accounted, self.since) = (now, since.unwrap_or(Time::NEVER));
    }
    /// Forgets the past at the end of the warm-up.
    pub fn reset(&mut self, now: Time) {
        let before = self.before + self.twice_until(now);
        *self =
            OldestAge { since: self.since, accounted: now, start: now, before, ..Self::default() };
    }

    fn age(&self, now: Time) -> Duration {
        if self.since < Time::NEVER { now.since(self.since) } else { Duration::ZERO }
    }
    fn twice_until(&self, now: Time) -> u128 {
        let square = |age: Duration| u128::from(age.0) * u128::from(age.0);
        self.twice + square(self.age(now)) - square(self.age(self.accounted))
    }

    /// Its integral since the beginning, whatever was forgotten since (ticks x s).
    pub fn total(&self, now: Time) -> f64 {
        (self.before + self.twice_until(now)) as f64 / 2.0 / Duration::secs(1).0 as f64
    }
    /// Its mean (s); [`None`] when no time has passed.
    pub fn mean_s(&self, now: Time) -> Option<f64> {
        let length = now.since(self.start).0;
        let second = Duration::secs(1).0 as f64;
        (length > 0).then(|| self.twice_until(now) as f64 / 2.0 / length as f64 / second)
    }
    /// The greatest.
    pub fn peak(&self, now: Time) -> Duration {
        self.peak.max(self.age(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_grows_and_falls_when_the_oldest_goes() {
        let at = |seconds| Time::ZERO + Duration::secs(seconds);
        let mut age = OldestAge::default();
        age.set(at(2), Some(at(2)));
        // 0 to 4 s until 6 s, then that of one who came at 5 s: 1 to 3 s until 8 s; nobody until 10 s.
        age.set(at(6), Some(at(5)));
        assert_eq!((age.since(), age.peak(at(7))), (Some(at(5)), Duration::secs(4)));
        age.set(at(8), None);
        assert_eq!((age.since(), age.mean_s(at(10))), (None, Some((8.0 + 4.0) / 10.0)));
        // The warm-up ends: what waits is as old as it is.
        age.set(at(10), Some(at(10)));
        age.reset(at(12));
        assert_eq!((age.mean_s(at(14)), age.peak(at(14))), (Some(3.0), Duration::secs(4)));
        assert_eq!(age.total(at(14)), (8.0 + 4.0 + 2.0 + 6.0) * 1e12);
        assert_eq!(OldestAge::default().mean_s(at(0)), None);
    }
}
