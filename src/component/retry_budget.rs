//! What keeps one sending process from retrying, or even sending, too much.
//!
//! | rule | follows |
//! |---|---|
//! | token bucket | AWS SDK standard mode: @smithy/core 3.41.0 `StandardRetryStrategy` and botocore 1.44.5 `retries/standard.py` (500 tokens, 14 a retry, 5 after a 429, 1 back a success; one after a retry gives back what the last retry took), @smithy/core up to 3.39 (10 a retry, 5 after a 429) |
//! | retry budget | Envoy `circuit_breaker.proto`, `RetryBudget`: 20 % of active requests, at least 3 |
//! | adaptive throttle | Google, Site Reliability Engineering, "Handling Overload": K = 2, two minutes |

use crate::units::{Duration, Time};

/// What limits the retries of one process.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Budget {
    /// Nothing.
    #[default]
    None,
    /// Tokens that each retry takes from a bucket and each success gives back to it.
    Tokens {
        /// Tokens in a full bucket.
        capacity: u32,
        /// What a retry takes.
        cost: u32,
        /// What a retry after a timeout takes.
        timeout_cost: u32,
        /// What a retry after a 429 takes.
        throttled_cost: u32,
        /// What a success at the first attempt gives back; one after a retry gives back what that has
        /// taken.
        refund: u32,
    },
    /// Retries in flight are a share of all requests in flight, or a few.
    Share {
        /// The share, 0 to 1.
        share: f64,
        /// So many are always allowed.
        least: u32,
    },
}

/// What a retry follows, as far as its price depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum After {
    /// An error.
    Error,
    /// No answer in time.
    Timeout,
    /// A 429.
    Throttling,
}

impl After {
    /// From its number.
    pub fn of(number: u8) -> After {
        match number {
            0 => After::Error,
            1 => After::Timeout,
            _ => After::Throttling,
        }
    }
}

impl Budget {
    /// The tokens that a retry takes.
    fn cost(self, after: After) -> u32 {
        match (self, after) {
            (Budget::Tokens { cost, .. }, After::Error) => cost,
            (Budget::Tokens { timeout_cost, .. }, After::Timeout) => timeout_cost,
            (Budget::Tokens { throttled_cost, .. }, After::Throttling) => throttled_cost,
            _ => 0,
        }
    }
}

/// What turns requests away before they are sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Throttle {
    /// Requests may be so many times the accepted ones.
    pub k: f64,
    /// Over which time both are counted.
    pub window: Duration,
}

/// Parts of the throttle's window; the oldest is forgotten as a whole.
const PARTS: usize = 12;

/// One sending process, as far as its budget and its throttle know it.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// Tokens taken from the full bucket.
    missing: u32,
    /// Requests in flight, retries included.
    active: u32,
    /// Of these, retries.
    retrying: u32,
    /// Requests and accepted ones by part of the window.
    recent: Option<Box<[(u32, u32); PARTS]>>,
    /// The number of the latest part since the start of the run.
    part: u64,
}

