//! A guard: rejects requests while some metric stands at or above a threshold.
//!
//! There is no product to follow: this is the middleware that teams write by hand, such as "503
//! when the pool is at 85 %" (read for every request) or "no new sessions above 50,000" (counted at
//! most every 30 s). It has no hysteresis unless it is told to: then it stays shut until the value
//! has fallen below a second, lower bound. With a cached value it decides by the past: whatever
//! comes while the value is cached passes or fails by the same old number, so the metric overshoots
//! by all that arrives in that time.

use crate::units::{Duration, Time};

/// What a guard does when its metric cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailMode {
    /// Lets the request pass: the guard vanishes with its source.
    Open,
    /// Rejects it.
    Closed,
}

/// What a guard says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may go on.
    Pass,
    /// It is turned away.
    Reject,
}

/// The metric could not be read: the store that it comes from did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

/// One guard of one process.
pub struct Guard {
    threshold: f64,
    release: f64,
    cache: Option<Duration>,
    on_error: FailMode,
    /// The last value that was read stood too high.
    shut: bool,
    stale_at: Time,
}

impl Guard {
    /// Rejects from `threshold` on (in the metric's own unit), on a value read for every request,
    /// or kept for the time of `cache`.
    pub fn new(threshold: f64, cache: Option<Duration>, on_error: FailMode) -> Guard {
        let stale_at = Time::ZERO;
        Guard { threshold, release: threshold, cache, on_error, shut: false, stale_at }
    }

    /// Hysteresis: once it rejects, it goes on until the metric is below `value`, at most the
    /// threshold.
    pub fn released_below(self, value: f64) -> Guard {
        Guard { release: value.min(self.threshold), ..self }
    }

    /// The verdict by the value that is still cached; `None` when the metric must be read. For a
    /// metric that takes time to read: every request that comes before [`Guard::judge`] reads it
    /// too.
    #[inline]
    pub fn cached(&self, now: Time) -> Option<Verdict> {
        (now < self.stale_at).then(|| self.verdict())
    }

    /// The verdict by a value that was read at `now`, or could not be read. A failure is not kept:
    /// the next request tries to read again.
    #[inline]
    pub fn judge(&mut self, now: Time, read: Result<f64, Unreadable>) -> Verdict {
        match (read, self.on_error) {
            (Ok(value), _) => {
                if let Some(length) = self.cache {
                    self.stale_at = now + length;
                }
                self.shut = value >= if self.shut { self.release } else { self.threshold };
                self.verdict()
            }
            (Err(Unreadable), FailMode::Open) => Verdict::Pass,
            (Err(Unreadable), FailMode::Closed) => Verdict::Reject,
        }
    }

    /// The verdict for a request, with a metric that can be read at once.
    #[inline]
    pub fn decide(&mut self, now: Time, read: impl FnOnce() -> Result<f64, Unreadable>) -> Verdict {
        match self.cached(now) {
            Some(verdict) => verdict,
            None => self.judge(now, read()),
        }
    }

    fn verdict(&self) -> Verdict {
        if self.shut { Verdict::Reject } else { Verdict::Pass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }

    #[test]
    fn the_threshold_itself_is_rejected() {
        let mut guard = Guard::new(17.0, None, FailMode::Open);
        assert_eq!(guard.decide(at(0), || Ok(16.99)), Verdict::Pass);
        assert_eq!(guard.decide(at(0), || Ok(17.0)), Verdict::Reject);
        assert_eq!(guard.decide(at(0), || Ok(16.0)), Verdict::Pass, "no hysteresis, no memory");
    }

    #[test]
    fn with_hysteresis_it_stays_shut_until_the_lower_bound() {
        let mut guard = Guard::new(17.0, None, FailMode::Open).released_below(10.0);
        let seen = [16.9, 17.0, 16.0, 10.0, 9.9, 16.9, 17.0];
        let verdicts = seen.map(|value| guard.decide(at(0), || Ok(value)) == Verdict::Reject);
        assert_eq!(verdicts, [false, true, true, true, false, false, true]);
    }

    #[test]
    fn a_cached_value_lets_the_metric_overshoot() {
        let mut guard = Guard::new(50_000.0, Some(Duration::secs(30)), FailMode::Open);
        let (mut sessions, mut reads) = (49_000u32, 0);
        for tenth in 0..1_000u64 {
            let now = Time::ZERO + Duration::millis(tenth * 100);
            let read = || {
                reads += 1;
                Ok(f64::from(sessions))
            };
            if guard.decide(now, read) == Verdict::Pass {
                sessions += 10;
            }
        }
        // Read at 0, 30, 60 and 90 s; 49,000, then 52,000: all logins of 30 s pass by the old
        // count.
        assert_eq!((sessions, reads), (52_000, 4));
    }

    #[test]
    fn the_cache_ends_on_time() {
        let mut guard = Guard::new(1.0, Some(Duration::secs(60)), FailMode::Closed);
        assert_eq!(guard.cached(at(0)), None);
        assert_eq!(guard.judge(at(0), Ok(2.0)), Verdict::Reject);
        assert_eq!(guard.cached(at(59)), Some(Verdict::Reject));
        assert_eq!(guard.cached(at(60)), None);
    }

    #[test]
    fn failures_follow_the_mode_and_are_not_kept() {
        let cases = [(FailMode::Open, Verdict::Pass), (FailMode::Closed, Verdict::Reject)];
        for (mode, expected) in cases {
            let mut guard = Guard::new(1.0, Some(Duration::secs(60)), mode);
            assert_eq!(guard.decide(at(0), || Err(Unreadable)), expected);
            assert_eq!(guard.decide(at(1), || Ok(5.0)), Verdict::Reject, "it was read again");
            let cached = guard.decide(at(2), || Err(Unreadable));
            assert_eq!(cached, Verdict::Reject, "what is cached needs no reading");
        }
    }
}
