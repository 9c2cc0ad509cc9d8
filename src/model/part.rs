//! The parts of a deployment as the model knows them: one type for each section of the file.

use super::ids::*;
use crate::component::{autoscaler, balancer, cache, guard, job_queue, pool, session_table};
use crate::units::{Bandwidth, Duration};
use crate::variate::KeySampler;

/// A region.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Round trip between its users and its services.
    pub access: LawId,
}

/// A link whose bandwidth is shared equally by the transfers on it.
#[derive(Clone, Debug)]
pub struct Link {
    /// As measured.
    pub station: StationId,
    /// Its bandwidth.
    pub bandwidth: Bandwidth,
    /// Packet loss above a utilisation: (threshold, share of transfers hit, delay of each hit).
    pub loss: Option<(f64, f64, Duration)>,
}

/// A service: a group of instances, each with workers that are event loops sharing its cores.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The random numbers of its balancer.
    pub numbers: u32,
    /// As measured: its event loops.
    pub station: StationId,
    /// As measured: the thread pools of its workers, where a flow uses them.
    pub threads_station: StationId,
    /// Where it runs.
    pub region: RegionId,
    /// Instances at the start.
    pub instances: u32,
    /// Instances at most (the autoscaler's limit).
    pub max_instances: u32,
    /// Event loops per instance.
    pub workers: u32,
    /// Cores per instance.
    pub cores: f64,
    /// True when the loops of an instance can want more than its cores, or threads share them.
    pub contended: bool,
    /// Threads in each worker's pool.
    pub threads: u32,
    /// Open requests per instance at most; more wait in the backlog.
    pub max_connections: Option<u32>,
    /// Places in the accept backlog; more are refused.
    pub backlog: u32,
    /// Requests whose user has gone leave the queues for connections.
    pub cancel_waiting: bool,
    /// How instances are chosen.
    pub policy: balancer::Policy,
    /// A user stays with the instance chosen first.
    pub sticky: bool,
    /// What hashing and stickiness go by.
    pub affinity: Affinity,
    /// One way from the balancer to an instance.
    pub hop: LawId,
    /// The link that its answers go out through.
    pub link: Option<LinkId>,
    /// The autoscaler.
    pub autoscale: Option<Scaling>,
    /// Pools that each worker has.
    pub pools: Vec<PoolId>,
}

/// How the number of a service's instances follows its load.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The rule.
    pub policy: autoscaler::TargetTracking,
    /// How often it looks.
    pub period: Duration,
    /// From the decision to a new instance's first request.
    pub start: Duration,
}

/// What consistent hashing and sticky balancing go by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Affinity {
    /// The user.
    User,
    /// The client's address.
    Address,
}

/// A kind of connection pool: one per worker process, shard and database node.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Whose workers have it.
    pub service: ServiceId,
    /// What it connects to.
    pub database: DatabaseId,
    /// The pool to the primary.
    pub config: pool::PoolConfig,
    /// The pools to the replicas, one per replica, where reads go to replicas.
    pub replica_config: Option<pool::PoolConfig>,
    /// A failed statement destroys its connection.
    pub destroy_on_error: bool,
}

/// A database with its replicas and shards.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// As measured: its primaries.
    pub station: StationId,
    /// As measured: its replicas.
    pub replica_station: StationId,
    /// Number of its first node among all nodes of all databases.
    pub first_node: u32,
    /// Where it runs.
    pub region: RegionId,
    /// Cores of each node.
    pub cores: f64,
    /// Share of a statement's time that is CPU on the server.
    pub cpu_share: f64,
    /// Contention beyond the cores (sigma, kappa).
    pub contention: (f64, f64),
    /// Round trip of an application in the same region.
    pub rtt: LawId,
    /// Opening a connection.
    pub connect: LawId,
    /// Connections of a node at most, those reserved already taken off.
    pub slots: u32,
    /// Read replicas of each shard.
    pub replicas: u32,
    /// Shipping of the log to a replica.
    pub lag: LawId,
    /// Cost of replaying a write, as a share of its CPU.
    pub replay: f64,
    /// Shards.
    pub shards: u32,
    /// Statements are cancelled after this.
    pub statement_timeout: Option<Duration>,
}

/// A cache with its nodes.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// In process (one per worker) rather than a server.
    pub service: Option<ServiceId>,
    /// Where a server runs.
    pub region: RegionId,
    /// Nodes that hold keys.
    pub nodes: u32,
    /// The entry store of each node.
    pub store: cache::CacheConfig,
    /// Its key sets, in the store's numbering.
    pub keysets: Vec<KeysId>,
    /// CPU time of a command on a node's single loop.
    pub command: LawId,
    /// Round trip of an application in the same region.
    pub rtt: LawId,
    /// Runs the active expiry cycle.
    pub expire_cycle: bool,
    /// How each of its key sets is read (1/s) and for how long values are kept: for warm starts.
    pub traffic: Vec<(f64, Option<Duration>)>,
}

