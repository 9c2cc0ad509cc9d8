//! Tokens that come back at a constant rate: at most `burst + rate x t` requests pass in any time t.

use super::{Verdict, entry, spacing, whole_seconds};
use crate::units::{Duration, Time};

/// How full a bucket was and when, as the time that it takes to fill so far.
#[derive(Clone, Copy, Default)]
struct Bucket {
    missing: Duration,
    at: Time,
}

/// One limiter of one process.
pub struct TokenBucket {
    token: Duration,
    whole: Duration,
    keys: Vec<Bucket>,
}

impl TokenBucket {
    /// `limit` tokens for each key in a time of `window`, of which `burst` can be saved.
    pub fn new(limit: u32, window: Duration, burst: u32) -> TokenBucket {
        let token = spacing(limit, window);
        let whole = Duration(token.0.saturating_mul(u64::from(burst)));
        TokenBucket { token, whole, keys: Vec::new() }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        let (token, whole) = (self.token.0, self.whole.0);
        let bucket = entry(&mut self.keys, key);
        let missing = bucket.missing.0.saturating_sub(now.since(bucket.at).0);
        *bucket = Bucket { missing: Duration(missing), at: now };
        match (missing + token).checked_sub(whole) {
            Some(short) if short > 0 => {
                Verdict::Reject { retry_after: whole_seconds(Duration(short)) }
            }
            _ => {
                bucket.missing = Duration(missing + token);
                Verdict::NOW
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gcra;
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    /// 5/s with a burst of 3: three at once, then one each 200 ms, and what is saved is capped.
    #[test]
    fn a_burst_then_the_rate() {
        let mut limiter = TokenBucket::new(5, Duration::secs(1), 3);
        let mut passed =
            |millis: u64| (0..9).filter(|_| limiter.hit(at(millis), 0) == Verdict::NOW).count();
        let times = [0, 199, 200, 399, 400, 1_000, 60_000];
        assert_eq!(times.map(&mut passed), [3, 0, 1, 0, 1, 3, 3]);
    }

    #[test]
    fn retry_after_is_when_the_next_token_comes() {
        let mut limiter = TokenBucket::new(1, Duration::secs(60), 1);
        limiter.hit(at(0), 0);
        let retry_after = Duration::secs(35);
        assert_eq!(limiter.hit(at(25_500), 0), Verdict::Reject { retry_after });
    }

    /// A theoretical arrival time is a bucket seen from the other side.
    #[test]
    fn gcra_says_the_same() {
        let mut bucket = TokenBucket::new(7, Duration::secs(1), 4);
        let mut gcra = Gcra::new(7, Duration::secs(1), 4);
        let mut millis = 0;
        for step in 0..20_000u64 {
            millis += (step * 7_919) % 211;
            assert_eq!(bucket.hit(at(millis), 0), gcra.hit(at(millis), 0), "at {millis} ms");
        }
    }
}
