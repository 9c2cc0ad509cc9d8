//! The model: a topology checked, numbered and ready to run. Immutable, shared by all replications.
//!
//! `topology` says what its author wrote; the model says what the engine runs. Everything here is
//! an array indexed by its own kind of number ([`ids`]); flows are one flat [`tape`].

pub mod compile;
mod curve;
pub mod demand;
pub mod ids;
mod part;
pub mod recording;
pub mod tape;

pub use compile::compile;
pub use curve::Curve;
pub use part::{
    ALIVE, Acks, Affinity, Agent, Alarm, Appointment, Arrivals, Bodies, Breaker, Broadcast,
    BrokerLoss, Buffer, Bulkhead, Cache, Cdn, Charged, ClientTimes, Collecting, Consumer,
    ConsumerParts, Cost, Crowd, Database, Deploy, Discards, Exit, Extent, Failover, FailoverDns,
    Fault, Fill, Full, Function, Guard, HandOut, Harm, Health, Host, HttpClient, Job, KafkaRules,
    Keda, Keys, KinesisRules, Limit, Link, LoadLock, Maintenance, Mapping, Memory, Metric, Missing,
    Monitor, NodeLoss, OnSigterm, Others, Parts, PendingRules, Per, Persistence, Policy, Poll,
    Pool, PoolMode, Pooler, Probe, Process, ProvisionedScaling, Prune, Purge, Queue, READY,
    RatePhase, Reading, Reads, Recycling, Region, Relation, Replica, Reshard, Retries, Reuse,
    Rollout, Rule, Rules, SMALL_BYTES, Scaling, Scripts, ServerMemory, Service, Session,
    SessionFlow, ShardMapping, Shards, Shield, Shown, Side, Slots, Socket, Standby, Store,
    StoreUse, Stream, SubscriberRules, Timer, Topic, UNIT_KINDS, Unit, UnitKind, Upkeep, Vus, Wake,
    Want, Watch,
};
pub use recording::{Arrival, Recording, Trace, TraceMode, Turn, Turns};

use crate::component::function_fleet::REQUESTS_PER_EXECUTION;
use crate::component::{backoff, cache::Ttl, retry_budget};
use crate::kernel::Dense;
use crate::units::{Duration, Rate};
use crate::variate::{AliasTable, Law, Sampler};
use ids::*;
use tape::{Catch, Draw, DrawId, Op, Pc, PolicyId, Spans, TtlId};

