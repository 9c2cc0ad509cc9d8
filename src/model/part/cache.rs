//! Caches and the keys in them.

use crate::component::cache;
use crate::component::redis_client::ClientRules;
use crate::model::ids::*;
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
    /// The client library of each process that uses it.
    pub client: Option<ClientRules>,
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
