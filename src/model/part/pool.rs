//! Connection pools.

use crate::component::pool;
use crate::model::ids::*;

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
    /// Who gives back a connection that is closed waits for the end of that.
    pub awaits_close: bool,
}
