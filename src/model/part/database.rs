//! Databases.

use crate::component::buffer::HitCurve;
use crate::component::burst_credits::CreditConfig;
use crate::component::checkpoint::CheckpointRules;
use crate::component::session_table::QueryLaw;
use crate::component::table_lock::Mode;
use crate::component::vacuum::VacuumRules;
use crate::component::volume::VolumeConfig;
use crate::kernel::{Crowding, Rank};
use crate::model::ids::*;
use crate::model::tape::DrawId;
use crate::units::Duration;

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
    /// The machine that its nodes share, with others.
    pub host: Option<HostId>,
    /// Who goes first on it.
    pub rank: Rank,
    /// Cores of each node.
    pub cores: f64,
    /// Share of a statement's time that is CPU on the server.
    pub cpu_share: f64,
    /// Contention beyond the cores.
    pub contention: Crowding,
    /// Round trip of an application in the same region.
    pub rtt: LawId,
    /// Opening a connection.
    pub connect: LawId,
    /// What of that is CPU time of the server.
    pub connect_cpu: Duration,
    /// Connections of a node at most, those reserved already taken off.
    pub slots: u32,
    /// Read replicas of each shard.
    pub replicas: u32,
    /// Each of them.
    pub copies: Vec<Replica>,
    /// Some stand in another region than their primary.
    pub spread: bool,
    /// Shipping of the log to a replica.
    pub lag: LawId,
    /// Cost of replaying a write, as a share of its CPU.
    pub replay: f64,
    /// Shards that there are at one time or another.
    pub shards: u32,
    /// What of the statements falls on each as a run starts; empty if all are alike.
    pub shard_shares: Vec<f64>,
    /// How their number changes.
    pub reshard: Option<Reshard>,
    /// The keys whose popularity decides on the shard, where any do.
    pub shard_keys: Option<KeysId>,
    /// Statements are cancelled after this.
    pub statement_timeout: Option<Duration>,
    /// Statements look so often whether their client is still there.
    pub client_check: Option<Duration>,
    /// Waits for locks are given up after this.
    pub lock_timeout: Option<Duration>,
    /// Waits for locks look for a deadlock after this.
    pub deadlock_timeout: Duration,
    /// Idle transactions are ended after this.
    pub idle_timeout: Option<Duration>,
    /// The volume of each node, where it limits.
    pub volume: Option<VolumeConfig>,
    /// What each node keeps of its data in memory, where not all of it.
    pub buffer: Option<Buffer>,
    /// The memory of each node, where it may run out.
    pub memory: Option<ServerMemory>,
    /// The CPU credits of each node, where it is burstable.
    pub credits: Option<CreditConfig>,
    /// What a commit waits for.
    pub standby: Option<Standby>,
    /// How long replay waits for queries that it conflicts with.
    pub standby_delay: Duration,
    /// Something that is replayed may conflict with queries on replicas.
    pub conflicts: bool,
    /// What the first change of a page after a checkpoint costs, where that is looked at.
    pub full_pages: Option<CheckpointRules>,
    /// Its statements may take locks, or be idle within a transaction for too long.
    pub locks: bool,
}

/// A replica of a shard.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Where it stands.
    pub region: RegionId,
    /// Until a write has set out for it.
    pub lag: LawId,
}

/// The memory of a node of a database (bytes).
#[derive(Clone, Copy, Debug)]
pub struct ServerMemory {
    /// All of it.
    pub machine: u64,
    /// What is taken whoever is connected: by the system, and for shared buffers.
    pub fixed: u64,
    /// Shared buffers.
    pub shared: u64,
    /// What a connection takes.
    pub per_connection: u64,
    /// A process is killed when none is left; otherwise whoever asks for more fails.
    pub kills: bool,
    /// How long the server is away after that.
    pub recovery: LawId,
}

