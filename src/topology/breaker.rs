//! Circuit breakers.

use super::flow::Flow;
use super::names::Ref;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A circuit breaker: calls through it fail at once while what is called seems to be down. Each
    /// worker has its own.
    component Breaker {
        /// Whose rules it follows.
        product: BreakerProduct = "{ opossum = {} }" from "assumed: the usual one in Node.js";
        /// How long a call may take; it then counts as failed, and goes on for nobody.
        timeout: Option<Duration> = "10s for opossum, for ever for resilience4j"
            from "opossum 10.0.0 (timeout 10000); resilience4j 2.3 (TimeLimiter stands apart)", positive;
    }
}
spec! {
    /// Whose rules a breaker follows.
    choice BreakerProduct {
        /// opossum, for Node.js.
        Opossum(Opossum) = "opossum";
        /// resilience4j, for the JVM.
        Resilience4j(Resilience4j) = "resilience4j";
    }
}
spec! {
    /// opossum: failures over fires in a rolling window, looked at when a call fails.
    table Opossum {
        /// It opens when more than this share of the fires have failed.
        threshold: Ratio = "\"50%\"" from "opossum 10.0.0 (errorThresholdPercentage)";
        /// Not before so many fires in the window.
        volume: u32 = "0" from "opossum 10.0.0 (volumeThreshold)";
        /// How long it stays open before it lets one call through.
        reset: Duration = "\"30s\"" from "opossum 10.0.0 (resetTimeout)", positive;
        /// The window that is counted over.
        window: Duration = "\"10s\"" from "opossum 10.0.0 (rollingCountTimeout)", positive;
        /// Steps of the window.
        buckets: u32 = "10" from "opossum 10.0.0 (rollingCountBuckets)", positive;
        /// Calls at once; those beyond are rejected, and count as failures.
        capacity: Option<u32> = "any number" from "opossum 10.0.0 (capacity)", positive;
    }
}
spec! {
    /// resilience4j: the last calls, looked at when one ends.
    table Resilience4j {
        /// It opens when at least this share of the calls has failed.
        threshold: Ratio = "\"50%\"" from "resilience4j 2.3 (failureRateThreshold)", positive;
        /// It opens when at least this share of the calls was slow.
        slow_threshold: Ratio = "\"100%\"" from "resilience4j 2.3 (slowCallRateThreshold)", positive;
        /// A call is slow if it takes longer.
        slow: Duration = "\"60s\"" from "resilience4j 2.3 (slowCallDurationThreshold)", positive;
        /// The last so many calls are counted, or those of the last so many seconds.
        window: u32 = "100" from "resilience4j 2.3 (slidingWindowSize)", positive;
        /// Whether `window` counts calls or seconds.
        window_type: WindowType = "\"count-based\"" from "resilience4j 2.3 (slidingWindowType)";
        /// Not before so many calls; a window of fewer calls, or trials, need not hold more.
        volume: u32 = "100" from "resilience4j 2.3 (minimumNumberOfCalls)", positive;
        /// How long it stays open before it lets trial calls through.
        reset: Duration = "\"60s\"" from "resilience4j 2.3 (waitDurationInOpenState)", positive;
        /// Trial calls, which are judged together, once there are `volume` results at the latest.
        trials: u32 = "10" from "resilience4j 2.3 (permittedNumberOfCallsInHalfOpenState)", positive;
        /// Whether a timer lets trial calls through once `reset` is over; otherwise the next call
        /// does. Results of earlier calls that come in between then count as those of trials.
        half_open_itself: bool = "false"
            from "resilience4j 2.3 (automaticTransitionFromOpenToHalfOpenEnabled)";
        /// How long it waits for its trial calls; then it opens again.
        max_half_open: Option<Duration> = "for ever: while a trial call hangs, all others fail"
            from "resilience4j 2.3 (maxWaitDurationInHalfOpenState 0)", positive;
    }
}
spec! {
    /// What a sliding window is of.
    choice WindowType {
        /// Calls.
        CountBased = "count-based";
        /// Whole seconds of the clock, the present one included.
        TimeBased = "time-based";
    }
}
spec! {
    /// Steps that are called through a breaker.
    table ThroughBreaker {
        /// The breaker.
        through: Ref<Breaker>;
        /// What is called.
        flow: Flow, positive;
        /// What happens instead when the call fails, takes too long or is not made.
        fallback: Option<Flow> = "the request fails" from "opossum 10.0.0 (fallback: none)";
    }
}
