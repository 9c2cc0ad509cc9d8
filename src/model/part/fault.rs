//! Faults.

use crate::model::ids::*;
use crate::units::Duration;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// What happens to what, in words: `cache.redis stop`.
    pub label: String,
    /// What it strikes, target by target: all units that it may choose from, in their order.
    pub targets: Vec<Vec<Unit>>,
    /// How many of each target's units.
    pub extent: Extent,
    /// What goes wrong.
    pub harm: Harm,
    /// When it begins for the first time, from the start of the run.
    pub at: Option<Duration>,
    /// From its end to its next beginning.
    pub every: Option<LawId>,
    /// How long it lasts; [`None`]: to the end of the run.
    pub lasts: Option<LawId>,
    /// It strikes one zone: replacements start in others.
    pub zonal: bool,
    /// It strikes all that stands in a region.
    pub regional: bool,
    /// Each unit fails at times of its own.
    pub apart: bool,
}

/// How much of a target a fault strikes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Extent {
    /// All units that run.
    All,
    /// So many of them.
    Count(u32),
    /// This share of them.
    Share(f64),
}

/// What goes wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum Harm {
    /// It is down.
    Stop,
    /// It is down, and comes back cold.
    Restart,
    /// Its primary is lost, and another takes over; for so long nobody answers for it.
    Failover(Duration),
    /// Its primary is lost for good, and a replica takes over.
    Promote,
    /// Its machine is gone, and Kubernetes finds out.
    NodeLoss(NodeLoss),
    /// One of its brokers is gone.
    BrokerLoss(BrokerLoss),
    /// It takes so many times as long.
    Slow(f64),
    /// It fails this share of what it is asked.
    Flaky(f64),
    /// Packets between the two sides are lost: each of these from this.
    Cut(Vec<Side>, Option<Side>),
}

impl Harm {
    /// Whether what it strikes is down.
    pub fn falls(&self) -> bool {
        use Harm::{Failover, NodeLoss, Promote, Restart, Stop};
        matches!(self, Stop | Restart | Failover(_) | Promote | NodeLoss(_))
    }
}

/// How Kubernetes finds out that a machine is gone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NodeLoss {
    /// How old its lease is when it is marked as not ready, and its pods leave the endpoints.
    pub grace: Duration,
    /// From one renewal of the lease to the next.
    pub lease: Duration,
    /// From one look of the controller to the next.
    pub monitor: Duration,
    /// From then on, until its pods are deleted and replaced.
    pub toleration: Duration,
    /// From then on, until others serve in their place.
    pub start: Duration,
}

/// How a broker of Kafka is missed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BrokerLoss {
    /// Which of its topic's, from 0.
    pub broker: u32,
    /// Others lead before it is gone.
    pub planned: bool,
    /// How long the controller waits for it.
    pub session: Duration,
    /// From then on, until others lead.
    pub election: Duration,
}

/// One side of a network cut.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Side {
    /// All that stands in a region, and the users who live there.
    Region(RegionId),
    /// A service.
    Service(ServiceId),
    /// A database.
    Database(DatabaseId),
    /// A cache.
    Cache(CacheId),
    /// A pooler.
    Pooler(PoolerId),
    /// A queue, with its workers.
    Queue(QueueId),
    /// The members of a group of consumers.
    Consumer(ConsumerId),
}

/// What can be struck by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unit {
    /// Which kind of thing.
    pub kind: UnitKind,
    /// Its number among all of its kind, whosever they are.
    pub number: u32,
}

/// Kinds of things that can be struck by themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UnitKind {
    /// An instance of a service.
    Instance,
    /// The balancer of a service.
    Balancer,
    /// A connection pool with the pools of its kind in all processes.
    Pool,
    /// A database node.
    Node,
    /// A cache node.
    CacheNode,
    /// A process of a queue.
    Process,
    /// A member of a group of consumers.
    Member,
    /// A link.
    Link,
    /// A content delivery network.
    Cdn,
    /// A pooler.
    Pooler,
    /// An object store.
    Store,
    /// The brokers of a topic.
    Stream,
    /// What holds the connections of a socket.
    Socket,
    /// A machine, as far as what others compute there.
    Host,
}

/// How many kinds there are.
pub const UNIT_KINDS: usize = 14;
