//! Session stores.

use crate::component::session_population::Holders;
use crate::component::session_table;
use crate::model::ids::*;
use crate::units::Duration;

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Time to live.
    pub ttl: Duration,
    /// Unchanged sessions are saved again at the end of a request.
    pub resave: bool,
    /// Those that are not are touched.
    pub touch: bool,
    /// How long a browser keeps the cookie.
    pub cookie: Option<Duration>,
    /// Every answer sets it anew.
    pub rolling: bool,
    /// Nothing ends one but a logout, or its process: those of the start have come within `ttl`.
    pub ageless: bool,
    /// Each worker keeps its own.
    pub in_memory: bool,
    /// Size of a row or value (bytes).
    pub size_bytes: u32,
    /// Share of requests that come without a session and keep none.
    pub guests: f64,
    /// A session is saved for guests too (express-session's `saveUninitialized`).
    pub save_uninitialized: bool,
    /// The Redis that keeps them.
    pub cache: Option<CacheId>,
    /// How its queries slow down as it grows.
    pub growth: Option<session_table::QueryLaw>,
    /// The prune that deletes expired rows, of a table in a database.
    pub prune: Option<Prune>,
    /// Live sessions at the start, those that users hold included.
    pub warm: u64,
    /// How users hold sessions at the start; [`None`]: the store is empty.
    pub holders: Option<Holders>,
    /// The share of the users who have their sessions here.
    pub reach: f64,
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
