//! Whether and when a client tries again.

use super::kind::Kind;
use super::shape::Item;
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Duration, Ratio};

spec! {
    /// Whether a failed attempt is repeated, and when.
    choice Retry {
        /// A failure is final.
        Never = "never";
        /// After the same delay each time.
        Fixed(FixedRetry) = "fixed";
        /// After delays that double.
        Exponential(ExponentialRetry) = "exponential";
        /// As axios-retry does.
        Axios(AxiosRetry) = "axios-retry";
        /// As the AWS SDKs do in their standard mode.
        AwsSdk(AwsRetry) = "aws-sdk";
        /// As resilience4j does.
        Resilience4j(Resilience4jRetry) = "resilience4j";
        /// As an Envoy proxy does.
        Envoy(EnvoyRetry) = "envoy";
    }
}
spec! {
    /// Repeats after the same delay each time.
    table FixedRetry {
        /// The failures that are repeated: status codes, `"5xx"`, `"timeout"` (the client gave up), `"network"`
        /// (no answer at all: the connection was refused or closed, or nobody was reached), `"refused"` (no
        /// connection).
        on: Vec<Cause>, positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "AWS SDK standard mode (max attempts 3)", positive;
        /// Time before the next attempt.
        delay: Duration = "\"1s\"" from "assumed: a client that waits a moment";
        /// Whether a delay lasts at least as long as the answer's `Retry-After` asks for.
        honour_retry_after: bool = "true" from "axios-retry 4.5.0";
        /// Random addition to every delay, as a share of it.
        jitter: Ratio = "\"10%\"" from "assumed: clocks of clients differ";
    }
}
spec! {
    /// Repeats after delays that double: base, 2 x base, 4 x base, up to the cap.
    table ExponentialRetry {
        /// The failures that are repeated: status codes, `"5xx"`, `"timeout"` (the client gave up), `"network"`
        /// (no answer at all: the connection was refused or closed, or nobody was reached), `"refused"` (no
        /// connection).
        on: Vec<Cause>, positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "AWS SDK standard mode (max attempts 3)", positive;
        /// The first delay.
        base: Duration = "\"100ms\"" from "axios-retry 4.5.0 and @smithy/core 3.41.0", positive;
        /// The longest delay.
        cap: Duration = "\"20s\"" from "@smithy/core 3.41.0", positive;
        /// How delays are spread at random.
        jitter: Jitter = "\"full\"" from "@smithy/core 3.41.0";
        /// Whether a delay lasts at least as long as the answer's `Retry-After` asks for.
        honour_retry_after: bool = "true" from "axios-retry 4.5.0";
    }
}
spec! {
    /// How delays d are spread at random (AWS Architecture Blog, "Exponential Backoff And Jitter").
    choice Jitter {
        /// Exactly d.
        None = "none";
        /// Uniform between 0 and d.
        Full = "full";
        /// Half of d, and uniform between 0 and the other half.
        Equal = "equal";
        /// Uniform between the base and three times the previous delay.
        Decorrelated = "decorrelated";
    }
}

