//! Content delivery networks.

use super::cache::Keys;
use super::dist::Dist;
use super::names::Ref;
use super::price::UsagePrice;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A content delivery network: caches near the users, in front of operations.
    component Cdn {
        /// The keys it caches.
        keys: Ref<Keys>;
        /// How long an answer stays fresh.
        ttl: Duration = "\"1day\"" from "Amazon CloudFront (default TTL 86,400 s)", positive;
        /// How many independent caches the users are spread over.
        pops: u32 = "1" from "assumed: one shared cache", positive;
        /// Round trip of a user to the nearest cache.
        edge_rtt: Dist = "\"20ms\"" from "assumed: a cache in the user's country";
        /// Whether simultaneous misses of one key make a single request to the origin.
        collapse: bool = "true" from "Amazon CloudFront (collapses simultaneous requests)";
        /// Share of answers that may not be cached. Those who wait for one go to the origin one after
        /// another.
        uncacheable: Ratio = "\"0%\"" from "assumed: every answer says that it may be cached";
        /// For how long after its time an answer is still given when the origin fails (5xx, or no answer).
        stale_if_error: Option<Duration> = "as long as it has them"
            from "Amazon CloudFront developer guide (HTTPStatusCodes: serves the object even though it has expired)";
        /// How long a failed answer (404, 410, 414, 500 to 504, or none) to what is `idempotent` is kept: for so long
        /// the edge gives it, or a stale answer in its place, without asking again.
        error_ttl: Duration = "\"10s\""
            from "Amazon CloudFront developer guide (HTTPStatusCodes, custom-error-pages-expiration: error \
            caching minimum TTL 10 s)";
        /// How long its origin may take to answer. What is `idempotent` is then asked for again, until
        /// `attempts` have been made; the answer is 504.
        origin_timeout: Duration = "\"30s\""
            from "Amazon CloudFront API (CustomOriginConfig.OriginReadTimeout: 30 s by default)", positive;
        /// How long connecting to the origin may take, each of `attempts` times.
        connect_timeout: Duration = "\"10s\""
            from "Amazon CloudFront API (Origin.ConnectionTimeout: 10 s by default)", positive;
        /// How often it asks its origin at most.
        attempts: u32 = "3"
            from "Amazon CloudFront API (Origin.ConnectionAttempts: 3 by default)", positive;
        /// What it costs.
        price: Option<UsagePrice>;
    }
}
