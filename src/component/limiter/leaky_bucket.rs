//! A queue that is served at a constant rate: it delays instead of rejecting, up to its length
//! (nginx 1.27 `limit_req` with `burst` and without `nodelay`).

use super::{Verdict, entry, spacing, whole_seconds};
use crate::units::{Duration, Time};

/// One limiter of one process.
pub struct LeakyBucket {
    interval: Duration,
    longest: Duration,
    keys: Vec<Time>,
}

impl LeakyBucket {
    /// `limit` requests of each key in a time of `window`, evenly spaced; `queue` may wait.
    pub fn new(limit: u32, window: Duration, queue: u32) -> LeakyBucket {
        let interval = spacing(limit, window);
        let longest = Duration(interval.0.saturating_mul(u64::from(queue)));
        LeakyBucket { interval, longest, keys: Vec::new() }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let next = entry(&mut self.keys, key);
        let turn = (*next).max(now);
        let wait = turn.since(now);
        match wait.0.checked_sub(self.longest.0) {
            Some(beyond) if beyond > 0 => {
                Verdict::Reject { retry_after: whole_seconds(Duration(beyond)) }
            }
            _ => {
                *next = turn + self.interval;
                Verdict::Pass { wait }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10/s with a queue of 2: the first goes at once, two wait, the fourth is turned away.
    #[test]
    fn requests_leave_evenly_spaced_and_the_queue_is_bounded() {
        let mut limiter = LeakyBucket::new(10, Duration::secs(1), 2);
        let verdicts: Vec<Verdict> = (0..4).map(|_| limiter.hit(Time::ZERO, 0)).collect();
        let wait = |millis| Verdict::Pass { wait: Duration::millis(millis) };
        let full = Verdict::Reject { retry_after: Duration::secs(1) };
        assert_eq!(verdicts, [wait(0), wait(100), wait(200), full]);
        let later = Time::ZERO + Duration::millis(250);
        assert_eq!(limiter.hit(later, 0), wait(50), "its turn is at 300 ms");
    }
}
