//! The topology language: text to [`Topology`], with the place of everything that can be wrong.
//!
//! # Examples
//! ```
//! use loadbearing::topology::load;
//! let file = r#"
//! version = 1
//! users = { population = 100, think.exponential = "10s" }
//! service.web = { instances = 2 }
//! operation.browse = { share = 1, flow = [{ cpu = "2ms" }, { reply = "10KB" }] }
//! "#;
//! let sets = ["service.web.instances=3".to_string()];
//! let loaded = load("shop.toml", &sets, &mut |_| Ok(file.to_string()));
//! let topology = loaded.topology.expect("nothing is wrong");
//! assert_eq!(topology.services[0].spec.instances, 3);
//! assert!(loaded.defaults.iter().any(|it| it.path == "service.web.workers" && it.value == "1"));
//! ```

mod agent;
mod balancer;
mod breaker;
mod bulkhead;
mod cache;
mod cdn;
mod check;
mod check_cache;
mod check_circles;
mod check_connections;
mod check_edge;
mod check_effect;
mod check_fault;
mod check_flow;
mod check_function;
mod check_gate;
mod check_held;
mod check_homes;
mod check_host;
mod check_pool;
mod check_pooler;
mod check_price;
mod check_replicas;
mod check_reshard;
mod check_scaling;
mod check_socket;
mod check_stream;
mod check_upkeep;
mod check_limits;
mod check_mapping;
mod check_memory;
mod check_monitor;
mod check_deploy;
mod database;
mod deploy;
pub(crate) mod dist;
mod fault;
pub(crate) mod file;
pub(crate) mod file_kind;
mod flow;
mod function;
mod guard;
mod host;
pub(crate) mod kind;
mod kinesis;
pub mod known;
mod limit;
mod measured;
mod merge;
mod monitor;
pub(crate) mod names;
mod objective;
mod plan;
mod pool;
mod process;
mod pooler;
mod price;
mod queue;
mod redis;
mod region;
mod relation;
mod replicas;
mod retry;
mod schema;
mod service;
mod session;
pub(crate) mod shape;
mod socket;
mod store;
mod stream;
pub(crate) mod spec;
mod trace;
pub(crate) mod tree;
mod workload;

