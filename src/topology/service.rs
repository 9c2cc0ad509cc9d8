//! What computes and what stands before it: services, guards, limits, queues, jobs.

use super::dist::Dist;
use super::flow::Operation;
use super::kind::Kind;
use super::names::{Address, Ref, Scope, Section, read_address};
use super::network::{Price, Region};
use super::shape::read_quantity;
use super::spec::{Reader, Shape, spec};
use super::store::{Cache, Pool, Session};
use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::units::{Duration, Ratio};

/// What may stand before a service: limits, session stores, guards.
#[derive(Clone, Debug, PartialEq)]
pub struct Middleware;
impl Scope for Middleware {
    const SECTIONS: &'static [Section] = &[Section::Limit, Section::Session, Section::Guard];
}

spec! {
    /// A group of equal instances that run an application.
    component Service {
        /// What the application runs on.
        runtime: Runtime = "\"node\"" from "assumed: an event loop";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// How many machines, tasks or pods.
        instances: u32 = "1" from "assumed: a single machine", positive;
        /// Event loops per instance (cluster mode); they share its cores.
        workers: u32 = "1"
            from "Node.js 20 (cluster mode is off unless the application turns it on)", positive;
        /// Cores of each instance.
        cores: f64 = "1" from "assumed: one core", positive;
        /// Threads of each worker's pool for blocking work.
        threads: u32 = "4" from "libuv (UV_THREADPOOL_SIZE)", positive;
        /// The limits, session stores and guards that every request passes, in order:
        /// `["limit.global", "session.table"]`.
        before: Vec<Address<Middleware>> = "[]" from "assumed: nothing stands before it";
        /// CPU time to read and route each request.
        accept_cpu: Dist = "\"0ms\"" from "assumed: contained in the operations' own CPU time";
        /// One-way delay from the caller to it, where no balancer stands between.
        hop: Dist = "\"0ms\"" from "assumed: contained in the access round trip";
        /// Connections each instance accepts; further ones wait in the backlog.
        max_connections: Option<u32> = "no limit"
            from "Node.js 20 net (maxConnections undefined)", positive;
        /// Connections of each instance that wait to be accepted once it has `max_connections`;
        /// further ones are refused.
        backlog: u32 = "511" from "Node.js 20 net (listen backlog)", positive;
        /// Whether a request whose user has given up leaves the queue for a connection; what it has
        /// begun goes on all the same.
        cancel_waiting: bool = "false" from "pg-pool 3.14.0 (connect takes no signal)";
        /// How the number of instances follows the load.
        autoscale: Option<Autoscale> = "instances are fixed"
            from "assumed: the document names no autoscaling";
        /// Price of one instance.
        price: Option<Price>;
    }
}
spec! {
    /// What a service runs on.
    choice Runtime {
        /// Node.js: each worker is one event loop that runs callbacks to completion.
        Node = "node";
    }
}
spec! {
    /// Target tracking: keeps a metric near its target by changing the number of instances.
    table Autoscale {
        /// The fewest instances.
        min: u32, positive;
        /// The most instances.
        max: u32, positive;
        /// The value to keep the metric at.
        target: Ratio = "\"70%\"" from "assumed: the value most documents name", positive;
        /// The metric that is kept.
        metric: ScaleMetric = "\"cpu\""
            from "AWS Application Auto Scaling (ECSServiceAverageCPUUtilization)";
        /// How often the metric is looked at.
        period: Duration = "\"60s\"" from "Amazon ECS (metrics of one minute)", positive;
        /// Time after adding instances during which no smaller addition is made.
        cooldown_out: Duration = "\"300s\"" from "AWS Application Auto Scaling";
        /// Time after removing instances during which no more are removed.
        cooldown_in: Duration = "\"300s\"" from "AWS Application Auto Scaling";
        /// Time from the decision to a new instance's first request.
        start: Duration = "\"60s\""
            from "assumed: image pull, start and health check of a Fargate task take 30 to 120 s";
    }
}
spec! {
    /// What an autoscaler watches.
    choice ScaleMetric {
        /// CPU time used, as a share of all cores of the running instances.
        Cpu = "cpu";
    }
}
spec! {
    /// Turns requests away while something behind the service is nearly exhausted.
    component Guard {
        /// What it watches, such as `pool.pg.busy`.
        watch: Watch;
        /// Turns requests away from this share of the watched pool's size on.
        reject_at: Option<Ratio>, positive;
        /// Turns requests away from this value on: a count, or a duration for `lag`.
        limit: Option<Threshold>, positive;
        /// What it answers.
        respond: Respond = "{ status = 503 }" from "assumed: service unavailable";
        /// What happens when the guard itself fails.
        fail: FailMode = "\"open\"" from "assumed: the request passes";
        /// Share of evaluations that fail.
        errors: Ratio = "\"0%\"" from "assumed: it never fails";
        /// How long a value is kept before it is read again.
        sampled: Duration = "\"0s\"" from "assumed: read for every request";
        /// Which requests it may turn away.
        applies: Applies = "\"all\"" from "assumed: every request";
        /// Operations that pass unseen.
        except: Vec<Ref<Operation>> = "[]" from "assumed: no operation is exempt";
    }
}
spec! {
    /// What a guard or a limit answers to those it turns away.
    table Respond {
        /// The status code.
        status: u16;
        /// The value of `Retry-After`.
        retry_after: Option<Duration> = "a limit tells the rest of its window, a guard tells nothing"
            from "express-rate-limit 8.7.4";
    }
}
spec! {
    /// What happens when a guard or a limit itself fails.
    choice FailMode {
        /// The request passes.
        Open = "open";
        /// The request fails.
        Closed = "closed";
    }
}
spec! {
    /// Which requests a guard may turn away.
    choice Applies {
        /// All of them.
        All = "all";
        /// Those that would make a new session.
        NewSessions = "new-sessions";
    }
}

