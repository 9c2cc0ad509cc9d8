//! The generic cell rate algorithm (ITU-T I.371; redis-cell, go-redis/redis_rate): one time per key,
//! the theoretical arrival of its next request. A token bucket that is kept in a single number.

use super::{Verdict, entry, spacing, whole_seconds};
use crate::units::{Duration, Time};

/// One limiter of one process.
pub struct Gcra {
    interval: Duration,
    tolerance: Duration,
    keys: Vec<Time>,
}

impl Gcra {
    /// `limit` requests of each key in a time of `window`, of which `burst` may come at once.
    pub fn new(limit: u32, window: Duration, burst: u32) -> Gcra {
        let interval = spacing(limit, window);
        let ahead = u64::from(burst.saturating_sub(1));
        Gcra { interval, tolerance: Duration(interval.0.saturating_mul(ahead)), keys: Vec::new() }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let arrival = entry(&mut self.keys, key);
        let due = (*arrival).max(now);
        match due.since(now).0.checked_sub(self.tolerance.0) {
            Some(early) if early > 0 => {
                Verdict::Reject { retry_after: whole_seconds(Duration(early)) }
            }
            _ => {
                *arrival = due + self.interval;
                Verdict::NOW
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_passes_when_it_is_not_too_early() {
        let mut limiter = Gcra::new(10, Duration::secs(1), 1);
        let mut passes =
            |millis: u64| limiter.hit(Time::ZERO + Duration::millis(millis), 0) == Verdict::NOW;
        assert_eq!(
            [0, 99, 100, 150, 201, 300, 301].map(&mut passes),
            [true, false, true, false, true, false, true]
        );
    }
}
