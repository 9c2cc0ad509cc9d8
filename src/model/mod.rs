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
    Affinity, Appointment, Breaker, Bulkhead, Cache, Cdn, Database, Extent, Fault, Guard, Harm,
    Job, Keys, Limit, Link, Maintenance, Metric, Per, Pool, Prune, Queue, Region, Relation, Rule,
    Scaling, Service, Session, Side, Standby, UNIT_KINDS, Unit, UnitKind, Wake, Want, Watch,
};
pub use recording::{Arrival, Recording, Turn, Turns};

use crate::component::backoff;
use crate::kernel::Dense;
use crate::units::{Duration, Rate};
use crate::variate::{AliasTable, Law, Sampler};
use ids::*;
use tape::{Catch, Draw, Op, Pc, Spans, TtlId};

/// What the engine runs.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its title, for people.
    pub title: String,
    /// How long to look, and how far to go.
    pub plan: Plan,
    /// Who comes, and when.
    pub workload: Workload,
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
    /// Services.
    pub services: Dense<ServiceId, Service>,
    /// Connection pools.
    pub pools: Dense<PoolId, Pool>,
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
    /// Key sets.
    pub keys: Dense<KeysId, Keys>,
    /// Content delivery networks.
    pub cdns: Dense<CdnId, Cdn>,
    /// Session stores.
    pub sessions: Dense<SessionId, Session>,
    /// Guards.
    pub guards: Dense<GuardId, Guard>,
    /// Rate limiters.
    pub limits: Dense<LimitId, Limit>,
    /// Bulkheads.
    pub bulkheads: Dense<BulkheadId, Bulkhead>,
    /// Circuit breakers.
    pub breakers: Dense<BreakerId, Breaker>,
    /// Job queues.
    pub queues: Dense<QueueId, Queue>,
    /// Kinds of job.
    pub jobs: Dense<JobId, Job>,
    /// What goes wrong.
    pub faults: Dense<FaultId, Fault>,
    /// What users do.
    pub operations: Dense<OperationId, Operation>,
    /// Which operation a request is.
    pub mix: AliasTable,
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
    /// Pools start with all their connections open, or none.
    pub full_pools: bool,
    /// Keep what became of every request.
    pub keep_fates: bool,
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
    /// Distinct client addresses.
    pub addresses: u32,
    /// The chance that a request begins a new visit.
    pub visit_chance: f64,
    /// The chance that a new visit comes with a live session.
    pub returning_chance: f64,
    /// What follows a failure.
    pub retry: Option<Retry>,
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
    /// Wait as long as the answer's Retry-After says, where it has one.
    pub honour_retry_after: bool,
    /// Spread of that waiting, as a share of it.
    pub retry_after_jitter: f64,
    /// The uniform numbers that pauses are made of, where each recorded request is given its own.
    pub given: Option<Vec<f64>>,
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
    /// It always makes a session.
    pub login: bool,
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
    /// Event loops of a service.
    Service,
    /// Thread pools of a service.
    Threads,
    /// A connection pool.
    Pool,
    /// A database.
    Database,
    /// A cache.
    Cache,
    /// A content delivery network.
    Cdn,
    /// A session store.
    Session,
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
    /// A link.
    Link,
    /// The network between all of them, and delays of others.
    Network,
    /// Users between attempts.
    Client,
}

/// A part of what the deployment costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The component's path, or the name of a further cost.
    pub path: String,
    /// Dollars a unit and month.
    pub monthly: f64,
    /// Units at the start.
    pub units: f64,
    /// The service whose running instances are the units.
    pub service: Option<ServiceId>,
    /// Dollars a gigabyte that passes the station.
    pub per_gigabyte: f64,
    /// Dollars a million requests.
    pub per_million: f64,
    /// Dollars an hour of a core above what burst credits were earned for.
    pub per_surplus_hour: f64,
    /// Whose traffic the gigabytes and the requests are.
    pub station: Option<StationId>,
    /// Where the price is stated.
    pub source: Option<String>,
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
    /// The mean rate of requests that the workload would send to a system without delay.
    pub fn nominal_rate(&self) -> Rate {
        Rate(match &self.workload {
            Workload::Closed { think, population, .. } => {
                population.at(self.plan.warmup) / self.laws[*think].mean
            }
            Workload::Open { rate, .. } => rate.at(self.plan.warmup),
            Workload::Recorded(recording) => recording.rate_per_s(),
        })
    }
}