/// Pages that each node of a database keeps in memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// How many, at most.
    pub pages: f64,
    /// It is what connections and statements leave of the node's memory.
    pub squeezed: bool,
    /// How many there are at the start: of a run that starts warm all that there is room for.
    pub start: f64,
    /// Pages of a node's data, where that is said.
    pub data: Option<f64>,
    /// Tables that it is made of otherwise: their rows' bytes and their indexes.
    pub tables: Vec<(RelationId, f64, f64)>,
    /// How many look-ups find their page when that share of all pages is there.
    pub hits: HitCurve,
    /// What a page takes that is not there, on an idle volume.
    pub operation: Duration,
    /// The share of look-ups that find nothing as the run starts warm.
    pub misses: f64,
}

/// A change of the number of shards; times are from the start of the run.
#[derive(Clone, Copy, Debug)]
pub struct Reshard {
    /// Shards before.
    pub from: u32,
    /// Shards afterwards.
    pub to: u32,
    /// When copying begins.
    pub at: Duration,
    /// When it has ended: from now on statements for what moves are held back.
    pub copied: Duration,
    /// Until then.
    pub ends: Duration,
    /// Cores of each primary that copying keeps busy.
    pub load: f64,
    /// The shard is the hash modulo their number.
    pub modulo: bool,
}

/// Synchronous copies.
#[derive(Clone, Copy, Debug)]
pub struct Standby {
    /// How many.
    pub count: u32,
    /// How many a commit waits for.
    pub quorum: u32,
    /// Until one has it and says so.
    pub rtt: LawId,
}

/// A table or view whose locks matter.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Where it is.
    pub database: DatabaseId,
    /// Number of its lock on the database's first node, among all locks of tables.
    pub first_table: u32,
    /// Its rows, where they are locked.
    pub rows: Option<KeysId>,
    /// How many they are at the start.
    pub count: u64,
    /// Further waiting for storage when as many versions are dead as there are rows.
    pub bloat: f64,
}

/// What a statement locks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Want {
    /// The table or view.
    pub relation: RelationId,
    /// Its mode.
    pub mode: Mode,
    /// Which row, if one.
    pub row: Option<DrawId>,
    /// Rows that it adds to its table.
    pub inserts: u32,
    /// Rows that it takes out.
    pub deletes: u32,
    /// How it slows down as its table grows.
    pub growth: Option<QueryLaw>,
}

impl Want {
    /// Row versions that it leaves dead: of an update one.
    pub fn leaves_dead(&self) -> u64 {
        match (self.inserts, self.deletes) {
            (0, 0) => 1,
            (_, deletes) => deletes.into(),
        }
    }
}

/// What a job of a database takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Upkeep {
    /// What it says.
    Job,
    /// Vacuuming a table, whose rows are of that many bytes and which has so many indexes.
    Vacuum {
        /// How it decides, and how fast it may be.
        rules: VacuumRules,
        /// Bytes of a row.
        row_bytes: f64,
        /// Indexes.
        indexes: f64,
    },
    /// A checkpoint, with the CPU time for each page.
    Checkpoint(CheckpointRules, Duration),
}

/// What a database does by itself, on one of its primaries.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// Its name: the root of its random numbers.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What it is.
    pub kind: Upkeep,
    /// Who does it.
    pub database: DatabaseId,
    /// On which shard.
    pub shard: u32,
    /// From start to start.
    pub every: Duration,
    /// Time on an idle server.
    pub work: LawId,
    /// Further time for each write since the last.
    pub per_write: Duration,
    /// Writes without which it is left out.
    pub threshold: u64,
    /// At least how long it takes.
    pub spread: Duration,
    /// What it locks.
    pub lock: Option<Want>,
    /// It gives up waiting for its lock after this.
    pub lock_timeout: Option<Duration>,
    /// It cleans up dead row versions.
    pub cleans: bool,
    /// Its replay conflicts with older queries.
    pub conflicts: bool,
}
