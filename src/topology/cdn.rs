//! Content delivery networks.

use super::cache::Keys;
use super::dist::Dist;
use super::names::Ref;
use super::price::UsagePrice;
use super::spec::spec;
use crate::units::{Duration, Money, Ratio};

spec! {
    /// Caches between the edges and the origin: CloudFront's Origin Shield or its regional edge caches,
    /// Cloudflare's upper tiers, Fastly's shield. What one has it gives to all edges, as old as it is, and
    /// simultaneous misses of all edges make a single request.
    table Shield {
        /// How many there are; edges are spread over them.
        count: u32 = "1" from "Amazon CloudFront (Origin Shield is one region; regional edge caches are 13)", positive;
        /// Round trip between an edge and its shield, which lies on the way to the origin.
        rtt: Dist = "\"20ms\"" from "assumed: a region that is near the origin";
        /// Price of a million requests that it is asked.
        per_million: Option<Money>;
    }
}

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
        /// For how long after its time an answer is given at once, while the edge asks the origin for another.
        stale_while_revalidate: Duration = "\"0s\""
            from "RFC 5861; Amazon CloudFront developer guide (Expiration: it does so where the origin's \
            Cache-Control says stale-while-revalidate)";
        /// Share of the answers that an edge asks for anew of which the origin says that they are unchanged: 304,
        /// without a body. The service does its work for them all the same.
        not_modified: Ratio = "\"0%\""
            from "assumed: the origin has no ETag; Express 5 (etag weak: the body is made, then compared)";
        /// Caches between the edges and the origin, which all edges ask together.
        shield: Option<Shield> = "edges ask the origin themselves"
            from "Amazon CloudFront (Origin Shield is not enabled by default; its regional edge caches, which many \
            points of presence share, are said with `count = 13`), Cloudflare (tiered cache off by default)";
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