spec! {
    /// Repeats as axios-retry 4.5.0 does: at once, unless told otherwise. A timeout is not repeated,
    /// and all attempts share one. After an answer only what is `idempotent` is repeated.
    table AxiosRetry {
        /// The failures that are repeated.
        on: Vec<Cause> = "[429, \"5xx\", \"network\"]"
            from "axios-retry 4.5.0 (isNetworkOrIdempotentRequestError)", positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts after the first.
        retries: u32 = "3" from "axios-retry 4.5.0", positive;
        /// The delay before an attempt; a `Retry-After` that is longer takes its place.
        delay: AxiosDelay = "\"none\"" from "axios-retry 4.5.0 (retryDelay: noDelay)";
        /// Whether each attempt has the whole timeout (or patience) instead of what is left of it.
        reset_timeout: bool = "false" from "axios-retry 4.5.0 (shouldResetTimeout)";
    }
}
spec! {
    /// The delays of axios-retry.
    choice AxiosDelay {
        /// None at all.
        None = "none";
        /// `exponentialDelay`: 200 ms before the first retry, 400 ms before the second, ..., and up to
        /// 20 % more at random.
        Exponential = "exponential";
        /// `linearDelay`: 100 ms before the first retry, 200 ms before the second, ...
        Linear = "linear";
    }
}
spec! {
    /// Repeats as the AWS SDKs do in standard mode: full jitter, and a bucket of tokens that an outage
    /// empties.
    table AwsRetry {
        /// The failures that are repeated.
        on: Vec<Cause> = "[429, 500, 502, 503, 504, \"timeout\", \"network\"]"
            from "@smithy/core 3.41.0 (transient and throttling errors)", positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "@smithy/core 3.41.0 (DEFAULT_MAX_ATTEMPTS)", positive;
        /// Which SDK, where the two differ.
        sdk: AwsSdk = "\"js\"" from "assumed: the client is a browser or Node.js";
        /// The longest first delay.
        base: Option<Duration> = "50ms; js-2025 100ms"
            from "@smithy/core 3.41.0 (retries-2026-config.js) and 3.30.0; botocore 1.44.5 (non_throttling_base_scale)",
            positive;
        /// The same after a 429.
        throttled_base: Option<Duration> = "1s; js-2025 500ms"
            from "@smithy/core 3.41.0 (throttlingDelay) and 3.30.0; botocore 1.44.5 (throttling_base_scale)",
            positive;
        /// The longest delay.
        cap: Duration = "\"20s\"" from "@smithy/core 3.41.0 (MAXIMUM_RETRY_DELAY)", positive;
        /// Tokens in a full bucket.
        tokens: u32 = "500" from "@smithy/core 3.41.0 (INITIAL_RETRY_TOKENS)";
        /// Tokens that a retry takes; a success after it gives back what the last retry took.
        cost: Option<u32> = "14; js-2025 10"
            from "@smithy/core 3.41.0 (Retry.cost) and 3.30.0 (throttlingCost, TRANSIENT); botocore 1.44.5 (_RETRY_COST)";
        /// Tokens that a retry takes after a timeout.
        timeout_cost: Option<u32> = "as others"
            from "@smithy/core 3.41.0 (isTransientError has both); botocore 1.44.5 retries/standard.py";
        /// Tokens that a retry takes after a 429.
        throttled_cost: Option<u32> = "5"
            from "@smithy/core 3.41.0 (throttlingCost) and 3.30.0; botocore 1.44.5 (_THROTTLING_RETRY_COST)";
        /// Tokens that a success at the first attempt gives back.
        refund: u32 = "1" from "@smithy/core 3.41.0 (NO_RETRY_INCREMENT)";
        /// Whether a delay lasts at least as long as the answer's `Retry-After` asks for.
        honour_retry_after: Option<bool> = "true; botocore false"
            from "@smithy/core 3.41.0 (retryAfterHint); botocore 1.44.5 knows x-amz-retry-after only";
        /// By what a `Retry-After` makes a delay longer than its own at most.
        retry_after_most: Duration = "\"5s\""
            from "@smithy/core 3.41.0 (StandardRetryStrategy: delayFromErrorType + 5_000)";
    }
}
spec! {
    /// Which AWS SDK retries.
    choice AwsSdk {
        /// That of JavaScript, with the rules that all have in common since 2026 (@smithy/core 3.40).
        Js = "js";
        /// That of JavaScript before: a retry takes 10 tokens, one after a 429 takes 5.
        Js2025 = "js-2025";
        /// That of Python.
        Botocore = "botocore";
    }
}
spec! {
    /// Repeats as resilience4j does.
    table Resilience4jRetry {
        /// The failures that are repeated.
        on: Vec<Cause> = "[\"5xx\", \"timeout\", \"network\"]"
            from "resilience4j RetryConfig (every exception)", positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "resilience4j RetryConfig (DEFAULT_MAX_ATTEMPTS)", positive;
        /// The first delay.
        wait: Duration = "\"500ms\"" from "resilience4j RetryConfig (DEFAULT_WAIT_DURATION)", positive;
        /// By what each further delay is longer; 1 is always the same delay.
        multiplier: f64 = "1" from "resilience4j RetryConfig; IntervalFunction.ofExponentialBackoff has 1.5",
            positive;
        /// Every delay is multiplied by a number between 1 less this and 1 more this, at random.
        randomisation: Ratio = "\"0%\"" from "resilience4j RetryConfig; ofRandomized has 50 %";
    }
}
spec! {
    /// Repeats as an Envoy proxy does: fully jittered, and no more at once than its circuit breaker, or
    /// its retry budget in that one's place, allows.
    table EnvoyRetry {
        /// The failures that are repeated (`retry_on`).
        on: Vec<Cause> = "[\"5xx\", \"network\"]"
            from "assumed: retry_on 5xx, which has no answer at all (disconnect, reset) among it", positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every request may be repeated";
        /// Attempts after the first.
        retries: u32 = "1" from "Envoy route_components.proto (num_retries)", positive;
        /// The longest first delay.
        base: Duration = "\"25ms\"" from "Envoy router (upstream.base_retry_backoff_ms)", positive;
        /// The longest delay.
        cap: Duration = "\"250ms\"" from "Envoy router (ten times the base)", positive;
        /// Retries in flight at most, of each process; a `budget` takes its place.
        max_retries: u32 = "3" from "Envoy circuit_breaker.proto (Thresholds.max_retries)";
        /// Retries in flight may be this share of all requests in flight.
        budget: Option<Ratio> = "no budget"
            from "Envoy circuit_breaker.proto (retry_budget unset; its budget_percent is 20 %)";
        /// With a `budget`, so many retries in flight are always allowed.
        least: u32 = "3" from "Envoy circuit_breaker.proto (min_retry_concurrency)";
    }
}
spec! {
    /// Turns requests away before they are sent, by chance, when few of them are accepted:
    /// max(0, (requests - k x accepted) / (requests + 1)).
    table Throttle {
        /// Requests may be so many times the accepted ones.
        k: f64 = "2" from "Google, Site Reliability Engineering, Handling Overload", positive;
        /// Over which time both are counted.
        window: Duration = "\"2min\"" from "Google, Site Reliability Engineering, Handling Overload",
            positive;
    }
}