/// What the engine runs.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its title, for people.
    pub title: String,
    /// How long to look, and how far to go.
    pub plan: Plan,
    /// Who comes, and when.
    pub workload: Workload,
    /// What an open stream is beside its rate.
    pub arrivals: Arrivals,
    /// How users behave towards the system.
    pub client: Client,
    /// Where things are.
    pub regions: Dense<RegionId, Region>,
    /// Round trips between regions, `from x regions + to`; the diagonal is zero.
    pub routes: Vec<LawId>,
    /// Which region a user lives in.
    pub homes: AliasTable,
    /// The share of users that live in each region.
    pub home_shares: Vec<f64>,
    /// Shared-bandwidth links.
    pub links: Dense<LinkId, Link>,
    /// Machines that several components share.
    pub hosts: Dense<HostId, Host>,
    /// Services.
    pub services: Dense<ServiceId, Service>,
    /// Connection pools.
    pub pools: Dense<PoolId, Pool>,
    /// Poolers between services and databases.
    pub poolers: Dense<PoolerId, Pooler>,
    /// Databases.
    pub databases: Dense<DatabaseId, Database>,
    /// Tables and views whose locks matter.
    pub relations: Dense<RelationId, Relation>,
    /// What databases do by themselves, on each primary.
    pub maintenance: Vec<Maintenance>,
    /// What statements lock, for [`tape::LocksId`].
    pub wants: Vec<Want>,
    /// Caches.
    pub caches: Dense<CacheId, Cache>,
    /// Policies of look-ups; the first is none.
    pub policies: Vec<Policy>,
    /// Key sets.
    pub keys: Dense<KeysId, Keys>,
    /// Content delivery networks.
    pub cdns: Dense<CdnId, Cdn>,
    /// Session stores.
    pub sessions: Dense<SessionId, Session>,
    /// Object stores.
    pub stores: Dense<StoreId, Store>,
    /// Uses of object stores, for [`tape::Op::Store`].
    pub store_uses: Vec<StoreUse>,
    /// WebSockets.
    pub sockets: Dense<SocketId, Socket>,
    /// Guards.
    pub guards: Dense<GuardId, Guard>,
    /// Rate limiters.
    pub limits: Dense<LimitId, Limit>,
    /// Bulkheads.
    pub bulkheads: Dense<BulkheadId, Bulkhead>,
    /// Circuit breakers.
    pub breakers: Dense<BreakerId, Breaker>,
    /// Streams of messages.
    pub streams: Dense<StreamId, Stream>,
    /// Groups that consume them.
    pub consumers: Dense<ConsumerId, Consumer>,
    /// How the ends of jobs are asked for.
    pub polls: Vec<Poll>,
    /// What calls are made with.
    pub agents: Vec<Agent>,
    /// HTTP clients of services.
    pub http_clients: Vec<HttpClient>,
    /// Job queues.
    pub queues: Dense<QueueId, Queue>,
    /// Kinds of job.
    pub jobs: Dense<JobId, Job>,
    /// What goes wrong.
    pub faults: Dense<FaultId, Fault>,
    /// What products' own metrics would show.
    pub monitors: Vec<Monitor>,
    /// New versions of services.
    pub deploys: Dense<DeployId, Deploy>,
    /// What users do.
    pub operations: Dense<OperationId, Operation>,
    /// Which operation a request is: by the region that its user lives in, or one for all.
    pub mix: Vec<AliasTable>,
    /// All flows.
    pub tape: Vec<Op>,
    /// Where failures are caught, inner stretches first.
    pub catches: Vec<Catch>,
    /// Where branches start, for [`Op::Fork`].
    pub forks: Vec<Pc>,
    /// Where choices lead, for [`Op::Choose`].
    pub choices: Vec<Choice>,
    /// All distributions.
    pub laws: Dense<LawId, CompiledLaw>,
    /// All optional durations of the tape.
    pub spans: Spans,
    /// What follows the failure of a call.
    pub retries: Vec<CallRetry>,
    /// Calls that may not be made twice, in order.
    pub once: Vec<Pc>,
    /// Where requests enter a service whose balancer goes by their key, and the draw of that key; by place.
    pub balanced: Vec<(Pc, DrawId)>,
    /// Every component as measurements know it, sorted by path.
    pub stations: Dense<StationId, Station>,
    /// What the deployment costs.
    pub costs: Vec<Cost>,
    /// What must hold.
    pub objectives: Vec<crate::topology::Objective>,
    /// What the document behind the topology does not say.
    pub assumptions: Vec<crate::topology::Assumption>,
}

/// How long a run is, and where it must stop.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Not measured.
    pub warmup: Duration,
    /// Measured.
    pub duration: Duration,
    /// One row of the timeline.
    pub window: Duration,
    /// Runs with independent random numbers.
    pub replications: u32,
    /// The root of all random numbers.
    pub seed: u64,
    /// Of the intervals, 0 to 1.
    pub confidence: f64,
    /// At most this many events in a run.
    pub max_events: u64,
    /// At most this many bytes for requests in flight.
    pub max_memory_bytes: u64,
    /// At most this much of the machine's time for a run.
    pub max_wall: Duration,
    /// Every how many-th request has its path measured.
    pub attribution_every: u32,
    /// Caches start in their stationary state, or empty.
    pub warm_caches: bool,
    /// Session tables start with as many rows as arrivals x TTL give, or empty.
    pub warm_sessions: bool,
    /// Which connections pools start with.
    pub pools: Fill,
    /// Keep what became of every request.
    pub keep_fates: bool,
    /// The mean load of a month as a share of the measured one.
    pub mean_load: f64,
}

