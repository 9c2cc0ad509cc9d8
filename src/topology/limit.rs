//! Rate limiters.

use super::cache::Cache;
use super::flow::Operation;
use super::guard::{FailMode, Respond};
use super::names::Ref;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// A rate limiter: at most so many requests per key and window.
    component Limit {
        /// What is counted apart.
        per: Option<LimitPer> = "address; cycles all"
            from "express-rate-limit 8.7.4 (keyGenerator: req.ip); resilience4j 2.3 (AtomicRateLimiter: no keys)";
        /// Whether the service is told of the proxy before it. If not, and there is a balancer or a
        /// content delivery network, all requests come from one address.
        trust_proxy: bool = "true" from "assumed: set up for its proxy (Express 5 itself: false)";
        /// How requests are counted.
        algorithm: LimitAlgorithm = "\"fixed-window\"" from "express-rate-limit 8.7.4 (MemoryStore)";
        /// Length of a window, or the time in which `max` come back. What counts otherwise than in fixed
        /// windows or `cycles` has none of its own: it is said.
        window: Option<Duration> = "60s; cycles 500ns"
            from "express-rate-limit 8.7.4 (windowMs); resilience4j 2.3 (limitRefreshPeriod)", positive;
        /// Requests of one key that pass in one window; said where `window` is.
        max: Option<u32> = "5; cycles 50"
            from "express-rate-limit 8.7.4 (limit); resilience4j 2.3 (limitForPeriod)";
        /// Where the counters live.
        store: LimitStore = "\"memory\""
            from "express-rate-limit 8.7.4 (MemoryStore, one per process)";
        /// Memory that the count of each key takes, of a fixed window: in the process (those of the present window
        /// and of the one before), or in its Redis (those of windows that are not over), which may evict it.
        key_memory: Option<Bytes> = "232 bytes in a process, 114 in Redis"
            from "measured, 200,000 addresses: two maps as express-rate-limit 8.7.4 has them on Node.js 20.20.2; SET with PX \
            in Redis 7.0.15", positive;
        /// Whether what is answered with a status of 400 or more is taken out of the count again,
        /// refusals by the limit itself included. Only fixed windows do so.
        skip_failed: bool = "false" from "express-rate-limit 8.7.4 (skipFailedRequests)";
        /// Whether what is answered with a status below 400 is taken out of the count again: a limit on
        /// failed logins. Only fixed windows do so.
        skip_successful: bool = "false" from "express-rate-limit 8.7.4 (skipSuccessfulRequests)";
        /// What it answers.
        respond: Respond = "{ status = 429 }" from "express-rate-limit 8.7.4 (statusCode)";
        /// What happens when the counter's store fails.
        fail: FailMode = "\"closed\"" from "express-rate-limit 8.7.4 (passOnStoreError false)";
        /// Share of counts that fail.
        errors: Ratio = "\"0%\"" from "assumed: the store never fails";
        /// The operations that are counted; empty means all.
        only: Vec<Ref<Operation>> = "[]" from "express-rate-limit 8.7.4 (as mounted: every route)";
    }
}
spec! {
    /// How a limit counts requests.
    choice LimitAlgorithm {
        /// In windows that start with a key's first request; rejected ones count too. Twice `max` may
        /// pass around the end of a window (express-rate-limit, rate-limit-redis).
        FixedWindow = "fixed-window";
        /// By the time of each request that has passed: never more than `max` in any window (limits
        /// 5.8.0 `moving-window`; sorted sets in Redis).
        SlidingLog = "sliding-log";
        /// In windows by the clock, the former one weighted by what is left of it (limits 5.8.0
        /// `sliding-window-counter`).
        SlidingCounter = "sliding-counter";
        /// By tokens that come back evenly, `max` in a window.
        TokenBucket(Burst) = "token-bucket";
        /// The generic cell rate algorithm: a token bucket kept in one number (redis-cell, ITU-T
        /// I.371).
        Gcra(Burst) = "gcra";
        /// By a queue that lets `max` in a window through, evenly spaced (nginx `limit_req`).
        LeakyBucket(LeakyBucket) = "leaky-bucket";
        /// By permits that are given anew in each window of the clock, and may be waited for
        /// (resilience4j RateLimiter).
        Cycles(Cycles) = "cycles";
    }
}
spec! {
    /// What may come at once.
    table Burst {
        /// Requests that may come at once.
        burst: Option<u32> = "as many as `max`" from "assumed: a window's worth can be saved", positive;
    }
}
spec! {
    /// A queue before a constant rate.
    table LeakyBucket {
        /// Requests of one key that may wait.
        queue: u32 = "0" from "nginx 1.27 (limit_req burst 0)";
    }
}
spec! {
    /// Permits of cycles.
    table Cycles {
        /// How long a request may wait for a permit of a later cycle.
        timeout: Duration = "\"5s\"" from "resilience4j 2.3 (timeoutDuration)";
    }
}
spec! {
    /// What a limit counts apart.
    choice LimitPer {
        /// Each client address.
        Address = "address";
        /// Each user.
        User = "user";
        /// Nothing: one count for all.
        All = "all";
    }
}
spec! {
    /// Where the counters of a limit live.
    choice LimitStore {
        /// In each worker: k workers let up to k times as many pass.
        Memory = "memory";
        /// In one store for all workers.
        Shared(SharedCounters) = "shared";
    }
}
spec! {
    /// Counters shared by all workers.
    table SharedCounters {
        /// The cache that holds them; each request then costs one command and one round trip.
        cache: Option<Ref<Cache>> = "counting costs no time"
            from "assumed: the document names no store";
    }
}

impl Limit {
    /// Memory of the count of a key, as said or as it was measured.
    pub fn key_memory(&self) -> Bytes {
        self.key_memory.unwrap_or(Bytes(match self.store {
            LimitStore::Memory => 232.0,
            LimitStore::Shared(_) => 114.0,
        }))
    }
    /// Requests of one key that pass, and in which time.
    pub fn rate(&self) -> (u32, Duration) {
        let (max, window) = match self.algorithm {
            LimitAlgorithm::Cycles(_) => (50, Duration::nanos(500)),
            _ => (5, Duration::secs(60)),
        };
        (self.max.unwrap_or(max), self.window.unwrap_or(window))
    }
    /// What is counted apart, as said or as its product does it.
    pub fn counts_apart(&self) -> LimitPer {
        let usual = match self.algorithm {
            LimitAlgorithm::Cycles(_) => LimitPer::All,
            _ => LimitPer::Address,
        };
        self.per.clone().unwrap_or(usual)
    }
    /// Whether the product that counts so has a rate by itself. nginx' `limit_req_zone` has none, nor has
    /// a limit of limits or redis-cell.
    pub fn has_rate(&self) -> bool {
        matches!(self.algorithm, LimitAlgorithm::FixedWindow | LimitAlgorithm::Cycles(_))
    }
    /// Whether its way of counting can take something back.
    pub fn uncounts(&self) -> bool {
        self.algorithm == LimitAlgorithm::FixedWindow
    }
}