/// A set of keys with their popularity.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub count: u32,
    /// Which one is asked for; [`None`]: the user's own.
    pub sampler: Option<KeySampler>,
    /// Which one each recorded request asks for, by its number.
    pub given: Option<Vec<u32>>,
    /// Size of a value (bytes).
    pub size_bytes: u32,
}

/// A content delivery network.
#[derive(Clone, Debug)]
pub struct Cdn {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What it caches.
    pub keys: KeysId,
    /// Points of presence, each with its own cache.
    pub pops: u32,
    /// Time to live of an object.
    pub ttl: Option<Duration>,
    /// Round trip between a user and the edge.
    pub edge: LawId,
    /// Simultaneous misses of one key wait for one answer.
    pub collapse: bool,
    /// The entry store of each point of presence.
    pub store: cache::CacheConfig,
    /// How often it is asked (1/s): for warm starts.
    pub rate_per_s: f64,
}

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Time to live.
    pub ttl: Duration,
    /// Unchanged sessions are touched at the end of a request.
    pub touch: bool,
    /// Size of a row or value (bytes).
    pub size_bytes: u32,
    /// Share of requests that come without a session and keep none.
    pub guests: f64,
    /// A session is saved for guests too (express-session's `saveUninitialized`).
    pub save_uninitialized: bool,
    /// The Redis memory that its values live in: the cache, and how much it may hold (bytes).
    pub memory: Option<(CacheId, u64)>,
    /// How its queries slow down as it grows.
    pub growth: Option<session_table::QueryLaw>,
    /// The prune that deletes expired rows, of a table in a database.
    pub prune: Option<Prune>,
    /// Live sessions at the start.
    pub warm: u64,
}

/// The prune that deletes the expired rows of a session table.
#[derive(Clone, Copy, Debug)]
pub struct Prune {
    /// Mean interval.
    pub interval: Duration,
    /// CPU of the database server for each row.
    pub row: Duration,
    /// Where the table is.
    pub database: DatabaseId,
}

/// A guard.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What it looks at.
    pub watch: Watch,
    /// It turns requests away from this value on.
    pub threshold: f64,
    /// How long a value is kept.
    pub cache: Option<Duration>,
    /// What it does when it cannot look.
    pub on_error: guard::FailMode,
    /// Status of its refusal.
    pub status: u16,
    /// Retry-After of its refusal.
    pub retry_after: Option<Duration>,
    /// Chance that looking fails.
    pub errors: f64,
    /// Only requests that would create a session are refused.
    pub new_sessions_only: bool,
}

/// What a guard looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Watch {
    /// Open connections of this process's pool: connecting, idle and busy.
    PoolTotal(PoolId),
    /// Busy connections of this process's pool.
    PoolBusy(PoolId),
    /// Requests that wait for a connection of this process's pool.
    PoolWaiting(PoolId),
    /// Live sessions.
    SessionsLive(SessionId),
    /// Requests in flight in this process.
    InFlight(ServiceId),
    /// How long the oldest ready callback of this process has waited (s).
    Lag(ServiceId),
}

/// A rate limiter.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What has its own count.
    pub per: Per,
    /// The window.
    pub window: Duration,
    /// Requests admitted in a window.
    pub max: u32,
    /// One count per worker process, rather than one for all.
    pub per_process: bool,
    /// Status of its refusal.
    pub status: u16,
    /// Retry-After of its refusal; [`None`]: what is left of the window.
    pub retry_after: Option<Duration>,
    /// Chance that its store fails.
    pub errors: f64,
    /// A failing store lets requests pass.
    pub fail_open: bool,
}

/// What a rate limiter counts by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Per {
    /// The client's address.
    Address,
    /// The user.
    User,
    /// Everybody together.
    All,
}

/// A job queue and its worker processes.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Worker processes.
    pub processes: u32,
    /// Jobs at once per process.
    pub concurrency: u32,
    /// Cores per process.
    pub cores: f64,
    /// Number of its first process among all processes of all queues.
    pub first_process: u32,
}

/// A kind of job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where it waits.
    pub queue: QueueId,
    /// How long it takes with a core to itself.
    pub work: LawId,
    /// Share of that which is CPU in its process.
    pub cpu_share: f64,
    /// The promise rejects after this; the handler goes on.
    pub timeout: Option<Duration>,
    /// Attempts in all, and the delays between them.
    pub retry: job_queue::RetryRule,
    /// 1 is served first; 0 has none.
    pub priority: u32,
    /// Chance that an attempt fails.
    pub fail: f64,
}