pub use agent::{ClientConnections, ClientRules, HttpClient};
pub use balancer::{
    BalanceBy, BalancePer, Balancer, BalancerKind, BalancerQueue, CheckProtocol, Checks,
    ConnectionOf, EachConnection, Ejection, FirstChoice, HashBound, HashRing, MaxFails, Outliers,
    PeakEwma, PerConnection, Policy, Ramp, Reuse, Sticky, TwoChoices,
};
pub use breaker::{Breaker, BreakerProduct, Opossum, Resilience4j, ThroughBreaker, WindowType};
pub use bulkhead::{
    AdaptiveLifo, Aimd, Bulkhead, ConcurrencyLimit, Delay, Gradient2, InBulkhead, LowPriority,
    QueueOrder, Shedding, Vegas, WaitingRoom,
};
pub use cache::{
    Cache, CacheKind, Eviction, KeyBy, Keys, Persistence, Popularity, SavePoint, Zipf,
};
pub use cdn::Cdn;
pub use database::{
    Buffer, ColdCaches, Contention, CpuCredits, Database, DatabaseDriver, NoMemory, ReshardRule,
    ServerMemory, ShardBy, Standby, Storage, StorageBurst,
};
pub use deploy::{BlueGreen, Deploy, EcsRollout, KubernetesRollout, OnSigterm, Rollout};
pub use dist::{Dist, Law, Measure};
pub use fault::{BrokerLoss, Cut, FarEnd, Fault, Harm, Slowness, Target, Targets};
pub use file::{Extends, Topology, Version};
pub use flow::{
    Branch, CacheLock, CacheLookup, Call, Child, Enqueue, Flow, Invalidate, Operation, OwnCommand,
    Poll, Query, Repeat, Reply, Scatter, SessionUse, Shard, Step, Transaction, Transfer, Update,
    WhichSession, WritePolicy, steps,
};
pub use function::{Function, FunctionPrice, ProvisionedScaling, Statistic};
pub use guard::{Applies, FailMode, Guard, GuardRead, Respond, Threshold, Watch};
pub use host::{Host, Others, Priority, Stolen};
pub use kind::{ChoiceDoc, FieldDoc, Kind, TableDoc, VariantDoc};
pub use kinesis::{Kinesis, KinesisGroup, StreamMapping};
pub use limit::{
    Burst, Cycles, LeakyBucket, Limit, LimitAlgorithm, LimitPer, LimitStore, SharedCounters,
};
pub use merge::ReadText;
#[cfg(feature = "cli")]
pub(crate) use merge::{UNREADABLE, beside};
pub use monitor::{
    Alarm, Estimation, LatencyShown, MissingData, Monitor, RateShown, Reading, Shows,
};
pub use names::{Address, Component, Named, Placed, Ref, Reference, Scope, Section};
pub use objective::{Comparison, Lagging, LatencyStatistic, Metric, Objective, Utilised};
pub use pool::{OnError, Pool, PoolDriver, Psycopg, Reads, Sqlalchemy};
pub use pooler::{PoolMode, Pooler, PoolerKind};
pub use price::{
    BalancerPrice, Expense, PoolerPrice, Price, SocketPrice, StorePrice, UsagePrice, VolumePrice,
};
pub use process::{Gc, Liveness, Memory, Node as NodeJs, Probe, Timer};
pub use queue::{Backoff, Discipline, EventSourceMapping, Job, Queue, QueueDriver};
pub use redis::{
    CacheClient, CacheFailover, CacheReads, Ioredis, MaxRetries, NodeRedis, RedisCluster, Sentinel,
};
pub use region::{Carried, Duplex, Line, Link, Loss, Region, Route, Routes};
pub use relation::{
    Autovacuum, Checkpoint, LockMode, Maintenance, MaintenanceKind, Relation, TableLock,
};
pub use replicas::Abroad;
pub use retry::{
    AwsRetry, AwsSdk, AxiosDelay, AxiosRetry, EnvoyRetry, Resilience4jRetry, Throttle,
};
pub use retry::{Cause, ExponentialRetry, FixedRetry, Jitter, Retry};
pub use schema::{Entry, Form, reference, schema};
#[cfg(feature = "cli")]
pub(crate) use schema::{reference_of, schema_of};
pub use service::{
    Autoscale, Backlog, HandOut, Hpa, HpaPace, HpaSelect, Keda, Lag, Middleware, OldestJob, OnMax,
    Overflow, Runtime, ScaleMetric, ScalePolicy, ScaleStep, ScheduledScaling, Service, Steps,
    Uvicorn, Wake, WarmUp,
};
pub use session::{
    Growth, Jwt, MemorySessions, OwnPool, PostgresSessions, RedisSessions, Session, SessionStore,
};
pub use socket::{Broadcast, Deflate, Reconnect, Socket, Transport};
pub use spec::{DefaultInForce, Reader, Shape};
pub use store::{Store, StoreUse};
pub use stream::{
    Acks, Assignor, Consumer, Kafka, KafkaClient, KafkaGroup, Pending, RedisPubSub, RedisStream,
    Stream, StreamKind,
};
pub use trace::{Scaled, Trace, TraceFile, TraceMode, TraceRow};
pub use tree::{Key, Node, Value};
pub use workload::{
    Arrivals, Assumption, Client, Connections, Crowd, Fill, Phase, Process, RateStage, Reload, Run,
    Sinusoid, Spike, Start, Tls, UserStage, Users, Visits, Vus, Warmth,
};

use crate::diagnostic::{Diagnostic, Severity, Source};
use file_kind::FileKind;

