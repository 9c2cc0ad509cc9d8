//! How long a client waits before it tries again.
//!
//! The jittered rules are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture
//! Blog, 2015); the spread of the plain exponential one is axios-retry's (4.5.0,
//! `exponentialDelay`: 100 ms x 2^k, k from 1, and up to 20 % more). Without jitter, clients that failed
//! together return together.

use crate::units::Duration;

/// The rule by which one client spaces its attempts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Backoff {
    /// The same wait each time; zero is axios-retry's default.
    Fixed(Duration),
    /// `min(cap, base x 2^k)`, and up to the share `spread` of it more, uniformly.
    Exponential {
        /// The wait before the first retry.
        base: Duration,
        /// The longest wait before the spread.
        cap: Duration,
        /// How much may be added, as a share of the wait: 0.2 for axios-retry, 0 for none.
        spread: f64,
    },
    /// `step x (k + 1)`: axios-retry's `linearDelay`.
    Linear {
        /// The wait before the first retry, and what each further one is longer.
        step: Duration,
    },
    /// `base x factor^k`, times a number between `1 - randomisation` and `1 + randomisation`:
    /// resilience4j's `IntervalFunction`.
    Growing {
        /// The wait before the first retry.
        base: Duration,
        /// By what each further one is longer.
        factor: f64,
        /// The spread, as a share.
        randomisation: f64,
    },
    /// Uniform between zero and `min(cap, base x 2^k)`.
    FullJitter {
        /// The longest wait before the first retry.
        base: Duration,
        /// The longest wait of all.
        cap: Duration,
    },
    /// Half of `min(cap, base x 2^k)`, and uniformly up to as much again.
    EqualJitter {
        /// The longest wait before the first retry.
        base: Duration,
        /// The longest wait of all.
        cap: Duration,
    },
    /// `min(cap, uniform(base, 3 x the previous wait))`.
    Decorrelated {
        /// The shortest wait, and the "previous" one before the first retry.
        base: Duration,
        /// The longest wait.
        cap: Duration,
    },
}

impl Backoff {
    /// The wait before retry number `retry` (0 is the first), given the wait before (zero if there
    /// was none) and a draw that is uniform in [0, 1). The draw is not used by every rule, but
    /// every retry has one, so that two rules can be compared on the same draws.
    pub fn delay(&self, retry: u32, previous: Duration, unit_draw: f64) -> Duration {
        match *self {
            Backoff::Fixed(wait) => wait,
            Backoff::Exponential { base, cap, spread } => {
                doubled(base, retry, cap).scale(1.0 + spread * unit_draw)
            }
            Backoff::Linear { step } => Duration(step.0.saturating_mul(u64::from(retry) + 1)),
            Backoff::Growing { base, factor, randomisation } => {
                // Powers by multiplication: the same bits on every platform.
                let grown = (0..retry.min(1_000)).fold(1.0, |product, _| product * factor);
                let spread = 1.0 - randomisation + 2.0 * randomisation * unit_draw;
                base.scale((grown * spread).min(1e9))
            }
            Backoff::FullJitter { base, cap } => doubled(base, retry, cap).scale(unit_draw),
            Backoff::EqualJitter { base, cap } => {
                doubled(base, retry, cap).scale(0.5 + 0.5 * unit_draw)
            }
            Backoff::Decorrelated { base, cap } => {
                let widest = Duration(previous.max(base).0.saturating_mul(3));
                (base + (widest - base).scale(unit_draw)).min(cap)
            }
        }
    }
}

/// The wait of a client that honours `Retry-After`: as long as its own rule says, and at least as
/// long as the server asked for, plus up to the share `jitter` of that, uniformly. Without jitter
/// all who were turned away together return together.
pub fn honour_retry_after(own: Duration, asked: Duration, jitter: f64, unit_draw: f64) -> Duration {
    own.max(asked.scale(1.0 + jitter * unit_draw))
}

/// `min(cap, base x 2^retry)`.
fn doubled(base: Duration, retry: u32, cap: Duration) -> Duration {
    let factor = 1u64.checked_shl(retry).unwrap_or(u64::MAX);
    Duration(base.0.saturating_mul(factor)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::millis(100);
    const CAP: Duration = Duration::secs(2);

    fn waits(rule: Backoff, unit_draw: f64) -> Vec<u64> {
        let mut previous = Duration::ZERO;
        (0..7)
            .map(|retry| {
                previous = rule.delay(retry, previous, unit_draw);
                previous.0 / Duration::millis(1).0
            })
            .collect()
    }

    #[test]
    fn waits_follow_their_formulas() {
        let (base, cap) = (BASE, CAP);
        let exponential = Backoff::Exponential { base, cap, spread: 0.0 };
        assert_eq!(waits(exponential, 0.7), [100, 200, 400, 800, 1600, 2000, 2000]);
        let axios = Backoff::Exponential { base, cap: Duration::FOREVER, spread: 0.2 };
        assert_eq!(waits(axios, 0.5), [110, 220, 440, 880, 1760, 3520, 7040]);
        let full = Backoff::FullJitter { base, cap };
        assert_eq!(waits(full, 0.0), [0; 7]);
        assert_eq!(waits(full, 0.25), [25, 50, 100, 200, 400, 500, 500]);
        let equal = Backoff::EqualJitter { base, cap };
        assert_eq!(waits(equal, 0.0), [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(waits(equal, 0.5), [75, 150, 300, 600, 1200, 1500, 1500]);
        let decorrelated = Backoff::Decorrelated { base, cap };
        assert_eq!(waits(decorrelated, 0.0), [100; 7]);
        assert_eq!(waits(decorrelated, 0.5), [200, 350, 575, 912, 1418, 2000, 2000]);
        assert_eq!(waits(Backoff::Fixed(Duration::ZERO), 0.5), [0; 7]);
        let linear = Backoff::Linear { step: BASE };
        assert_eq!(waits(linear, 0.5), [100, 200, 300, 400, 500, 600, 700]);
        let growing =
            Backoff::Growing { base: Duration::millis(500), factor: 1.5, randomisation: 0.5 };
        assert_eq!(waits(growing, 0.5)[..4], [500, 750, 1125, 1687]);
        assert_eq!(waits(growing, 0.0)[..3], [250, 375, 562]);
    }

    #[test]
    fn no_rule_overflows_or_passes_its_cap() {
        let (base, cap) = (BASE, CAP);
        let rules = [
            Backoff::Exponential { base, cap, spread: 0.0 },
            Backoff::FullJitter { base, cap },
            Backoff::EqualJitter { base, cap },
            Backoff::Decorrelated { base, cap },
        ];
        for rule in rules {
            for retry in [0, 10, 63, 64, 1_000, u32::MAX] {
                for draw in [0.0, 0.5, 1.0 - f64::EPSILON] {
                    assert!(rule.delay(retry, Duration::FOREVER, draw) <= cap, "{rule:?} {retry}");
                }
            }
        }
    }

    #[test]
    fn retry_after_is_a_lower_bound() {
        let asked = Duration::secs(30);
        assert_eq!(honour_retry_after(BASE, asked, 0.0, 0.9), asked);
        assert_eq!(honour_retry_after(BASE, asked, 0.2, 0.5), Duration::secs(33));
        assert_eq!(honour_retry_after(Duration::secs(60), asked, 0.2, 0.5), Duration::secs(60));
    }
}
