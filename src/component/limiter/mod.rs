//! Requests per key and time: one file for each rule by which limiters count.
//!
//! One store belongs to one process: `k` processes with a store each admit up to `k` times the limit.
//! Keys are small numbers, as of client addresses; memory grows to the largest key that came.

mod cycles;
mod fixed_window;
mod gcra;
mod kept;
mod leaky_bucket;
mod sliding_counter;
mod sliding_log;
mod token_bucket;

pub use cycles::Cycles;
pub use fixed_window::FixedWindow;
pub use gcra::Gcra;
pub use kept::Keeper;
pub use leaky_bucket::LeakyBucket;
pub use sliding_counter::SlidingCounter;
pub use sliding_log::SlidingLog;
pub use token_bucket::TokenBucket;

use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// What a limiter says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may go on.
    Pass {
        /// How long it must wait before; zero with all rules but those that shape traffic.
        wait: Duration,
    },
    /// It is answered with 429.
    Reject {
        /// The `Retry-After` of the answer: until it would pass, in whole seconds, rounded up.
        retry_after: Duration,
    },
}

impl Verdict {
    /// It may go on at once.
    pub const NOW: Verdict = Verdict::Pass { wait: Duration::ZERO };
}

/// By which rule requests are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A window that starts with the first request of its key.
    FixedWindow,
    /// The time of every request that has passed within the window.
    SlidingLog,
    /// Two windows by the clock, the former one weighted by what is left of it.
    SlidingCounter,
    /// Tokens that come back at a constant rate.
    TokenBucket {
        /// The most tokens.
        burst: u32,
    },
    /// One time per key, by which its requests are ahead of the rate.
    Gcra {
        /// Requests that may come at once.
        burst: u32,
    },
    /// A queue that is served at a constant rate.
    LeakyBucket {
        /// Requests that may wait.
        queue: u32,
    },
    /// Permits that are given anew in each cycle, and may be reserved ahead.
    Cycles {
        /// How long a request may wait for its permit.
        timeout: Duration,
    },
}

/// A limiter with its counts.
pub enum Limiter {
    /// See [`Rule::FixedWindow`].
    FixedWindow(FixedWindow),
    /// See [`Rule::SlidingLog`].
    SlidingLog(SlidingLog),
    /// See [`Rule::SlidingCounter`].
    SlidingCounter(SlidingCounter),
    /// See [`Rule::TokenBucket`].
    TokenBucket(TokenBucket),
    /// See [`Rule::Gcra`].
    Gcra(Gcra),
    /// See [`Rule::LeakyBucket`].
    LeakyBucket(LeakyBucket),
    /// See [`Rule::Cycles`].
    Cycles(Cycles),
}

impl Limiter {
    /// `limit` requests of each key in a time of `window`, by that rule.
    pub fn new(rule: Rule, limit: u32, window: Duration) -> Limiter {
        match rule {
            Rule::FixedWindow => Limiter::FixedWindow(FixedWindow::new(limit, window)),
            Rule::SlidingLog => Limiter::SlidingLog(SlidingLog::new(limit, window)),
            Rule::SlidingCounter => Limiter::SlidingCounter(SlidingCounter::new(limit, window)),
            Rule::TokenBucket { burst } => {
                Limiter::TokenBucket(TokenBucket::new(limit, window, burst))
            }
            Rule::Gcra { burst } => Limiter::Gcra(Gcra::new(limit, window, burst)),
            Rule::LeakyBucket { queue } => {
                Limiter::LeakyBucket(LeakyBucket::new(limit, window, queue))
            }
            Rule::Cycles { timeout } => Limiter::Cycles(Cycles::new(limit, window, timeout)),
        }
    }

    /// A request of `key` at `now`.
    #[inline]
    pub fn hit(&mut self, now: Time, key: u32) -> Verdict {
        match self {
            Limiter::FixedWindow(rule) => rule.hit(now, key),
            Limiter::SlidingLog(rule) => rule.hit(now, key),
            Limiter::SlidingCounter(rule) => rule.hit(now, key),
            Limiter::TokenBucket(rule) => rule.hit(now, key),
            Limiter::Gcra(rule) => rule.hit(now, key),
            Limiter::LeakyBucket(rule) => rule.hit(now, key),
            Limiter::Cycles(rule) => rule.hit(now, key),
        }
    }
}

