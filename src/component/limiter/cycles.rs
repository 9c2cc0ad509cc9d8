//! Permits that are given anew in each cycle: resilience4j 2.3 `AtomicRateLimiter`. Cycles go by the
//! clock; a caller may reserve a permit of a later cycle if it comes within the timeout, and sleeps
//! until then.

use super::{Verdict, entry, whole_seconds};
use crate::units::{Duration, Time};

/// The cycle that a key was last seen in, and the permits that it has left; below zero they are
/// reserved ahead. A key that never came is in cycle 0 with all of its permits.
#[derive(Clone, Copy, Default)]
struct Permits {
    cycle: u64,
    used: i64,
}

/// One limiter of one process.
pub struct Cycles {
    limit: u32,
    cycle: Duration,
    timeout: Duration,
    keys: Vec<Permits>,
}

impl Cycles {
    /// `limit` permits (`limitForPeriod`, 50 by default) for each key and cycle
    /// (`limitRefreshPeriod`, 500 ns); a request waits up to `timeout` (`timeoutDuration`, 5 s).
    pub fn new(limit: u32, cycle: Duration, timeout: Duration) -> Cycles {
        Cycles { limit, cycle, timeout, keys: Vec::new() }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let limit = i64::from(self.limit);
        let permits = entry(&mut self.keys, key);
        let cycle = now.0 / self.cycle.0;
        let elapsed = i64::try_from(cycle - permits.cycle).unwrap_or(i64::MAX);
        let used = permits.used.saturating_sub(elapsed.saturating_mul(limit)).max(0);
        *permits = Permits { cycle, used };
        let wait = match (used - limit + 1, limit) {
            (..=0, _) => Duration::ZERO,
            (_, 0) => Duration::FOREVER,
            (short, _) => {
                // The next cycle brings `limit`, and so does each after it.
                let cycles = (short as u64).div_ceil(limit as u64);
                Duration((cycle + cycles) * self.cycle.0 - now.0)
            }
        };
        if wait > self.timeout {
            return Verdict::Reject { retry_after: whole_seconds(wait) };
        }
        permits.used += 1;
        Verdict::Pass { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    /// 2 permits a second, and a wait of 1.5 s at most: reservations go two cycles ahead.
    #[test]
    fn permits_are_reserved_ahead_within_the_timeout() {
        let mut limiter = Cycles::new(2, Duration::secs(1), Duration::millis(1_500));
        let waits: Vec<Option<u64>> = (0..7)
            .map(|_| match limiter.hit(at(600), 0) {
                Verdict::Pass { wait } => Some(wait.0 / Duration::millis(1).0),
                Verdict::Reject { .. } => None,
            })
            .collect();
        let expected = [Some(0), Some(0), Some(400), Some(400), Some(1_400), Some(1_400), None];
        assert_eq!(waits, expected);
    }

    #[test]
    fn unused_permits_are_not_saved() {
        let mut limiter = Cycles::new(2, Duration::secs(1), Duration::ZERO);
        let mut passed =
            |millis: u64| (0..9).filter(|_| limiter.hit(at(millis), 0) == Verdict::NOW).count();
        assert_eq!([0, 999, 1_000, 9_000].map(&mut passed), [2, 0, 2, 2]);
    }
}