impl Sender {
    /// Whether a retry is allowed; if so, its tokens are taken.
    pub fn may_retry(&mut self, budget: Budget, after: After) -> bool {
        match budget {
            Budget::None => true,
            Budget::Tokens { capacity, .. } => {
                let cost = budget.cost(after);
                let enough = self.missing + cost <= capacity;
                self.missing += if enough { cost } else { 0 };
                enough
            }
            Budget::Share { share, least } => {
                let most = (share * f64::from(self.active)).max(f64::from(least));
                let allowed = f64::from(self.retrying) < most;
                // Envoy counts a retry from the decision on, its pause included.
                self.retrying += u32::from(allowed);
                allowed
            }
        }
    }
    /// A request is sent.
    pub fn sent(&mut self) {
        self.active += 1;
    }
    /// A request is turned away before it is sent.
    pub fn kept_back(&mut self, budget: Budget, was_retry: bool) {
        if matches!(budget, Budget::Share { .. }) {
            self.retrying -= u32::from(was_retry);
        }
    }
    /// A request is over, well or badly; if it was a retry, of what.
    pub fn over(&mut self, budget: Budget, retried: Option<After>, ok: bool) {
        self.active -= 1;
        self.kept_back(budget, retried.is_some());
        if let Budget::Tokens { refund, .. } = budget
            && ok
        {
            // The retry that succeeded gives its own tokens back (StandardRetryStrategy.recordSuccess;
            // botocore: retry_quota_capacity is of the last acquisition).
            let back = retried.map_or(refund, |after| budget.cost(after));
            self.missing = self.missing.saturating_sub(back);
        }
    }
    /// The chance with which a request is turned away before it is sent:
    /// max(0, (requests - K accepts) / (requests + 1)).
    pub fn rejection(&mut self, throttle: Throttle, now: Time) -> f64 {
        let recent = self.remember(throttle, now).1;
        let requests: u32 = recent.iter().map(|part| part.0).sum();
        let accepts: u32 = recent.iter().map(|part| part.1).sum();
        let over = f64::from(requests) - throttle.k * f64::from(accepts);
        (over / (f64::from(requests) + 1.0)).max(0.0)
    }
    /// The application wanted to send a request, whether or not it was turned away here.
    pub fn wanted(&mut self, throttle: Throttle, now: Time) {
        let (part, recent) = self.remember(throttle, now);
        recent[part].0 += 1;
    }
    /// The far end accepted a request.
    pub fn accepted(&mut self, throttle: Throttle, now: Time) {
        let (part, recent) = self.remember(throttle, now);
        recent[part].1 += 1;
    }
    /// The present part and all parts, of which those that are over are forgotten.
    fn remember(&mut self, throttle: Throttle, now: Time) -> (usize, &mut [(u32, u32); PARTS]) {
        let parts = PARTS as u64;
        let part = now.0 / (throttle.window.0 / parts).max(1);
        let recent = self.recent.get_or_insert_default();
        for old in 0..(part - self.part).min(parts) {
            recent[((part - old) % parts) as usize] = (0, 0);
        }
        self.part = part;
        ((part % parts) as usize, recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: Budget =
        Budget::Tokens { capacity: 500, cost: 5, timeout_cost: 10, throttled_cost: 5, refund: 1 };

    #[test]
    fn a_bucket_of_500_tokens_pays_for_a_hundred_retries() {
        let mut sender = Sender::default();
        assert_eq!((0..1_000).filter(|_| sender.may_retry(AWS, After::Error)).count(), 100);
        let mut sender = Sender::default();
        assert_eq!((0..1_000).filter(|_| sender.may_retry(AWS, After::Timeout)).count(), 50);
    }

    #[test]
    fn five_successes_pay_for_one_retry_and_a_successful_retry_pays_for_itself() {
        let mut sender = Sender::default();
        while sender.may_retry(AWS, After::Error) {}
        for success in 1..=5 {
            sender.sent();
            sender.over(AWS, None, true);
            assert_eq!(sender.clone().may_retry(AWS, After::Error), success == 5);
        }
        assert!(sender.may_retry(AWS, After::Error));
        sender.sent();
        sender.over(AWS, Some(After::Error), true);
        assert!(sender.may_retry(AWS, After::Error));
    }

    #[test]
    fn a_retry_that_succeeds_gives_back_what_the_last_retry_took() {
        // 500 less 10 after a timeout and 7 after a 429, which come back one by one.
        let budget = Budget::Tokens {
            capacity: 500,
            cost: 14,
            timeout_cost: 10,
            throttled_cost: 7,
            refund: 1,
        };
        for (after, cost) in [(After::Error, 14), (After::Timeout, 10), (After::Throttling, 7)] {
            let mut sender = Sender::default();
            for _ in 0..3 {
                assert!(sender.may_retry(budget, after));
                sender.sent();
            }
            assert_eq!(sender.missing, 3 * cost);
            sender.over(budget, Some(after), true);
            assert_eq!(sender.missing, 2 * cost);
            sender.over(budget, Some(after), false);
            assert_eq!(sender.missing, 2 * cost);
        }
    }

    #[test]
    fn a_fifth_of_what_is_in_flight_may_be_retries_and_three_always() {
        let envoy = Budget::Share { share: 0.2, least: 3 };
        let mut sender = Sender::default();
        let retries = |sender: &mut Sender| {
            let mut count = 0;
            while sender.may_retry(envoy, After::Error) {
                sender.sent();
                count += 1;
            }
            count
        };
        assert_eq!(retries(&mut sender), 3);
        (0..100).for_each(|_| sender.sent());
        // r < (100 + r) / 5, with the three from before: 25 in all.
        assert_eq!(retries(&mut sender), 22);
    }

    #[test]
    fn who_is_answered_half_the_time_is_not_throttled_and_who_never_is_almost_always() {
        let rule = Throttle { k: 2.0, window: Duration::secs(120) };
        let at = |second: u64| Time::ZERO + Duration::secs(second);
        let mut sender = Sender::default();
        for request in 0..100 {
            sender.wanted(rule, at(1));
            if request % 2 == 0 {
                sender.accepted(rule, at(1));
            }
        }
        assert_eq!(sender.rejection(rule, at(1)), 0.0);
        (0..100).for_each(|_| sender.wanted(rule, at(60)));
        // (200 - 2 x 50) / 201.
        assert!((sender.rejection(rule, at(60)) - 100.0 / 201.0).abs() < 1e-12);
        // Two minutes later only the second hundred is remembered, and then nothing.
        assert!((sender.rejection(rule, at(125)) - 100.0 / 101.0).abs() < 1e-12);
        assert_eq!(sender.rejection(rule, at(200)), 0.0);
    }
}
