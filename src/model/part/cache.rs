//! Caches and the keys in them.

use crate::component::cache;
use crate::component::persistence::SavePoint;
use crate::component::redis_client::ClientRules;
use crate::kernel::Rank;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::units::Duration;
use crate::variate::KeySampler;

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
    /// The machine that its nodes share, with others.
    pub host: Option<HostId>,
    /// Who goes first on it.
    pub rank: Rank,
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
    /// Copies of each node.
    pub replicas: u32,
    /// Who lets one of them take over.
    pub failover: Option<Failover>,
    /// Which copies answer reads.
    pub reads: Reads,
    /// How far copies are behind.
    pub lag: Duration,
    /// The client library of each process that uses it.
    pub client: Option<ClientRules>,
    /// Where on the tape each service looks its name up; empty where that takes no time.
    pub lookups: Vec<Pc>,
    /// The most connections that a node accepts, where more may want one.
    pub most_clients: Option<u32>,
    /// Connections of a process.
    pub connections: u32,
    /// Connections of the workers of its queues.
    pub queue_clients: u32,
    /// Threads that read and write, the main one among them.
    pub io_threads: u32,
    /// The share of a command's time that is reading and writing.
    pub io_share: f64,
    /// What each subscriber adds to a message that is published.
    pub per_subscriber: Duration,
    /// What each kilobyte of a large value adds to a command.
    pub per_kb: Duration,
    /// What its wire carries each way (bytes/s), if that is bounded.
    pub bytes_per_s: Option<f64>,
    /// Commands of the model have subscribers or large values, or threads that read and write.
    pub weighs: bool,
    /// Runs the active expiry cycle.
    pub expire_cycle: bool,
    /// From which time on the thread a command is in the slow log.
    pub slowlog: Duration,
    /// What evicting one entry takes, in the path of the command that needs the room.
    pub evicting: Duration,
    /// What the expiry cycle needs for one entry that it removes.
    pub expiring: Duration,
    /// Session stores that share its memory.
    pub sessions: Vec<SessionId>,
    /// Limits whose counters share its memory.
    pub limits: Vec<LimitId>,
    /// Queues whose jobs share its memory.
    pub queues: Vec<QueueId>,
    /// How each of its key sets is read (1/s) and for how long values are kept: for warm starts.
    pub traffic: Vec<(f64, cache::Ttl)>,
    /// How it is written to disk, if it is.
    pub persistence: Option<Persistence>,
}

/// Values of up to so many bytes are part of what every command takes: one reply buffer of Redis
/// (PROTO_REPLY_CHUNK_BYTES).
pub const SMALL_BYTES: u64 = 16 * 1024;

impl Cache {
    /// The kilobytes of a value that are not.
    pub fn large_kb(bytes: u64) -> f64 {
        bytes.saturating_sub(SMALL_BYTES) as f64 / 1e3
    }
}

/// How a cache is written to disk.
#[derive(Clone, PartialEq, Debug)]
pub struct Persistence {
    /// When a snapshot is made.
    pub save: Vec<SavePoint>,
    /// How long forking takes for a gigabyte.
    pub fork: Duration,
    /// What the child writes (bytes/s).
    pub disk_bytes_per_s: f64,
    /// How long an fsync of the append-only file takes, if there is one.
    pub fsync: Option<LawId>,
}

/// Who lets a replica take over.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Failover {
    /// Redis Sentinel.
    Sentinel {
        /// How long a master is silent until a sentinel holds it for down.
        down_after: Duration,
        /// How many sentinels.
        sentinels: u32,
        /// How many must agree.
        quorum: u32,
    },
    /// Redis Cluster.
    Cluster {
        /// How long a node is silent until another suspects it.
        node_timeout: Duration,
        /// A range of slots that is not covered stops all.
        full_coverage: bool,
    },
}

/// Which copies answer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// Primaries.
    Primary,
    /// Replicas.
    Replicas,
    /// Both.
    All,
}

/// What a look-up does to have few loads.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Policy {
    /// A hit renews it.
    pub sliding: bool,
    /// By what share a time to live is longer or shorter.
    pub spread: f64,
    /// The beta of early refreshes; 0 for none.
    pub early: f64,
    /// How long a stale value is served while it is loaded anew.
    pub revalidate: Duration,
    /// How long a stale value is served when loading it has failed.
    pub if_error: Duration,
    /// How long it is kept that there is nothing.
    pub negative: Option<Duration>,
    /// A lock in the cache.
    pub lock: Option<LoadLock>,
}

/// A lock for loads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoadLock {
    /// How long it lasts if nobody releases it.
    pub ttl: Duration,
    /// The pause before looking again.
    pub retry: Duration,
    /// By how much that is longer or shorter at most.
    pub jitter: Duration,
    /// How often one looks again.
    pub tries: u16,
    /// How long its holder may store what it has loaded; [`None`] is for ever.
    pub valid: Option<Duration>,
}

impl Policy {
    /// How long beyond its time to live a value is kept.
    pub fn grace(&self) -> Duration {
        self.revalidate.max(self.if_error)
    }
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
    /// The share of keys for which there is nothing.
    pub absent: f64,
    /// Flows remove some of them from caches.
    pub removed: bool,
}

impl Keys {
    /// Whether there is nothing for a key: which ones have nothing to do with their popularity.
    #[inline(always)]
    pub fn is_absent(&self, rank: u32) -> bool {
        self.absent > 0.0 && {
            let mixed = u64::from(rank).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
            ((mixed >> 11) as f64) * (1.0 / (1u64 << 53) as f64) < self.absent
        }
    }
}
