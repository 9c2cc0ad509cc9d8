//! Databases.

use crate::model::ids::*;
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
