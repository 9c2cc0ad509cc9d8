//! What lies between users and services.

use crate::component::cache;
use crate::model::ids::*;
use crate::units::{Bandwidth, Duration};

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
    /// What one transfer can have of it.
    pub per_flow: Bandwidth,
    /// Packet loss above a utilisation: (threshold, share of transfers hit, delay of each hit).
    pub loss: Option<(f64, f64, Duration)>,
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
    /// Share of answers that may not be cached.
    pub uncacheable: f64,
    /// For how long after its time an answer is given when the origin fails.
    pub stale: Duration,
    /// For how long after its time an answer is given while another is fetched.
    pub revalidate: Duration,
    /// Share of answers that are fetched anew and unchanged.
    pub not_modified: f64,
    /// What its edges ask before the origin.
    pub shield: Option<Shield>,
    /// How long a failure is kept.
    pub error_ttl: Duration,
    /// How long the origin may take to answer.
    pub origin_timeout: Duration,
    /// How long all attempts to connect to it may take.
    pub connect_timeout: Duration,
    /// How often it is asked at most.
    pub attempts: u32,
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

/// Caches between the edges and the origin.
#[derive(Clone, Copy, Debug)]
pub struct Shield {
    /// How many.
    pub count: u32,
    /// Round trip from an edge.
    pub rtt: LawId,
    /// As measured.
    pub station: StationId,
}

/// What opens and keeps connections from the workers of a service to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Who calls.
    pub from: ServiceId,
    /// Who is called.
    pub to: ServiceId,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// Idle ones of a worker at most.
    pub most_idle: usize,
    /// How long opening one may take.
    pub connect_timeout: Option<Duration>,
    /// Round trips until one is open.
    pub rounds: u32,
}