/// Every kind of diagnostic that [`load`] makes; `tests/diagnostics/` shows each.
pub const SLUGS: &[&str] = &[
    "above-plan",
    "ambiguous",
    "bad-address",
    "bad-cache",
    "bad-delay",
    "bad-deploy",
    "bad-fault",
    "bad-mapping",
    "bad-monitor",
    "bad-name",
    "bad-objective",
    "bad-phase",
    "bad-poll",
    "bad-pool",
    "bad-process",
    "bad-reshard",
    "bad-samples",
    "bad-scaling",
    "bad-set",
    "bad-threshold",
    "bad-trace",
    "bad-unit",
    "bad-watch",
    "branch-shares",
    "duplicate",
    "empty",
    "endless-messages",
    "extends-cycle",
    "extends-missing",
    "flat-backoff",
    "foreign-component",
    "function-concurrency",
    "ideal-client",
    "misplaced-reply",
    "misplaced-step",
    "idle-region",
    "kept-sessions",
    "large-message",
    "little-memory",
    "missing-key",
    "never-happens",
    "no-effect",
    "no-replicas",
    "no-route",
    "no-shares",
    "no-stand-in",
    "no-workload",
    "not-for-functions",
    "not-one",
    "nothing-to-do",
    "one-of",
    "other-kind",
    "out-of-range",
    "price-without-source",
    "priority-alone",
    "region-shares",
    "statement-mode",
    "syntax",
    "too-many-clients",
    "too-many-connections",
    "too-many-held",
    "two-for-one",
    "two-machines",
    "two-replies",
    "two-workloads",
    "unknown-component",
    "unknown-key",
    "unknown-memory",
    "unknown-metric",
    "unknown-path",
    "unknown-variant",
    "unknown-version",
    "unused-component",
    "write-in-read",
    "wrong-pooler",
    "wrong-type",
];

/// What came of reading a topology.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The topology, unless something is wrong.
    pub topology: Option<Topology>,
    /// All that is wrong or doubtful, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that were read.
    pub sources: Vec<Source>,
    /// The merged file as it was written; empty when a text could not be understood.
    pub tree: Node,
    /// Every default in force, in the order of the language.
    pub defaults: Vec<DefaultInForce>,
}

