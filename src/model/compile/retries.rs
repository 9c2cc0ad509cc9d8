//! What follows a failure: the named policies of products, as one rule each.

use super::super::ids::ServiceId;
use super::super::tape::RetryId;
use super::super::{CallRetry, Retry};
use super::Compiler;
use crate::component::backoff::Backoff;
use crate::component::retry_budget::{Budget, Throttle};
use crate::topology::{self, AwsRetry, AwsSdk, AxiosDelay, AxiosRetry, Cause, Jitter};
use crate::units::{Duration, Ratio};

/// Attempts at a call are counted with 13 bits.
const MOST_CALLS: u32 = (1 << 13) - 1;

impl Compiler<'_> {
    /// What follows when a call fails.
    pub(super) fn call_retry(&mut self, call: &topology::Call, service: usize) -> RetryId {
        let Some(rule) = retry(&call.retry, call.throttle.as_ref()) else {
            return RetryId::NEVER;
        };
        let rule = Retry { attempts: rule.attempts.min(MOST_CALLS), ..rule };
        let number = self.retries.len() as u16;
        self.retries.push(CallRetry { rule, caller: ServiceId(service as u32) });
        RetryId(number)
    }
}

/// What follows a failure, and what turns requests away before they are sent; [`None`] when neither.
pub(super) fn retry(
    written: &topology::Retry,
    throttle: Option<&topology::Throttle>,
) -> Option<Retry> {
    let throttle = throttle.map(|throttle| Throttle { k: throttle.k, window: throttle.window });
    let policy = match written {
        topology::Retry::Never => plain(&[], Ratio(0.0), 1, Backoff::Fixed(Duration::ZERO)),
        topology::Retry::Fixed(law) => Retry {
            honour_retry_after: law.honour_retry_after,
            retry_after_jitter: law.jitter.0,
            ..plain(&law.on, law.share, law.attempts, spread(law.delay, law.delay, law.jitter.0))
        },
        topology::Retry::Exponential(law) => {
            let (base, cap) = (law.base, law.cap);
            let backoff = match law.jitter {
                Jitter::None => spread(base, cap, 0.0),
                Jitter::Full => Backoff::FullJitter { base, cap },
                Jitter::Equal => Backoff::EqualJitter { base, cap },
                Jitter::Decorrelated => Backoff::Decorrelated { base, cap },
            };
            Retry {
                honour_retry_after: law.honour_retry_after,
                ..plain(&law.on, law.share, law.attempts, backoff)
            }
        }
        topology::Retry::Axios(law) => axios(law),
        topology::Retry::AwsSdk(law) => aws(law),
        topology::Retry::Resilience4j(law) => {
            let backoff = Backoff::Growing {
                base: law.wait,
                factor: law.multiplier,
                randomisation: law.randomisation.0,
            };
            plain(&law.on, law.share, law.attempts, backoff)
        }
        topology::Retry::Envoy(law) => {
            let backoff = Backoff::FullJitter { base: law.base, cap: law.cap };
            let budget = match law.budget {
                Some(share) => Budget::Share { share: share.0, least: law.least },
                None => Budget::Share { share: 0.0, least: law.max_retries },
            };
            let attempts = law.retries.saturating_add(1);
            Retry { budget, ..plain(&law.on, law.share, attempts, backoff) }
        }
    };
    let idle = policy.attempts <= 1 && throttle.is_none();
    (!idle).then_some(Retry { throttle, ..policy })
}

fn plain(on: &[Cause], share: Ratio, attempts: u32, backoff: Backoff) -> Retry {
    Retry {
        on: on.to_vec(),
        share: share.0,
        attempts,
        backoff,
        throttled: None,
        honour_retry_after: false,
        retry_after_jitter: 0.0,
        retry_after_most: Duration::FOREVER,
        shares_timeout: false,
        spares_effects: false,
        budget: Budget::None,
        throttle: None,
        given: None,
    }
}

fn spread(base: Duration, cap: Duration, spread: f64) -> Backoff {
    Backoff::Exponential { base, cap, spread }
}

fn aws(law: &AwsRetry) -> Retry {
    let throttled_ms = if law.sdk == AwsSdk::Js2025 { 500 } else { 1000 };
    let throttled = law.throttled_base.unwrap_or(Duration::millis(throttled_ms));
    let delay = |base: Duration| Backoff::FullJitter { base, cap: law.cap };
    let cost = law.cost.unwrap_or(if law.sdk == AwsSdk::Js2025 { 10 } else { 14 });
    Retry {
        throttled: Some(delay(throttled)),
        honour_retry_after: law.honour_retry_after.unwrap_or(law.sdk != AwsSdk::Botocore),
        retry_after_most: law.retry_after_most,
        budget: Budget::Tokens {
            capacity: law.tokens,
            cost,
            timeout_cost: law.timeout_cost.unwrap_or(cost),
            throttled_cost: law.throttled_cost.unwrap_or(5),
            refund: law.refund,
        },
        ..plain(&law.on, law.share, law.attempts, delay(law.first_delay()))
    }
}

fn axios(law: &AxiosRetry) -> Retry {
    let (unit, most) = (Duration::millis(100), Duration::FOREVER);
    let (backoff, jitter) = match law.delay {
        AxiosDelay::None => (Backoff::Fixed(Duration::ZERO), 0.0),
        // Its retries are counted from 1: 100 ms x 2^1 is the first delay. The 20 % are of the
        // `Retry-After` where that is longer.
        AxiosDelay::Exponential => (spread(unit + unit, most, 0.2), 0.2),
        AxiosDelay::Linear => (Backoff::Linear { step: unit }, 0.0),
    };
    Retry {
        honour_retry_after: true,
        retry_after_jitter: jitter,
        shares_timeout: !law.reset_timeout,
        spares_effects: true,
        ..plain(&law.on, law.share, law.retries.saturating_add(1), backoff)
    }
}
