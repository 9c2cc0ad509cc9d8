//! What lies between users and services.

use crate::component::cache;
use crate::component::http_client::HttpClientConfig;
use crate::model::ids::*;
use crate::units::{Bandwidth, Duration};

/// A region.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Round trip between its users and its services.
    pub access: LawId,
    /// Its zones.
    pub zones: u32,
    /// Round trip between two of them.
    pub between: LawId,
}

/// A link whose bandwidth is shared equally by the transfers on it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its way out, as measured.
    pub station: StationId,
    /// Its way in; the same where both share its bandwidth, or nothing comes in.
    pub into: StationId,
    /// Its bandwidth.
    pub bandwidth: Bandwidth,
    /// What one transfer can have of it.
    pub per_flow: Bandwidth,
    /// Packet loss above a utilisation: (threshold, share of transfers hit, delay of each hit).
    pub loss: Option<(f64, f64, Duration)>,
}

impl Link {
    /// Which of its directions something takes: 1 is one of its own for what comes in.
    #[inline]
    pub fn way(&self, upload: bool) -> usize {
        usize::from(upload && self.into != self.station)
    }
    /// That direction, as measured.
    #[inline]
    pub fn station_of(&self, way: usize) -> StationId {
        if way == 0 { self.station } else { self.into }
    }
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

/// An HTTP client of a service: each of its workers has one.
#[derive(Clone, Debug)]
pub struct HttpClient {
    /// Who calls.
    pub from: ServiceId,
    /// Who is called, in the order of the file.
    pub to: Vec<ServiceId>,
    /// What bounds its connections.
    pub config: HttpClientConfig,
    /// How long opening one may take.
    pub connect_timeout: Option<Duration>,
    /// Round trips until one is open.
    pub rounds: u32,
    /// How long a call waits for one.
    pub pool_timeout: Option<Duration>,
    /// As measured, where its connections are limited.
    pub station: Option<StationId>,
}

impl HttpClient {
    /// Connections that one worker may have in use.
    pub fn most(&self) -> Option<u32> {
        let HttpClientConfig { most, per_host, .. } = self.config;
        let all = most.min(per_host.saturating_mul(self.to.len() as u32));
        (all < u32::MAX).then_some(all)
    }
    /// Whether those to one service cannot help those to another.
    pub fn is_divided(&self) -> bool {
        let HttpClientConfig { most, per_host, .. } = self.config;
        per_host.saturating_mul(self.to.len() as u32) <= most && per_host < u32::MAX
    }
    /// Connections to one service, where they alone are the limit or there is no other.
    pub fn places(&self) -> Option<u32> {
        let HttpClientConfig { most, per_host, .. } = self.config;
        let one = self.to.len() == 1 || per_host >= most;
        one.then(|| most.min(per_host)).filter(|places| *places < u32::MAX)
    }
}

/// What a call is made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agent {
    /// Which client of the model.
    pub client: u16,
    /// Which of those that it calls.
    pub host: u16,
    /// The time of the call runs while it waits for a connection.
    pub counts_waiting: bool,
}