/// What a guard watches.
#[derive(Clone, Debug, PartialEq)]
pub enum Watch {
    /// `pool.NAME.total`: connections open or opening, idle ones included.
    PoolTotal(Ref<Pool>),
    /// `pool.NAME.busy`: connections lent out.
    PoolBusy(Ref<Pool>),
    /// `pool.NAME.waiting`: requests that wait for a connection.
    PoolWaiting(Ref<Pool>),
    /// `session.NAME.live`: sessions that have not expired.
    SessionsLive(Ref<Session>),
    /// `service.NAME.in_flight`: requests in the worker.
    InFlight(Ref<Service>),
    /// `service.NAME.lag`: how late the worker's event loop is.
    Lag(Ref<Service>),
}

const WATCHED: &[&str] = &[
    "pool.NAME.total",
    "pool.NAME.busy",
    "pool.NAME.waiting",
    "session.NAME.live",
    "service.NAME.in_flight",
    "service.NAME.lag",
];

impl Shape for Watch {
    fn kind() -> Kind {
        Kind::Form {
            what: "one of `pool.NAME.total`, `pool.NAME.busy`, `pool.NAME.waiting`, \
                   `session.NAME.live`, `service.NAME.in_flight`, `service.NAME.lag`",
            example: "\"pool.pg.busy\"",
        }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            return reader.wrong_type(node, &Self::kind());
        };
        let place = &node.place;
        let parts: Vec<&str> = text.split('.').collect();
        let form = match parts.as_slice() {
            [section, _, metric] => format!("{section}.NAME.{metric}"),
            _ => String::new(),
        };
        if !WATCHED.contains(&form.as_str()) {
            let message = format!("`{}` cannot watch `{text}`", reader.path());
            return reader.wrong(
                Diagnostic::error("bad-watch", place.clone(), message)
                    .help(format!("write {}", Self::kind().what())),
            );
        }
        let sections = &[Section::Pool, Section::Session, Section::Service];
        let (_, name) = read_address(&parts[..2].join("."), node, sections, reader)?;
        Some(match form.as_str() {
            "pool.NAME.total" => Watch::PoolTotal(Ref::new(name, place.clone())),
            "pool.NAME.busy" => Watch::PoolBusy(Ref::new(name, place.clone())),
            "pool.NAME.waiting" => Watch::PoolWaiting(Ref::new(name, place.clone())),
            "session.NAME.live" => Watch::SessionsLive(Ref::new(name, place.clone())),
            "service.NAME.in_flight" => Watch::InFlight(Ref::new(name, place.clone())),
            _ => Watch::Lag(Ref::new(name, place.clone())),
        })
    }
}

/// The value from which a guard turns requests away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// So many connections, sessions or requests.
    Count(u64),
    /// So late.
    Lag(Duration),
}

impl Shape for Threshold {
    fn kind() -> Kind {
        Kind::Form { what: "a whole number, or a duration for `lag`", example: "50_000" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::String(_) => read_quantity(node, &Self::kind(), reader).map(Threshold::Lag),
            _ => u64::read(node, reader).map(Threshold::Count),
        }
    }
    fn is_positive(&self) -> bool {
        !matches!(self, Threshold::Count(0) | Threshold::Lag(Duration::ZERO))
    }
}

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
spec! {
    /// A queue of jobs with the processes that work on them.
    component Queue {
        /// How many processes.
        processes: u32 = "1" from "assumed: one worker process", positive;
        /// Jobs that one process works on at once.
        concurrency: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (concurrency)", positive;
        /// Cores of one process, shared by its jobs.
        cores: f64 = "1" from "assumed: one core", positive;
        /// Which job is next.
        discipline: Discipline = "\"priority\"" from "Bull 4.16.5";
        /// The cache that holds the queue; adding a job then costs one command and one round trip.
        cache: Option<Ref<Cache>> = "adding a job costs no time"
            from "assumed: the document names no store";
        /// Price of one process.
        price: Option<Price>;
    }
}
spec! {
    /// Which job is next.
    choice Discipline {
        /// The one that came first.
        Fifo = "fifo";
        /// The one with the lowest priority number, then the one that came first; 0 is none and
        /// comes last.
        Priority = "priority";
    }
}
spec! {
    /// A kind of job.
    component Job {
        /// The queue it waits in.
        queue: Ref<Queue>;
        /// Time to do it on an idle machine.
        work: Dist;
        /// Share of that time that is CPU; the rest waits for others.
        cpu_share: Ratio = "\"100%\"" from "assumed: all of it computes";
        /// A job that takes longer fails, though its work goes on.
        timeout: Option<Duration> = "none" from "Bull 4.16.5 (timeout)", positive;
        /// Attempts in all, the first included.
        attempts: u32 = "1" from "Bull 4.16.5 and BullMQ 6.7.0 (attempts)", positive;
        /// Time before a failed job is tried again.
        backoff: Backoff = "\"none\"" from "Bull 4.16.5";
        /// 1 comes first, then 2, and so on; 0 is none.
        priority: u32 = "0" from "Bull 4.16.5 (priority)";
        /// Share of attempts that fail.
        fail: Ratio = "\"0%\"" from "assumed: jobs succeed";
    }
}
spec! {
    /// Time before a failed job is tried again.
    choice Backoff {
        /// At once.
        None = "none";
        /// The same time after each attempt.
        Fixed(Duration) = "fixed";
        /// A time that doubles: (2^n - 1) x this after the n-th attempt.
        Exponential(Duration) = "exponential";
    }
}
