//! The parts of a deployment as the model knows them: one type for each section of the file.

mod network;
mod service;
mod pool;
mod process;
mod database;
mod arrivals;
mod cache;
mod cost;
mod deploy;
mod dns;
mod fault;
mod session;
mod gate;
mod monitor;
mod socket;
mod store;
mod stream;
mod queue;

pub use arrivals::{Arrivals, Crowd, RatePhase, SessionFlow, Vus};
pub use cache::{Cache, Failover, Keys, LoadLock, Persistence, Policy, Reads, SMALL_BYTES};
pub use cost::Cost;
pub use database::{
    Buffer, Database, Maintenance, Relation, Replica, Reshard, ServerMemory, Standby, Upkeep, Want,
};
pub use deploy::{Deploy, Exit, OnSigterm, Purge, Rollout};
pub use dns::FailoverDns;
pub use fault::{BrokerLoss, Extent, Fault, Harm, NodeLoss, Side, UNIT_KINDS, Unit, UnitKind};
pub use gate::{Breaker, Bulkhead, Guard, Limit, Per, Watch};
pub use monitor::{Alarm, Missing, Monitor, Reading, Shown};
pub use network::{Agent, Cdn, HttpClient, Link, Region, Shield};
pub use pool::{ClientTimes, Discards, Fill, Pool, PoolMode, Pooler};
pub use process::{ALIVE, Collecting, Memory, Probe, Process, READY, Recycling, Timer};
pub use queue::{Job, Mapping, Poll, Queue, Scripts};
pub use service::{
    Affinity, Appointment, Bodies, Charged, Full, Function, HandOut, Health, Host, Keda, Metric,
    Others, ProvisionedScaling, Retries, Reuse, Rule, Scaling, Service, Slots, Wake,
};
pub use session::{Prune, Session};
pub use socket::{Broadcast, Socket};
pub use store::{Parts, Store, StoreUse};
pub use stream::{
    Acks, Consumer, ConsumerParts, KafkaRules, KinesisRules, PendingRules, Rules, ShardMapping,
    Shards, Stream, SubscriberRules, Topic,
};