impl Retry {
    /// The failures that are repeated.
    pub fn causes(&self) -> &[Cause] {
        match self {
            Retry::Never => &[],
            Retry::Fixed(retry) => &retry.on,
            Retry::Exponential(retry) => &retry.on,
            Retry::Axios(retry) => &retry.on,
            Retry::AwsSdk(retry) => &retry.on,
            Retry::Resilience4j(retry) => &retry.on,
            Retry::Envoy(retry) => &retry.on,
        }
    }
    /// How files call it, which key bounds its attempts, and how many that allows in all.
    pub(crate) fn most_attempts(&self) -> Option<(&'static str, &'static str, u32)> {
        match self {
            Retry::Never => None,
            Retry::Fixed(retry) => Some(("fixed", "attempts", retry.attempts)),
            Retry::Exponential(retry) => Some(("exponential", "attempts", retry.attempts)),
            Retry::Axios(retry) => {
                Some(("axios-retry", "retries", retry.retries.saturating_add(1)))
            }
            Retry::AwsSdk(retry) => Some(("aws-sdk", "attempts", retry.attempts)),
            Retry::Resilience4j(retry) => Some(("resilience4j", "attempts", retry.attempts)),
            Retry::Envoy(retry) => Some(("envoy", "retries", retry.retries.saturating_add(1))),
        }
    }
    /// The first delay and the longest one, where the first may not be longer.
    pub(crate) fn delays(&self) -> Option<(Duration, Duration, &Place)> {
        match self {
            Retry::Exponential(retry) => Some((retry.base, retry.cap, &retry.place)),
            Retry::AwsSdk(retry) => Some((retry.first_delay(), retry.cap, &retry.place)),
            Retry::Envoy(retry) => Some((retry.base, retry.cap, &retry.place)),
            _ => None,
        }
    }
}

impl AwsRetry {
    /// The longest first delay, as said or as its SDK has it.
    pub fn first_delay(&self) -> Duration {
        self.base.unwrap_or(match self.sdk {
            AwsSdk::Js2025 => Duration::millis(100),
            AwsSdk::Js | AwsSdk::Botocore => Duration::millis(50),
        })
    }
}

/// A failure that a client may answer with another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An answer with this status code.
    Status(u16),
    /// An answer with any status code from 500 on.
    ServerError,
    /// No answer within the client's patience.
    Timeout,
    /// There was no connection: it was refused, or nobody was reached.
    Refused,
    /// There was no answer at all: the connection was refused or closed, or nobody was reached.
    Network,
}

impl Item for Cause {}
impl Shape for Cause {
    fn kind() -> Kind {
        Kind::Form {
            what: "a status code, `\"5xx\"`, `\"timeout\"`, `\"network\"` or `\"refused\"`",
            example: "503",
        }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Integer(code @ 400..=599) => Some(Cause::Status(*code as u16)),
            Value::Integer(code) => {
                let message = format!("`{}`: {code} is no failure", reader.path());
                reader.wrong(
                    Diagnostic::error("out-of-range", node.place.clone(), message)
                        .help("failures have status codes from 400 to 599"),
                )
            }
            Value::String(word) if word == "timeout" => Some(Cause::Timeout),
            Value::String(word) if word == "5xx" => Some(Cause::ServerError),
            Value::String(word) if word == "refused" => Some(Cause::Refused),
            Value::String(word) if word == "network" => Some(Cause::Network),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}
