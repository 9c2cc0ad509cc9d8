//! The time of every request that has passed within the last window: `limits` 5.8.0,
//! `MovingWindowRateLimiter` (the strategy "moving-window" of slowapi), and sorted sets in Redis.
//! Rejected requests do not count.

use std::collections::VecDeque;

use super::{Verdict, entry, whole_seconds};
use crate::units::{Duration, Time};

/// One limiter of one process: never more than the limit in any window, at the price of a time for
/// each request that has passed.
pub struct SlidingLog {
    limit: u32,
    window: Duration,
    keys: Vec<VecDeque<Time>>,
}

impl SlidingLog {
    /// `limit` requests of each key in any time of `window`.
    pub fn new(limit: u32, window: Duration) -> SlidingLog {
        SlidingLog { limit, window, keys: Vec::new() }
    }

    /// A request of `key` at `now` (`MemoryStorage.acquire_entry`: one that is exactly a window old
    /// still counts).
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let passed = entry(&mut self.keys, key);
        while passed.front().is_some_and(|first| *first + self.window < now) {
            passed.pop_front();
        }
        if passed.len() < self.limit as usize {
            passed.push_back(now);
            return Verdict::NOW;
        }
        let again = passed.front().map_or(self.window, |first| (*first + self.window).since(now));
        Verdict::Reject { retry_after: whole_seconds(again) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    #[test]
    fn no_window_has_more_than_the_limit_and_rejected_ones_do_not_count() {
        let mut limiter = SlidingLog::new(3, Duration::secs(10));
        let verdicts: Vec<bool> = [0, 4_000, 8_000, 9_000, 10_000, 10_001, 13_000, 14_001]
            .map(|millis| limiter.hit(at(millis), 0) == Verdict::NOW)
            .to_vec();
        assert_eq!(verdicts, [true, true, true, false, false, true, false, true]);
    }

    #[test]
    fn retry_after_is_when_the_oldest_leaves() {
        let mut limiter = SlidingLog::new(1, Duration::secs(60));
        limiter.hit(at(0), 5);
        let retry_after = Duration::secs(41);
        assert_eq!(limiter.hit(at(19_500), 5), Verdict::Reject { retry_after });
    }
}