/// Who comes, and when.
#[derive(Clone, Debug)]
pub enum Workload {
    /// A closed population: each user thinks, asks, waits for the answer, thinks.
    Closed {
        /// Thinking time.
        think: LawId,
        /// True for exponential thinking: one aggregated stream is exact.
        memoryless: bool,
        /// How many users there are over time: (from when, how many), linear in between.
        population: Curve,
    },
    /// An open stream of requests that does not care how the system is doing.
    Open {
        /// Requests a second over time.
        rate: Curve,
        /// Evenly spaced rather than Poisson.
        even: bool,
        /// Distinct users behind the stream.
        users: u32,
    },
    /// Requests that are written down, one by one.
    Recorded(Recording),
}

/// How users behave towards the system.
#[derive(Clone, Debug)]
pub struct Client {
    /// How long a user waits for an answer; none waits for ever.
    pub patience: Option<LawId>,
    /// How late a request leaves.
    pub lateness: Option<LawId>,
    /// Distinct client addresses.
    pub addresses: u32,
    /// The chance that a request begins a new visit.
    pub visit_chance: f64,
    /// The chance that a new visit comes with a live session.
    pub returning_chance: f64,
    /// What follows a failure, and what turns requests away before they are sent.
    pub retry: Option<Retry>,
    /// Distinct processes that requests are sent from.
    pub processes: u32,
    /// What follows too long a wait.
    pub reload: Option<Reload>,
    /// How users learn of services that stand in for others; none stands in for another without.
    pub dns: Option<FailoverDns>,
    /// Connections, where they cost something.
    pub connection: Option<Connection>,
    /// How long who is let go may finish, where they are interrupted then.
    pub grace: Option<Grace>,
    /// Failures of a visit after which a user of a population makes room for another.
    pub abandons_after: Option<u32>,
}

/// How long virtual users who are let go may finish what they are at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Grace {
    /// From when the population falls below them.
    pub ramp_down: Option<Duration>,
    /// When the load generator's plan is over, if it ends in a run; from the start of the run.
    pub end: Option<Duration>,
    /// How long after that.
    pub stop: Option<Duration>,
}

/// Connections of users.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Round trips that setting one up takes.
    pub rounds: u32,
    /// How long an idle one stays open.
    pub keep_alive: Duration,
    /// Segments that may be sent at first.
    pub window: u32,
    /// Share of packets that are lost.
    pub loss: f64,
    /// What one can carry.
    pub bandwidth: Option<crate::units::Bandwidth>,
}

/// Users who load a page anew that does not come.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// How long they wait before.
    pub after: Duration,
    /// The share of requests whose user does.
    pub share: f64,
    /// How often at most.
    pub times: u8,
}

/// What follows a failure.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Which failures are retried.
    pub on: Vec<crate::topology::Cause>,
    /// Share of users that try again.
    pub share: f64,
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Delays between attempts.
    pub backoff: backoff::Backoff,
    /// Delays after a 429, where they differ.
    pub throttled: Option<backoff::Backoff>,
    /// Wait as long as the answer's Retry-After says, where it has one.
    pub honour_retry_after: bool,
    /// Spread of that waiting, as a share of it.
    pub retry_after_jitter: f64,
    /// By what it is longer than the own delay at most.
    pub retry_after_most: Duration,
    /// All attempts together have one timeout.
    pub shares_timeout: bool,
    /// What may not be done twice is repeated only where there was no answer.
    pub spares_effects: bool,
    /// What keeps a process from retrying too much.
    pub budget: retry_budget::Budget,
    /// What turns requests away before they are sent.
    pub throttle: Option<retry_budget::Throttle>,
    /// The uniform numbers that pauses are made of, where each recorded request is given its own.
    pub given: Option<Vec<f64>>,
}

/// What follows the failure of a call in a flow.
#[derive(Clone, Debug)]
pub struct CallRetry {
    /// The rule.
    pub rule: Retry,
    /// The service whose processes call.
    pub caller: ServiceId,
}

