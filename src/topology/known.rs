//! What the manual says of each section beside its keys: what is measured of it, and which traps the
//! real products set there.

/// The metrics to look at first, by the heading of a section. A section that has none is empty here.
pub const METRICS: &[(&str, &[&str])] = &[
    ("[users]", &["offered_per_s", "throughput_per_s", "latency_p95_s", "in_flight"]),
    ("[arrivals]", &["offered_per_s", "throughput_per_s", "latency_p95_s", "dropped_iterations"]),
    ("[client]", &["attempts_per_s", "late_per_s", "failed_ratio", "connections_per_s"]),
    ("[region.NAME]", &[]),
    ("[route.NAME.NAME]", &[]),
    ("[link.NAME]", &["utilisation_ratio", "held", "carried_bytes", "lost"]),
    ("[balancer.NAME]", &["arrivals", "rejected", "errors", "timed_out", "opened", "held"]),
    (
        "[cdn.NAME]",
        &[
            "hit_ratio",
            "byte_hit_ratio",
            "hits",
            "misses",
            "joined",
            "stale_reads",
            "carried_bytes",
        ],
    ),
    (
        "[service.NAME]",
        &[
            "utilisation_ratio",
            "waiting",
            "wait_p95_s",
            "refused",
            "held",
            "killed",
            "out_of_memory",
            "paused_us",
            "opened",
            "rejected",
            "timed_out",
            "billed_ms",
            "recycled",
            "worker_busiest_ratio",
            "worker_imbalance_ratio",
        ],
    ),
    (
        "[pool.NAME]",
        &["utilisation_ratio", "waiting", "wait_p95_s", "held", "opened", "closed", "timed_out"],
    ),
    (
        "[pooler.NAME]",
        &["utilisation_ratio", "waiting", "wait_p95_s", "held", "opened", "refused", "timed_out"],
    ),
    (
        "[database.NAME]",
        &["utilisation_ratio", "held", "refused", "reads", "writes", "lag_s", "stale_reads"],
    ),
    (
        "[cache.NAME]",
        &[
            "hit_ratio",
            "joined",
            "evicted",
            "expired",
            "out_of_memory",
            "slow_commands",
            "refused",
            "utilisation_ratio",
            "part_busiest_ratio",
            "held",
        ],
    ),
    ("[host.NAME]", &["utilisation_ratio", "busy"]),
    ("[relation.NAME]", &["waiting", "wait_p95_s", "timed_out", "deadlocks"]),
    ("[maintenance.NAME]", &["served", "errors"]),
    ("[keys.NAME]", &[]),
    ("[session.NAME]", &["hit_ratio", "held", "created", "expired", "writes"]),
    (
        "[store.NAME]",
        &[
            "reads",
            "writes",
            "rejected",
            "retried",
            "errors",
            "expired",
            "left_bytes",
            "carried_bytes",
        ],
    ),
    (
        "[socket.NAME]",
        &[
            "held",
            "opened",
            "closed",
            "lost",
            "served",
            "writes",
            "wasted",
            "lag_s",
            "handled",
            "unhandled",
            "handling_p95_s",
        ],
    ),
    ("[guard.NAME]", &["arrivals", "rejected", "turned_away_ratio", "errors"]),
    ("[limit.NAME]", &["arrivals", "rejected", "turned_away_ratio", "errors"]),
    ("[bulkhead.NAME]", &["utilisation_ratio", "waiting", "wait_p95_s", "rejected", "timed_out"]),
    ("[breaker.NAME]", &["arrivals", "rejected", "errors", "opened", "held"]),
    (
        "[queue.NAME]",
        &["utilisation_ratio", "waiting", "wait_p95_s", "served", "retried", "timed_out", "wasted"],
    ),
    ("[job.NAME]", &[]),
    (
        "[stream.NAME]",
        &["utilisation_ratio", "part_busiest_ratio", "arrivals", "served", "waiting"],
    ),
    (
        "[consumer.NAME]",
        &[
            "waiting",
            "lag_s",
            "wait_p95_s",
            "held",
            "served",
            "retried",
            "wasted",
            "lost",
            "timed_out",
        ],
    ),
    ("[fault.NAME]", &[]),
    ("[deploy.NAME]", &[]),
    ("[monitor.NAME]", &[]),
    ("[price.NAME]", &["cost_month", "cost_per_million_ok"]),
    ("[operation.NAME]", &["offered_per_s", "throughput_per_s", "failed_ratio", "latency_p95_s"]),
];