impl Limiter {
    /// Its counts, if they are fixed windows.
    pub fn windows(&self) -> Option<&FixedWindow> {
        match self {
            Limiter::FixedWindow(rule) => Some(rule),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn windows_mut(&mut self) -> Option<&mut FixedWindow> {
        match self {
            Limiter::FixedWindow(rule) => Some(rule),
            _ => None,
        }
    }

    /// When the window that a request of `key` has just been counted in ends, if what it counts can
    /// be taken back.
    pub fn resets_at(&self, key: u32) -> Option<Time> {
        match self {
            Limiter::FixedWindow(rule) => Some(rule.resets_at(key)),
            _ => None,
        }
    }

    /// A request of `key` is taken out of the count of its window; see [`FixedWindow::take_back`].
    pub fn take_back(&mut self, now: Time, key: u32, reset_at: Time) {
        if let Limiter::FixedWindow(rule) = self {
            rule.take_back(now, key, reset_at);
        }
    }
}

/// The record of a key, which is made when the key first comes.
fn entry<T: Clone + Default>(keys: &mut Vec<T>, key: u32) -> &mut T {
    let index = key as usize;
    if index >= keys.len() {
        keys.resize(index + 1, T::default());
    }
    &mut keys[index]
}

/// `Retry-After` has whole seconds, rounded up.
fn whole_seconds(length: Duration) -> Duration {
    Duration::secs(length.0.div_ceil(TICKS_PER_SECOND))
}

/// The time from one request to the next at a constant rate; for ever if none may come.
fn spacing(limit: u32, window: Duration) -> Duration {
    window.0.checked_div(u64::from(limit)).map_or(Duration::FOREVER, Duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [Rule; 7] = [
        Rule::FixedWindow,
        Rule::SlidingLog,
        Rule::SlidingCounter,
        Rule::TokenBucket { burst: 10 },
        Rule::Gcra { burst: 10 },
        Rule::LeakyBucket { queue: 10 },
        Rule::Cycles { timeout: Duration::ZERO },
    ];

    /// What passes of a stream far above the limit of 10/s, over 100 s.
    fn passed(rule: Rule, key: impl Fn(u64) -> u32) -> u32 {
        let mut limiter = Limiter::new(rule, 10, Duration::secs(1));
        let times = (0..100_000).map(|count| (count, Time::ZERO + Duration::millis(count)));
        let passes =
            |(count, now)| u32::from(matches!(limiter.hit(now, key(count)), Verdict::Pass { .. }));
        times.map(passes).sum()
    }

    #[test]
    fn every_rule_lets_its_rate_pass_in_the_long_run() {
        for rule in RULES {
            let passed = passed(rule, |_| 3);
            assert!((980..=1_020).contains(&passed), "{rule:?}: {passed}");
        }
    }

    #[test]
    fn every_rule_counts_each_key_apart() {
        for rule in RULES {
            let passed = passed(rule, |count| (count % 2) as u32);
            assert!((1_960..=2_040).contains(&passed), "{rule:?}: {passed}");
        }
    }

    #[test]
    fn a_limit_of_zero_lets_nobody_pass() {
        for rule in [Rule::FixedWindow, Rule::SlidingLog, Rule::SlidingCounter] {
            let mut limiter = Limiter::new(rule, 0, Duration::secs(1));
            let rejects = |second| {
                let now = Time::ZERO + Duration::secs(second);
                matches!(limiter.hit(now, 0), Verdict::Reject { .. })
            };
            assert!((0..100).all(rejects), "{rule:?}");
        }
    }

    /// Bursts of 500 around the seconds: what passes within an interval of 1 s at most.
    #[test]
    fn rules_differ_by_what_passes_around_a_boundary() {
        let burst = |rule| {
            let mut limiter = Limiter::new(rule, 100, Duration::secs(60));
            let mut hits = |millis: u64, times: u32| -> u32 {
                let now = Time::ZERO + Duration::millis(millis);
                let passes = |_| u32::from(matches!(limiter.hit(now, 0), Verdict::Pass { .. }));
                (0..times).map(passes).sum()
            };
            hits(0, 1);
            hits(59_999, 500) + hits(60_001, 500)
        };
        assert_eq!(burst(Rule::FixedWindow), 199, "twice the limit");
        assert_eq!(burst(Rule::SlidingLog), 100, "the first one has just left the window");
        assert_eq!(burst(Rule::SlidingCounter), 100);
        assert_eq!(burst(Rule::TokenBucket { burst: 100 }), 100);
        assert_eq!(burst(Rule::Gcra { burst: 100 }), 100);
    }
}