/// What a user does.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// Its share of all requests, 0 to 1.
    pub share: f64,
    /// Where its flow starts.
    pub entry: Pc,
    /// It may be done twice.
    pub idempotent: bool,
    /// It always makes a session.
    pub login: bool,
    /// What a request of it takes of its service's memory, where it says so (bytes).
    pub memory: Option<f64>,
    /// What follows it in a session: up to which of a uniform number, what.
    pub next: Vec<(f64, OperationId)>,
    /// Where those live who do it, by region (shares); empty where it is everybody's.
    pub homes: Vec<f64>,
    /// The service that answers it, where something else is done while that is down, and what.
    pub failover: Option<(ServiceId, OperationId)>,
}

/// Where a choice leads.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which branch.
    pub table: AliasTable,
    /// Chances of the branches, for analysis.
    pub chances: Vec<f64>,
    /// Where each starts.
    pub targets: Vec<Pc>,
}

/// A distribution, ready to draw from. Unit: seconds or bytes, as its use says.
#[derive(Clone, Debug)]
pub struct CompiledLaw {
    /// As written.
    pub law: Law,
    /// A constant needs no draw.
    pub constant: Option<Duration>,
    /// Ready to draw.
    pub sampler: Sampler,
    /// Its mean.
    pub mean: f64,
    /// What each recorded request is given instead of a draw, by its number.
    pub given: Option<Vec<Duration>>,
}

/// A component as measurements know it.
#[derive(Clone, Debug)]
pub struct Station {
    /// Its path: `pool.pg`.
    pub path: String,
    /// Its kind.
    pub kind: StationKind,
    /// Servers: cores, connections, workers, nodes; zero where nothing is occupied.
    pub capacity: f64,
}

/// Kinds of component.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StationKind {
    /// A machine that several components share.
    Host,
    /// Event loops of a service.
    Service,
    /// Thread pools of a service.
    Threads,
    /// Executions of a function.
    Executions,
    /// Connections of an HTTP client.
    HttpClient,
    /// A connection pool.
    Pool,
    /// A pooler in front of a database.
    Pooler,
    /// A database.
    Database,
    /// A cache.
    Cache,
    /// A content delivery network.
    Cdn,
    /// A session store.
    Session,
    /// An object store.
    Store,
    /// WebSockets.
    Socket,
    /// A guard.
    Guard,
    /// A rate limiter.
    Limit,
    /// A bulkhead.
    Bulkhead,
    /// A circuit breaker.
    Breaker,
    /// A table or view and its rows, as locks.
    Relation,
    /// What a database does by itself.
    Maintenance,
    /// A job queue.
    Queue,
    /// A stream of messages.
    Stream,
    /// Consumers of one.
    Consumer,
    /// A link.
    Link,
    /// A load balancer.
    Balancer,
    /// The network between all of them, and delays of others.
    Network,
    /// Users between attempts.
    Client,
}

impl CompiledLaw {
    /// Ready to draw from `law`.
    pub fn new(law: Law) -> CompiledLaw {
        let constant = match law {
            Law::Constant(value) => Some(Duration::from_secs_f64(value)),
            _ => None,
        };
        CompiledLaw { sampler: law.sampler(), mean: law.mean(), constant, law, given: None }
    }
    /// What a length that is given instead of a draw becomes under this law.
    pub fn shape(&self, length: Duration) -> Duration {
        match &self.law {
            Law::Rounded { step, .. } => {
                let step = Duration::from_secs_f64(*step).0;
                Duration(length.0.div_ceil(step) * step)
            }
            _ => length,
        }
    }
}

