//! Processes: what they keep in memory, what collecting it takes, and who watches whether they live.

use super::dist::Dist;
use super::flow::Flow;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// What is particular to Node.js.
    table Node {
        /// The most that V8 keeps in the old generation of each worker; a request that needs more ends
        /// the process.
        heap: Option<Bytes> = "half of `memory.machine`, at most 2GiB; 4GiB from 15GiB on"
            from "V8 11.3 (Node.js 20: Heap::HeapSizeFromPhysicalMemory)", positive;
        /// Collecting garbage, for which the loop stands still.
        gc: Option<Gc> = "collecting takes no time of its own"
            from "assumed: contained in the operations' own CPU time";
        /// How long the body of a request may take to arrive; then the answer is 408 and the connection
        /// closes. `"0s"` waits for ever.
        request_timeout: Duration = "\"300s\""
            from "Node.js 20 lib/_http_server.js (requestTimeout 300,000 ms)";
        /// How often it looks whether one has taken longer: it is cut off at the next look.
        connections_check: Duration = "\"30s\""
            from "Node.js 20 lib/_http_server.js (connectionsCheckingInterval 30,000 ms)", positive;
        /// Requests over one connection; the last is answered with `Connection: close`.
        max_requests_per_socket: Option<u32> = "no limit"
            from "Node.js 20 lib/_http_server.js (maxRequestsPerSocket 0)", positive;
    }
}
spec! {
    /// Collecting garbage: what requests allocate fills the young generation, what survives there
    /// fills the old one, and the loop stands still while either is collected.
    table Gc {
        /// What a request allocates.
        allocates: Bytes, positive;
        /// The young generation is collected each time so much was allocated.
        young: Bytes = "\"16MiB\""
            from "V8 11.3 (Node.js 20: --max-semi-space-size 16 MiB on 64 bits)", positive;
        /// How long that takes.
        minor: Dist = "\"2ms\"" from "assumed: 1 to 5 ms";
        /// The share of what was allocated that survives into the old generation.
        survives: Ratio = "\"10%\"" from "assumed: most objects die with their request";
        /// The old generation is collected each time so much has survived into it.
        old: Bytes = "\"64MiB\"" from "assumed: V8 lets it grow by a factor of 1.3 to 4", positive;
        /// How long that takes the loop, beside what V8 marks in threads of its own.
        major: Dist = "\"50ms\"" from "assumed: 50 to 100 ms on large heaps";
        /// What it takes beside that for each megabyte that is in use, as `memory` says it. The closer that is to
        /// the heap's limit, the sooner the old generation is full again, and in the end each time that
        /// something survives.
        major_per_mb: Duration = "\"0s\""
            from "assumed: `major` says it all; 1 to 2 ms measured with Node.js 20.20.2, 54 to 406 MB of small objects, on two cores that others shared (43 to 755 ms)";
    }
}
spec! {
    /// The memory of an instance. A worker that needs more than its heap's limit ends; one that needs
    /// more than the machine has is killed. Either way all that it has at work is lost.
    table Memory {
        /// What the machine, container or pod has.
        machine: Bytes, positive;
        /// What each worker takes before its first request.
        base: Bytes = "\"60MB\"" from "assumed: Node.js with a framework and its modules";
        /// What a request takes from being accepted to being answered, unless its operation says its `memory`.
        per_request: Bytes;
        /// What a connection takes as long as it is open, idle or not (`client.connection`, a balancer's
        /// `keep_alive`); sockets say their own.
        per_connection: Bytes = "\"0B\"" from "assumed: contained in `base` and `per_request`";
    }
}
spec! {
    /// Who kills an instance that does not answer.
    choice Liveness {
        /// Kubernetes: the kubelet probes, kills the container, and starts another in its place.
        Kubelet(Probe) = "kubelet";
        /// Amazon ECS: a task that its target group finds unhealthy is stopped and replaced.
        TargetGroup = "target-group";
    }
}
spec! {
    /// Probes of the kubelet: requests of its own, which wait for the event loop as all others do.
    table Probe {
        /// From one probe to the next.
        interval: Duration = "\"10s\"" from "Kubernetes core/v1 (periodSeconds 10)", positive;
        /// How long the answer may take.
        timeout: Duration = "\"1s\"" from "Kubernetes core/v1 (timeoutSeconds 1)", positive;
        /// Failures in a row that count.
        failures: u32 = "3" from "Kubernetes core/v1 (failureThreshold 3)", positive;
        /// Time from a start to its first probe.
        delay: Duration = "\"0s\"" from "Kubernetes core/v1 (initialDelaySeconds 0)";
        /// What the service does to answer: a probe that queries the database shares its fate.
        flow: Flow = "[]" from "assumed: an endpoint that answers at once";
        /// Whether it passes what stands before the service: limits and guards may refuse it, and
        /// each makes a session where `save_uninitialized` says so.
        middleware: bool = "false" from "assumed: its route is mounted before all middleware";
    }
}
spec! {
    /// What each worker does by itself every so often, as `setInterval` lets it: collects metrics, looks
    /// at a pool, loads a setting anew. It waits for the loop as all callbacks do, and is due again
    /// `every` after it has begun: a loop that is blocked makes up for nothing (Node.js 20,
    /// lib/internal/timers.js).
    table Timer {
        /// From the beginning of one to the next.
        every: Duration, positive;
        /// What is done. Its `cpu` includes what it takes the loop to wake for it.
        flow: Flow;
    }
}

/// From so much memory on V8 allows itself the larger heap.
const LARGE: f64 = 15.0 * GIB;
const GIB: f64 = (1u64 << 30) as f64;

impl Node {
    /// The most that a worker's heap takes, as said or as V8 finds it from the machine's memory.
    pub fn heap_limit(&self, machine: Bytes) -> Bytes {
        let most = if machine.0 >= LARGE { 4.0 * GIB } else { 2.0 * GIB };
        self.heap.unwrap_or(Bytes((machine.0 / 2.0).min(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v8_takes_half_of_a_small_machine() {
        let node = Node {
            gc: None,
            heap: None,
            request_timeout: Duration::ZERO,
            connections_check: Duration::secs(30),
            max_requests_per_socket: None,
            place: Default::default(),
        };
        let limit = |gib: f64| node.heap_limit(Bytes(gib * GIB)).0 / GIB;
        assert_eq!([0.5, 2.0, 4.0, 8.0, 14.9].map(limit), [0.25, 1.0, 2.0, 2.0, 2.0]);
        // As v8.getHeapStatistics() says of Node.js 20.20.2 on 23.5 GiB, less three semi-spaces.
        assert_eq!(limit(23.5), 4144.0 / 1024.0 - 48.0 / 1024.0);
    }
}
