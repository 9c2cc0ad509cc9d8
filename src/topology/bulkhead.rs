//! Bulkheads: so many at once, and who waits for a place.

use super::flow::{Flow, Operation};
use super::guard::Respond;
use super::names::Ref;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// Lets so many requests in at once, per worker; the others wait for a place, or are turned away.
    /// Before a service it is held until the answer leaves, as a step as long as its flow.
    component Bulkhead {
        /// How many may be inside at once, per worker.
        limit: ConcurrencyLimit = "{ fixed = 25 }"
            from "resilience4j 2.3 Bulkhead (maxConcurrentCalls)";
        /// Where those wait for whom there is no place.
        queue: Option<WaitingRoom> = "nobody waits" from "resilience4j 2.3 Bulkhead (maxWaitDuration 0)";
        /// Operations that may take only a share of the places, and never wait.
        low: Vec<LowPriority> = "[]" from "assumed: all operations are alike";
        /// What it answers to those it turns away.
        respond: Respond = "{ status = 503 }" from "assumed: service unavailable";
        /// Operations that pass unseen.
        except: Vec<Ref<Operation>> = "[]" from "assumed: no operation is exempt";
    }
}
spec! {
    /// How many may be inside at once.
    choice ConcurrencyLimit {
        /// So many.
        Fixed(u32) = "fixed";
        /// One more for each that ends well while at least half are taken, less by a factor for each that
        /// is dropped further on or takes too long (Netflix AIMDLimit).
        Aimd(Aimd) = "aimd";
        /// By the queue that shows in how much longer requests take than at best (Netflix VegasLimit).
        Vegas(Vegas) = "vegas";
        /// By how long requests take against their long average (Netflix Gradient2Limit).
        Gradient2(Gradient2) = "gradient2";
    }
}
spec! {
    /// Additive increase, multiplicative decrease.
    table Aimd {
        /// The limit at first.
        initial: u32 = "20" from "Netflix concurrency-limits 0.5 (AIMDLimit)", positive;
        /// The least limit.
        min: u32 = "20" from "Netflix concurrency-limits 0.5 (AIMDLimit)", positive;
        /// The largest limit.
        max: u32 = "200" from "Netflix concurrency-limits 0.5 (AIMDLimit)", positive;
        /// The factor of a decrease.
        backoff: Ratio = "\"90%\"" from "Netflix concurrency-limits 0.5 (AIMDLimit backoffRatio)", positive;
        /// A request that takes longer counts as dropped.
        slow: Duration = "\"5s\"" from "Netflix concurrency-limits 0.5 (AIMDLimit timeout)", positive;
    }
}
spec! {
    /// After TCP Vegas.
    table Vegas {
        /// The limit at first.
        initial: u32 = "20" from "Netflix concurrency-limits 0.5 (VegasLimit)", positive;
        /// The largest limit.
        max: u32 = "1000" from "Netflix concurrency-limits 0.5 (VegasLimit)", positive;
        /// The best time is measured anew after about so many times the limit of requests.
        probe: u32 = "30" from "Netflix concurrency-limits 0.5 (VegasLimit probeMultiplier)", positive;
    }
}
spec! {
    /// By the gradient of response times.
    table Gradient2 {
        /// The limit at first.
        initial: u32 = "20" from "Netflix concurrency-limits 0.5 (Gradient2Limit)", positive;
        /// The least limit.
        min: u32 = "20" from "Netflix concurrency-limits 0.5 (Gradient2Limit)", positive;
        /// The largest limit.
        max: u32 = "200" from "Netflix concurrency-limits 0.5 (Gradient2Limit)", positive;
        /// What it may grow by in one step, before smoothing.
        queue: u32 = "4" from "Netflix concurrency-limits 0.5 (Gradient2Limit queueSize)";
        /// So many times as long as on average is no sign of a queue.
        tolerance: f64 = "1.5" from "Netflix concurrency-limits 0.5 (Gradient2Limit rttTolerance)";
        /// The share of a new limit that is taken over.
        smoothing: Ratio = "\"20%\"" from "Netflix concurrency-limits 0.5 (Gradient2Limit)", positive;
        /// Requests that the long average goes over.
        window: u32 = "600" from "Netflix concurrency-limits 0.5 (Gradient2Limit longWindow)", positive;
    }
}
spec! {
    /// Where requests wait for a place.
    table WaitingRoom {
        /// How many may wait, per worker.
        size: Option<u32> = "any number" from "assumed: memory is no limit", positive;
        /// Who comes next.
        order: QueueOrder = "\"fifo\"" from "assumed: as in most queues";
        /// How long one waits at most.
        timeout: Option<Duration> = "for ever" from "assumed: nobody is given up", positive;
        /// Who is given up, by how long others have waited.
        shed: Option<Shedding> = "nobody" from "assumed: nobody is given up";
        /// Whether those are turned away whose user has gone when their turn comes: the deadline of the
        /// user travels with the request.
        drop_expired: bool = "false" from "assumed: a server does not know its client's deadline";
    }
}
spec! {
    /// Who comes next.
    choice QueueOrder {
        /// Whoever came first.
        Fifo = "fifo";
        /// Whoever came last.
        Lifo = "lifo";
        /// The first, and the last while there is a backlog.
        AdaptiveLifo(AdaptiveLifo) = "adaptive-lifo";
    }
}
spec! {
    /// When the last comes first.
    table AdaptiveLifo {
        /// The queue has not been empty for so long.
        backlog: Duration = "\"100ms\"" from "Maurer, Fail at Scale, ACM Queue 2015 (N = 100 ms)";
    }
}
spec! {
    /// Who is given up while they wait.
    choice Shedding {
        /// Whoever comes next, at growing rates, while waits stay above the target for an interval.
        CoDel(Delay) = "codel";
        /// Whoever waits longer than the target if the queue has not been empty for an interval, or else
        /// longer than the interval.
        ControlledDelay(Delay) = "controlled-delay";
    }
}
spec! {
    /// The two times of controlled delay.
    table Delay {
        /// A wait that is fine.
        target: Duration = "\"5ms\"" from "RFC 8289, Linux codel_impl.h; Maurer 2015 (M)", positive;
        /// For so long all waits may be above it.
        interval: Duration = "\"100ms\"" from "RFC 8289, Linux codel_impl.h; Maurer 2015 (N)", positive;
    }
}
spec! {
    /// Operations of low priority.
    table LowPriority {
        /// Which.
        operations: Vec<Ref<Operation>>;
        /// They are turned away while this share of the places is taken.
        share: Ratio, positive;
    }
}
spec! {
    /// Steps for which a place in a bulkhead is held.
    table InBulkhead {
        /// The bulkhead.
        of: Ref<Bulkhead>;
        /// What happens inside.
        flow: Flow, positive;
    }
}