/// A trap: its id, one sentence, and the headings of the sections where it is set.
pub type Trap = (&'static str, &'static str, &'static [&'static str]);

/// The traps that real products set; `tests/traps/` shows each of them biting, beside its cure.
pub const TRAPS: &[Trap] = &[
    (
        "T-01",
        "A client that gave up does not stop the handler, the wait for a connection or the running query: abandoned work uses capacity.",
        &["[client]", "[service.NAME]", "[pool.NAME]"],
    ),
    (
        "T-02",
        "A closed generator slows down with the system and hides overload; k6's arrival rates are evenly spaced, and drop what no virtual user is free for.",
        &["[users]", "[arrivals]"],
    ),
    (
        "T-03",
        "A constant Retry-After and shared timeouts synchronise clients; retries multiply by layer; recovery may never happen.",
        &["[client]"],
    ),
    (
        "T-04",
        "A server that keeps idle connections for less time than its balancer answers 502 now and then.",
        &["[balancer.NAME]", "[service.NAME]"],
    ),
    ("T-05", "Least-outstanding routing favours the target that fails fast.", &["[balancer.NAME]"]),
    (
        "T-06",
        "An ALB without a healthy target sends to all of them; slow start spares no first target and excludes least-outstanding; nodes know only what they have sent themselves.",
        &["[balancer.NAME]"],
    ),
    (
        "T-07",
        "Node's cluster hands out connections, not requests: a blocked worker keeps those it has.",
        &["[service.NAME]"],
    ),
    (
        "T-08",
        "After a long block, timers run before pending answers: timeouts fire although the replies are there.",
        &["[service.NAME]"],
    ),
    (
        "T-09",
        "A liveness probe kills a process that is only busy, with all that is in flight.",
        &["[service.NAME]"],
    ),
    (
        "T-10",
        "Four threads of libuv are shared by files, DNS, crypto and zlib.",
        &["[service.NAME]"],
    ),
    (
        "T-11",
        "node-postgres has no acquire timeout by default; waiters are first in, first out, idle connections last in, first out.",
        &["[pool.NAME]"],
    ),
    (
        "T-12",
        "totalCount includes idle and connecting connections: as a metric of use it latches.",
        &["[pool.NAME]", "[guard.NAME]"],
    ),
    (
        "T-13",
        "A request that opens a connection is bound to it: bursts overshoot to the maximum.",
        &["[pool.NAME]"],
    ),
    (
        "T-14",
        "pool.query destroys the connection after any error; query_timeout leaves the server's query running.",
        &["[pool.NAME]"],
    ),
    ("T-15", "`min` does not warm a pool.", &["[pool.NAME]"]),
    (
        "T-16",
        "New callers can overtake waiters while a broken connection is closing.",
        &["[pool.NAME]"],
    ),
    (
        "T-17",
        "A session store made from a connection string has a pool of its own, without a timeout, that no guard sees.",
        &["[session.NAME]", "[pool.NAME]"],
    ),
    (
        "T-18",
        "SQLAlchemy closes overflow connections on return: reconnects at medium load.",
        &["[pool.NAME]"],
    ),
    (
        "T-19",
        "SQLAlchemy's waiters can be overtaken; a freed overflow slot wakes nobody.",
        &["[pool.NAME]"],
    ),
    (
        "T-20",
        "pre_ping, BEGIN and ROLLBACK are round trips within the time a connection is held.",
        &["[pool.NAME]"],
    ),
    (
        "T-21",
        "PgBouncer opens one server connection at a time, waits 15 s after a failure, and disconnects those who wait too long.",
        &["[pooler.NAME]"],
    ),
    (
        "T-22",
        "A client that aborts through PgBouncer frees its slot while the backend's query goes on.",
        &["[pooler.NAME]", "[database.NAME]"],
    ),
    (
        "T-23",
        "Pools multiply by workers, tasks, replicas and shards against max_connections; the excess is refused, not queued.",
        &["[pool.NAME]", "[database.NAME]"],
    ),
    (
        "T-24",
        "More connections than cores lower throughput and move the queue into the database.",
        &["[database.NAME]"],
    ),
    (
        "T-25",
        "A plain refresh of a materialised view blocks its readers, who then fill the pool.",
        &["[relation.NAME]", "[maintenance.NAME]"],
    ),
    (
        "T-26",
        "A replica replays one write after another; its lag grows on an idle primary; long queries pause it.",
        &["[database.NAME]"],
    ),
    (
        "T-27",
        "Burstable instances have the capacity of their credit history.",
        &["[database.NAME]"],
    ),
    (
        "T-28",
        "express-session writes on every request by default, and makes sessions for bots.",
        &["[session.NAME]"],
    ),
    (
        "T-29",
        "The end of a response waits for the session's write: a slow store slows everything.",
        &["[session.NAME]"],
    ),
    (
        "T-30",
        "Pruning is a timer of each process; live sessions follow time to live x arrivals, not concurrency.",
        &["[session.NAME]"],
    ),
    (
        "T-31",
        "With noeviction reads work and writes fail; eviction is sampled, in the way of commands.",
        &["[cache.NAME]"],
    ),
    ("T-32", "Expired keys occupy memory until they are sampled.", &["[cache.NAME]"]),
    (
        "T-33",
        "Failing open without Redis still costs the client's reconnects for each request.",
        &["[cache.NAME]", "[limit.NAME]"],
    ),
    (
        "T-34",
        "A Redis Cluster of one master and two replicas does not exist; one lost range of slots stops everything.",
        &["[cache.NAME]"],
    ),
    (
        "T-35",
        "k private caches do not add up; single flight is for one process.",
        &["[cache.NAME]"],
    ),
    (
        "T-36",
        "The hit ratio of a content delivery network falls as traffic is spread over more places.",
        &["[cdn.NAME]"],
    ),
    (
        "T-37",
        "A fixed window lets twice its limit pass at the boundary; counters in memory multiply by processes.",
        &["[limit.NAME]"],
    ),
    (
        "T-38",
        "A limit by address punishes shared addresses and misses distributed abuse.",
        &["[limit.NAME]"],
    ),
    ("T-39", "express-rate-limit fails closed when its store fails.", &["[limit.NAME]"]),
    (
        "T-40",
        "A guard behind expensive middlewares sheds too late; one that fails open vanishes under overload.",
        &["[guard.NAME]"],
    ),
    (
        "T-41",
        "opossum counts calls in flight and rejections; late results flip its half-open state.",
        &["[breaker.NAME]"],
    ),
    (
        "T-42",
        "A breaker in each process must be learnt by each process, and k processes send k probes.",
        &["[breaker.NAME]"],
    ),
    (
        "T-43",
        "First-in-first-out queues with timeouts serve requests that are about to expire.",
        &["[pool.NAME]", "[bulkhead.NAME]"],
    ),
    (
        "T-44",
        "An autoscaler reacts after 3 to 6 minutes: bursts are over before.",
        &["[service.NAME]"],
    ),
    (
        "T-45",
        "Scaling out adds connections and cold caches: the database can fail because the application scaled.",
        &["[service.NAME]", "[database.NAME]"],
    ),
    ("T-46", "Scaling by CPU does not see waiting for connections.", &["[service.NAME]"]),
    (
        "T-47",
        "Kubernetes counts pods that are not ready as idle, and uses requests, not limits.",
        &["[service.NAME]"],
    ),
    ("T-48", "Two CPUs give one Node process nothing.", &["[service.NAME]"]),
    (
        "T-49",
        "Bull's timeouts do not stop the handler; a lock that expires runs a job again; BullMQ serves unprioritised jobs first.",
        &["[queue.NAME]", "[job.NAME]"],
    ),
    ("T-50", "attempts is a total: three attempts are two retries.", &["[job.NAME]"]),
    (
        "T-51",
        "socket.io's broadcasts reach every server; polling needs affinity; reconnects come in storms.",
        &["[socket.NAME]", "[balancer.NAME]"],
    ),
    (
        "T-52",
        "The mean of p95 over minutes is not the p95 of the hour; samples of 60 s miss bursts of 60 s.",
        &["[monitor.NAME]", "[users]", "[arrivals]"],
    ),
];