impl Model {
    /// How many users a closed population has at first.
    pub fn population(&self) -> Option<f64> {
        match &self.workload {
            Workload::Closed { population, .. } => Some(population.at(self.plan.warmup)),
            _ => None,
        }
    }
    /// The client that a call is made with.
    ///
    /// # Panics
    /// If connections of the call are always open.
    pub fn client_of(&self, agent: tape::AgentId) -> &HttpClient {
        let agent = &self.agents[usize::from(agent.0) - 1];
        &self.http_clients[usize::from(agent.client)]
    }
    /// The service whose instances a station is part of, if there is one.
    pub fn service_at(&self, station: StationId) -> Option<ServiceId> {
        let is_of = |service: &Service| {
            service.station == station
                || service.threads_station == station
                || service.children_station == station
                || service.pools.iter().any(|pool| self.pools[*pool].station == station)
        };
        let clients = self.http_clients.iter();
        let caller = clients.filter(|it| it.station == Some(station)).map(|it| it.from).next();
        if caller.is_some() {
            return caller;
        }
        self.services.enumerate().find(|(_, service)| is_of(service)).map(|(id, _)| id)
    }
    /// A length of time drawn from a law.
    #[inline(always)]
    pub fn draw(&self, what: Draw, stream: crate::stream::StreamKey) -> Duration {
        self.draw_law(what.law, stream, what.id.0)
    }
    /// A length of time drawn from a law, with random numbers of its own.
    #[inline(always)]
    pub fn draw_law(&self, law: LawId, stream: crate::stream::StreamKey, id: u32) -> Duration {
        let law = &self.laws[law];
        match law.constant {
            Some(length) => length,
            None => Duration::from_secs_f64(law.sampler.draw(&mut stream.draw(u64::from(id)))),
        }
    }
    /// An amount (bytes) drawn from a law.
    pub fn draw_bytes(&self, what: Draw, stream: crate::stream::StreamKey) -> f64 {
        self.laws[what.law].sampler.draw(&mut stream.draw(u64::from(what.id.0)))
    }
    /// How long a value is kept that is set with those.
    pub fn ttl(&self, id: TtlId, policy: PolicyId) -> Ttl {
        Ttl::of(self.span(id), self.policies[usize::from(policy.0)].sliding)
    }
    /// The optional duration of that number.
    #[inline(always)]
    pub fn span(&self, id: TtlId) -> Option<Duration> {
        self.spans.get(id)
    }
    /// Round trip law between two regions.
    #[inline(always)]
    pub fn route(&self, from: RegionId, to: RegionId) -> LawId {
        self.routes[from.0 as usize * self.regions.len() + to.0 as usize]
    }
    /// The share of users that live in a region.
    pub fn homes_share(&self, region: RegionId) -> f64 {
        self.home_shares[region.0 as usize]
    }
    /// The number of users that the workload can have at most.
    pub fn users(&self) -> u32 {
        match &self.workload {
            Workload::Closed { population, .. } => population.maximum() as u32,
            Workload::Open { users, .. } => *users,
            Workload::Recorded(recording) => recording.users(),
        }
    }
    /// How many may be at a component at a time: its servers, or of a balancer those that it lets through to its targets.
    pub fn places(&self, station: StationId) -> f64 {
        let Station { capacity, kind, .. } = self.stations[station];
        if kind != StationKind::Balancer {
            return capacity;
        }
        let behind = self.services.iter().find(|it| it.balancer_station == Some(station));
        behind.map_or(0.0, Service::let_through)
    }
    /// How many may begin a second at a component, whatever is idle there: jobs of a queue with a limiter, ten requests
    /// for each execution of a function.
    pub fn begins_per_s(&self, station: StationId) -> f64 {
        let Station { capacity, kind, .. } = self.stations[station];
        match kind {
            StationKind::Executions => capacity * f64::from(REQUESTS_PER_EXECUTION),
            StationKind::Queue => {
                let queue = self.queues.iter().find(|queue| queue.station == station);
                let limiter = queue.and_then(|queue| queue.limiter);
                limiter.map_or(f64::INFINITY, |it| f64::from(it.max) / it.duration.seconds())
            }
            _ => f64::INFINITY,
        }
    }
    /// The mean rate of requests that the workload would send to a system without delay.
    pub fn nominal_rate(&self) -> Rate {
        Rate(match &self.workload {
            Workload::Closed { think, population, .. } => {
                // Who does not think at all is taken to ask once a second.
                let mean = self.laws[*think].mean;
                population.at(self.plan.warmup) / if mean > 0.0 { mean } else { 1.0 }
            }
            Workload::Open { rate, .. } => {
                rate.at(self.plan.warmup) * self.arrivals.requests_each()
            }
            Workload::Recorded(recording) => recording.rate_per_s(),
        })
    }
}
