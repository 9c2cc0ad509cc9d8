//! Two windows by the clock: `limits` 5.8.0, `SlidingWindowCounterRateLimiter`
//! (`MemoryStorage.acquire_sliding_window_entry`). The count of the former window is weighted by the
//! share of it that the last window's length still covers. Rejected requests do not count.

use super::{Verdict, entry, whole_seconds};
use crate::units::{Duration, Time};

/// What has passed in the window of that number, and in the one before it.
#[derive(Clone, Copy, Default)]
struct Counts {
    window: u64,
    now: u32,
    before: u32,
}

/// One limiter of one process.
pub struct SlidingCounter {
    limit: u32,
    window: Duration,
    keys: Vec<Counts>,
}

impl SlidingCounter {
    /// About `limit` requests of each key in any time of `window`.
    pub fn new(limit: u32, window: Duration) -> SlidingCounter {
        SlidingCounter { limit, window, keys: Vec::new() }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let (length, limit) = (self.window.0, self.limit);
        let (window, gone) = (now.0 / length, now.0 % length);
        let counts = entry(&mut self.keys, key);
        if counts.window != window {
            let before = if counts.window + 1 == window { counts.now } else { 0 };
            *counts = Counts { window, now: 0, before };
        }
        if weighted(counts.before, length - gone, length) + u64::from(counts.now) < u64::from(limit)
        {
            counts.now += 1;
            return Verdict::NOW;
        }
        let again = match limit.checked_sub(counts.now) {
            // It passes in this window, once the former one weighs little enough.
            Some(room) if room > 0 => length - covered(counts.before, room, length) - gone,
            // It passes in the next one, whose former one is this.
            _ => length - gone + length - covered(counts.now, limit, length),
        };
        Verdict::Reject { retry_after: whole_seconds(Duration(again + 1)) }
    }
}

/// The whole part of a count, weighted by the share `left` of `length`.
fn weighted(count: u32, left: u64, length: u64) -> u64 {
    (u128::from(count) * u128::from(left) / u128::from(length)) as u64
}

/// How much of a former window may be covered for its count to weigh less than `room`.
fn covered(count: u32, room: u32, length: u64) -> u64 {
    if count == 0 {
        return length;
    }
    (u128::from(room) * u128::from(length) / u128::from(count)).min(u128::from(length)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    #[test]
    fn the_former_window_fades() {
        let mut limiter = SlidingCounter::new(100, Duration::secs(60));
        let mut passed =
            |millis: u64| (0..500).filter(|_| limiter.hit(at(millis), 0) == Verdict::NOW).count();
        assert_eq!(passed(59_000), 100);
        // 100 x 59/60 is 98.33: floor 98, so 2 pass; at 90 s 50 are weighed, and 2 are there.
        assert_eq!(passed(61_000), 2);
        assert_eq!(passed(90_000), 48);
        assert_eq!(passed(200_000), 100, "two windows later nothing is left");
    }

    #[test]
    fn retry_after_is_when_one_would_pass() {
        let mut limiter = SlidingCounter::new(100, Duration::secs(60));
        (0..100).for_each(|_| assert_eq!(limiter.hit(at(0), 0), Verdict::NOW));
        let Verdict::Reject { retry_after } = limiter.hit(at(30_000), 0) else {
            unreachable!("the window is full")
        };
        assert_eq!(retry_after, Duration::secs(31), "a tick after the next window begins");
        assert!(matches!(limiter.hit(at(60_000), 0), Verdict::Reject { .. }));
        assert_eq!(limiter.hit(at(60_001), 0), Verdict::NOW, "less than 100 are weighed");
    }
}