/// Reads a topology file, the files that it extends and the settings over it (`pool.pg.size=50`).
///
/// # Errors
/// None as such: all that is wrong is in the diagnostics, and then there is no topology.
pub fn load(path: &str, sets: &[String], read: ReadText<'_>) -> Loaded {
    let merge::Gathered { tree, mut diagnostics, sources } = merge::gather(path, sets, read);
    let mut reader = Reader::default();
    let mut topology = None;
    let mistaken = tree.as_ref().and_then(|tree| FileKind::Topology.mistaken(tree));
    if let Some(found) = mistaken {
        diagnostics = vec![found];
    } else if let Some(tree) = &tree {
        reader.names_of(tree);
        measured::files(tree, path, read, &mut reader.files);
        topology = Topology::read(tree, &mut reader);
        let arrivals = topology.as_mut().and_then(|topology| topology.arrivals.as_mut());
        if let Some(trace) = arrivals.and_then(|arrivals| arrivals.trace.as_mut()) {
            let beside = merge::beside(path, &trace.file.path);
            diagnostics.extend(trace.file.fill(read(&beside)));
        }
        if let Some(topology) = &mut topology {
            check::drop_orphans(topology, tree, &reader, !sets.is_empty());
        }
        diagnostics.append(&mut reader.diagnostics);
        diagnostics.extend(check::references(tree, &reader.references));
        let sound = diagnostics.iter().all(|found| found.severity != Severity::Error);
        if let Some(topology) = topology.as_ref().filter(|_| sound) {
            diagnostics.extend(check::all(topology, tree, &reader));
        }
    }
    for found in &diagnostics {
        let known = SLUGS.contains(&found.slug) || found.slug == merge::UNREADABLE;
        debug_assert!(known, "`{}` is a slug", found.slug);
    }
    diagnostics.sort_by_key(|found| (found.place.source, found.place.span.start));
    if diagnostics.iter().any(|found| found.severity == Severity::Error) {
        topology = None;
    }
    let tree = tree.unwrap_or_else(|| Node::empty(Default::default()));
    Loaded { topology, diagnostics, sources, tree, defaults: reader.defaults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Duration, Ratio};

    fn shop(sets: &[&str]) -> Loaded {
        let text = include_str!("../../tests/diagnostics/base/shop.toml");
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("shop.toml", &sets, &mut |_| Ok(text.to_string()));
        assert!(loaded.topology.is_some(), "{:?}", loaded.diagnostics);
        loaded
    }
    fn sound(sets: &[&str]) -> Topology {
        shop(sets).topology.expect("sound")
    }

    #[test]
    fn components_are_sorted_by_name_and_carry_what_is_said() {
        let topology = sound(&[]);
        let names: Vec<&str> = topology.operations.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["browse", "find", "login", "order"]);
        let pool = &topology.pools[0].spec;
        assert_eq!((pool.kept(), pool.database.name.as_str()), (10, "main"));
        assert_eq!(pool.acquire_timeout, Some(Duration::secs(10)));
        assert_eq!(topology.guards[0].spec.reject_at, Some(Ratio(0.85)));
        assert!(matches!(&topology.guards[0].spec.watch, Watch::PoolTotal(it) if it.name == "pg"));
        let retry = &topology.client.retry;
        assert_eq!(retry.causes(), [Cause::Status(429), Cause::Status(503), Cause::Timeout]);
    }

    #[test]
    fn laws_are_in_seconds_and_bytes() {
        let topology = sound(&[]);
        let think = &topology.users.as_ref().expect("said").think;
        assert_eq!(think.law, Law::Exponential { mean: 10.0 });
        let rtt = &topology.regions[0].spec.rtt.law;
        assert_eq!(Ok(rtt.clone()), Law::lognormal_from_median_and_p99(0.06, 0.25));
        assert_eq!(topology.keys[0].spec.size.0, 10_000.0);
        let parts = vec![(0.9, Law::Constant(0.05)), (0.1, Law::Exponential { mean: 1.0 })];
        let work = topology.jobs[0].spec.work.as_ref().expect("said");
        assert_eq!(work.law, Law::Mixture(parts));
    }

    #[test]
    fn flows_nest_and_short_forms_are_full() {
        let topology = sound(&[]);
        let browse = &topology.operations[0].spec.flow;
        let Step::Cache(outer) = &browse[1].value else { panic!("{:?}", browse[1]) };
        let Step::Cache(inner) = &outer.miss[0].value else { panic!("{outer:?}") };
        assert!(outer.single_flight && inner.ttl == Some(Duration::secs(300)));
        assert!(matches!(&inner.miss[0].value, Step::Query(query) if query.read.is_some()));
        let Step::Reply(reply) = &browse[2].value else { panic!("{:?}", browse[2]) };
        assert_eq!((&reply.bytes.law, reply.status), (&Law::Constant(10_000.0), 200));
        let services: Vec<Option<&str>> =
            topology.steps().iter().map(|(service, _)| *service).collect();
        assert!(services.contains(&Some("search")), "a call's steps run on the called service");
    }

    #[test]
    fn objectives_are_in_si_units() {
        let topology = sound(&[]);
        let bounds: Vec<f64> = topology.objectives.iter().map(|it| it.bound).collect();
        assert_eq!(bounds, [0.5, 0.01, 10.0, 0.85, 500.0]);
        assert_eq!(
            topology.objectives[0].metric,
            Metric::Latency(LatencyStatistic::Quantile(0.95))
        );
        assert_eq!(topology.objectives[1].comparison, Comparison::AtMost);
    }

    #[test]
    fn every_default_in_force_is_listed_and_nothing_that_was_said() {
        let loaded = shop(&["pool.pg.idle_timeout=30s"]);
        let value = |path: &str| {
            loaded.defaults.iter().find(|it| it.path == path).map(|it| (it.value, it.source))
        };
        assert_eq!(
            value("pool.pg.size").map(|it| it.0),
            Some("10; sqlalchemy 5, psycopg 4, prisma two for each core and one"),
            "each driver has its own"
        );
        assert_eq!(value("pool.pg.idle_timeout"), None);
        assert_eq!(value("pool.pg.acquire_timeout"), None);
        assert_eq!(
            value("guard.slow.respond.retry_after").map(|it| it.0.contains("nothing")),
            Some(true)
        );
        let pool = &loaded.topology.as_ref().expect("sound").pools[0].spec;
        assert_eq!(pool.idle_timeout, Some(Duration::secs(30)));
    }
}
