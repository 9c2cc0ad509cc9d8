//! Rate limiters.

use super::cache::Cache;
use super::flow::Operation;
use super::guard::{FailMode, Respond};
use super::names::Ref;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A rate limiter: at most so many requests per key and window, counted from the key's first
    /// request.
    component Limit {
        /// What is counted apart.
        per: LimitPer = "\"address\"" from "express-rate-limit 8.7.4 (keyGenerator: req.ip)";
        /// Length of a window; it starts with a key's first request.
        window: Duration = "\"60s\"" from "express-rate-limit 8.7.4 (windowMs)", positive;
        /// Requests of one key that pass in one window.
        max: u32 = "5" from "express-rate-limit 8.7.4 (limit)";
        /// Where the counters live.
        store: LimitStore = "\"memory\""
            from "express-rate-limit 8.7.4 (MemoryStore, one per process)";
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
